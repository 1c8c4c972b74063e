/*
 * queue_show.c - the queue's rows as lines.
 *
 * What a user or a failing library wrote is shown with its control characters replaced: a job's
 * owner or a message must not move the reader's cursor.
 */
#include "base/json_build.h"
#include "base/strbuf.h"
#include "cmd/queue/cmd_queue_internal.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PAGE = 500, EVENTS = 200 };

struct show {
    struct queue *q;
    bool json;
    json_t *list; /* being filled; NULL: text */
    int64_t now;  /* ms */
    bool failed;
    int64_t last, next; /* event or clip shown last; clips of this page */
    int rows;
    int64_t until; /* last clip wanted; -1: all */
};

/* ---- texts ---- */

enum { SHOWN = 160 };
struct shown {
    char s[SHOWN];
};

static struct shown show_text(const char *text)
{
    struct shown out;

    snprintf(out.s, sizeof out.s, "%s", text);
    for (char *p = out.s; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f) *p = ' ';
    return out;
}

static struct shown show_age(int64_t ms)
{
    struct shown out;
    int64_t const s = ms / 1000;

    if (s < 120) snprintf(out.s, sizeof out.s, "%lld s", (long long)s);
    else if (s < 7200) snprintf(out.s, sizeof out.s, "%lld min", (long long)s / 60);
    else snprintf(out.s, sizeof out.s, "%lld h", (long long)s / 3600);
    return out;
}

static struct shown clock_time(int64_t ms)
{
    struct shown out;
    time_t const t = (time_t)(ms / 1000);
    struct tm at;

    localtime_r(&t, &at);
    strftime(out.s, sizeof out.s, "%Y-%m-%d %H:%M:%S", &at);
    return out;
}

static void add_row(struct show *w, json_t *row)
{
    if (!row || json_array_append_new(w->list, row)) w->failed = true;
}

/* ---- jobs and worlds ---- */

static void show_job(void *arg, const struct queue_job_status *s)
{
    struct show *const w = arg;

    w->rows++;
    if (w->list) {
        add_row(w, queue_job_json(s));
        return;
    }
    if (w->rows == 1)
        printf("%-40s %-9s %4s %7s %7s %7s %7s %7s  %s\n", "job", "state", "prio", "clips", "done",
               "running", "ready", "failed", "owner");
    printf("%-40s %-9s %4lld %7lld %7lld %7lld %7lld %7lld  %s\n", s->uid, queue_job_state(s),
           (long long)s->priority, (long long)s->clips, (long long)s->done, (long long)s->running,
           (long long)s->ready, (long long)s->failed, show_text(s->owner).s);
}

static void show_world(void *arg, const struct queue_world_status *s)
{
    struct show *const w = arg;

    w->rows++;
    if (w->list) {
        add_row(w, queue_world_json(s, w->now));
        return;
    }
    const char *const state = queue_world_state(s, w->now);
    if (w->rows == 1)
        printf("\n%-7s %-20s %8s %6s %-8s %-8s  %s\n", "world", "host", "pid", "clips", "seen", "",
               "group");
    printf("%-7lld %-20s %8lld %6lld %-8s %-8s  %s\n", (long long)s->id, show_text(s->host).s,
           (long long)s->pid, (long long)s->clips, show_age(w->now - s->seen).s,
           strcmp(state, "working") ? state : "", show_text(s->group).s);
}

static status print_json(json_t *root, bool failed)
{
    json_drop_if(&root, failed);
    if (json_print(root, JSON_INDENT(1))) return ST_OK;
    return fail(ST_NOMEM, "no memory for JSON, or a text is not UTF-8");
}

static enum queue_answer list_jobs(struct show *w)
{
    w->rows = 0;
    enum queue_answer const a = queue_jobs(w->q, show_job, w);
    if (a == QUEUE_OK && !w->json && !w->rows) puts("no jobs");
    return a;
}

status queue_show_all(struct queue *q, bool json)
{
    struct show w = { .q = q, .json = json };
    json_t *const jobs = json ? json_array() : NULL, *const worlds = json ? json_array() : NULL;

    enum queue_answer a = queue_now(q, &w.now);
    w.list = jobs;
    if (a == QUEUE_OK) a = list_jobs(&w);
    w.list = worlds;
    w.rows = 0;
    if (a == QUEUE_OK) a = queue_worlds(q, false, show_world, &w);
    if (a == QUEUE_OK && json)
        return print_json(json_pack("{s:o, s:o}", "jobs", jobs, "worlds", worlds), w.failed);
    json_decref(jobs);
    json_decref(worlds);
    return queue_check_answer(q, a);
}

/* ---- owners ---- */

static void show_owner(void *arg, const struct queue_owner *o)
{
    struct show *const w = arg;

    w->rows++;
    if (w->list) {
        add_row(w, queue_owner_json(o));
        return;
    }
    if (w->rows == 1)
        printf("%-20s %8s %8s %8s %8s %8s %12s %12s\n", "owner", "clips", "done", "running",
               "ready", "failed", "video hours", "world hours");
    printf("%-20s %8lld %8lld %8lld %8lld %8lld %12.3f %12.3f\n", show_text(o->owner).s,
           (long long)o->clips, (long long)o->done, (long long)o->running, (long long)o->ready,
           (long long)o->failed, queue_hours(o->video_ms), queue_hours(o->world_ms));
}

status queue_show_owners(struct queue *q, bool json)
{
    struct show w = { .q = q, .json = json, .list = json ? json_array() : NULL };

    status const st = queue_check_answer(q, queue_owners(q, show_owner, &w));
    if (st == ST_OK && json) return print_json(json_pack("{s:o}", "owners", w.list), w.failed);
    json_decref(w.list);
    return st;
}

/* ---- clips ---- */

static json_t *with_folder(json_t *clip, const char *folder)
{
    json_set(&clip, "folder", json_from_text(folder));
    return clip;
}

static void show_clip(void *arg, const struct queue_clip_status *s)
{
    struct show *const w = arg;
    const char *const state = queue_state_name((enum queue_state)s->state);

    w->rows++;
    w->next = s->index + 1;
    if (w->until >= 0 && s->index > w->until) return;
    if (w->list) {
        add_row(w, with_folder(queue_clip_json(s), s->folder));
        return;
    }
    printf("  %6lld %-9s", (long long)s->index, state);
    if (s->state == QUEUE_RUNNING)
        printf(" %lld of %lld blocks on %s", (long long)(s->blocks_done > 0 ? s->blocks_done : 0),
               (long long)s->blocks, show_text(s->host).s);
    else printf(" %s", s->folder);
    if (s->attempt > 1) printf(", attempt %lld", (long long)s->attempt);
    if (s->message[0]) printf(", %s: %s", s->end, show_text(s->message).s);
    putchar('\n');
}

static enum queue_answer list_clips(struct show *w, const struct selected *s)
{
    enum queue_answer a = QUEUE_OK;

    w->next = s->first >= 0 ? s->first : 0;
    w->until = s->last;
    do {
        w->rows = 0;
        a = queue_clips(w->q, s->job, w->next, PAGE, show_clip, w);
    } while (a == QUEUE_OK && w->rows == PAGE && (w->until < 0 || w->next <= w->until));
    return a;
}

status queue_show_clips(struct queue *q, const struct selection *s, bool json)
{
    struct show w = { .q = q, .json = json };
    json_t *const jobs = json ? json_array() : NULL;
    enum queue_answer a = QUEUE_OK;

    for (int i = 0; i < s->count && a == QUEUE_OK; i++) {
        json_t *const clips = json ? json_array() : NULL;
        w.list = clips;
        if (!json) printf("%s\n", s->at[i].uid);
        a = list_clips(&w, &s->at[i]);
        w.list = jobs;
        if (json) add_row(&w, json_pack("{s:s, s:o}", "job", s->at[i].uid, "clips", clips));
    }
    if (a == QUEUE_OK && json) return print_json(json_pack("{s:o}", "jobs", jobs), w.failed);
    json_decref(jobs);
    return queue_check_answer(q, a);
}

/* ---- the log ---- */

static void print_line(struct show *w, json_t *row)
{
    if (!json_print(row, JSON_COMPACT)) w->failed = true;
}

static void show_event(void *arg, const struct queue_event *e)
{
    struct show *const w = arg;

    w->last = e->id;
    if (w->json)
        print_line(w, json_pack("{s:I,s:I,s:I,s:I,s:s,s:s}", "event", (json_int_t)e->id, "at_ms",
                                (json_int_t)e->at, "job", (json_int_t)e->job, "world",
                                (json_int_t)e->world, "kind", e->kind, "text", e->text));
    else
        printf("%s  job %-5lld %-9s %s\n", clock_time(e->at).s, (long long)e->job, e->kind,
               show_text(e->text).s);
}

static void show_attempt(void *arg, const struct queue_attempt *t)
{
    struct show *const w = arg;

    if (w->json) {
        print_line(w,
                   json_pack("{s:I,s:I,s:I,s:I,s:I,s:s,s:s,s:s}", "attempt", (json_int_t)t->attempt,
                             "world", (json_int_t)t->world, "began_ms", (json_int_t)t->began,
                             "ended_ms", (json_int_t)t->ended, "blocks", (json_int_t)t->blocks,
                             "host", t->host, "end", t->end, "message", t->message));
        return;
    }
    printf("%s  attempt %lld, world %lld on %s, %lld blocks", clock_time(t->began).s,
           (long long)t->attempt, (long long)t->world, show_text(t->host).s,
           (long long)(t->blocks > 0 ? t->blocks : 0));
    if (t->ended) printf(", %s after %s", t->end, show_age(t->ended - t->began).s);
    if (t->message[0]) printf(": %s", show_text(t->message).s);
    putchar('\n');
}

static enum queue_answer log_selected(struct show *w, const struct selected *s, int64_t after)
{
    enum queue_answer a = QUEUE_OK;

    if (s->first < 0) return queue_events(w->q, s->job, after, EVENTS, show_event, w);
    for (int64_t i = s->first; i <= s->last && a == QUEUE_OK; i++)
        a = queue_attempts(w->q, s->job, i, show_attempt, w);
    return a;
}

status queue_show_log(struct queue *q, const struct selection *s, bool json, int64_t *after)
{
    struct show w = { .q = q, .json = json, .last = *after };
    enum queue_answer a = QUEUE_OK;

    if (!s->count) a = queue_events(q, 0, *after, EVENTS, show_event, &w);
    for (int i = 0; i < s->count && a == QUEUE_OK; i++) a = log_selected(&w, &s->at[i], *after);
    *after = w.last;
    fflush(stdout);
    if (a == QUEUE_OK && w.failed) return fail(ST_NOMEM, "no memory for JSON");
    return queue_check_answer(q, a);
}

void queue_show_clear(void) { fputs("\033[H\033[2J", stdout); }
