/*
 * line_comm.c - the contract of comm.h, over threads.
 *
 *   line_comm [--seed N]
 *
 * Ranks run on threads of their own, where cmocka's asserts may not be used:
 * they return a status, and the test looks at what comm_thread_run says.
 */
#include "tests/unit/unit.h"

#include "comm/comm.h"
#include "tests/rng.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { RANKS = 8, ROUNDS = 12, PARTS = 3, LONGEST = 700 };

static uint64_t seed;

static void pause_ms(double ms)
{
    struct timespec const t = { .tv_nsec = (long)(ms * 1e6) };
    nanosleep(&t, NULL);
}

static status run(int size, double deadline_s, comm_main main, void *arg)
{
    struct comm *group[RANKS] = { 0 };
    status st = comm_thread_open(group, size, deadline_s);

    if (st != ST_OK) return st;
    error_clear();
    st = comm_thread_run(group, size, main, arg);
    for (int r = 0; r < size; r++) {
        group[r]->ops->close(&group[r]);
        if (group[r]) st = fail(ST_MISMATCH, "close left rank %d", r);
    }
    return st;
}

/* ---- random exchanges ---------------------------------------------------- */

/* How many elements part k from one rank to another has in a round; -1: no such part. */
static int64_t part_len(int round, int from, int to, int k)
{
    uint64_t s = seed ^ (uint64_t)(((round * RANKS + from) * RANKS + to) * PARTS + k) << 17;
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
    struct box boxes[2 * RANKS * PARTS];
    struct comm_part parts[2 * RANKS * PARTS];
    int count;
};

static void add(struct exchange *x, const struct comm *c, int round, struct comm_part part, int k)
{
    int const from = part.send ? c->rank : part.peer, to = part.send ? part.peer : c->rank;
    int64_t const n = part_len(round, from, to, k);
    struct box *const b = &x->boxes[x->count];

    if (n < 0) return;
    *b = (struct box){ .peer = part.peer, .k = k };
    for (int64_t i = 0; i < n; i++)
        b->data[i] = part.send ? value(round, from, to, k, i) : (float)NAN;
    part.t = (struct tensor){ .data = b->data, .dtype = DT_F32, .ndim = 1, .dim = { n } };
    x->parts[x->count++] = part;
}

/* All parts of a round; peers in random order, the order between two ranks kept. */
static void plan(struct exchange *x, const struct comm *c, int round, uint64_t *rng)
{
    int const turn = rng_below(rng, c->size), sends_first = rng_below(rng, 2);

    x->count = 0;
    for (int k = 0; k < PARTS; k++)
        for (int i = 0; i < 2 * c->size; i++) {
            int const peer = (i / 2 + turn) % c->size;
            bool const send = (i % 2 == 0) == (bool)sends_first;
            if (peer == c->rank) continue;
            add(x, c, round, (struct comm_part){ .peer = peer, .send = send }, k);
        }
}

static status verify(const struct exchange *x, const struct comm *c, int round)
{
    for (int i = 0; i < x->count; i++) {
        const struct box *const b = &x->boxes[i];
        int const from = x->parts[i].send ? c->rank : b->peer;
        int const to = x->parts[i].send ? b->peer : c->rank;
        double sum = 0, want = 0;

        for (int64_t j = 0; j < x->parts[i].t.dim[0]; j++) {
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

/* A rank may take a round in two starts: as all ranks keep the order of k, the
 * first half never waits for somebody's second. */
static int split(const struct exchange *x, uint64_t *rng)
{
    int const k = rng_below(rng, PARTS + 1);
    int n = 0;

    while (n < x->count && x->boxes[n].k < k) n++;
    return n;
}

static status exchange_main(struct comm *c, void *arg)
{
    struct exchange *const x = calloc(1, sizeof *x);
    uint64_t rng = seed + (uint64_t)c->rank * 7919;
    status st = ST_OK;

    (void)arg;
    if (!x) return fail(ST_NOMEM, "exchange");
    for (int round = 0; round < ROUNDS && st == ST_OK; round++) {
        plan(x, c, round, &rng);
        int const first = split(x, &rng);

        if (rng_below(&rng, 3) == 0) pause_ms(rng_below(&rng, 4));
        TRY_OUT(c->ops->start(c, x->parts, first));
        if (rng_below(&rng, 3) == 0) pause_ms(rng_below(&rng, 4));
        TRY_OUT(c->ops->finish(c));
        TRY_OUT(c->ops->start(c, x->parts + first, x->count - first));
        TRY_OUT(c->ops->finish(c));
        TRY_OUT(c->ops->finish(c));
        TRY_OUT(verify(x, c, round));
        if (round % 4 == 3) TRY_OUT(c->ops->agree(c, ST_OK));
    }
out:
    free(x);
    return st;
}

static void exchanges(void **state)
{
    (void)state;
    for (int size = 1; size <= RANKS; size++) ok(run(size, 30, exchange_main, NULL));
}

/* ---- failures ------------------------------------------------------------ */

struct trial {
    int odd;              /* the rank that does not do what the others do */
    atomic_int told_peer; /* ranks that were told ST_PEER */
};

/* Hand one number to the next rank and take one from the one before. */
static status ring(struct comm *c)
{
    float out = (float)c->rank, in = (float)NAN;
    struct tensor const one = { .dtype = DT_F32, .ndim = 1, .dim = { 1 } };
    struct comm_part parts[] = {
        { .t = one, .peer = (c->rank + 1) % c->size, .send = true },
        { .t = one, .peer = (c->rank + c->size - 1) % c->size },
    };

    parts[0].t.data = &out;
    parts[1].t.data = &in;
    TRY(c->ops->start(c, parts, 2));
    TRY(c->ops->finish(c));
    if (!(in == (float)parts[1].peer)) return fail(ST_MISMATCH, "rank %d got %g", c->rank, in);
    return ST_OK;
}

static status abort_main(struct comm *c, void *arg)
{
    struct trial *const t = arg;
    uint64_t rng = seed + (uint64_t)(c->rank * 8 + t->odd);
    status st = ST_OK;

    if (c->rank == t->odd) {
        pause_ms(rng_below(&rng, 5));
        return fail(ST_IO, "rank %d has no disk", c->rank);
    }
    if ((c->rank + t->odd) % 2) st = c->ops->agree(c, ST_OK);
    else
        while (st == ST_OK) st = ring(c);
    if (st == ST_PEER) atomic_fetch_add(&t->told_peer, 1);
    return st;
}

static void abort_by_each(void **state)
{
    (void)state;
    for (int size = 2; size <= RANKS; size++)
        for (int odd = 0; odd < size; odd++) {
            struct trial t = { .odd = odd };
            char want[64];

            assert_int_equal(run(size, 30, abort_main, &t), ST_IO);
            snprintf(want, sizeof want, "rank %d has no disk", odd);
            assert_string_equal(error_last()->msg, want);
            assert_int_equal(t.told_peer, size - 1);
        }
}

/* The odd rank is somewhere else: whose deadline passes first is open. */
static status absent_main(struct comm *c, void *arg)
{
    struct trial *const t = arg;

    if (c->rank == t->odd) {
        status const st = c->ops->agree(c, ST_OK);
        return st != ST_OK ? st : fail(ST_MISMATCH, "agreed with nobody");
    }
    return ring(c);
}

static status absent_from_agree_main(struct comm *c, void *arg)
{
    struct trial *const t = arg;
    return c->rank == t->odd ? ring(c) : c->ops->agree(c, ST_OK);
}

/* The last failure's message is one of three. */
static void expect_message(const char *a, const char *b, const char *c)
{
    const char *const msg = error_last()->msg;
    bool const known = strstr(msg, a) || strstr(msg, b) || strstr(msg, c);

    if (!known) print_error("%s\n", msg);
    assert_true(known);
}

static void deadline_names_the_absent(void **state)
{
    struct trial t = { .odd = 1 };
    const char *const agrees = "agree: rank 0 waited 0.25 s for rank 1";
    const char *const both = "rank 1 waited 0.25 s for rank 0 to send 1 part, rank 0 to receive";

    (void)state;
    assert_int_equal(run(2, 0.25, absent_from_agree_main, &t), ST_COMM);
    expect_message(agrees, both, both);
    for (t.odd = 0; t.odd < 4; t.odd++) {
        char send[64], receive[64], agree[64];

        assert_int_equal(run(4, 0.25, absent_main, &t), ST_COMM);
        snprintf(send, sizeof send, " waited 0.25 s for rank %d to send 1 part", t.odd);
        snprintf(receive, sizeof receive, " waited 0.25 s for rank %d to receive 1 part", t.odd);
        snprintf(agree, sizeof agree, "agree: rank %d waited 0.25 s for", t.odd);
        expect_message(send, receive, agree);
    }
}

static status late_main(struct comm *c, void *arg)
{
    (void)arg;
    if (c->rank) pause_ms(60);
    return ring(c);
}

static void late_within_the_deadline(void **state)
{
    (void)state;
    assert_int_equal(run(3, 30, late_main, NULL), ST_OK);
}

/* ---- agree --------------------------------------------------------------- */

struct vote {
    status bring[3], get[3];
    status got[3];
};

static status vote_main(struct comm *c, void *arg)
{
    struct vote *const v = arg;
    status const mine = v->bring[c->rank];

    if (mine != ST_OK) (void)fail(mine, "own trouble");
    v->got[c->rank] = c->ops->agree(c, mine);
    if (mine != ST_OK && strcmp(error_last()->msg, "own trouble"))
        return fail(ST_MISMATCH, "agree took the record away");
    if (mine == ST_OK && v->got[c->rank] != ST_OK && !strstr(error_last()->msg, "own trouble"))
        return fail(ST_MISMATCH, "agree does not say why: %s", error_last()->msg);
    return ST_OK;
}

static void agree_tells_each_its_own(void **state)
{
    static const struct vote table[] = {
        { { ST_OK, ST_OK, ST_OK }, { ST_OK, ST_OK, ST_OK }, { 0 } },
        { { ST_OK, ST_IO, ST_OK }, { ST_PEER, ST_IO, ST_PEER }, { 0 } },
        { { ST_IO, ST_FORMAT, ST_OK }, { ST_IO, ST_FORMAT, ST_PEER }, { 0 } },
        { { ST_OK, ST_OK, ST_CANCELED }, { ST_CANCELED, ST_CANCELED, ST_CANCELED }, { 0 } },
        { { ST_OK, ST_IO, ST_CANCELED }, { ST_PEER, ST_IO, ST_CANCELED }, { 0 } },
        { { ST_OK, ST_PEER, ST_CANCELED }, { ST_PEER, ST_PEER, ST_CANCELED }, { 0 } },
        { { ST_IO, ST_IO, ST_IO }, { ST_IO, ST_IO, ST_IO }, { 0 } },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(table); i++) {
        struct vote v = table[i];
        ok(run(3, 30, vote_main, &v));
        for (int r = 0; r < 3; r++) assert_int_equal(v.got[r], v.get[r]);
    }
}

static status many_votes_main(struct comm *c, void *arg)
{
    (void)arg;
    for (int i = 0; i < 300; i++) {
        bool const mine = i % c->size == c->rank && i % 5 == 0;
        status const st = c->ops->agree(c, mine ? ST_IO : ST_OK);
        status const want = mine ? ST_IO : i % 5 == 0 ? ST_PEER : ST_OK;
        if (st != want) return fail(ST_MISMATCH, "vote %d: %s", i, status_name(st));
    }
    return ST_OK;
}

static void agree_many_times(void **state)
{
    (void)state;
    for (int size = 1; size <= RANKS; size++) ok(run(size, 30, many_votes_main, NULL));
}

/* ---- contract ------------------------------------------------------------ */

static status mismatch_main(struct comm *c, void *arg)
{
    float data[4] = { 0 };
    int64_t const n = c->rank ? 3 : 4;
    struct comm_part const part = {
        .t = { .data = data, .dtype = DT_F32, .ndim = 1, .dim = { n } },
        .peer = 1 - c->rank,
        .send = c->rank == 0,
    };

    (void)arg;
    TRY(c->ops->start(c, &part, 1));
    return c->ops->finish(c);
}

static void refusals(void **state)
{
    struct comm *group[2];
    struct comm_part part = { .peer = 0, .send = true };

    (void)state;
    assert_int_equal(comm_thread_open(group, 0, 1), ST_ARG);
    assert_int_equal(comm_thread_open(group, 1, 0), ST_ARG);
    assert_int_equal(comm_thread_open(group, 1, (double)NAN), ST_ARG);

    assert_int_equal(run(2, 30, mismatch_main, NULL), ST_ARG);
    assert_string_equal(error_last()->msg, "rank 1 receives F32 [3], rank 0 sends F32 [4]");

    assert_int_equal(comm_thread_open(group, 2, 1), ST_OK);
    group[0]->ops->close(&(struct comm *){ NULL });
    struct comm *const c = group[0];
    assert_int_equal(c->ops->start(c, &part, 1), ST_ARG); /* to itself */
    part.peer = 2;
    assert_int_equal(c->ops->start(c, &part, 1), ST_ARG);
    part.peer = -1;
    assert_int_equal(c->ops->start(c, &part, 1), ST_ARG);
    part.peer = 1;
    assert_int_equal(c->ops->start(c, &part, 1), ST_OK);
    assert_int_equal(c->ops->start(c, &part, 1), ST_ARG); /* the first is open */
    c->ops->abort(c);
    assert_int_equal(group[1]->ops->start(group[1], NULL, 0), ST_PEER);
    assert_int_equal(group[1]->ops->finish(group[1]), ST_OK);
    assert_int_equal(group[1]->ops->agree(group[1], ST_IO), ST_IO);
    for (int r = 0; r < 2; r++) group[r]->ops->close(&group[r]);
}

/* A sender that gives up may free its memory at once, though a peer copies. */
static status gives_up_main(struct comm *c, void *arg)
{
    int64_t const n = 1 << 20;
    float *const data = calloc((size_t)n, sizeof *data);
    struct comm_part parts[] = {
        { .t = { .data = data, .dtype = DT_F32, .ndim = 1, .dim = { n } }, .send = c->rank == 0 },
        { .t = { .data = data, .dtype = DT_F32, .ndim = 1, .dim = { 1 } } },
    };
    status st = ST_OK;

    (void)arg;
    parts[0].peer = parts[1].peer = 1 - c->rank;
    TRY_OUT(c->ops->start(c, parts, c->rank == 0 ? 1 : 2));
    if (c->rank == 0) {
        pause_ms(0.2);
        c->ops->abort(c);
        st = fail(ST_IO, "gave up");
    } else st = c->ops->finish(c);
out:
    free(data);
    return st;
}

static void memory_is_free_after_abort(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++) assert_int_equal(run(2, 30, gives_up_main, NULL), ST_IO);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchanges),
        cmocka_unit_test(abort_by_each),
        cmocka_unit_test(deadline_names_the_absent),
        cmocka_unit_test(late_within_the_deadline),
        cmocka_unit_test(agree_tells_each_its_own),
        cmocka_unit_test(agree_many_times),
        cmocka_unit_test(refusals),
        cmocka_unit_test(memory_is_free_after_abort),
    };

    seed = rng_seed(argc, argv);
    print_message("line_comm --seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests_name("line_comm", tests, NULL, NULL);
}
