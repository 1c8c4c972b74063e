#include "pipeline/line/timeline.h"

#include <stdlib.h>

status timeline_make(struct timeline *out, const struct kv_policy *p, const int64_t *blocks,
                     int clips)
{
    *out = (struct timeline){
        .levels = p->levels,
        .stride = p->kind == WINDOW_BLOCK ? p->levels + 1 : 1,
        .clips = clips,
    };
    if (clips < 0) return fail(ST_ARG, "timeline: %d clips", clips);
    int64_t *const start = calloc((size_t)clips + 1, sizeof *start);
    if (!start) return fail(ST_NOMEM, "timeline: %d clips", clips);
    for (int i = 0; i < clips; i++) {
        int64_t ticks;
        if (blocks[i] < 1 || __builtin_add_overflow(start[i], blocks[i], &start[i + 1]) ||
            __builtin_mul_overflow(start[i + 1], out->stride * 4, &ticks)) {
            free(start);
            return fail(ST_ARG, "clip %d: %lld blocks", i, (long long)blocks[i]);
        }
    }
    out->start = start;
    return ST_OK;
}

void timeline_free(struct timeline *t)
{
    free((void *)(uintptr_t)t->start);
    *t = (struct timeline){ 0 };
}

int64_t timeline_ticks(const struct timeline *t)
{
    int64_t const blocks = t->start[t->clips];
    return blocks ? (blocks - 1) * t->stride + t->levels : 0;
}

struct place timeline_at(const struct timeline *t, int64_t tick, int stage)
{
    struct place const idle = { .clip = -1 };
    int64_t const age = tick - stage;

    if (age < 0 || age % t->stride || stage > t->levels) return idle;
    int64_t const queued = age / t->stride;
    if (queued >= t->start[t->clips]) return idle;

    int low = 0, high = t->clips; /* start[low] <= queued < start[high] */
    while (high - low > 1) {
        int const mid = low + (high - low) / 2;
        if (t->start[mid] <= queued) low = mid;
        else high = mid;
    }
    if (stage == t->levels && queued == t->start[low + 1] - 1) return idle;
    return (struct place){ .clip = low, .block = queued - t->start[low] };
}

bool timeline_window(const struct timeline *t, int64_t tick, int stage, struct window *out)
{
    struct place const here = timeline_at(t, tick, stage);
    int newest = stage, end = stage + 1;

    if (here.clip < 0 || stage >= t->levels) return false;
    while (newest > 0 && timeline_at(t, tick, newest - 1).clip == here.clip) newest--;
    while (end < t->levels && timeline_at(t, tick, end).clip == here.clip) end++;
    *out = (struct window){
        .clip = here.clip,
        .first = timeline_at(t, tick, end - 1).block,
        .count = end - newest,
    };
    return true;
}

double timeline_occupancy(const struct timeline *t)
{
    int64_t const blocks = t->start[t->clips], ticks = timeline_ticks(t);
    if (!ticks) return 0.0;
    return (double)(blocks * (t->levels + 1) - t->clips) /
           ((double)ticks * (double)(t->levels + 1));
}
