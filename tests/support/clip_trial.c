#include "tests/support/clip_trial.h"

#include "tests/support/rng.h"

#include <stdio.h>

/* ---- clips alone -------------------------------------------------------------------- */

/* From which block on another prompt is in force, by the clip's seed. */
static const int change_of[TRIAL_SEEDS] = { 0, 1, 3 };

void wants_free(struct wants *w)
{
    struct show **const first = &w->clip[0][0][0][0];

    for (size_t i = 0; i < sizeof w->clip / sizeof *first; i++) free(first[i]);
    *w = (struct wants){ .model = NULL };
}

/* Of so many blocks, if the clip was cut. */
static status render_alone(struct wants *w, const struct show *s, int clip, int64_t blocks,
                           struct show **out)
{
    struct show *(*const of)[TRIAL_SEEDS][SHOW_BLOCKS + 1] = w->clip[s->mode.wire];
    struct show **const at = &of[s->policy - show_policy][s->seed[clip]][blocks];

    if (!*at) {
        *at = show_new(w->model, s->policy, 1, &blocks, s->seed[clip]);
        if (!*at) return fail(ST_NOMEM, "a clip alone");
        (*at)->change[0] = change_of[s->seed[clip]];
        (*at)->mode.wire = s->mode.wire;
        TRY(show_threads(*at, 1, 0, 0));
    }
    *out = *at;
    return ST_OK;
}

status wants_check(struct wants *w, const struct show *s)
{
    struct timeline t;
    status st = ST_OK;

    TRY(show_timeline(s, &t));
    for (int i = 0; i < t.entries && st == ST_OK; i++) {
        int const clip = t.entry[i].clip;
        struct show *want = NULL;
        if (!s->done[clip]) continue;
        st = render_alone(w, s, clip, t.entry[i].end, &want);
        if (st == ST_OK) st = show_same(s, clip, want, 0, s->done[clip]);
    }
    timeline_free(&t);
    return st;
}

/* ---- trials ------------------------------------------------------------------------- */

static int64_t ticks_of(const struct show *s)
{
    struct timeline t;

    if (show_timeline(s, &t) != ST_OK) return 0;
    int64_t const ticks = timeline_ticks(&t);
    timeline_free(&t);
    return ticks;
}

static void add_fault(struct trial *t, uint64_t *rng)
{
    struct show *const s = t->show;
    int const at = 1 + rng_below(rng, 12 * (int)ticks_of(s) / t->ranks + 2);

    s->fault_rank = rng_below(rng, t->ranks);
    if (rng_below(rng, 3)) s->fault_call = 1 + at / 4;
    else s->fault_wait = at;
}

/* In half of the trials clips come while the line runs, often when it has been idle. */
static void add_joins(struct show *s, uint64_t *rng)
{
    int64_t tick = 0;

    if (rng_below(rng, 2)) return;
    for (int i = 0; i < s->clips; i++) {
        tick += rng_below(rng, 3) ? rng_below(rng, 6) : 10 + rng_below(rng, 60);
        s->join[i] = tick;
    }
    s->hesitate = rng_below(rng, 3);
    s->late_over = rng_below(rng, 2);
    if (rng_below(rng, 2)) return;
    s->cut = rng_below(rng, s->clips);
    s->cut_tick = s->join[s->cut] + rng_below(rng, 20);
}

status trial_of(struct trial *t, const struct show_model *m, const struct kv_policy *p, int clips,
                const int64_t *blocks)
{
    *t = (struct trial){ .show = show_new(m, p, clips, blocks, 0) };
    if (!t->show) return fail(ST_NOMEM, "clips of a trial");
    for (int i = 0; i < clips; i++) {
        t->show->seed[i] = (uint64_t)(i % TRIAL_SEEDS);
        t->show->change[i] = change_of[i % TRIAL_SEEDS];
    }
    return ST_OK;
}

status trial_make(struct trial *t, const struct show_model *m, uint64_t seed, int ranks,
                  bool faults)
{
    uint64_t rng = seed;
    int64_t blocks[TRIAL_CLIPS];
    int const kind = rng_below(&rng, 2) ? SHOW_ROLLING : rng_below(&rng, SHOW_KINDS);
    int const clips = 1 + rng_below(&rng, TRIAL_CLIPS);

    for (int i = 0; i < clips; i++) blocks[i] = 1 + rng_below(&rng, TRIAL_BLOCKS);
    TRY(trial_of(t, m, &show_policy[kind], clips, blocks));
    for (int i = 0; i < clips; i++) {
        t->show->seed[i] = (uint64_t)rng_below(&rng, TRIAL_SEEDS);
        t->show->change[i] = change_of[t->show->seed[i]];
    }
    add_joins(t->show, &rng);
    t->seed = seed;
    t->ranks = ranks ? ranks : 1 + rng_below(&rng, SHOW_RANKS);
    t->show->gathers = rng_below(&rng, 2);
    t->delay_us = rng_below(&rng, 4) ? 1 + rng_below(&rng, 300) : 0;
    if (rng_below(&rng, 3) == 0) {
        t->show->stop_rank = rng_below(&rng, t->ranks);
        t->show->stop_tick = rng_below(&rng, (int)ticks_of(t->show) + 2);
        t->show->hesitate = 0; /* else a tick has several boundaries */
        t->show->late_over = false;
    }
    if (faults) add_fault(t, &rng);
    t->show->mode.wire = rng_below(&rng, 3) ? LINE_ACT : LINE_FP8;
    if (SHOW_HEADS % t->ranks == 0 && rng_below(&rng, 2)) t->show->mode.exchange = LINE_HEADS;
    return ST_OK;
}

void trial_free(struct trial *t)
{
    free(t->show);
    t->show = NULL;
}

const char *trial_words(const struct trial *t, char buf[TRIAL_TEXT])
{
    const struct show *const s = t->show;
    char mode[LINE_MODE_TEXT];

    snprintf(buf, TRIAL_TEXT,
             "seed %llu: %d ranks, %s, window %d, %d clips, stop of rank %d at tick %lld, fault of "
             "rank %d at call %ld or wait %ld, %d us%s, cut of clip %d at tick %lld%s",
             (unsigned long long)t->seed, t->ranks, line_mode_text(s->mode, mode),
             (int)(s->policy - show_policy), s->clips, s->stop_rank, (long long)s->stop_tick,
             s->fault_rank, s->fault_call, s->fault_wait, t->delay_us,
             s->gathers ? ", gathers" : "", s->cut, (long long)s->cut_tick,
             s->join[0] || s->late_over ? ", clips come late" : "");
    return buf;
}

static bool is_stopped(const struct show *s)
{
    return s->stop_rank >= 0 && s->stop_tick < ticks_of(s);
}

static status expect_end(const struct trial *t, int rank, status want)
{
    status const got = t->show->ended[rank];

    if (got == want) return ST_OK;
    return fail(ST_MISMATCH, "rank %d ended with %s, not %s", rank, status_name(got),
                status_name(want));
}

/* Under mpirun a fault of another rank shows in being told of it. */
static status check_end(const struct trial *t, int rank, bool alone)
{
    const struct show *const s = t->show;
    bool const told = alone && s->fault_rank >= 0 && s->ended[rank] == ST_PEER;

    if (rank == s->fault_rank && s->fault_met)
        return expect_end(t, rank, s->fault_call ? ST_IO : ST_COMM);
    if (s->fault_met || told) return expect_end(t, rank, ST_PEER);
    return expect_end(t, rank, is_stopped(s) ? ST_CANCELED : ST_OK);
}

/* Blocks of a clip that are out before a tick. */
static int out_before(const struct show *s, const struct timeline *t, int clip, int64_t tick)
{
    int n = 0;

    for (int64_t i = 0; i < tick && i < timeline_ticks(t); i++)
        n += timeline_at(t, i, s->policy->levels - 1).clip == clip;
    return n;
}

/* What is out is all there is, or all that was before the stop. */
static status check_out(const struct show *s)
{
    int64_t const end = is_stopped(s) ? s->stop_tick : ticks_of(s);
    struct timeline t;
    status st = ST_OK;

    TRY(show_timeline(s, &t));
    for (int c = 0; c < s->clips && st == ST_OK; c++) {
        int const want = out_before(s, &t, c, end);
        if (s->done[c] != want)
            st = fail(ST_MISMATCH, "clip %d: %d blocks are out, not %d", c, s->done[c], want);
    }
    timeline_free(&t);
    return st;
}

/* The rank that owns stage W-1. */
static int tail_of(const struct trial *t)
{
    struct split split;

    if (split_make(&split, t->show->policy->levels + 1, t->ranks) != ST_OK) return -1;
    return split_owner(&split, t->show->policy->levels - 1);
}

status trial_check(const struct trial *t, int here, struct wants *w)
{
    const struct show *const s = t->show;
    int const first = here < 0 ? 0 : here, end = here < 0 ? t->ranks : here + 1;

    for (int r = first; r < end; r++) TRY(check_end(t, r, here >= 0));
    if (here >= 0 && here != tail_of(t)) return ST_OK;
    if (s->ended[tail_of(t)] == ST_OK || s->ended[tail_of(t)] == ST_CANCELED) TRY(check_out(s));
    return wants_check(w, s);
}
