#include "tests/support/random_case.h"

#include "tests/support/rng.h"

#include <stdio.h>

/* ---- clips alone -------------------------------------------------------------------- */

/* From which block on another prompt is in force, by the clip's seed. */
static const int change_of[RANDOM_CASE_SEEDS] = { 0, 1, 3 };

void expected_free(struct expected *w)
{
    struct clip_fixture **const first = &w->clip[0][0][0][0][0];

    for (size_t i = 0; i < sizeof w->clip / sizeof *first; i++) free(first[i]);
    *w = (struct expected){ .model = NULL };
}

/* Of so many blocks, if the clip was cut. */
static status render_alone(struct expected *w, const struct clip_fixture *s, int clip,
                           int64_t blocks, struct clip_fixture **out)
{
    struct clip_fixture *(*const of)[RANDOM_CASE_SEEDS][FIXTURE_BLOCKS + 1] =
        w->clip[s->recache][s->mode.wire];
    struct clip_fixture **const at = &of[s->policy - clip_fixture_policy][s->seed[clip]][blocks];

    if (!*at) {
        *at = clip_fixture_new(w->model, s->policy, 1, &blocks, s->seed[clip]);
        if (!*at) return fail(ST_NOMEM, "a clip alone");
        (*at)->change[0] = change_of[s->seed[clip]];
        (*at)->mode.wire = s->mode.wire;
        (*at)->recache = s->recache;
        TRY(clip_fixture_run_threads(*at, 1, 0, 0));
    }
    *out = *at;
    return ST_OK;
}

status expected_check(struct expected *w, const struct clip_fixture *s)
{
    struct timeline t;
    int64_t stopped;
    status st = ST_OK;

    TRY(clip_fixture_timeline(s, &t, &stopped));
    for (int i = 0; i < t.entries && st == ST_OK; i++) {
        int const clip = t.entry[i].clip;
        struct clip_fixture *want = NULL;
        if (!s->done[clip]) continue;
        st = render_alone(w, s, clip, t.entry[i].blocks, &want);
        if (st == ST_OK) st = clip_fixture_same(s, clip, want, 0, s->done[clip]);
    }
    timeline_free(&t);
    return st;
}

/* ---- random cases ------------------------------------------------------------------- */

/* How many there are until its end or its stop. */
static int64_t ticks_of(const struct clip_fixture *s)
{
    struct timeline t;
    int64_t stopped;

    if (clip_fixture_timeline(s, &t, &stopped) != ST_OK) return 0;
    int64_t const ticks = stopped >= 0 ? stopped : timeline_ticks(&t);
    timeline_free(&t);
    return ticks;
}

static void add_fault(struct random_case *t, uint64_t *rng)
{
    struct clip_fixture *const s = t->fixture;
    int const at = 1 + rng_below(rng, 12 * (int)ticks_of(s) / t->ranks + 2);

    s->fault_rank = rng_below(rng, t->ranks);
    if (rng_below(rng, 3)) s->fault_call = 1 + at / 4;
    else s->fault_wait = at;
}

/* In half of the cases clips come while the line runs, often when it has been idle. */
static void add_joins(struct clip_fixture *s, uint64_t *rng)
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

status random_case_of(struct random_case *t, const struct clip_fixture_model *m,
                      const struct kv_policy *p, int clips, const int64_t *blocks)
{
    *t = (struct random_case){ .fixture = clip_fixture_new(m, p, clips, blocks, 0) };
    if (!t->fixture) return fail(ST_NOMEM, "clips of a random case");
    for (int i = 0; i < clips; i++) {
        t->fixture->seed[i] = (uint64_t)(i % RANDOM_CASE_SEEDS);
        t->fixture->change[i] = change_of[i % RANDOM_CASE_SEEDS];
    }
    return ST_OK;
}

status random_case_draw(struct random_case *t, const struct clip_fixture_model *m, uint64_t seed,
                        int ranks, bool faults)
{
    uint64_t rng = seed;
    int64_t blocks[RANDOM_CASE_CLIPS];
    int const kind = rng_below(&rng, 2) ? FIXTURE_ROLLING : rng_below(&rng, FIXTURE_KINDS);
    int const clips = 1 + rng_below(&rng, RANDOM_CASE_CLIPS);

    for (int i = 0; i < clips; i++) blocks[i] = 1 + rng_below(&rng, RANDOM_CASE_BLOCKS);
    TRY(random_case_of(t, m, &clip_fixture_policy[kind], clips, blocks));
    for (int i = 0; i < clips; i++) {
        t->fixture->seed[i] = (uint64_t)rng_below(&rng, RANDOM_CASE_SEEDS);
        t->fixture->change[i] = change_of[t->fixture->seed[i]];
    }
    add_joins(t->fixture, &rng);
    t->seed = seed;
    t->ranks = ranks ? ranks : 1 + rng_below(&rng, FIXTURE_RANKS);
    t->fixture->gathers = rng_below(&rng, 2);
    t->delay_us = rng_below(&rng, 4) ? 1 + rng_below(&rng, 300) : 0;
    if (rng_below(&rng, 3) == 0) {
        int const ticks = (int)ticks_of(t->fixture);
        t->fixture->stop_rank = rng_below(&rng, t->ranks);
        t->fixture->stop_boundary = rng_below(&rng, ticks + 2);
        t->fixture->hesitate = 0; /* else there are boundaries that the timeline does not tell of */
        t->fixture->late_over = false;
    }
    if (faults) add_fault(t, &rng);
    t->fixture->mode.wire = rng_below(&rng, 3) ? LINE_ACT : LINE_FP8;
    if (clip_fixture_by_heads(t->fixture->policy, t->ranks) && rng_below(&rng, 2))
        t->fixture->mode.exchange = LINE_HEADS;
    t->fixture->recache = kv_policy_recaches(t->fixture->policy) && rng_below(&rng, 2);
    return ST_OK;
}

void random_case_free(struct random_case *t)
{
    free(t->fixture);
    t->fixture = NULL;
}

const char *random_case_words(const struct random_case *t, char buf[RANDOM_CASE_TEXT])
{
    const struct clip_fixture *const s = t->fixture;
    char mode[LINE_MODE_TEXT];

    snprintf(
        buf, RANDOM_CASE_TEXT,
        "seed %llu: %d ranks, %s, window %d, %d clips, stop of rank %d at boundary %lld, fault of "
        "rank %d at call %ld or wait %ld, %d us%s%s, cut of clip %d at tick %lld%s",
        (unsigned long long)t->seed, t->ranks, line_mode_text(s->mode, mode),
        (int)(s->policy - clip_fixture_policy), s->clips, s->stop_rank, (long long)s->stop_boundary,
        s->fault_rank, s->fault_call, s->fault_wait, t->delay_us, s->gathers ? ", gathers" : "",
        s->recache ? ", recaches" : "", s->cut, (long long)s->cut_tick,
        s->join[0] || s->late_over ? ", clips come late" : "");
    return buf;
}

static bool is_stopped(const struct clip_fixture *s)
{
    struct timeline t;
    int64_t stopped;

    if (clip_fixture_timeline(s, &t, &stopped) != ST_OK) return false;
    timeline_free(&t);
    return stopped >= 0;
}

static status expect_end(const struct random_case *t, int rank, status want)
{
    status const got = t->fixture->ended[rank];

    if (got == want) return ST_OK;
    return fail(ST_MISMATCH, "rank %d ended with %s, not %s", rank, status_name(got),
                status_name(want));
}

/* Under mpirun a fault of another rank shows in being told of it. */
static status check_end(const struct random_case *t, int rank, bool alone)
{
    const struct clip_fixture *const s = t->fixture;
    bool const told = alone && s->fault_rank >= 0 && s->ended[rank] == ST_PEER;

    if (rank == s->fault_rank && s->fault_met)
        return expect_end(t, rank, s->fault_call ? ST_IO : ST_COMM);
    if (s->fault_met || told) return expect_end(t, rank, ST_PEER);
    return expect_end(t, rank, is_stopped(s) ? ST_CANCELED : ST_OK);
}

/* Blocks of a clip that are out before a tick. */
static int out_before(const struct clip_fixture *s, const struct timeline *t, int clip,
                      int64_t tick)
{
    int n = 0;

    for (int64_t i = 0; i < tick && i < timeline_ticks(t); i++)
        n += timeline_at(t, i, s->policy->levels - 1).clip == clip;
    return n;
}

/* What is out is all there is, or all that was before the stop. */
static status check_out(const struct clip_fixture *s)
{
    struct timeline t;
    int64_t stopped;
    status st = ST_OK;

    TRY(clip_fixture_timeline(s, &t, &stopped));
    int64_t const end = stopped >= 0 ? stopped : timeline_ticks(&t);
    for (int c = 0; c < s->clips && st == ST_OK; c++) {
        int const want = out_before(s, &t, c, end);
        if (s->done[c] != want)
            st = fail(ST_MISMATCH, "clip %d: %d blocks are out, not %d", c, s->done[c], want);
    }
    timeline_free(&t);
    return st;
}

/* The rank that owns stage W-1. */
static int tail_of(const struct random_case *t)
{
    struct split split;

    if (split_make(&split, t->fixture->policy->levels + 1, t->ranks) != ST_OK) return -1;
    return split_owner(&split, t->fixture->policy->levels - 1);
}

status random_case_check(const struct random_case *t, int here, struct expected *w)
{
    const struct clip_fixture *const s = t->fixture;
    int const first = here < 0 ? 0 : here, end = here < 0 ? t->ranks : here + 1;

    for (int r = first; r < end; r++) TRY(check_end(t, r, here >= 0));
    if (here >= 0 && here != tail_of(t)) return ST_OK;
    if (s->ended[tail_of(t)] == ST_OK || s->ended[tail_of(t)] == ST_CANCELED) TRY(check_out(s));
    return expected_check(w, s);
}
