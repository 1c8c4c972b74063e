/*
 * render_notes.c - what programs are told while a render runs.
 *
 * A work source around the render's own: it hands every call on, and so learns of each clip what
 * that is told. All calls come from one thread, which waits for nothing here but a local disk.
 */
#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json_build.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/version.h"
#include "cmd/render/render_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double const metrics_every_s = 10;

/* A clip that the engine has. */
struct noted_clip {
    int64_t ticket, blocks; /* encoded by now */
    const struct clip_spec *spec;
};

struct render_notes {
    struct render_notes_config c;
    struct work_source inner;
    struct work_source_ops ops;
    FILE *events;
    struct noted_clip *clip;
    int clips, room;
    int64_t begun, done, failed, blocks;
    double shown, written; /* progress said last; metrics written last, seconds */
    char broken[512];      /* path and reason; "": all is well */
};

static void PRINTF_LIKE(2, 3) note_broken(struct render_notes *n, const char *fmt, ...)
{
    va_list ap;

    if (n->broken[0]) return;
    va_start(ap, fmt);
    vsnprintf(n->broken, sizeof n->broken, fmt, ap);
    va_end(ap);
    log_error("%s; nothing more is written", n->broken);
}

/* ---- events: a line of JSON each ---- */

static json_t *now_json(void)
{
    char text[40];
    struct timespec t;
    struct tm at;

    clock_gettime(CLOCK_REALTIME, &t);
    if (!gmtime_r(&t.tv_sec, &at)) return NULL;
    size_t const len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &at);
    snprintf(text + len, sizeof text - len, ".%03ldZ", t.tv_nsec / 1000000);
    return json_string(text);
}

static json_t *begin_event(const char *kind)
{
    json_t *o = json_object();

    json_set(&o, "t", now_json());
    json_set(&o, "event", json_string(kind));
    return o;
}

/* One write a line, so that a line is whole or is the last. */
static void write_event(struct render_notes *n, json_t *o)
{
    char *const text = o ? json_write(o, JSON_COMPACT) : NULL;

    json_decref(o);
    if (!text) {
        note_broken(n, "%s: no memory", n->c.events);
    } else if (!n->broken[0] &&
               (fprintf(n->events, "%s\n", text) < 0 || fflush(n->events) == EOF)) {
        note_broken(n, "%s: %s", n->c.events, strerror(errno));
    }
    free(text);
}

static void write_clip_event(struct render_notes *n, const char *kind, const struct noted_clip *c,
                             const char *why)
{
    if (!n->events) return;
    json_t *o = begin_event(kind);
    json_set_text(&o, "clip", c->spec->name);
    json_set(&o, "task", json_string(c->spec->task_id));
    json_set(&o, "folder", c->spec->dir ? json_from_text(c->spec->dir) : json_null());
    json_set_number(&o, "block", c->blocks);
    json_set_number(&o, "blocks", c->spec->blocks);
    if (why) json_set_text(&o, "why", why);
    write_event(n, o);
}

static void write_first_event(struct render_notes *n)
{
    json_t *o = begin_event("begin");

    json_set_number(&o, "version", 1);
    json_set(&o, "program", json_string(version_program));
    json_set(&o, "commit", json_string(version_commit));
    json_set(&o, "clips", n->c.clips ? json_integer((json_int_t)n->c.clips) : json_null());
    write_event(n, o);
}

static void write_last_event(struct render_notes *n)
{
    json_t *o = begin_event("end");

    json_set_number(&o, "done", n->done);
    json_set_number(&o, "failed", n->failed);
    write_event(n, o);
}

/* ---- Open Job Description: lines on stdout ---- */

/* What failed must not begin a line of its own. */
static void print_openjd(const char *kind, const char *text)
{
    char line[1024];

    snprintf(line, sizeof line, "%s", text);
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < ' ') *p = ' ';
    printf("openjd_%s: %s\n", kind, line);
    fflush(stdout);
}

static void show_openjd(struct render_notes *n, const struct noted_clip *newest)
{
    double share = (double)(n->done + n->failed);
    char text[400];

    if (!n->c.openjd) return;
    for (int i = 0; i < n->clips; i++)
        share += (double)n->clip[i].blocks / (double)n->clip[i].spec->blocks;
    share = n->c.clips ? 100 * share / (double)n->c.clips : 0;
    if (share > n->shown) {
        snprintf(text, sizeof text, "%.2f", share);
        print_openjd("progress", text);
        n->shown = share;
    }
    if (!newest) return;
    snprintf(text, sizeof text, "%s: block %lld of %lld", newest->spec->name,
             (long long)newest->blocks, (long long)newest->spec->blocks);
    print_openjd("status", text);
}

/* ---- metrics: a file for node_exporter ---- */

static void add_metric(struct strbuf *t, const char *name, const char *kind, const char *help,
                       double value)
{
    strbuf_addf(
        t, "# HELP rollmill_world_%s %s\n# TYPE rollmill_world_%s %s\nrollmill_world_%s %.17g\n",
        name, help, name, kind, name, value);
}

static void write_metrics(struct render_notes *n, bool now)
{
    double const time_s = clock_seconds();
    struct strbuf t = { 0 };

    if (!n->c.metrics || n->broken[0] || (!now && time_s - n->written < metrics_every_s)) return;
    n->written = time_s;
    add_metric(&t, "clips_begun_total", "counter", "Clips that entered a line.", (double)n->begun);
    add_metric(&t, "clips_done_total", "counter", "Clips made.", (double)n->done);
    add_metric(&t, "clips_failed_total", "counter", "Clips not made.", (double)n->failed);
    add_metric(&t, "blocks_total", "counter", "Blocks encoded.", (double)n->blocks);
    add_metric(&t, "clips_held", "gauge", "Clips this process holds.", n->clips);
    add_metric(&t, "updated_timestamp_seconds", "gauge", "When this was written.",
               (double)time(NULL));
    if (t.failed) note_broken(n, "%s: no memory", n->c.metrics);
    else if (file_write(n->c.metrics, t.s, t.len) != ST_OK) note_broken(n, "%s", error_last()->msg);
    error_clear();
    strbuf_free(&t);
}

/* ---- the work source ---- */

static struct noted_clip *find_clip(struct render_notes *n, int64_t ticket)
{
    for (int i = 0; i < n->clips; i++)
        if (n->clip[i].ticket == ticket) return &n->clip[i];
    return NULL;
}

static status note_clip(struct render_notes *n, const struct work_item *item)
{
    struct noted_clip *const more = array_grow(n->clip, n->clips, &n->room, sizeof *more);

    if (!more) return fail(ST_NOMEM, "%s: no memory", item->clip->name);
    n->clip = more;
    n->clip[n->clips++] = (struct noted_clip){ .ticket = item->ticket, .spec = item->clip };
    return ST_OK;
}

static void forget_clip(struct render_notes *n, struct noted_clip *c) { *c = n->clip[--n->clips]; }

static status hand_on(void *arg, const struct work_item *group, double wait_s,
                      struct work_item *out, enum work_next *what)
{
    struct render_notes *const n = arg;

    TRY(n->inner.ops->next(n->inner.arg, group, wait_s, out, what));
    write_metrics(n, false);
    return *what == WORK_CLIP ? note_clip(n, out) : ST_OK;
}

static status ask_outlook(void *arg, const struct work_item *first, struct work_outlook *out)
{
    struct render_notes *const n = arg;
    return n->inner.ops->outlook(n->inner.arg, first, out);
}

static void note_begun(void *arg, int64_t ticket)
{
    struct render_notes *const n = arg;
    const struct noted_clip *const c = find_clip(n, ticket);

    n->begun++;
    if (c) write_clip_event(n, "clip_begun", c, NULL);
    if (n->inner.ops->begun) n->inner.ops->begun(n->inner.arg, ticket);
}

static void note_progress(void *arg, int64_t ticket, int64_t blocks)
{
    struct render_notes *const n = arg;
    struct noted_clip *const c = find_clip(n, ticket);

    if (c && blocks > c->blocks) {
        n->blocks += blocks - c->blocks;
        c->blocks = blocks;
        write_clip_event(n, "clip_blocks", c, NULL);
        show_openjd(n, c);
    }
    write_metrics(n, false);
    if (n->inner.ops->progress) n->inner.ops->progress(n->inner.arg, ticket, blocks);
}

static void note_done(void *arg, int64_t ticket)
{
    struct render_notes *const n = arg;
    struct noted_clip *const c = find_clip(n, ticket);

    n->done++;
    if (c) {
        c->blocks = c->spec->blocks;
        write_clip_event(n, "clip_done", c, NULL);
        forget_clip(n, c);
    }
    show_openjd(n, NULL);
    write_metrics(n, true);
    n->inner.ops->done(n->inner.arg, ticket);
}

static void note_failed(void *arg, int64_t ticket, status st, const char *why)
{
    struct render_notes *const n = arg;
    struct noted_clip *const c = find_clip(n, ticket);
    char text[1024];

    n->failed++;
    if (c) {
        write_clip_event(n, st == ST_CANCELED ? "clip_canceled" : "clip_failed", c, why ? why : "");
        snprintf(text, sizeof text, "%s: %s", c->spec->name, why ? why : status_name(st));
        if (n->c.openjd && st != ST_CANCELED) print_openjd("fail", text);
        forget_clip(n, c);
    }
    show_openjd(n, NULL);
    write_metrics(n, true);
    n->inner.ops->failed(n->inner.arg, ticket, st, why);
}

static int64_t ask_withdrawn(void *arg)
{
    struct render_notes *const n = arg;
    return n->inner.ops->withdrawn(n->inner.arg);
}

/* ---- open and close ---- */

status render_notes_open(struct render_notes **out, const struct render_notes_config *c,
                         struct work_source inner)
{
    struct render_notes *const n = *out = calloc(1, sizeof **out);

    if (!n) return fail(ST_NOMEM, "events: no memory");
    n->c = *c;
    n->inner = inner;
    n->ops = (struct work_source_ops){ .next = hand_on,
                                       .outlook = ask_outlook,
                                       .begun = note_begun,
                                       .progress = note_progress,
                                       .done = note_done,
                                       .failed = note_failed,
                                       .withdrawn = inner.ops->withdrawn ? ask_withdrawn : NULL };
    if (c->events) {
        n->events = fopen(c->events, "ae");
        if (!n->events) return fail(ST_IO, "%s: %s", c->events, strerror(errno));
        write_first_event(n);
    }
    write_metrics(n, true);
    return n->broken[0] ? fail(ST_IO, "%s", n->broken) : ST_OK;
}

struct work_source render_notes_source(struct render_notes *n)
{
    return (struct work_source){ .ops = &n->ops, .arg = n };
}

void render_notes_close(struct render_notes **notes)
{
    struct render_notes *const n = *notes;

    *notes = NULL;
    if (!n) return;
    if (n->events) {
        write_last_event(n);
        if (fclose(n->events) == EOF) note_broken(n, "%s: %s", n->c.events, strerror(errno));
    }
    if (n->c.metrics && !n->broken[0] && unlink(n->c.metrics) && errno != ENOENT)
        note_broken(n, "%s: %s", n->c.metrics, strerror(errno));
    free(n->clip);
    free(n);
}
