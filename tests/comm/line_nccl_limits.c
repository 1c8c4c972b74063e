/*
 * line_nccl_limits.c - what comm_nccl has room for, on stand-ins of CUDA and NCCL: memory for all
 * ranks or none, posts under way.
 *
 *   line_nccl_limits [--seed N]
 */
#include "tests/support/unit.h"

#include "comm/nccl/comm_nccl_internal.h"
#include "kernels/cuda/cuda_dev.h"
#include "tests/comm/comm_checks.h"
#include "tests/standin/standin_nccl.h"
#include "tests/support/nccl_ranks.h"
#include "tests/support/rng.h"

#include <stdatomic.h>

static uint64_t seed;

/* ---- memory ---------------------------------------------------------------------------------- */

/* One that has none is said by its rank, and nobody has it; then all may ask for less. */
static status too_much(struct nccl_rank *s)
{
    void *at = s, *more = s;
    status const st = comm_alloc(s->c, 5000, &at);

    if (s->c->rank == 1 && (st != ST_NOMEM || !strstr(error_last()->msg, "5000 bytes on card 1")))
        return fail(ST_MISMATCH, "rank 1: %s: %s", status_name(st), error_last()->msg);
    if (s->c->rank != 1 && st != ST_PEER) return fail(ST_MISMATCH, "told %s", status_name(st));
    if (at) return fail(ST_MISMATCH, "memory that is not for all");
    TRY(comm_alloc(s->c, 4000, &more));
    comm_free(s->c, more);
    return more ? comm_agree(s->c, ST_OK) : fail(ST_MISMATCH, "no memory");
}

static status different_counts(struct nccl_rank *s)
{
    void *at = s;
    status const st = comm_alloc(s->c, s->c->rank == 2 ? 51 : 50, &at);

    if (at || st != ST_ARG ||
        strcmp(error_last()->msg, "alloc: rank 0 asks for 50 bytes, rank 2 for 51") != 0)
        return fail(ST_MISMATCH, "%s: %s", status_name(st), error_last()->msg);
    return comm_agree(s->c, ST_OK);
}

/* No more pieces than there is room for; those that are left go with the comm. */
static status too_many(struct nccl_rank *s)
{
    void *at[NCCL_BUFFERS], *more = s;

    for (int i = 0; i < NCCL_BUFFERS; i++) TRY(comm_alloc(s->c, 100 + (size_t)i, &at[i]));
    status const st = comm_alloc(s->c, 100, &more);
    if (st != ST_ARG || more) return fail(ST_MISMATCH, "one too many: %s", status_name(st));
    for (int i = 0; i < NCCL_BUFFERS; i += 3) comm_free(s->c, at[i]);
    TRY(comm_alloc(s->c, 100, &at[0]));
    return comm_agree(s->c, ST_OK);
}

static const int two_machines[] = { 0, 1, 1 };

/* Between machines there are no windows and no engines; what is gathered is the same. */
static status far_apart(struct nccl_rank *s)
{
    struct comm_shard shard = { .t = { NULL, DT_U8, 1, { 300 } }, .device = true };
    unsigned char host[300];

    if (s->c->gathers) return fail(ST_MISMATCH, "engines between machines");
    TRY(comm_alloc(s->c, 1000, &shard.t.data));
    if (!shard.t.data) return fail(ST_MISMATCH, "no memory");
    memset(host, s->c->rank + 1, sizeof host);
    TRY(cuda_dev_upload(shard.t.data, host, sizeof host, s->memory.stream));
    TRY(comm_gather(s->c, &shard, 1));
    TRY(comm_wait(s->c));
    TRY(comm_synchronize(s->c));
    TRY(cuda_dev_download(host, shard.t.data, sizeof host, s->memory.stream));
    for (int i = 0; i < 300; i++)
        if (host[i] != i / 100 + 1) return fail(ST_MISMATCH, "number %d is %d", i, host[i]);
    TRY(comm_agree(s->c, ST_OK));
    comm_free(s->c, shard.t.data);
    return ST_OK;
}

static void memory_for_all_or_none(void **state)
{
    struct standin_plan p = { .seed = seed, .delay_us = 50 };

    (void)state;
    standin_nccl_plan(&p);
    ok(nccl_run_ranks(3, NULL, different_counts));
    ok(nccl_run_ranks(3, NULL, too_many));
    assert_int_equal(standin_nccl_memory(), 0);
    ok(nccl_run_ranks(3, two_machines, far_apart));
    assert_int_equal(standin_nccl_memory(), 0);
    p.fault = STANDIN_REFUSE;
    p.rank = 1;
    p.at = 2;
    standin_nccl_plan(&p);
    ok(nccl_run_ranks(3, NULL, too_much));
    assert_string_equal(standin_nccl_faulted(), "ncclMemAlloc");
    assert_int_equal(standin_nccl_memory(), 0);
}

/* ---- far ahead ------------------------------------------------------------------------------- */

/* Rank 1 takes nothing for a while: rank 0 runs ahead as far as the ring goes and no further. */
enum { AHEAD = NCCL_RANK_BYTES, POSTS = NCCL_POSTS + 6 };
static atomic_int ahead, seen; /* posts of rank 0; as many as there were before rank 1 went on */

static status exchange(struct comm *n, void *card, int rank)
{
    struct comm_xfer const xfer = {
        .t = { card, DT_U8, 1, { AHEAD } }, .peer = !rank, .send = !rank, .device = true
    };

    TRY(comm_post(n, &xfer, 1));
    return comm_wait(n);
}

static status run_ahead(struct nccl_rank *s)
{
    for (int i = 0; i < POSTS; i++) {
        if (i == 1 && s->c->rank == 1) {
            check_pause_ms(700);
            seen = ahead;
        }
        TRY(exchange(s->c, s->card, s->c->rank));
        if (s->c->rank == 0) ahead = i + 1;
    }
    return comm_synchronize(s->c);
}

static void no_further_than_the_ring(void **state)
{
    (void)state;
    ahead = seen = 0;
    standin_nccl_plan(&(struct standin_plan){ .seed = seed });
    ok(nccl_run_ranks(2, NULL, run_ahead));
    print_message("  %d starts ahead\n", seen);
    assert_true(seen > 1 && seen <= NCCL_POSTS + 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_for_all_or_none),
        cmocka_unit_test(no_further_than_the_ring),
    };

    seed = rng_seed(argc, argv);
    setenv("STANDIN_DEVICES", "8", 1);
    print_message("line_nccl_limits --seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests_name("line_nccl_limits", tests, NULL, NULL);
}
