/*
 * timeline.c - places in the line as arithmetic over the entries.
 *
 * An entry's first block enters at `start`; from then on the entry alone says where each of its
 * blocks is at any tick. Blocks enter where their levels begin but all come to the clean stage, so
 * a block is known by the tick in which it is there, and a place is found by the tick in which the
 * block that stands there will be. What has begun stands; only entries that have not may move,
 * when a cut before them makes room.
 */
#include "pipeline/line/timeline.h"
#include "base/array.h"

#include <stdlib.h>

enum { LIMIT_BITS = 60 }; /* no tick is past 2^60 */

void timeline_open(struct timeline *out, const struct kv_policy *p, int usual, int opening)
{
    *out = (struct timeline){
        .levels = p->levels,
        .usual = usual,
        .opening = opening,
        .stride = kv_policy_joint(p) ? 1 : usual + 1,
    };
}

void timeline_free(struct timeline *t)
{
    free(t->entry);
    *t = (struct timeline){ 0 };
}

/* ---- one entry -------------------------------------------------------------------------- */

/* Blocks that pass all stages. */
static int64_t rendered_blocks(const struct timeline_entry *e) { return e->blocks - e->clean; }

/* Which of its rendered blocks is the clip's opening one, from 0; may be none of them. */
static int64_t opening_of(const struct timeline_entry *e) { return e->opening - e->clean; }

/* Levels of its rendered block i. */
static int levels_of(const struct timeline *t, const struct timeline_entry *e, int64_t i)
{
    return i == opening_of(e) ? t->opening : t->usual;
}

/* Ticks by which its rendered block i is later because of the opening one. */
static int64_t delay_of(const struct timeline *t, const struct timeline_entry *e, int64_t i)
{
    return opening_of(e) >= 0 && i >= opening_of(e) ? t->opening - t->usual : 0;
}

/* Ticks by which its rendered blocks are ahead of what they would be behind given ones: as they
 * stood behind these when all of them were rendered. */
static int64_t lead_of(const struct timeline *t, const struct timeline_entry *e)
{
    return e->goes_on ? t->usual : 0;
}

/* The tick of its rendered block i at the clean stage. */
static int64_t clean_tick(const struct timeline *t, const struct timeline_entry *e, int64_t i)
{
    return e->start + e->clean + t->usual + i * t->stride + delay_of(t, e, i) - lead_of(t, e);
}

/* The first tick in which any of its rendered blocks stands anywhere. */
static int64_t window_tick(const struct timeline_entry *e)
{
    return e->start + e->clean - e->goes_on;
}

static int64_t entry_tick(const struct timeline *t, const struct timeline_entry *e, int64_t i)
{
    return clean_tick(t, e, i) - levels_of(t, e, i);
}

/* The tick from which on none of its blocks stands anywhere. */
static int64_t end_tick(const struct timeline *t, const struct timeline_entry *e)
{
    int64_t const n = rendered_blocks(e);
    return n ? clean_tick(t, e, n - 1) : e->start + e->clean;
}

/* The first tick at which `e` can begin behind `before`. */
static int64_t tick_behind(const struct timeline *t, const struct timeline_entry *before,
                           const struct timeline_entry *e)
{
    int64_t const n = rendered_blocks(before);

    if (e->clean || !n) return end_tick(t, before);
    if (before->goes_on && entry_tick(t, before, n - 1) <= window_tick(before))
        return window_tick(before) + 1; /* no earlier than its last given block has passed */
    return t->stride == 1 ? entry_tick(t, before, n - 1) + 1 : clean_tick(t, before, n - 1) + 1;
}

/* ---- who comes and goes ----------------------------------------------------------------- */

/* Entry i begins at `tick`, or as soon as the one before it lets it. */
static void place_entry(struct timeline *t, int i, int64_t tick)
{
    struct timeline_entry *const e = &t->entry[i];

    e->start = tick;
    if (i == 0) return;
    int64_t const behind = tick_behind(t, &t->entry[i - 1], e);
    if (behind > tick) e->start = behind;
}

static status check_entry(const struct timeline *t, int64_t tick, const struct timeline_entry *e)
{
    int64_t const begin = timeline_ticks(t) > tick ? timeline_ticks(t) : tick;
    int64_t ticks;

    if (e->clip < 0 || e->clean < 0 || e->clean >= e->blocks)
        return fail(ST_ARG, "clip %d: %lld blocks, %lld of them given", e->clip,
                    (long long)e->blocks, (long long)e->clean);
    if (e->goes_on && (t->stride != 1 || !e->clean))
        return fail(ST_ARG, "clip %d: resumes after %lld blocks, %lld ticks a block", e->clip,
                    (long long)e->clean, (long long)t->stride);
    if (__builtin_mul_overflow(e->blocks, t->stride + t->levels, &ticks) ||
        __builtin_add_overflow(ticks, begin + t->stride + t->levels, &ticks) ||
        ticks > (int64_t)1 << LIMIT_BITS)
        return fail(ST_ARG, "clip %d: %lld blocks", e->clip, (long long)e->blocks);
    return ST_OK;
}

status timeline_admit(struct timeline *t, int64_t tick, const struct timeline_entry *e)
{
    struct timeline_entry *more;

    TRY(check_entry(t, tick, e));
    more = array_grow(t->entry, t->entries, &t->room, sizeof *more);
    if (!more) return fail(ST_NOMEM, "timeline: %d clips", t->entries + 1);
    t->entry = more;
    t->entry[t->entries++] = *e;
    place_entry(t, t->entries - 1, tick);
    return ST_OK;
}

/* How many of its blocks have entered before `tick`. */
static int64_t entered_blocks(const struct timeline *t, const struct timeline_entry *e,
                              int64_t tick)
{
    int64_t const age = tick - e->start, all = rendered_blocks(e);

    if (age <= 0) return 0;
    if (age < e->clean) return age;
    int64_t n = (age - e->clean + t->stride - 1) / t->stride; /* but for the opening one's delay */
    if (n > all) n = all;
    while (n < all && entry_tick(t, e, n) < tick) n++;
    while (n > 0 && entry_tick(t, e, n - 1) >= tick) n--;
    return e->clean + n;
}

static void shorten_entry(const struct timeline *t, struct timeline_entry *e, int64_t tick)
{
    int64_t const blocks = entered_blocks(t, e, tick);

    e->blocks = blocks;
    if (e->clean > blocks) e->clean = blocks;
}

void timeline_cut(struct timeline *t, int64_t tick, int clip)
{
    int kept = 0;

    for (int i = 0; i < t->entries; i++) {
        struct timeline_entry e = t->entry[i];
        if (e.clip == clip) shorten_entry(t, &e, tick);
        if (e.blocks == 0) continue;
        t->entry[kept++] = e;
        if (e.start >= tick) place_entry(t, kept - 1, tick);
    }
    t->entries = kept;
}

void timeline_forget(struct timeline *t, int64_t tick)
{
    int gone = 0;

    while (gone + 1 < t->entries && end_tick(t, &t->entry[gone]) <= tick &&
           t->entry[gone + 1].start < tick)
        gone++;
    if (!gone) return;
    t->entries -= gone;
    for (int i = 0; i < t->entries; i++) t->entry[i] = t->entry[i + gone];
}

int64_t timeline_ticks(const struct timeline *t)
{
    return t->entries ? end_tick(t, &t->entry[t->entries - 1]) : 0;
}

/* ---- who stands where ------------------------------------------------------------------- */

/* The last entry that has begun at `tick`; NULL: none has. */
static const struct timeline_entry *find_begun(const struct timeline *t, int64_t tick)
{
    int low = 0, high = t->entries; /* all before low have begun, none from high on */

    while (low < high) {
        int const mid = low + (high - low) / 2;
        if (t->entry[mid].start <= tick) low = mid + 1;
        else high = mid;
    }
    return low ? &t->entry[low - 1] : NULL;
}

/* The entry whose given block passes the clean stage in this tick. */
static const struct timeline_entry *find_given(const struct timeline *t, int64_t tick)
{
    const struct timeline_entry *const e = find_begun(t, tick);
    return e && tick - e->start < e->clean ? e : NULL;
}

/* The rendered block that has its clean pass in this tick; < 0: none. */
static int64_t block_cleaned(const struct timeline *t, const struct timeline_entry *e, int64_t tick)
{
    int64_t const age = tick - e->start - e->clean - t->usual + lead_of(t, e);
    int64_t const delay = t->opening - t->usual, opening = opening_of(e);
    int64_t i = age >= 0 && age % t->stride == 0 ? age / t->stride : -1;

    if (opening >= 0 && i >= opening) i = -1;
    if (opening >= 0 && age >= opening * t->stride + delay)
        i = (age - delay) % t->stride == 0 ? (age - delay) / t->stride : -1;
    return i < rendered_blocks(e) ? i : -1;
}

struct place timeline_at(const struct timeline *t, int64_t tick, int stage)
{
    struct place const idle = { .clip = -1 };
    const struct timeline_entry *const given = stage == t->levels ? find_given(t, tick) : NULL;
    int64_t const clean = tick + t->levels - stage;
    const struct timeline_entry *e = find_begun(t, tick);

    if (given) return (struct place){ given->clip, tick - given->start };
    if (!e || stage > t->levels || (e->goes_on && tick < window_tick(e))) return idle;
    while (e > t->entry && clean < clean_tick(t, e, 0)) e--;
    int64_t const i = block_cleaned(t, e, clean);
    if (i < 0 || t->levels - stage > levels_of(t, e, i)) return idle;
    if (stage == t->levels && i == rendered_blocks(e) - 1) return idle;
    return (struct place){ e->clip, e->clean + i };
}

bool timeline_given(const struct timeline *t, int64_t tick) { return find_given(t, tick) != NULL; }

bool timeline_resumes(const struct timeline *t, int64_t tick, int *clip)
{
    const struct timeline_entry *const e = find_begun(t, tick);

    if (!e || !e->goes_on || !rendered_blocks(e) || tick != window_tick(e)) return false;
    *clip = e->clip;
    return true;
}

/* The entry of a clip, if it has begun at `tick`; else NULL. */
static const struct timeline_entry *find_clip(const struct timeline *t, int64_t tick, int clip)
{
    const struct timeline_entry *e = find_begun(t, tick);

    while (e && e > t->entry && e->clip != clip) e--;
    return e && e->clip == clip ? e : NULL;
}

bool timeline_opens(const struct timeline *t, int64_t tick, int clip, int64_t block)
{
    const struct timeline_entry *const e = find_clip(t, tick, clip);
    return e && block == e->opening;
}

bool timeline_comes(const struct timeline *t, int64_t tick, int stage, int clip)
{
    const struct timeline_entry *const e = find_clip(t, tick, clip);
    int const after = t->levels - stage; /* ticks until a block here has its clean pass */
    int64_t i = e ? rendered_blocks(e) - 1 : -1;

    if (i >= 0 && levels_of(t, e, i) < after) i = opening_of(e);
    if (i < 0 || i >= rendered_blocks(e) || levels_of(t, e, i) < after) return false;
    if (e->goes_on && tick < window_tick(e)) tick = window_tick(e);
    return clean_tick(t, e, i) - after >= tick;
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
