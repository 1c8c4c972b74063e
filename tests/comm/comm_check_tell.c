/* comm_check_tell.c - notes, stop, refusals. */
#include "base/clock.h"
#include "tests/comm/comm_checks.h"
#include "tests/support/rng.h"

enum { NOTES = 40 };

static struct comm_note numbered(int from, int to, int64_t n)
{
    return (struct comm_note){ .kind = n, .value = { from, to, n * n, -n, INT64_MAX, INT64_MIN } };
}

/* The next note, within the deadline. */
static status await(struct comm *c, struct comm_note *note, int *from)
{
    double const begun = clock_seconds();

    while (!c->ops->hear(c, note, from)) {
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
            struct comm_note const note = numbered(c->rank, peer, n);
            TRY(c->ops->note(c, peer, &note));
        }
    for (int n = 0; n < NOTES * c->size; n++) {
        struct comm_note note;
        int from = -1;

        TRY(await(c, &note, &from));
        if (from < 0 || from >= c->size) return fail(ST_MISMATCH, "a note of rank %d", from);
        struct comm_note const want = numbered(from, c->rank, next[from]++);
        if (memcmp(&note, &want, sizeof note))
            return fail(ST_MISMATCH, "note %lld of rank %d instead of %lld", (long long)note.kind,
                        from, (long long)want.kind);
    }
    return c->ops->agree(c, ST_OK);
}

/* Rank 0 leaves the last one more than there is room for: the newest are heard. */
status check_notes_overflow(struct comm *c, void *trial)
{
    enum { ALL = COMM_NOTES + 300 };
    int const ear = c->size - 1;
    int64_t heard = 0, last = -1;

    (void)trial;
    for (int64_t n = 0; c->rank == 0 && n < ALL; n++) {
        struct comm_note const note = numbered(0, ear, n);
        TRY(c->ops->note(c, ear, &note));
    }
    TRY(c->ops->agree(c, ST_OK));
    while (c->rank == ear && last < ALL - 1) {
        struct comm_note note;
        int from = -1;

        TRY(await(c, &note, &from));
        if (from != 0 || note.kind <= last ||
            (heard && last >= ALL - COMM_NOTES && note.kind != last + 1))
            return fail(ST_MISMATCH, "note %lld after %lld", (long long)note.kind, (long long)last);
        heard += note.kind >= ALL - COMM_NOTES;
        last = note.kind;
    }
    if (c->rank == ear && heard != COMM_NOTES)
        return fail(ST_MISMATCH, "%lld of the last %d notes", (long long)heard, COMM_NOTES);
    return c->ops->agree(c, ST_OK);
}

static status refused(status got, const char *part)
{
    if (got == ST_ARG && strstr(error_last()->msg, part)) return ST_OK;
    return fail(ST_MISMATCH, "%s, %s; not arg and %s", status_name(got), error_last()->msg, part);
}

status check_refusals(struct comm *c, void *trial)
{
    float x = 0;
    struct comm_part part = { .t = { &x, DT_F32, 1, { 1 } }, .peer = c->rank, .send = true };
    struct comm_note const note = { 0 };
    struct comm *g = NULL, *none = NULL;

    (void)trial;
    c->ops->close(&none);
    TRY(refused(c->ops->start(c, &part, 1), "names"));
    part.peer = c->size;
    TRY(refused(c->ops->start(c, &part, 1), "names"));
    part.peer = -1;
    TRY(refused(c->ops->start(c, &part, 1), "names"));
    TRY(refused(c->ops->start(c, &part, -1), "-1 parts"));
    TRY(refused(c->ops->note(c, c->size, &note), "peer"));
    TRY(refused(c->ops->note(c, -1, &note), "peer"));
    TRY(refused(c->ops->split(c, -2, &g), "colour -2"));
    TRY(c->ops->split(c, 0, &g));
    status st = refused(g->ops->note(g, 0, &note), "not the world");
    if (st == ST_OK && g->ops->hear(g, &(struct comm_note){ 0 }, &(int){ 0 }))
        st = fail(ST_MISMATCH, "a group has notes");
    if (st == ST_OK) st = g->ops->start(g, NULL, 0);
    if (st == ST_OK) st = refused(g->ops->start(g, NULL, 0), "has not finished");
    if (st == ST_OK) st = g->ops->finish(g);
    g->ops->close(&g);
    return st;
}

status check_late(struct comm *c, void *trial)
{
    const struct comm_trial *const t = trial;

    if (c->rank) check_pause_ms(60.0 / t->haste);
    TRY(check_ring(c));
    if (c->rank == c->size / 2) check_pause_ms(30.0 / t->haste);
    return c->ops->agree(c, ST_OK);
}

status check_stop(struct comm *c, void *trial)
{
    const struct comm_trial *const t = trial;
    double const begun = clock_seconds();

    if (c->ops->stopped(c)) return fail(ST_MISMATCH, "stopped by nobody");
    TRY(c->ops->agree(c, ST_OK));
    if (c->rank == t->odd) c->ops->stop(c);
    while (!c->ops->stopped(c)) {
        if (clock_seconds() - begun > c->deadline_s)
            return fail(ST_MISMATCH, "rank %d was not told to stop", c->rank);
        check_pause_ms(0.5);
    }
    TRY(check_ring(c));
    return c->ops->agree(c, ST_OK);
}
