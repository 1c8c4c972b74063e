/* queue_json.c - rows of the queue as JSON objects. */
#include "cmd/queue/queue_json.h"
#include "jobs/spec/json_build.h"

const char *const queue_job_states[] = { "running",  "ready",  "waiting", "held",     "stopping",
                                         "given up", "failed", "done",    "canceled", NULL };

const char *queue_job_state(const struct queue_job_status *s)
{
    if (s->closed) return queue_state_name((enum queue_state)s->outcome);
    if (s->want == QUEUE_HOLD) return "held";
    if (s->want == QUEUE_CANCEL) return "stopping";
    if (s->want == QUEUE_GIVEN_UP) return "given up";
    if (s->running) return "running";
    return s->waits_for ? "waiting" : "ready";
}

/* ---- rows ---- */

static void set_number(json_t **to, const char *key, int64_t n)
{
    json_set(to, key, json_integer((json_int_t)n));
}

static void set_text(json_t **to, const char *key, const char *text)
{
    json_set(to, key, json_from_text(text));
}

json_t *queue_job_json(const struct queue_job_status *s)
{
    json_t *o = json_object();

    set_number(&o, "id", s->id);
    set_text(&o, "job", s->uid);
    set_text(&o, "name", s->name);
    set_text(&o, "owner", s->owner);
    set_text(&o, "state", queue_job_state(s));
    set_number(&o, "priority", s->priority);
    set_number(&o, "clips", s->clips);
    set_number(&o, "ready", s->ready);
    set_number(&o, "running", s->running);
    set_number(&o, "done", s->done);
    set_number(&o, "failed", s->failed);
    set_number(&o, "canceled", s->canceled);
    set_number(&o, "waits_for", s->waits_for);
    set_number(&o, "blocks", s->blocks);
    set_number(&o, "created_ms", s->created);
    set_number(&o, "closed_ms", s->closed);
    return o;
}

json_t *queue_world_json(const struct queue_world_status *s, int64_t now_ms)
{
    json_t *o = json_object();

    set_number(&o, "world", s->id);
    set_text(&o, "host", s->host);
    set_number(&o, "pid", s->pid);
    set_text(&o, "launcher", s->launcher);
    set_text(&o, "group", s->group);
    set_number(&o, "clips", s->clips);
    json_set(&o, "drain", json_boolean(s->drain != 0));
    json_set(&o, "silent", json_boolean(s->lease_until < now_ms));
    set_number(&o, "silent_ms", now_ms - s->seen);
    return o;
}

static double hours(int64_t ms) { return (double)ms / 3600000; }

json_t *queue_owner_json(const struct queue_owner *w)
{
    json_t *o = json_object();

    set_text(&o, "owner", w->owner);
    set_number(&o, "clips", w->clips);
    set_number(&o, "done", w->done);
    set_number(&o, "running", w->running);
    set_number(&o, "ready", w->ready);
    set_number(&o, "failed", w->failed);
    json_set(&o, "video_hours", json_real(hours(w->video_ms)));
    json_set(&o, "world_hours", json_real(hours(w->world_ms)));
    return o;
}

json_t *queue_clip_json(const struct queue_clip_status *s)
{
    json_t *o = json_object();

    set_number(&o, "clip", s->index);
    set_text(&o, "state", queue_state_name((enum queue_state)s->state));
    set_number(&o, "attempt", s->attempt);
    set_number(&o, "errors", s->errors);
    set_number(&o, "crashes", s->crashes);
    set_number(&o, "preempts", s->preempts);
    set_number(&o, "blocks_done", s->blocks_done > 0 ? s->blocks_done : 0);
    set_number(&o, "blocks", s->blocks);
    set_text(&o, "task", s->task);
    set_text(&o, "values", s->values);
    set_text(&o, "host", s->host);
    set_text(&o, "end", s->end);
    set_text(&o, "message", s->message);
    return o;
}
