#include "tests/support/nccl_harness.h"

#include "base/clock.h"
#include "kernels/cuda/cuda_dev.h"
#include "tests/support/comm_card.h"

#include <string.h>

enum { LONGEST = 3000, SLICE = 700, SHARDS = 2 };

bool nccl_harness_holds(const struct comm_check *check)
{
    static const char *const blind[] = { "shorter", "longer", "other type", "absent receiver" };

    for (int i = 0; i < COUNT_OF(blind); i++)
        if (!strcmp(check->name, blind[i])) return false;
    return true;
}

status nccl_harness_open(struct comm **out, struct comm *c)
{
    struct comm *nccl = NULL;

    *out = NULL;
    TRY(comm_nccl_open(&nccl, c));
    status const st = comm_card_open(out, nccl, c->rank);
    if (st != ST_OK) comm_nccl_unwrap(&nccl);
    return st;
}

void nccl_harness_end(struct comm **c)
{
    comm_card_end(c);
    comm_nccl_unwrap(c);
}

/* ---- a life ---------------------------------------------------------------------------- */

struct body {
    struct comm *c; /* over comm_nccl */
    struct memory memory;
    float *card; /* [size][LONGEST]: to each rank, then from each; then shards [size][SLICE] */
    double begun;
};

static size_t bytes_of(const struct comm *c)
{
    return (size_t)c->size * (2 * LONGEST + SHARDS * SLICE) * sizeof(float);
}

static int length(int round, int from, int to)
{
    return (round * 37 + from * 11 + to * 5) % 4 ? 1 + (round * 701 + from * 53 + to * 7) % LONGEST
                                                 : 0;
}

static float value(int round, int from, int to, int i)
{
    return (float)((round * 13 + from * 7 + to * 3 + i) % 509);
}

static float *box(const struct body *b, int peer, bool send)
{
    return b->card + ((send ? 0 : b->c->size) + peer) * LONGEST;
}

static status fill(const struct body *b, int round, int peer)
{
    float host[LONGEST];
    int const n = length(round, b->c->rank, peer);

    for (int i = 0; i < n; i++) host[i] = value(round, b->c->rank, peer, i);
    return cuda_dev_upload(box(b, peer, true), host, (size_t)n * sizeof *host, b->memory.stream);
}

static status check(const struct body *b, int round, int peer)
{
    float host[LONGEST];
    int const n = length(round, peer, b->c->rank);

    TRY(cuda_dev_download(host, box(b, peer, false), (size_t)n * sizeof *host, b->memory.stream));
    for (int i = 0; i < n; i++)
        if (!(host[i] == value(round, peer, b->c->rank, i)))
            return fail(ST_MISMATCH, "round %d, rank %d to %d, number %d", round, peer, b->c->rank,
                        i);
    return ST_OK;
}

static struct comm_xfer part_of(const struct body *b, int round, int peer, bool send)
{
    int const n = send ? length(round, b->c->rank, peer) : length(round, peer, b->c->rank);
    return (struct comm_xfer){
        .t = { box(b, peer, send), DT_F32, 1, { n } }, .peer = peer, .send = send, .device = true
    };
}

/* What the stream computes is not waited for, nor is what comes. */
static status exchange(const struct body *b, int round)
{
    struct comm_xfer xfer[2 * HARNESS_CARDS];
    int count = 0;

    for (int r = 0; r < b->c->size; r++) {
        if (r == b->c->rank) continue;
        TRY(fill(b, round, r));
        xfer[count++] = part_of(b, round, r, true);
        xfer[count++] = part_of(b, round, r, false);
    }
    TRY(comm_post(b->c, xfer, count));
    return comm_wait(b->c);
}

static float *shard(const struct body *b, int i)
{
    return b->card + 2 * b->c->size * LONGEST + i * b->c->size * SLICE;
}

static status gather(const struct body *b, int round)
{
    struct comm_shard shards[SHARDS];
    float host[SLICE];

    for (int i = 0; i < SHARDS; i++) {
        shards[i] = (struct comm_shard){ { shard(b, i), DT_F32, 2, { b->c->size, SLICE } }, true };
        for (int k = 0; k < SLICE; k++) host[k] = value(round, b->c->rank, i, k);
        TRY(cuda_dev_upload(shard(b, i) + b->c->rank * SLICE, host, sizeof host, b->memory.stream));
    }
    TRY(comm_gather(b->c, shards, SHARDS));
    return comm_wait(b->c);
}

static status check_shards(const struct body *b, int round)
{
    float host[HARNESS_CARDS * SLICE];

    for (int i = 0; i < SHARDS; i++) {
        TRY(cuda_dev_download(host, shard(b, i), (size_t)b->c->size * SLICE * sizeof *host,
                              b->memory.stream));
        for (int k = 0; k < b->c->size * SLICE; k++)
            if (!(host[k] == value(round, k / SLICE, i, k % SLICE)))
                return fail(ST_MISMATCH, "round %d, share %d, number %d", round, i, k);
    }
    return ST_OK;
}

static status group_of_some(const struct body *b)
{
    struct comm *g = NULL;
    status st = ST_OK;

    TRY(comm_split(b->c, b->c->rank % 2, &g));
    if (g->size > 1) {
        struct body some = *b;
        some.c = g;
        TRY_OUT(comm_attach(g, &b->memory));
        TRY_OUT(exchange(&some, 77));
        TRY_OUT(gather(&some, 78));
        TRY_OUT(comm_synchronize(g));
        TRY_OUT(check_shards(&some, 78));
        for (int r = 0; r < g->size; r++)
            if (r != g->rank) TRY_OUT(check(&some, 77, r));
    }
out:
    comm_close(&g);
    return st;
}

static status ring(const struct body *b, struct comm *c, float *from, float *to)
{
    struct comm_xfer const xfer[] = {
        { .t = { from, DT_F32, 1, { LONGEST } },
          .peer = (c->rank + 1) % c->size,
          .send = true,
          .device = true },
        { .t = { to, DT_F32, 1, { LONGEST } },
          .peer = (c->rank + c->size - 1) % c->size,
          .device = true },
    };

    TRY(cuda_dev_select(b->memory.device));
    TRY(comm_post(c, xfer, COUNT_OF(xfer)));
    return comm_wait(c);
}

/* What comes over one comm goes on over another, and the host has not waited for it. */
static status pass_on(const struct body *b, int passes)
{
    struct comm *const c = b->c;
    int const origin = (c->rank + 2 * passes * (c->size - 1)) % c->size;
    float host[LONGEST], *const a = b->card, *const z = a + LONGEST;
    struct comm *g = NULL;
    status st = ST_OK;

    for (int i = 0; i < LONGEST; i++) host[i] = value(5, c->rank, 0, i);
    TRY(comm_split(c, 0, &g));
    TRY_OUT(comm_attach(g, &b->memory));
    TRY_OUT(cuda_dev_upload(a, host, sizeof host, b->memory.stream));
    for (int i = 0; i < passes; i++) {
        TRY_OUT(ring(b, c, a, z));
        TRY_OUT(ring(b, g, z, a));
    }
    TRY_OUT(comm_synchronize(g));
    TRY_OUT(comm_agree(c, ST_OK)); /* a rank that failed may have passed on anything */
    TRY_OUT(cuda_dev_download(host, a, sizeof host, b->memory.stream));
    for (int i = 0; i < LONGEST; i++)
        if (!(host[i] == value(5, origin, 0, i)))
            TRY_OUT(fail(ST_MISMATCH, "passed on from %d to %d: number %d", origin, c->rank, i));
out:
    comm_close(&g);
    return st;
}

/* Of three rounds, two are on their way before anything is looked at. */
static status rounds(const struct body *b, const struct nccl_life *life)
{
    for (int round = 0; round < life->rounds; round++) {
        TRY(exchange(b, round));
        TRY(gather(b, round));
        if (round % 3 < 2) continue;
        TRY(comm_synchronize(b->c));
        for (int r = 0; r < b->c->size; r++)
            if (r != b->c->rank) TRY(check(b, round, r));
        TRY(check_shards(b, round));
    }
    TRY(comm_synchronize(b->c));
    return comm_agree(b->c, ST_OK);
}

/* In memory of NCCL's, where it has some. */
static status rounds_there(const struct body *b, const struct nccl_life *life)
{
    struct body there = *b;
    void *at = NULL;

    TRY(comm_alloc(b->c, bytes_of(b->c), &at));
    if (!at != !b->c->streamed) return fail(ST_MISMATCH, "no memory of NCCL's");
    if (at) there.card = at;
    status const st = rounds(&there, life);
    comm_free(b->c, at);
    return st;
}

static status live(struct body *b, const struct nccl_life *life)
{
    TRY(comm_attach(b->c, &b->memory));
    if (b->c->streamed != (b->c->size > 1) || b->c->gathers != b->c->streamed)
        return fail(ST_MISMATCH, "not streamed, or does not gather");
    TRY(rounds_there(b, life));
    if (life->passes) TRY(group_of_some(b));
    TRY(comm_attach(b->c, &b->memory));
    TRY(exchange(b, 99));
    if (life->passes && b->c->size > 1) TRY(pass_on(b, life->passes));
    TRY(comm_agree(b->c, ST_OK));
    return comm_attach(b->c, NULL);
}

status nccl_live(struct comm *c, void *arg)
{
    const struct nccl_life *const life = arg;
    struct body b = { .memory.device = c->rank, .begun = clock_seconds() };
    struct error why;
    status st = ST_OK;

    c->deadline_s = life->deadline_s;
    TRY(comm_nccl_open(&b.c, c));
    TRY_OUT(cuda_dev_select(b.memory.device));
    TRY_OUT(cuda_stream_open(&b.memory.stream, false));
    TRY_OUT(cuda_dev_alloc(bytes_of(c), (void **)&b.card));
    TRY_OUT(live(&b, life));
out:
    why = *error_last();
    if (st != ST_OK) comm_abort(b.c);
    comm_nccl_unwrap(&b.c);
    cuda_dev_free(b.card);
    cuda_stream_close(&b.memory.stream);
    if (clock_seconds() - b.begun > 10 + 4 * life->deadline_s)
        return fail(ST_MISMATCH, "rank %d took %g s", c->rank, clock_seconds() - b.begun);
    if (st != ST_OK) error_adopt(&why);
    return st;
}
