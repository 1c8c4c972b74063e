#include "tests/line/nccl_rig.h"

#include "base/clock.h"
#include "kernels/cuda/cuda_dev.h"
#include "tests/line/comm_card.h"

#include <string.h>

enum { LONGEST = 3000 };

bool nccl_rig_holds(const struct comm_check *check)
{
    static const char *const blind[] = { "shorter", "longer", "other type", "absent receiver" };

    for (int i = 0; i < COUNT_OF(blind); i++)
        if (!strcmp(check->name, blind[i])) return false;
    return true;
}

status nccl_rig_open(struct comm **out, struct comm *c)
{
    struct comm *nccl = NULL;

    *out = NULL;
    TRY(comm_nccl_open(&nccl, c));
    status const st = comm_card_open(out, nccl, c->rank);
    if (st != ST_OK) comm_nccl_end(&nccl);
    return st;
}

void nccl_rig_end(struct comm **c)
{
    comm_card_end(c);
    comm_nccl_end(c);
}

/* ---- a life ---------------------------------------------------------------------------- */

struct body {
    struct comm *c; /* over comm_nccl */
    struct memory memory;
    float *card; /* [size][LONGEST]: to each rank, then from each */
    double begun;
};

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

static struct comm_part part_of(const struct body *b, int round, int peer, bool send)
{
    int const n = send ? length(round, b->c->rank, peer) : length(round, peer, b->c->rank);
    return (struct comm_part){
        .t = { box(b, peer, send), DT_F32, 1, { n } }, .peer = peer, .send = send, .device = true
    };
}

/* What the stream computes is not waited for, nor is what comes. */
static status exchange(const struct body *b, int round)
{
    struct comm_part part[2 * RIG_CARDS];
    int count = 0;

    for (int r = 0; r < b->c->size; r++) {
        if (r == b->c->rank) continue;
        TRY(fill(b, round, r));
        part[count++] = part_of(b, round, r, true);
        part[count++] = part_of(b, round, r, false);
    }
    TRY(b->c->ops->start(b->c, part, count));
    return b->c->ops->finish(b->c);
}

static status group_of_some(const struct body *b)
{
    struct comm *g = NULL;
    status st = ST_OK;

    TRY(b->c->ops->split(b->c, b->c->rank % 2, &g));
    if (g->size > 1) {
        struct body some = *b;
        some.c = g;
        TRY_OUT(comm_attach(g, &b->memory));
        TRY_OUT(exchange(&some, 77));
        TRY_OUT(comm_settle(g));
        for (int r = 0; r < g->size; r++)
            if (r != g->rank) TRY_OUT(check(&some, 77, r));
    }
out:
    g->ops->close(&g);
    return st;
}

static status ring(const struct body *b, struct comm *c, float *from, float *to)
{
    struct comm_part const part[] = {
        { .t = { from, DT_F32, 1, { LONGEST } },
          .peer = (c->rank + 1) % c->size,
          .send = true,
          .device = true },
        { .t = { to, DT_F32, 1, { LONGEST } },
          .peer = (c->rank + c->size - 1) % c->size,
          .device = true },
    };

    TRY(cuda_dev_select(b->memory.device));
    TRY(c->ops->start(c, part, COUNT_OF(part)));
    return c->ops->finish(c);
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
    TRY(c->ops->split(c, 0, &g));
    TRY_OUT(comm_attach(g, &b->memory));
    TRY_OUT(cuda_dev_upload(a, host, sizeof host, b->memory.stream));
    for (int i = 0; i < passes; i++) {
        TRY_OUT(ring(b, c, a, z));
        TRY_OUT(ring(b, g, z, a));
    }
    TRY_OUT(comm_settle(g));
    TRY_OUT(c->ops->agree(c, ST_OK)); /* a rank that failed may have passed on anything */
    TRY_OUT(cuda_dev_download(host, a, sizeof host, b->memory.stream));
    for (int i = 0; i < LONGEST; i++)
        if (!(host[i] == value(5, origin, 0, i)))
            TRY_OUT(fail(ST_MISMATCH, "passed on from %d to %d: number %d", origin, c->rank, i));
out:
    g->ops->close(&g);
    return st;
}

/* Of three rounds, two are on their way before anything is looked at. */
static status rounds(const struct body *b, const struct nccl_life *life)
{
    for (int round = 0; round < life->rounds; round++) {
        TRY(exchange(b, round));
        if (round % 3 < 2) continue;
        TRY(comm_settle(b->c));
        for (int r = 0; r < b->c->size; r++)
            if (r != b->c->rank) TRY(check(b, round, r));
    }
    TRY(comm_settle(b->c));
    return b->c->ops->agree(b->c, ST_OK);
}

static status live(struct body *b, const struct nccl_life *life)
{
    size_t const bytes = 2 * (size_t)b->c->size * LONGEST * sizeof *b->card;
    status st = ST_OK;

    TRY(comm_attach(b->c, &b->memory));
    if (b->c->streamed != (b->c->size > 1)) return fail(ST_MISMATCH, "not streamed");
    comm_enroll(b->c, b->card, bytes);
    TRY_OUT(rounds(b, life));
    if (life->passes) TRY_OUT(group_of_some(b));
    TRY_OUT(comm_attach(b->c, &b->memory));
    TRY_OUT(exchange(b, 99));
    if (life->passes && b->c->size > 1) TRY_OUT(pass_on(b, life->passes));
    TRY_OUT(b->c->ops->agree(b->c, ST_OK));
    TRY_OUT(comm_attach(b->c, NULL));
out:
    comm_dismiss(b->c, b->card);
    return st;
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
    TRY_OUT(cuda_dev_alloc(2 * (size_t)c->size * LONGEST * sizeof *b.card, (void **)&b.card));
    TRY_OUT(live(&b, life));
out:
    why = *error_last();
    if (st != ST_OK) b.c->ops->abort(b.c);
    comm_nccl_end(&b.c);
    cuda_dev_free(b.card);
    cuda_stream_close(&b.memory.stream);
    if (clock_seconds() - b.begun > 10 + 4 * life->deadline_s)
        return fail(ST_MISMATCH, "rank %d took %g s", c->rank, clock_seconds() - b.begun);
    if (st != ST_OK) error_adopt(&why);
    return st;
}
