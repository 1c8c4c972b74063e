/*
 * queue_lease.c - a world's lease, what it holds by it, and the clips of worlds that are no more.
 *
 * When no lease at all is in force, nobody is dead: the database was away, or its clock jumped. The
 * first to come back renews every lease (thaw), but none twice before its world is seen again: a
 * lone world that dies again and again would keep all its dead forerunners alive.
 */
#include "jobs/queue/queue_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum store_answer thaw_leases(struct queue *q)
{
    struct queue_numbers got = { 0 };

    TRY_STORE(queue_run(q, STATEMENT_thaw, VALUES(NUMBER(q->w.lease_ms)), row_first_column, &got));
    return got.n ? queue_note_event(q, 0, "thaw", "no lease was in force: all are renewed")
                 : STORE_OK;
}

static enum store_answer join_world(struct queue *q, void *arg)
{
    const struct queue_world *const w = &q->w;
    struct queue_numbers got = { 0 };

    (void)arg;
    TRY_STORE(thaw_leases(q));
    TRY_STORE(queue_run(q, STATEMENT_join,
                        VALUES(TEXT(w->nonce), TEXT(w->host), TEXT(w->place), NUMBER(w->pid),
                               NUMBER(w->pid_start), TEXT(w->launcher), NUMBER(w->mib),
                               NUMBER(w->lease_ms)),
                        row_first_column, &got));
    q->worker = got.v[0];
    return STORE_OK;
}

enum queue_answer queue_join(struct queue *q, const struct queue_world *w)
{
    q->w = *w;
    return queue_transact(q, join_world, NULL);
}

enum store_answer queue_stay_alive(struct queue *q, struct queue_alive *out)
{
    struct queue_numbers got = { 0 };

    TRY_STORE(thaw_leases(q));
    TRY_STORE(queue_run(q, STATEMENT_alive,
                        VALUES(NUMBER(q->worker), NUMBER(q->w.lease_ms), TEXT(q->group)),
                        row_all_columns, &got));
    if (got.n == 0)
        return queue_refuse(q, QUEUE_LOST,
                            "the lease of this world ran out, and its clips were given to others");
    *out = (struct queue_alive){ .drain = got.v[0] != 0, .blocked = got.v[1] != 0 };
    return STORE_OK;
}

/* ---- what a world holds ---- */

static struct queue_clip *find_mine(struct queue_holding *h, const struct store_row *r, int *at)
{
    for (int i = 0; i < h->n; i++) {
        struct queue_clip *const c = &h->mine[i];
        if (c->job != row_number(r, 0) || c->index != row_number(r, 1) ||
            c->attempt != row_number(r, 2))
            continue;
        *at = i;
        return c;
    }
    return NULL;
}

static void append_mine(struct queue_holding *h, const struct store_row *r)
{
    struct queue_clip c = { .job = row_number(r, 0),
                            .index = row_number(r, 1),
                            .attempt = row_number(r, 2),
                            .stop = row_number(r, 3) != 0,
                            .folder = strdup(r->text[5]),
                            .blocks = row_number(r, 6),
                            .blocks_done = -1 };

    snprintf(c.task, sizeof c.task, "%s", r->text[4]);
    snprintf(c.group, sizeof c.group, "%s", r->text[7]);
    h->no_memory = h->no_memory || !c.folder;
    if (!c.folder || h->n == QUEUE_HOLDS) {
        free(c.folder);
        return;
    }
    h->found[h->n] = true;
    h->mine[h->n++] = c;
}

static void get_mine(void *arg, const struct store_row *r)
{
    struct queue_holding *const h = arg;
    int at;

    if (h->rows++ == 0) snprintf(h->group, sizeof h->group, "%s", r->text[7]);
    struct queue_clip *const c = find_mine(h, r, &at);
    if (c) {
        c->stop = row_number(r, 3) != 0;
        h->found[at] = true;
    } else if (h->append) {
        append_mine(h, r);
    }
}

enum store_answer queue_read_holding(struct queue *q, struct queue_holding *h)
{
    memset(h->found, 0, sizeof h->found);
    h->rows = 0;
    return queue_run(q, STATEMENT_mine, VALUES(NUMBER(q->worker)), get_mine, h);
}

void queue_mark_lost(struct queue_clip *mine, int n, const struct queue_holding *h,
                     enum queue_answer a)
{
    for (int i = 0; i < n && (a == QUEUE_OK || a == QUEUE_LOST); i++)
        if (a == QUEUE_LOST || !h->found[i]) mine[i].lost = true;
}

struct beat {
    struct queue_holding h;
    struct queue_alive alive;
};

static enum store_answer renew_leases(struct queue *q, void *arg)
{
    struct beat *const b = arg;

    TRY_STORE(queue_stay_alive(q, &b->alive));
    if (q->answer != QUEUE_OK) return STORE_OK;
    for (int i = 0; i < b->h.n; i++) {
        const struct queue_clip *const c = &b->h.mine[i];
        if (c->blocks_done < 0 || c->lost) continue;
        TRY_STORE(queue_run(q, STATEMENT_progress,
                            VALUES(NUMBER(c->job), NUMBER(c->index), NUMBER(c->attempt),
                                   NUMBER(q->worker), NUMBER(c->blocks_done)),
                            NULL, NULL));
    }
    return queue_read_holding(q, &b->h);
}

enum queue_answer queue_beat(struct queue *q, struct queue_clip *mine, int n, bool *drain)
{
    struct beat b = { .h = { .mine = mine, .n = n } };

    *drain = false;
    q->quick = true;
    enum queue_answer const a = queue_transact(q, renew_leases, &b);
    queue_mark_lost(mine, n, &b.h, a);
    if (a == QUEUE_OK) *drain = b.alive.drain;
    return a;
}

/* ---- worlds that are no more ---- */

enum store_answer queue_settle_job(struct queue *q, int64_t job)
{
    struct queue_numbers got = { 0 };

    TRY_STORE(queue_run(q, STATEMENT_give_up, VALUES(NUMBER(job)), row_first_column, &got));
    if (got.n)
        TRY_STORE(queue_note_event(q, job, "given-up", "more clips failed than run.max_failed"));
    got.n = 0;
    TRY_STORE(queue_run(q, STATEMENT_close, VALUES(NUMBER(job)), row_first_column, &got));
    if (got.n == 0) return STORE_OK;
    TRY_STORE(queue_note_event(q, job, "closed", queue_state_name((enum queue_state)got.v[0])));
    return queue_run(q, STATEMENT_notify, NO_VALUES, NULL, NULL); /* for jobs that wait for it */
}

/* The clips of all worlds that left or are gone. */
static enum store_answer free_orphans(struct queue *q)
{
    struct queue_numbers jobs = { 0 };

    TRY_STORE(queue_run(q, STATEMENT_orphan_jobs, NO_VALUES, row_first_column, &jobs));
    TRY_STORE(queue_run(q, STATEMENT_orphans, NO_VALUES, NULL, NULL));
    TRY_STORE(queue_run(q, STATEMENT_orphan_attempts, NO_VALUES, NULL, NULL));
    for (int i = 0; i < jobs.n; i++) TRY_STORE(queue_settle_job(q, jobs.v[i]));
    return STORE_OK;
}

int64_t queue_pid_start(int64_t pid)
{
    char path[64], text[1024];
    int64_t start = 0;

    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    FILE *const f = fopen(path, "r");
    if (!f) return 0;
    const char *p = fgets(text, sizeof text, f) ? strrchr(text, ')') : NULL;
    if (p && p[1] == ' ' && p[2] != 'Z' && p[2] != 'X') {
        int field = 2; /* the name's; the start is the 22nd */
        for (p++; *p && field < 22; p++) field += *p == ' ';
        start = strtoll(p, NULL, 10);
    }
    fclose(f);
    return start;
}

struct neighbours {
    int n;
    int64_t dead[QUEUE_NUMBERS];
};

static void get_dead(void *arg, const struct store_row *r)
{
    struct neighbours *const d = arg;
    if (d->n < QUEUE_NUMBERS && queue_pid_start(row_number(r, 1)) != row_number(r, 2))
        d->dead[d->n++] = row_number(r, 0);
}

static enum store_answer reap_worlds(struct queue *q, void *arg)
{
    const struct neighbours *const d = arg;
    struct queue_numbers gone = { 0 };
    struct queue_alive alive;
    char text[64];

    TRY_STORE(queue_stay_alive(q, &alive)); /* thaws first: after an outage none is dead */
    if (q->answer != QUEUE_OK) return STORE_OK;
    for (int i = 0; i < d->n; i++)
        TRY_STORE(queue_run(q, STATEMENT_expire, VALUES(NUMBER(d->dead[i])), NULL, NULL));
    TRY_STORE(queue_run(q, STATEMENT_reap_workers, NO_VALUES, row_first_column, &gone));
    for (int i = 0; i < gone.n; i++) {
        snprintf(text, sizeof text, "world %lld", (long long)gone.v[i]);
        TRY_STORE(queue_note_event(q, 0, "lost", text));
    }
    return free_orphans(q);
}

enum queue_answer queue_reap(struct queue *q)
{
    struct queue_numbers overdue = { 0 };
    struct neighbours d = { 0 };
    enum queue_answer a = queue_look(q, STATEMENT_overdue, NO_VALUES, row_first_column, &overdue);

    if (a == QUEUE_OK && *q->w.place)
        a = queue_look(q, STATEMENT_neighbours, VALUES(TEXT(q->w.place), NUMBER(q->worker)),
                       get_dead, &d);
    if (a != QUEUE_OK || (!overdue.v[0] && !d.n)) return a;
    return queue_transact(q, reap_worlds, &d);
}

static enum store_answer leave_queue(struct queue *q, void *arg)
{
    struct queue_numbers got = { 0 };

    (void)arg;
    TRY_STORE(queue_run(q, STATEMENT_leave, VALUES(NUMBER(q->worker)), row_first_column, &got));
    return got.n ? free_orphans(q) : STORE_OK;
}

enum queue_answer queue_leave(struct queue *q)
{
    return q->worker ? queue_transact(q, leave_queue, NULL) : QUEUE_OK;
}
