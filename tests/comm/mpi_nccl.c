/*
 * mpi_nccl.c - comm_nccl between processes, on stand-ins of CUDA and NCCL.
 *
 * RANKS 2 3 6
 *
 *   mpi_nccl                  the contract, lives, and a queue of clips: over comm_nccl the bits
 *                             of comm_mpi
 *   mpi_nccl cards            a clip that the stand-in of a card computes, without waiting for
 *                             what comes: the bits of comm_mpi
 *   mpi_nccl hunt SEEDS       the same with many seeds and pauses
 *   mpi_nccl end NAME ODD     a check that breaks the world
 *   mpi_nccl die AT           the last rank is killed in its AT'th call of NCCL
 *   mpi_nccl refuse AT        NCCL refuses that call
 *   mpi_nccl lose AT          that rank falls silent there
 *   mpi_nccl later AT         an asynchronous error at its AT'th poll
 *   mpi_nccl astray HOW       that rank gathers more (1), or elsewhere (2): what NCCL leaves
 *                             undefined, the stand-in does not
 *
 * Exit code: as mpi_harness.h; 0 if the AT'th call was never made.
 */
#include "kernels/cuda/cuda_dev.h"
#include "tests/support/mpi_harness.h"
#include "tests/support/nccl_harness.h"
#include "tests/support/random_case.h"
#include "tests/support/rng.h"

#include <stdio.h>
#include <string.h>

static status say(const struct comm *c, const char *what, uint64_t seed, status st)
{
    if (st == ST_OK) return ST_OK;
    return fail(st, "rank %d: %s, seed %llu: %s", c->rank, what, (unsigned long long)seed,
                error_last()->msg);
}

/* ---- the contract ------------------------------------------------------------------- */

/* All but stop, which is for good. */
static status contract(struct comm *world, uint64_t seed)
{
    struct comm_random_case drawn = { .seed = seed, .haste = 4 };
    struct comm *c = NULL;
    status st = ST_OK;

    TRY(nccl_harness_open(&c, world));
    for (const struct comm_check *check = comm_checks; check->name && st == ST_OK; check++)
        if (c->size >= check->ranks_min && check->main != check_stop)
            st = say(c, check->name, seed, check->main(c, &drawn));
    if (st != ST_OK) comm_abort(c);
    nccl_harness_end(&c);
    return st;
}

static status life(struct comm *world, uint64_t seed, int rounds)
{
    double const deadline_s = world->deadline_s;
    struct nccl_life l = { 30, rounds, 20 };
    status const st = say(world, "life", seed, nccl_live(world, &l));

    world->deadline_s = deadline_s;
    return st;
}

/* ---- clips --------------------------------------------------------------------------- */

static status queue_of(struct random_case *t, const struct clip_fixture_model *m, int kind)
{
    static int64_t const blocks[] = { 6, 1, 2 }, few[] = { 6 };
    bool const fast = !strcmp(m->backend->name, "cpu");
    return random_case_of(t, m, &clip_fixture_policy[kind], fast ? COUNT_OF(blocks) : 1,
                          fast ? blocks : few);
}

/* The rank that owns the last noise stage has the blocks. */
static status compare(const struct clip_fixture *a, const struct clip_fixture *b)
{
    for (int clip = 0; clip < a->clips; clip++) {
        if (a->done[clip] != b->done[clip])
            return fail(ST_MISMATCH, "clip %d: %d blocks and %d", clip, a->done[clip],
                        b->done[clip]);
        TRY(clip_fixture_same(a, clip, b, clip, a->done[clip]));
    }
    return ST_OK;
}

/* The comm of a backend's memory: what the host computes on goes to cards and back. */
static status nccl_open(struct comm **out, struct comm *world, const struct clip_fixture_model *m)
{
    return m->ctx->memory ? comm_nccl_open(out, world) : nccl_harness_open(out, world);
}

static void nccl_end(struct comm **c, const struct clip_fixture_model *m)
{
    if (m->ctx->memory) comm_nccl_unwrap(c);
    else nccl_harness_end(c);
}

/* Of what stands at all stages, if all ranks have as many: by NCCL, where the card computes. */
static status check_gathered(const struct comm *c, const struct clip_fixture_model *m,
                             struct line_mode mode, long times)
{
    bool const plain = mode.wire == LINE_ACT && mode.exchange == LINE_BLOCKS;
    bool const should = plain && m->ctx->memory && (FIXTURE_RANKS % c->size) == 0;

    if ((times > 0) == should) return ST_OK;
    return fail(ST_MISMATCH, "rank %d of %d gathered %ld times", c->rank, c->size, times);
}

/* Both over all ranks of the world: in this mode, and by blocks. */
static status clips(struct comm *world, const struct clip_fixture_model *m, int kind,
                    struct line_mode mode)
{
    struct random_case over_nccl = { .fixture = NULL }, over_mpi = { .fixture = NULL };
    long const before = standin_nccl_gatherings();
    struct comm *c = NULL;
    status st = ST_OK;

    TRY_OUT(queue_of(&over_nccl, m, kind));
    TRY_OUT(queue_of(&over_mpi, m, kind));
    over_nccl.fixture->mode = mode;
    if (!clip_fixture_by_heads(over_nccl.fixture->policy, world->size))
        over_nccl.fixture->mode.exchange = LINE_BLOCKS;
    over_mpi.fixture->mode.wire = mode.wire;
    TRY_OUT(nccl_open(&c, world, m));
    st = clip_fixture_run(over_nccl.fixture, c);
    if (st != ST_OK && st != ST_PEER) comm_abort(c);
    nccl_end(&c, m);
    TRY_OUT(st);
    TRY_OUT(check_gathered(world, m, over_nccl.fixture->mode, standin_nccl_gatherings() - before));
    TRY_OUT(clip_fixture_run(over_mpi.fixture, world));
    TRY_OUT(compare(over_nccl.fixture, over_mpi.fixture));
out:
    random_case_free(&over_nccl);
    random_case_free(&over_mpi);
    return st;
}

/* What is the same to the bit as by blocks: heads where it may be, in 8 bits or not. */
static struct line_mode mode_of(bool heads, bool fp8)
{
    return (struct line_mode){ .wire = fp8 ? LINE_FP8 : LINE_ACT,
                               .exchange = heads ? LINE_HEADS : LINE_BLOCKS };
}

/* ---- what is run ---------------------------------------------------------------------- */

static status all_clips(struct comm *world)
{
    struct clip_fixture_model model = { .backend = NULL };
    status st = clip_fixture_model_open_on(&model, kern_backend_find("cpu"), world->rank);

    for (int i = 0; i < 2 * FIXTURE_KINDS && st == ST_OK; i++)
        st = clips(world, &model, i / 2, mode_of(i % 2, i % 2));
    clip_fixture_model_close(&model);
    return st;
}

static status well(struct comm *world, const struct harness *harness)
{
    standin_nccl_plan(&(struct standin_plan){ .seed = harness->seed, .delay_us = 100 });
    TRY(contract(world, harness->seed));
    TRY(life(world, harness->seed, 9));
    if (world->size > FIXTURE_RANKS) return ST_OK;
    return all_clips(world);
}

static status cards(struct comm *world, const struct harness *harness)
{
    struct clip_fixture_model model = { .backend = NULL };
    status st = clip_fixture_model_open_on(&model, kern_backend_find("cuda-1"), world->rank);

    standin_nccl_plan(&(struct standin_plan){ .seed = harness->seed, .delay_us = 100 });
    if (st == ST_OK) st = clips(world, &model, 0, mode_of(false, false));
    clip_fixture_model_close(&model);
    return st;
}

static status stress(struct comm *world, const struct harness *harness)
{
    struct clip_fixture_model model = { .backend = NULL };
    status st = ST_OK;

    TRY(clip_fixture_model_open(&model, kern_backend_find("cpu")));
    for (int i = 0; i < harness->seeds && st == ST_OK; i++) {
        uint64_t rng = harness->seed + (uint64_t)i, seed = rng_next(&rng);
        standin_nccl_plan(&(struct standin_plan){ .seed = seed, .delay_us = rng_below(&rng, 300) });
        st = rng_below(&rng, 3) ? life(world, seed, 4) : contract(world, seed);
        if (st == ST_OK && i % 4 == 0 && world->size <= FIXTURE_RANKS)
            st = clips(world, &model, rng_below(&rng, FIXTURE_KINDS),
                       mode_of(rng_below(&rng, 2), rng_below(&rng, 2)));
    }
    clip_fixture_model_close(&model);
    return st;
}

static status gather_astray(struct comm *c, int how)
{
    int const odd = c->rank == c->size - 1;
    struct comm_shard share = { .t = { NULL, DT_U8, 1, { c->size * (how == 1 && odd ? 5 : 4) } },
                                .device = true };
    void *at = NULL;

    TRY(comm_alloc(c, 1000, &at));
    share.t.data = (char *)at + (how == 2 && odd ? 64 : 0);
    TRY(comm_gather(c, &share, 1));
    TRY(comm_wait(c));
    return comm_synchronize(c);
}

static status astray(struct comm *world, const struct harness *harness)
{
    struct memory m = { .device = world->rank };
    struct comm *c = NULL;
    status st = ST_OK;

    standin_nccl_plan(&(struct standin_plan){ .seed = harness->seed });
    TRY(comm_nccl_open(&c, world));
    TRY_OUT(cuda_dev_select(m.device));
    TRY_OUT(cuda_stream_open(&m.stream, false));
    TRY_OUT(comm_attach(c, &m));
    TRY_OUT(gather_astray(c, harness->seeds));
out:
    if (st != ST_OK) comm_abort(c);
    comm_nccl_unwrap(&c);
    cuda_stream_close(&m.stream);
    return st;
}

static enum standin_fault fault_of(const char *what)
{
    return !strcmp(what, "die")      ? STANDIN_DIE
           : !strcmp(what, "refuse") ? STANDIN_REFUSE
           : !strcmp(what, "lose")   ? STANDIN_LOSE
           : !strcmp(what, "later")  ? STANDIN_LATER
                                     : STANDIN_NONE;
}

static status faulty(struct comm *world, const struct harness *harness)
{
    struct nccl_life l = { 1, 1, 0 };

    world->deadline_s = 1;
    standin_nccl_plan(&(struct standin_plan){ .seed = harness->seed,
                                              .fault = fault_of(harness->what),
                                              .silent = harness->seeds % 2,
                                              .rank = world->size - 1,
                                              .at = harness->seeds });
    TRY(nccl_live(world, &l));
    return comm_agree(world, ST_OK);
}

static status run(struct comm *world, const struct harness *harness)
{
    if (world->size > HARNESS_CARDS) return fail(ST_ARG, "%d ranks", world->size);
    if (!strcmp(harness->what, "hunt")) return stress(world, harness);
    if (!strcmp(harness->what, "astray")) return astray(world, harness);
    if (fault_of(harness->what) != STANDIN_NONE) return faulty(world, harness);
    TRY(strcmp(harness->what, "cards") ? well(world, harness) : cards(world, harness));
    return comm_agree(world, ST_OK);
}

int main(int argc, char **argv)
{
    setenv("STANDIN_DEVICES", "8", 1);
    return harness_run(argc, argv, run);
}
