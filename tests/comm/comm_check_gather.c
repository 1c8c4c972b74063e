/* comm_check_gather.c - slices of all ranks to all ranks, and memory for them. */
#include "tests/comm/comm_checks.h"
#include "tests/support/rng.h"

#include <math.h>
#include <stdlib.h>

enum { ROUNDS = 12, SHARDS = 3, LONGEST = 900 };

/* Numbers in a slice: many, one, none. */
static int slice_of(uint64_t seed, int round, int shard)
{
    uint64_t s = seed + (uint64_t)(round * SHARDS + shard) * 7919;
    int const n = rng_below(&s, LONGEST + 100) - 100;
    return n < 0 ? n < -50 : n;
}

static float value(int round, int shard, int rank, int i)
{
    return (float)((round * 31 + shard * 17 + rank * 7 + i) % 251 - 125);
}

static status verify(const struct comm *c, const struct comm_shard *s, int round, int shard)
{
    int const n = (int)s->t.dim[0] / c->size;
    const float *const data = s->t.data;

    for (int i = 0; i < n * c->size; i++)
        if (!(data[i] == value(round, shard, i / n, i % n)))
            return fail(ST_MISMATCH, "round %d, share %d of slices of %d, number %d", round, shard,
                        n, i);
    return ST_OK;
}

static status one_round(struct comm *c, float *memory, uint64_t seed, int round)
{
    struct comm_shard shard[SHARDS];

    for (int k = 0; k < SHARDS; k++) {
        float *const data = memory + k * CHECK_RANKS * LONGEST;
        int const n = slice_of(seed, round, k);
        shard[k] = (struct comm_shard){ .t = { data, DT_F32, 1, { (int64_t)n * c->size } } };
        for (int i = 0; i < n * c->size; i++)
            data[i] = i / n == c->rank ? value(round, k, c->rank, i % n) : (float)NAN;
    }
    TRY(comm_gather(c, shard, SHARDS));
    TRY(comm_wait(c));
    for (int k = 0; k < SHARDS; k++) TRY(verify(c, &shard[k], round, k));
    return ST_OK;
}

/* Host memory is as good as any: there is none to be had. */
static status no_memory(struct comm *c)
{
    void *at = c;

    TRY(comm_alloc(c, 4096, &at));
    if (at) return fail(ST_MISMATCH, "rank %d got memory where none is attached", c->rank);
    comm_free(c, at);
    return ST_OK;
}

/* Before anything is sent: the comm is as it was. */
static status odd_rows(struct comm *c)
{
    float x[CHECK_RANKS + 1];
    struct comm_shard const odd = { .t = { x, DT_F32, 1, { c->size + 1 } } };
    struct comm_shard const scalar = { .t = { x, DT_F32, 0, { 0 } } };

    if (c->size > 1 && comm_gather(c, &odd, 1) != ST_ARG)
        return fail(ST_MISMATCH, "rank %d gathers what does not divide", c->rank);
    if (comm_gather(c, &scalar, 1) != ST_ARG)
        return fail(ST_MISMATCH, "rank %d gathers one number", c->rank);
    if (comm_gather(c, NULL, -1) != ST_ARG)
        return fail(ST_MISMATCH, "rank %d gathers -1 tensors", c->rank);
    return ST_OK;
}

status check_gather(struct comm *c, void *drawn)
{
    const struct comm_random_case *const t = drawn;
    float *const memory = malloc(SHARDS * CHECK_RANKS * LONGEST * sizeof *memory);
    uint64_t rng = t->seed + (uint64_t)c->rank * 7919;
    status st = memory ? ST_OK : fail(ST_NOMEM, "shares");

    TRY_OUT(st);
    TRY_OUT(no_memory(c));
    for (int round = 0; round < ROUNDS / t->haste; round++) {
        if (rng_below(&rng, 3) == 0) check_pause_ms(rng_below(&rng, 4));
        TRY_OUT(odd_rows(c));
        TRY_OUT(one_round(c, memory, t->seed, round));
        TRY_OUT(check_ring(c));
    }
    TRY_OUT(comm_gather(c, NULL, 0));
    TRY_OUT(comm_wait(c));
out:
    free(memory);
    return st;
}
