/* comm_check_exchange.c - transfers of all sizes, in all orders. */
#include "tests/comm/comm_checks.h"
#include "tests/support/rng.h"

#include <math.h>

enum { ROUNDS = 12, XFERS = 3, LONGEST = 700 };

/* How many elements transfer k from one rank to another has in a round; -1: no such transfer. */
static int64_t xfer_len(uint64_t seed, int round, int from, int to, int k)
{
    uint64_t s = seed ^ (uint64_t)(((round * CHECK_RANKS + from) * CHECK_RANKS + to) * XFERS + k)
                            << 17;
    int const n = rng_below(&s, LONGEST + 100) - 100;
    return n < -50 ? -1 : n < 0 ? 0 : n;
}

/* Small whole numbers: any sum of them is exact. */
static float value(int round, int from, int to, int k, int64_t i)
{
    return (float)((round * 31 + from * 17 + to * 7 + k * 3 + i) % 251 - 125);
}

struct box {
    float data[LONGEST];
    int peer, k;
};

struct exchange {
    uint64_t seed;
    struct box boxes[2 * CHECK_RANKS * XFERS];
    struct comm_xfer xfers[2 * CHECK_RANKS * XFERS];
    int count;
};

static void add(struct exchange *x, const struct comm *c, int round, struct comm_xfer xfer, int k)
{
    int const from = xfer.send ? c->rank : xfer.peer, to = xfer.send ? xfer.peer : c->rank;
    int64_t const n = xfer_len(x->seed, round, from, to, k);
    struct box *const b = &x->boxes[x->count];

    if (n < 0) return;
    *b = (struct box){ .peer = xfer.peer, .k = k };
    for (int64_t i = 0; i < n; i++)
        b->data[i] = xfer.send ? value(round, from, to, k, i) : (float)NAN;
    xfer.t = (struct tensor){ .data = b->data, .dtype = DT_F32, .ndim = 1, .dim = { n } };
    x->xfers[x->count++] = xfer;
}

/* All transfers of a round; peers in random order, the order between two ranks kept. */
static void plan(struct exchange *x, const struct comm *c, int round, uint64_t *rng)
{
    int const turn = rng_below(rng, c->size), sends_first = rng_below(rng, 2);

    x->count = 0;
    for (int k = 0; k < XFERS; k++)
        for (int i = 0; i < 2 * c->size; i++) {
            int const peer = (i / 2 + turn) % c->size;
            bool const send = (i % 2 == 0) == (bool)sends_first;
            if (peer == c->rank) continue;
            add(x, c, round, (struct comm_xfer){ .peer = peer, .send = send }, k);
        }
}

static status verify(const struct exchange *x, const struct comm *c, int round)
{
    for (int i = 0; i < x->count; i++) {
        const struct box *const b = &x->boxes[i];
        int const from = x->xfers[i].send ? c->rank : b->peer;
        int const to = x->xfers[i].send ? b->peer : c->rank;
        double sum = 0, want = 0;

        for (int64_t j = 0; j < x->xfers[i].t.dim[0]; j++) {
            float const v = value(round, from, to, b->k, j);
            if (!(b->data[j] == v))
                return fail(ST_MISMATCH, "round %d, %d to %d, part %d, element %lld", round, from,
                            to, b->k, (long long)j);
            sum += b->data[j];
            want += v;
        }
        if (!(sum == want)) return fail(ST_MISMATCH, "sum %g, not %g", sum, want);
    }
    return ST_OK;
}

/* A rank may take a round in two posts: as all ranks keep the order of k, the
 * first half never waits for somebody's second. */
static int first_half(const struct exchange *x, uint64_t *rng)
{
    int const k = rng_below(rng, XFERS + 1);
    int n = 0;

    while (n < x->count && x->boxes[n].k < k) n++;
    return n;
}

status check_exchange(struct comm *c, void *drawn)
{
    const struct comm_random_case *const t = drawn;
    struct exchange *const x = calloc(1, sizeof *x);
    uint64_t rng = t->seed + (uint64_t)c->rank * 7919;
    status st = ST_OK;

    if (!x) return fail(ST_NOMEM, "exchange");
    x->seed = t->seed;
    for (int round = 0; round < ROUNDS / t->haste && st == ST_OK; round++) {
        plan(x, c, round, &rng);
        int const first = first_half(x, &rng);

        if (rng_below(&rng, 3) == 0) check_pause_ms(rng_below(&rng, 4));
        TRY_OUT(comm_post(c, x->xfers, first));
        if (rng_below(&rng, 3) == 0) check_pause_ms(rng_below(&rng, 4));
        TRY_OUT(comm_wait(c));
        TRY_OUT(comm_post(c, x->xfers + first, x->count - first));
        TRY_OUT(comm_wait(c));
        TRY_OUT(comm_wait(c));
        TRY_OUT(verify(x, c, round));
        if (round % 4 == 3) TRY_OUT(comm_agree(c, ST_OK));
    }
out:
    free(x);
    return st;
}

/* ---- large transfers ---------------------------------------------------------- */

static unsigned char byte_of(int from, int k, int64_t i)
{
    return (unsigned char)(i * 31 + (i >> 13) + from * 7 + k);
}

/* To the next rank and from the one before: more than one piece, none, and a bit. */
status check_large(struct comm *c, void *drawn)
{
    static int64_t const bytes[] = { 5 << 20, 0, (3 << 20) + 1, 1 << 20, 17 };
    enum { N = COUNT_OF(bytes) };
    int const next = (c->rank + 1) % c->size, before = (c->rank + c->size - 1) % c->size;
    struct comm_xfer xfers[2 * N] = { 0 };
    unsigned char *memory[2 * N] = { 0 };
    status st = ST_OK;

    (void)drawn;
    for (int k = 0; k < 2 * N; k++) {
        int64_t const n = bytes[k / 2];
        bool const send = k % 2;
        memory[k] = malloc((size_t)n + 1);
        if (!memory[k]) TRY_OUT(fail(ST_NOMEM, "large parts"));
        for (int64_t i = 0; i <= n; i++) memory[k][i] = send ? byte_of(c->rank, k / 2, i) : 0xee;
        xfers[k] = (struct comm_xfer){ .t = { memory[k], DT_U8, 1, { n } },
                                       .peer = send ? next : before,
                                       .send = send };
    }
    TRY_OUT(comm_post(c, xfers, 2 * N));
    TRY_OUT(comm_wait(c));
    for (int k = 0; k < 2 * N; k += 2) {
        for (int64_t i = 0; i < bytes[k / 2]; i++)
            if (memory[k][i] != byte_of(before, k / 2, i))
                TRY_OUT(fail(ST_MISMATCH, "large part %d, byte %lld", k / 2, (long long)i));
        if (memory[k][bytes[k / 2]] != 0xee) TRY_OUT(fail(ST_MISMATCH, "written behind the end"));
    }
out:
    for (int k = 0; k < 2 * N; k++) free(memory[k]);
    return st;
}

/* A group closed with a start open: the memory is the caller's at once. */
status check_closed_early(struct comm *c, void *drawn)
{
    int64_t const n = 1 << 16;
    float *const data = malloc((size_t)n * sizeof *data);
    struct comm_xfer xfers[CHECK_RANKS];
    struct comm *g = NULL;
    int count = 0;
    status st = data ? ST_OK : fail(ST_NOMEM, "closed early");

    (void)drawn;
    TRY_OUT(st);
    TRY_OUT(comm_split(c, 0, &g));
    for (int r = 0; r < c->size; r++)
        if (r != c->rank)
            xfers[count++] = (struct comm_xfer){ .t = { data, DT_F32, 1, { n } }, .peer = r };
    TRY_OUT(comm_post(g, xfers, count));
out:
    comm_close(&g);
    free(data);
    return comm_agree(c, st);
}

status check_ring(struct comm *c)
{
    float out = (float)c->rank, in = (float)NAN;
    struct comm_xfer const xfers[] = {
        { .t = { &out, DT_F32, 1, { 1 } }, .peer = (c->rank + 1) % c->size, .send = true },
        { .t = { &in, DT_F32, 1, { 1 } }, .peer = (c->rank + c->size - 1) % c->size },
    };

    if (c->size == 1) return ST_OK;
    TRY(comm_post(c, xfers, 2));
    TRY(comm_wait(c));
    if (!(in == (float)xfers[1].peer)) return fail(ST_MISMATCH, "rank %d got %g", c->rank, in);
    return ST_OK;
}

void check_pause_ms(double ms)
{
    double const s = ms / 1000;
    struct timespec const t = { .tv_sec = (time_t)s, .tv_nsec = (long)((s - (time_t)s) * 1e9) };
    nanosleep(&t, NULL);
}
