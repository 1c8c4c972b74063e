/* serve_metrics.c - the snapshot as Prometheus reads it. */
#include "cmd/queue/queue_json.h"
#include "cmd/serve/serve_internal.h"

#include <string.h>

static void begin_metric(struct strbuf *to, const char *name, const char *help)
{
    strbuf_addf(to, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

/* A label's value: what users wrote must not end it. */
static void add_label(struct strbuf *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n') strbuf_addf(to, "\\n");
        else if (*text == '\\' || *text == '"') strbuf_addf(to, "\\%c", *text);
        else strbuf_add(to, text, 1);
    }
}

static const char *const clip_states[] = { "ready", "running", "done", "failed", "canceled" };

static void write_jobs(struct strbuf *to, const json_t *jobs)
{
    size_t i;
    json_t *job;

    begin_metric(to, "rollmill_jobs", "Jobs by state.");
    for (int k = 0; queue_job_states[k]; k++) {
        int n = 0;
        json_array_foreach(jobs, i, job) n +=
            !strcmp(json_string_value(json_object_get(job, "state")), queue_job_states[k]);
        strbuf_addf(to, "rollmill_jobs{state=\"%s\"} %d\n", queue_job_states[k], n);
    }
    begin_metric(to, "rollmill_clips", "Clips of all jobs by state.");
    for (int k = 0; k < COUNT_OF(clip_states); k++) {
        int64_t n = 0;
        json_array_foreach(jobs, i, job) n += serve_number(job, clip_states[k]);
        strbuf_addf(to, "rollmill_clips{state=\"%s\"} %lld\n", clip_states[k], (long long)n);
    }
}

static void write_owners(struct strbuf *to, const json_t *owners)
{
    static const struct {
        const char *name, *help, *key;
    } metrics[] = {
        { "rollmill_owner_video_seconds", "Video of clips that are done.", "video_hours" },
        { "rollmill_owner_world_seconds", "Time of worlds spent.", "world_hours" },
    };
    size_t i;
    json_t *o;

    for (int k = 0; k < COUNT_OF(metrics); k++) {
        begin_metric(to, metrics[k].name, metrics[k].help);
        json_array_foreach(owners, i, o)
        {
            strbuf_addf(to, "%s{owner=\"", metrics[k].name);
            add_label(to, json_string_value(json_object_get(o, "owner")));
            strbuf_addf(to, "\"} %.3f\n",
                        3600 * json_real_value(json_object_get(o, metrics[k].key)));
        }
    }
}

static void write_worlds(struct strbuf *to, const json_t *worlds)
{
    static const char *const state[] = { "working", "drains", "silent" };
    size_t i;
    json_t *w;

    begin_metric(to, "rollmill_worlds", "Worlds by state; a silent one has let its lease run out.");
    for (int k = 0; k < COUNT_OF(state); k++) {
        int n = 0;
        json_array_foreach(worlds, i, w) n +=
            !strcmp(json_string_value(json_object_get(w, "state")), state[k]);
        strbuf_addf(to, "rollmill_worlds{state=\"%s\"} %d\n", state[k], n);
    }
}

static void write_pace(struct strbuf *to, const json_t *pace)
{
    int64_t clips = 0, pictures = 0;
    size_t i;
    json_t *p;

    json_array_foreach(pace, i, p)
    {
        clips += serve_number(p, "clips");
        pictures += serve_number(p, "pictures");
    }
    begin_metric(to, "rollmill_finished_clips", "Clips finished in the last 24 hours.");
    strbuf_addf(to, "rollmill_finished_clips %lld\n", (long long)clips);
    begin_metric(to, "rollmill_finished_pictures", "Their pictures.");
    strbuf_addf(to, "rollmill_finished_pictures %lld\n", (long long)pictures);
}

void serve_metrics_write(struct strbuf *to, const struct serve_snapshot *s)
{
    begin_metric(to, "rollmill_up", "The queue's database answers.");
    strbuf_addf(to, "rollmill_up %d\n", !s->away);
    if (s->away) return;
    write_jobs(to, json_object_get(s->all, "jobs"));
    write_owners(to, json_object_get(s->all, "owners"));
    write_worlds(to, json_object_get(s->all, "worlds"));
    write_pace(to, json_object_get(s->all, "pace"));
}
