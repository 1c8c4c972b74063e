/* track.c - what a thread does, summed by kind and stage; and for how long it may do nothing. */
#include "base/track.h"
#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAPS = 20, LAPS_LEAST = 3, LAPS_PATIENCE = 16 };

struct track {
    pthread_mutex_t *lock; /* of what follows */
    struct trace *trace;
    int row;
    bool open;
    enum track_what what;
    struct track_at at;
    struct track_at known;         /* the last clip and block */
    double since, pulse, last_lap; /* clock_seconds() */
    double since_processor;        /* clock_thread_seconds() */
    struct spent {
        double wall, processor;
    } spent[TRACK_KINDS][TRACK_STAGES + 1]; /* [..][0]: of no stage */
    double lap[LAPS];                       /* the last ones, in a ring */
    int64_t laps;
};

static const char *kind_name(enum track_what what)
{
    static const char *const names[TRACK_KINDS] = {
        [TRACK_COMPUTE] = "compute", [TRACK_EXCHANGE] = "exchange", [TRACK_HAND_OVER] = "hand-over",
        [TRACK_QUEUE] = "queue",     [TRACK_DECODE] = "decode",     [TRACK_ENCODE] = "encode",
        [TRACK_TEXT] = "text",       [TRACK_LOAD] = "load",         [TRACK_CLOSE] = "close",
        [TRACK_IDLE] = "idle",
    };
    return names[what];
}

status track_open(struct track **out, struct trace *trace, int row, const char *name)
{
    struct track *const t = calloc(1, sizeof *t);

    *out = NULL;
    if (!t || !(t->lock = malloc(sizeof *t->lock))) {
        free(t);
        return fail(ST_NOMEM, "track: no memory");
    }
    pthread_mutex_init(t->lock, NULL);
    t->trace = trace;
    t->row = row;
    t->known = TRACK_NOWHERE;
    t->since = t->pulse = t->last_lap = clock_seconds();
    trace_row(trace, row, name);
    *out = t;
    return ST_OK;
}

void track_close(struct track **t)
{
    if (!*t) return;
    pthread_mutex_destroy((*t)->lock);
    free((*t)->lock);
    free(*t);
    *t = NULL;
}

void track_begin(struct track *t, enum track_what what, struct track_at at)
{
    if (!t) return;
    pthread_mutex_lock(t->lock);
    t->what = what;
    t->at = at;
    if (at.clip >= 0) t->known = at;
    t->open = true;
    t->since = t->pulse = clock_seconds();
    t->since_processor = clock_thread_seconds();
    pthread_mutex_unlock(t->lock);
}

/* Add "NAME VALUE" or "\"NAME\": VALUE" unless the value does not apply. */
static size_t add_pair(char to[TRACK_TEXT_BYTES], size_t used, bool json, const char *name,
                       int64_t value)
{
    const char *const quote = json ? "\"" : "";

    if (value < 0 || used >= TRACK_TEXT_BYTES) return used;
    return used + (size_t)snprintf(to + used, TRACK_TEXT_BYTES - used, "%s%s%s%s%s %lld",
                                   used ? ", " : "", quote, name, quote, json ? ":" : "",
                                   (long long)value);
}

static int current_row(const struct track *t) { return t->at.stage < 0 ? t->row : t->at.stage; }

static void write_span(struct track *t, double now)
{
    char where[TRACK_TEXT_BYTES] = "";
    double const offset = now - trace_now(t->trace);
    size_t n = add_pair(where, 0, true, "clip", t->at.clip);

    n = add_pair(where, n, true, "block", t->at.block);
    add_pair(where, n, true, "layer", t->at.layer);
    trace_span(t->trace, &(struct trace_span){ .row = current_row(t),
                                               .what = kind_name(t->what),
                                               .where = where,
                                               .begin = t->since - offset,
                                               .end = now - offset });
}

void track_end(struct track *t)
{
    if (!t || !t->open) return;
    double const processor = clock_thread_seconds(), now = clock_seconds();

    pthread_mutex_lock(t->lock);
    struct spent *const s = &t->spent[t->what][t->at.stage < TRACK_STAGES ? t->at.stage + 1 : 0];
    s->wall += now - t->since;
    s->processor += processor - t->since_processor;
    t->open = false;
    t->pulse = now;
    if (t->what == TRACK_QUEUE || t->what == TRACK_IDLE) t->last_lap += now - t->since;
    pthread_mutex_unlock(t->lock);
    if (t->trace) write_span(t, now);
}

void track_arrow(struct track *t, bool leaves, struct track_at at)
{
    if (!t) return;
    uint64_t const id = ((uint64_t)at.clip << 44 | (uint64_t)at.block << 8 | (uint64_t)at.stage);
    trace_arrow(t->trace, current_row(t), leaves, id, trace_now(t->trace));
}

void track_lap(struct track *t)
{
    if (!t) return;
    double const now = clock_seconds();

    pthread_mutex_lock(t->lock);
    t->lap[t->laps++ % LAPS] = now - t->last_lap;
    t->last_lap = t->pulse = now;
    pthread_mutex_unlock(t->lock);
    trace_flush(t->trace);
}

static struct spent sum_spent(const struct track *t, enum track_what what, int stage)
{
    struct spent sum = { 0 };

    pthread_mutex_lock(t->lock);
    for (int i = 0; i <= TRACK_STAGES; i++)
        if (stage < 0 || i == stage + 1) {
            sum.wall += t->spent[what][i].wall;
            sum.processor += t->spent[what][i].processor;
        }
    pthread_mutex_unlock(t->lock);
    return sum;
}

double track_seconds(const struct track *t, enum track_what what, int stage)
{
    return sum_spent(t, what, stage).wall;
}

double track_processor(const struct track *t, enum track_what what, int stage)
{
    return sum_spent(t, what, stage).processor;
}

static int compare_laps(const void *a, const void *b)
{
    double const x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double track_patience(const struct track *t, double first, double least)
{
    double lap[LAPS];

    pthread_mutex_lock(t->lock);
    int const n = t->laps < LAPS ? (int)t->laps : LAPS;
    memcpy(lap, t->lap, sizeof lap);
    pthread_mutex_unlock(t->lock);
    if (n < LAPS_LEAST) return first;
    qsort(lap, (size_t)n, sizeof *lap, compare_laps);
    double const patience = LAPS_PATIENCE * lap[n / 2];
    return patience > least ? patience : least;
}

double track_idle(const struct track *t)
{
    pthread_mutex_lock(t->lock);
    double const idle = clock_seconds() - t->pulse;
    pthread_mutex_unlock(t->lock);
    return idle;
}

struct track_state track_state(const struct track *t)
{
    pthread_mutex_lock(t->lock);
    struct track_state s = { .open = t->open, .what = t->what, .at = t->at };
    if (s.at.clip < 0) s.at.clip = t->known.clip, s.at.block = t->known.block;
    pthread_mutex_unlock(t->lock);
    return s;
}

const char *track_words(struct track_state s, char buf[TRACK_TEXT_BYTES])
{
    size_t n =
        (size_t)snprintf(buf, TRACK_TEXT_BYTES, "%s%s", s.open ? "" : "after ", kind_name(s.what));

    n = add_pair(buf, n, false, "clip", s.at.clip);
    n = add_pair(buf, n, false, "block", s.at.block);
    n = add_pair(buf, n, false, "stage", s.at.stage);
    add_pair(buf, n, false, "layer", s.at.layer);
    return buf;
}

bool track_waits(enum track_what what)
{
    return what == TRACK_EXCHANGE || what == TRACK_HAND_OVER || what == TRACK_QUEUE ||
           what == TRACK_IDLE;
}
