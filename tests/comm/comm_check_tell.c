/* comm_check_tell.c - notes, stop, refusals. */
#include "base/clock.h"
#include "tests/comm/comm_checks.h"
#include "tests/support/rng.h"

enum { NOTES = 40 };

static struct comm_control numbered(int from, int to, int64_t n)
{
    return (struct comm_control){ .kind = n,
                                  .value = { from, to, n * n, -n, INT64_MAX, INT64_MIN } };
}

/* The next note, within the deadline. */
static status await(struct comm *c, struct comm_control *note, int *from)
{
    double const begun = clock_seconds();

    while (!comm_poll_control(c, note, from)) {
        if (clock_seconds() - begun > c->deadline_s)
            return fail(ST_COMM, "rank %d heard nothing", c->rank);
        check_pause_ms(0.2);
    }
    return ST_OK;
}

/* All to all and to themselves: none is lost, each sender's in order. */
status check_notes(struct comm *c, void *trial)
{
    int64_t next[CHECK_RANKS] = { 0 };

    (void)trial;
    for (int n = 0; n < NOTES; n++)
        for (int peer = 0; peer < c->size; peer++) {
            struct comm_control const note = numbered(c->rank, peer, n);
            TRY(comm_send_control(c, peer, &note));
        }
    for (int n = 0; n < NOTES * c->size; n++) {
        struct comm_control note;
        int from = -1;

        TRY(await(c, &note, &from));
        if (from < 0 || from >= c->size) return fail(ST_MISMATCH, "a note of rank %d", from);
        struct comm_control const want = numbered(from, c->rank, next[from]++);
        if (memcmp(&note, &want, sizeof note))
            return fail(ST_MISMATCH, "note %lld of rank %d instead of %lld", (long long)note.kind,
                        from, (long long)want.kind);
    }
    return comm_agree(c, ST_OK);
}

/* Rank 0 leaves the last one more than there is room for: the newest are heard. */
status check_notes_overflow(struct comm *c, void *trial)
{
    enum { ALL = COMM_CONTROLS + 300 };
    int const ear = c->size - 1;
    int64_t heard = 0, last = -1;

    (void)trial;
    for (int64_t n = 0; c->rank == 0 && n < ALL; n++) {
        struct comm_control const note = numbered(0, ear, n);
        TRY(comm_send_control(c, ear, &note));
    }
    TRY(comm_agree(c, ST_OK));
    while (c->rank == ear && last < ALL - 1) {
        struct comm_control note;
        int from = -1;

        TRY(await(c, &note, &from));
        if (from != 0 || note.kind <= last ||
            (heard && last >= ALL - COMM_CONTROLS && note.kind != last + 1))
            return fail(ST_MISMATCH, "note %lld after %lld", (long long)note.kind, (long long)last);
        heard += note.kind >= ALL - COMM_CONTROLS;
        last = note.kind;
    }
    if (c->rank == ear && heard != COMM_CONTROLS)
        return fail(ST_MISMATCH, "%lld of the last %d notes", (long long)heard, COMM_CONTROLS);
    return comm_agree(c, ST_OK);
}

static status refused(status got, const char *part)
{
    if (got == ST_ARG && strstr(error_last()->msg, part)) return ST_OK;
    return fail(ST_MISMATCH, "%s, %s; not arg and %s", status_name(got), error_last()->msg, part);
}

status check_refusals(struct comm *c, void *trial)
{
    float x = 0;
    struct comm_xfer part = { .t = { &x, DT_F32, 1, { 1 } }, .peer = c->rank, .send = true };
    struct comm_control const note = { 0 };
    struct comm *g = NULL, *none = NULL;

    (void)trial;
    comm_close(&none);
    TRY(refused(comm_post(c, &part, 1), "names"));
    part.peer = c->size;
    TRY(refused(comm_post(c, &part, 1), "names"));
    part.peer = -1;
    TRY(refused(comm_post(c, &part, 1), "names"));
    TRY(refused(comm_post(c, &part, -1), "-1 transfers"));
    TRY(refused(comm_send_control(c, c->size, &note), "peer"));
    TRY(refused(comm_send_control(c, -1, &note), "peer"));
    TRY(refused(comm_split(c, -2, &g), "colour -2"));
    TRY(comm_split(c, 0, &g));
    status st = refused(comm_send_control(g, 0, &note), "not the world");
    if (st == ST_OK && comm_poll_control(g, &(struct comm_control){ 0 }, &(int){ 0 }))
        st = fail(ST_MISMATCH, "a group has notes");
    if (st == ST_OK) st = comm_post(g, NULL, 0);
    if (st == ST_OK) st = refused(comm_post(g, NULL, 0), "has not waited");
    if (st == ST_OK) st = comm_wait(g);
    comm_close(&g);
    return st;
}

status check_late(struct comm *c, void *trial)
{
    const struct comm_trial *const t = trial;

    if (c->rank) check_pause_ms(60.0 / t->haste);
    TRY(check_ring(c));
    if (c->rank == c->size / 2) check_pause_ms(30.0 / t->haste);
    return comm_agree(c, ST_OK);
}

status check_stop(struct comm *c, void *trial)
{
    const struct comm_trial *const t = trial;
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
