/* comm_check_end.c - failures: what the others get to know, and that nobody hangs. */
#include "tests/comm/comm_checks.h"
#include "tests/support/rng.h"

#include <pthread.h>
#include <stdio.h>

const struct comm_check comm_checks[] = {
    { "exchange", check_exchange, 1, ST_OK, "", NULL },
    { "large", check_large, 2, ST_OK, "", NULL },
    { "gather", check_gather, 1, ST_OK, "", NULL },
    { "votes", check_votes, 3, ST_OK, "", NULL },
    { "many votes", check_many_votes, 1, ST_OK, "", NULL },
    { "agreed words", check_agreed_words, 1, ST_OK, "", NULL },
    { "groups", check_groups, 1, ST_OK, "", NULL },
    { "two threads", check_two_threads, 1, ST_OK, "", NULL },
    { "control messages", check_controls, 1, ST_OK, "", NULL },
    { "control overflow", check_controls_overflow, 1, ST_OK, "", NULL },
    { "refusals", check_refusals, 1, ST_OK, "", NULL },
    { "closed early", check_closed_early, 1, ST_OK, "", NULL },
    { "late", check_late, 1, ST_OK, "", NULL },
    { "stop", check_stop, 1, ST_OK, "", NULL },
    { .name = NULL },
};

bool check_says_why(const struct comm_check *check, int odd, char want[CHECK_TEXT])
{
    if (check->then) snprintf(want, CHECK_TEXT, "%s%d%s", check->why, odd, check->then);
    else snprintf(want, CHECK_TEXT, "%s", check->why);
    return strstr(error_last()->msg, want);
}

static status expect_peer(const struct comm *c, status st)
{
    if (st == ST_PEER) return st;
    return fail(ST_MISMATCH, "rank %d was told %s, not peer: %s", c->rank, status_name(st),
                error_last()->msg);
}

static status join_collective(struct comm *c, bool to_split)
{
    struct comm *none = NULL;
    return to_split ? comm_split(c, 0, &none) : comm_agree(c, ST_OK);
}

/* Wait in vain: in an exchange, a collective of the world, one of a group whose other
 * members are elsewhere. */
static status wait_in_vain(struct comm *c, struct comm *g, const struct comm_random_case *t)
{
    status st = ST_OK;

    if (c->rank % 3 == 0) return join_collective(c, t->odd % 2);
    if (c->rank % 3 == 1 && g->size > 1) return join_collective(g, c->rank % 6 == 1);
    while (st == ST_OK) st = check_ring(c);
    return st;
}

/* One rank fails while the others wait in every kind of call, in groups too. */
static status aborted_everywhere(struct comm *c, void *drawn)
{
    const struct comm_random_case *const t = drawn;
    struct comm *g = NULL;

    TRY(comm_split(c, c->rank == t->odd ? -1 : c->rank % 2, &g));
    if (c->rank == t->odd) {
        check_pause_ms(3);
        return fail(ST_IO, "rank %d has no disk", c->rank);
    }
    status st = expect_peer(c, wait_in_vain(c, g, t));
    if (st == ST_PEER && !comm_aborted(c)) st = fail(ST_MISMATCH, "aborted and not aborted");
    if (st == ST_PEER) st = expect_peer(c, comm_post(g, NULL, 0));
    comm_close(&g);
    return st;
}

static void *abort_soon(void *comm)
{
    struct comm *const c = comm;

    check_pause_ms(3);
    comm_abort(c);
    return NULL;
}

/* Another thread of the odd rank aborts while this one waits. */
static status aborted_by_thread(struct comm *c, void *drawn)
{
    const struct comm_random_case *const t = drawn;
    pthread_t thread;
    status st = ST_OK;

    if (c->rank == t->odd && pthread_create(&thread, NULL, abort_soon, c))
        return fail(ST_NOMEM, "a thread");
    while (st == ST_OK) st = c->rank % 2 ? check_ring(c) : comm_agree(c, ST_OK);
    if (c->rank == t->odd) pthread_join(thread, NULL);
    return st;
}

/* The odd rank is away; a rank alone in its wait says for whom it waited. */
static status away(struct comm *c, const struct comm_random_case *t)
{
    for (int i = 0; i < 400 && !comm_aborted(c); i++) check_pause_ms(5);
    if (comm_aborted(c)) return fail(ST_PEER, "rank %d was away", t->odd);
    return fail(ST_MISMATCH, "nobody missed rank %d", t->odd);
}

static status absent_from_agree(struct comm *c, void *drawn)
{
    const struct comm_random_case *const t = drawn;

    c->deadline_s = 0.25;
    return c->rank == t->odd ? away(c, t) : comm_agree(c, ST_OK);
}

static status absent_from_split(struct comm *c, void *drawn)
{
    const struct comm_random_case *const t = drawn;
    struct comm *none = NULL;

    c->deadline_s = 0.25;
    return c->rank == t->odd ? away(c, t) : comm_split(c, 0, &none);
}

static status absent_xfer(struct comm *c, const struct comm_random_case *t, bool send)
{
    float x = 0;
    struct comm_xfer const xfer = { .t = { &x, DT_F32, 1, { 1 } }, .peer = t->odd, .send = send };

    c->deadline_s = 0.25;
    if (c->rank == t->odd) return away(c, t);
    TRY(comm_post(c, &xfer, 1));
    return comm_wait(c);
}

static status absent_sender(struct comm *c, void *drawn) { return absent_xfer(c, drawn, false); }
static status absent_receiver(struct comm *c, void *drawn) { return absent_xfer(c, drawn, true); }

/* The odd rank sends less than the others receive, or another type. */
static status misfit(struct comm *c, const struct comm_random_case *t, struct tensor sent)
{
    float data[8] = { 0 };
    struct comm_xfer xfers[CHECK_RANKS];
    int count = 0;

    sent.data = data;
    for (int r = 0; r < c->size; r++) {
        if (r == c->rank || (c->rank != t->odd && r != t->odd)) continue;
        bool const send = c->rank == t->odd;
        struct tensor const whole = { data, DT_F32, 1, { 4 } };
        xfers[count++] = (struct comm_xfer){ .t = send ? sent : whole, .peer = r, .send = send };
    }
    TRY(comm_post(c, xfers, count));
    TRY(comm_wait(c));
    return comm_agree(c, ST_OK);
}

static status shorter(struct comm *c, void *drawn)
{
    return misfit(c, drawn, (struct tensor){ NULL, DT_F32, 1, { 3 } });
}

static status longer(struct comm *c, void *drawn)
{
    return misfit(c, drawn, (struct tensor){ NULL, DT_F32, 1, { 8 } });
}

static status other_type(struct comm *c, void *drawn)
{
    return misfit(c, drawn, (struct tensor){ NULL, DT_I32, 1, { 4 } });
}

/* A sender that gives up may free its memory at once, though a peer copies. */
static status gives_up(struct comm *c, void *drawn)
{
    const struct comm_random_case *const t = drawn;
    int64_t const n = 1 << 20;
    float *const data = calloc((size_t)n, sizeof *data);
    struct comm_xfer xfers[CHECK_RANKS];
    int count = 0;
    status st = data ? ST_OK : fail(ST_NOMEM, "gives up");

    TRY_OUT(st);
    for (int r = 0; r < c->size; r++)
        if (r != c->rank && (c->rank == t->odd || r == t->odd))
            xfers[count++] = (struct comm_xfer){ .t = { data, DT_F32, 1, { n } },
                                                 .peer = r,
                                                 .send = c->rank == t->odd };
    TRY_OUT(comm_post(c, xfers, count));
    if (c->rank == t->odd) {
        check_pause_ms(0.2);
        comm_abort(c);
        st = fail(ST_IO, "gave up");
    } else {
        st = comm_wait(c);
        if (st == ST_OK) st = comm_agree(c, ST_OK);
    }
out:
    free(data);
    return st;
}

/* Meetings of two kinds do not mix. */
static status different_collectives(struct comm *c, void *drawn)
{
    const struct comm_random_case *const t = drawn;
    struct comm *none = NULL;
    return c->rank == t->odd ? comm_split(c, 0, &none) : comm_agree(c, ST_OK);
}

const struct comm_check comm_endings[] = {
    { "abort", aborted_everywhere, 2, ST_IO, "rank ", " has no disk" },
    { "abort by a thread", aborted_by_thread, 2, ST_PEER, " stopped: rank ", " aborted" },
    { "absent from agree", absent_from_agree, 2, ST_COMM, "waited 0.25 s for rank ", "" },
    { "absent from split", absent_from_split, 2, ST_COMM, "waited 0.25 s for rank ", "" },
    { "absent sender", absent_sender, 2, ST_COMM, "waited 0.25 s for rank ", " to send 1 tensor" },
    { "absent receiver", absent_receiver, 2, ST_COMM, "waited 0.25 s for rank ",
      " to receive 1 tensor" },
    { "shorter", shorter, 2, ST_ARG, " receives F32 [4], rank ", " sends F32 [3]" },
    { "longer", longer, 2, ST_ARG, " receives F32 [4], rank ", " sends F32 [8]" },
    { "other type", other_type, 2, ST_ARG, " receives F32 [4], rank ", " sends I32 [4]" },
    { "gives up", gives_up, 2, ST_IO, "gave up", NULL },
    { "different collectives", different_collectives, 2, ST_ARG, "calls", NULL },
    { .name = NULL },
};
