/* comm_check_control.c - control messages, stop, refusals. */
#include "base/clock.h"
#include "tests/comm/comm_checks.h"
#include "tests/support/rng.h"

enum { CONTROLS = 40 };

static struct comm_control numbered(int from, int to, int64_t n)
{
    return (struct comm_control){ .kind = n,
                                  .value = { from, to, n * n, -n, INT64_MAX, INT64_MIN } };
}

/* The next control message, within the deadline. */
static status await_control(struct comm *c, struct comm_control *control, int *from)
{
    double const begun = clock_seconds();

    while (!comm_poll_control(c, control, from)) {
        if (clock_seconds() - begun > c->deadline_s)
            return fail(ST_COMM, "rank %d heard nothing", c->rank);
        check_pause_ms(0.2);
    }
    return ST_OK;
}

/* All to all and to themselves: none is lost, each sender's in order. */
status check_controls(struct comm *c, void *drawn)
{
    int64_t next[CHECK_RANKS] = { 0 };

    (void)drawn;
    for (int n = 0; n < CONTROLS; n++)
        for (int peer = 0; peer < c->size; peer++) {
            struct comm_control const control = numbered(c->rank, peer, n);
            TRY(comm_send_control(c, peer, &control));
        }
    for (int n = 0; n < CONTROLS * c->size; n++) {
        struct comm_control control;
        int from = -1;

        TRY(await_control(c, &control, &from));
        if (from < 0 || from >= c->size)
            return fail(ST_MISMATCH, "a control message of rank %d", from);
        struct comm_control const want = numbered(from, c->rank, next[from]++);
        if (memcmp(&control, &want, sizeof control))
            return fail(ST_MISMATCH, "control message %lld of rank %d instead of %lld",
                        (long long)control.kind, from, (long long)want.kind);
    }
    return comm_agree(c, ST_OK);
}

/* Rank 0 leaves the last one more than there is room for: the newest are heard. */
status check_controls_overflow(struct comm *c, void *drawn)
{
    enum { ALL = COMM_CONTROLS + 300 };
    int const ear = c->size - 1;
    int64_t heard = 0, last = -1;

    (void)drawn;
    for (int64_t n = 0; c->rank == 0 && n < ALL; n++) {
        struct comm_control const control = numbered(0, ear, n);
        TRY(comm_send_control(c, ear, &control));
    }
    TRY(comm_agree(c, ST_OK));
    while (c->rank == ear && last < ALL - 1) {
        struct comm_control control;
        int from = -1;

        TRY(await_control(c, &control, &from));
        if (from != 0 || control.kind <= last ||
            (heard && last >= ALL - COMM_CONTROLS && control.kind != last + 1))
            return fail(ST_MISMATCH, "control message %lld after %lld", (long long)control.kind,
                        (long long)last);
        heard += control.kind >= ALL - COMM_CONTROLS;
        last = control.kind;
    }
    if (c->rank == ear && heard != COMM_CONTROLS)
        return fail(ST_MISMATCH, "%lld of the last %d notes", (long long)heard, COMM_CONTROLS);
    return comm_agree(c, ST_OK);
}

static status refused(status got, const char *words)
{
    if (got == ST_ARG && strstr(error_last()->msg, words)) return ST_OK;
    return fail(ST_MISMATCH, "%s, %s; not arg and %s", status_name(got), error_last()->msg, words);
}

status check_refusals(struct comm *c, void *drawn)
{
    float x = 0;
    struct comm_xfer xfer = { .t = { &x, DT_F32, 1, { 1 } }, .peer = c->rank, .send = true };
    struct comm_control const control = { 0 };
    struct comm *g = NULL, *none = NULL;

    (void)drawn;
    comm_close(&none);
    TRY(refused(comm_post(c, &xfer, 1), "names"));
    xfer.peer = c->size;
    TRY(refused(comm_post(c, &xfer, 1), "names"));
    xfer.peer = -1;
    TRY(refused(comm_post(c, &xfer, 1), "names"));
    TRY(refused(comm_post(c, &xfer, -1), "-1 transfers"));
    TRY(refused(comm_send_control(c, c->size, &control), "peer"));
    TRY(refused(comm_send_control(c, -1, &control), "peer"));
    TRY(refused(comm_split(c, -2, &g), "colour -2"));
    TRY(comm_split(c, 0, &g));
    status st = refused(comm_send_control(g, 0, &control), "not the world");
    if (st == ST_OK && comm_poll_control(g, &(struct comm_control){ 0 }, &(int){ 0 }))
        st = fail(ST_MISMATCH, "a group has control messages");
    if (st == ST_OK) st = comm_post(g, NULL, 0);
    if (st == ST_OK) st = refused(comm_post(g, NULL, 0), "has not waited");
    if (st == ST_OK) st = comm_wait(g);
    comm_close(&g);
    return st;
}

status check_late(struct comm *c, void *drawn)
{
    const struct comm_random_case *const t = drawn;

    if (c->rank) check_pause_ms(60.0 / t->haste);
    TRY(check_ring(c));
    if (c->rank == c->size / 2) check_pause_ms(30.0 / t->haste);
    return comm_agree(c, ST_OK);
}

status check_stop(struct comm *c, void *drawn)
{
    const struct comm_random_case *const t = drawn;
    double const begun = clock_seconds();

    if (comm_stopped(c)) return fail(ST_MISMATCH, "stopped by nobody");
    TRY(comm_agree(c, ST_OK));
    if (c->rank == t->odd) comm_stop(c);
    while (!comm_stopped(c)) {
        if (clock_seconds() - begun > c->deadline_s)
            return fail(ST_MISMATCH, "rank %d was not told to stop", c->rank);
        check_pause_ms(0.5);
    }
    TRY(check_ring(c));
    return comm_agree(c, ST_OK);
}
