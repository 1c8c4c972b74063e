/*
 * mpi_clip.c - clips through the line, over MPI: what one rank makes, to the bit.
 *
 * RANKS 1 2 3 4 5 6
 *
 *   mpi_clip                  clips of all windows, and a queue of five against each alone
 *   mpi_clip hunt SEEDS       random cases without faults: random_case.h
 *   mpi_clip fault SEEDS      random cases with faults until one is met, which ends the world with
 *                             the code of its status
 */
#include "tests/support/comm_jitter.h"
#include "tests/support/mpi_harness.h"
#include "tests/support/random_case.h"

#include <string.h>

struct run {
    struct random_case drawn;
    struct expected expected;
};

/* This rank's part of a random case, and whether it is right. A fault comes back as it was met. */
static status run_random_case(struct comm *c, void *arg)
{
    struct run *const r = arg;
    const struct random_case *const t = &r->drawn;
    struct comm *late = c;
    char words[RANDOM_CASE_TEXT];

    c->gathers = t->fixture->gathers;
    if (t->delay_us) TRY(comm_jitter_open(&late, c, t->seed, t->delay_us));
    status const ended = clip_fixture_run(t->fixture, late);
    if (late != c) comm_jitter_end(&late);
    if (ended != ST_OK && ended != ST_CANCELED) comm_abort(c);
    struct error const own = *error_last();
    status const st = random_case_check(t, c->rank, &r->expected);
    if (st != ST_OK) return fail(st, "%s: %s", random_case_words(t, words), error_last()->msg);
    if (ended == ST_OK || ended == ST_CANCELED) return ST_OK;
    error_adopt(&own);
    return ended;
}

/* Of one kind of window: with a recache at each change of prompt, by heads, with gathers. */
struct queue {
    int kind;
    bool recaches, heads, gathers;
};

static status run_queue(struct comm *world, struct run *r, const struct queue *q)
{
    static int64_t const blocks[] = { 6, 1, 9, 2, 3 };
    status st = ST_OK;

    if (q->heads && !clip_fixture_by_heads(&clip_fixture_policy[q->kind], world->size))
        return ST_OK;
    TRY_OUT(random_case_of(&r->drawn, r->expected.model, &clip_fixture_policy[q->kind],
                           COUNT_OF(blocks), blocks));
    r->drawn.ranks = world->size;
    r->drawn.fixture->recache = q->recaches;
    r->drawn.fixture->gathers = q->gathers;
    if (q->heads) r->drawn.fixture->mode.exchange = LINE_HEADS;
    st = run_random_case(world, r);
out:
    random_case_free(&r->drawn);
    return st;
}

/* All ranks of the world, every kind of window, by blocks and where they divide by heads. */
static status queues(struct comm *world, struct run *r)
{
    static const struct queue all[] = {
        { FIXTURE_ROLLING, .heads = false },
        { FIXTURE_ROLLING, .heads = true },
        { FIXTURE_ROLLING, .gathers = true },
        { FIXTURE_BLOCK21, .heads = false },
        { FIXTURE_BLOCK21, .recaches = true, .heads = true },
        { FIXTURE_BLOCK12, .recaches = true },
        { FIXTURE_BLOCK12, .heads = true },
        { FIXTURE_FORCING_KV, .heads = false },
    };

    for (int i = 0; i < COUNT_OF(all); i++) TRY(run_queue(world, r, &all[i]));
    return ST_OK;
}

/* Case after case, each over some of the ranks. */
static status cases(struct comm *world, struct run *r, const struct harness *harness, bool faults)
{
    status st = ST_OK;

    for (int i = 0; i < harness->seeds && st == ST_OK; i++) {
        uint64_t const seed = harness->seed + (uint64_t)i;
        TRY(random_case_draw(&r->drawn, r->expected.model, seed,
                             1 + (int)(seed % (uint64_t)world->size), faults));
        st = harness_run_some(world, r->drawn.ranks, run_random_case, r);
        random_case_free(&r->drawn);
    }
    return st;
}

static status run(struct comm *world, const struct harness *harness)
{
    struct clip_fixture_model model = { .backend = NULL };
    struct run r = { .expected.model = &model };
    bool const faults = !strcmp(harness->what, "fault");
    status st = clip_fixture_model_open(&model, kern_backend_find("cpu"));

    if (st == ST_OK && world->size > FIXTURE_RANKS)
        st = fail(ST_ARG, "%d ranks; a line has up to %d", world->size, FIXTURE_RANKS);
    if (st == ST_OK && !strcmp(harness->what, "well")) st = queues(world, &r);
    else if (st == ST_OK) st = cases(world, &r, harness, faults);
    if (st == ST_OK) st = comm_agree(world, ST_OK);
    expected_free(&r.expected);
    clip_fixture_model_close(&model);
    return st;
}

int main(int argc, char **argv) { return harness_run(argc, argv, run); }
