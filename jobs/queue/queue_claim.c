/*
 * queue_claim.c - clips for a world.
 *
 * Dead worlds are reaped first, in a transaction of their own: inside the claim's, jobs would be
 * locked in the wrong order. Then the best job is locked and looked at again - what was read before
 * waiting for the lock may be old - and clips are taken, up to what is wanted. The answer is read
 * after the commit and is all that the world holds: a claim whose answer was lost needs no repair.
 */
#include "jobs/queue/queue_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct claim {
    struct queue_alive alive;
    const char *group; /* the caller's */
    int hold;
    enum queue_claimed what;
};

struct pick {
    int64_t job;
    char group[QUEUE_GROUP];
};

static void get_pick(void *arg, const struct store_row *r)
{
    struct pick *const p = arg;
    p->job = row_number(r, 0);
    snprintf(p->group, sizeof p->group, "%s", r->text[1]);
}

static enum store_answer find_later(struct queue *q, struct claim *k)
{
    struct queue_numbers got = { 0 };

    TRY_STORE(queue_run(q, STATEMENT_later, VALUES(NUMBER(q->w.mib)), row_first_column, &got));
    k->what = got.v[0] ? QUEUE_LATER : QUEUE_EMPTY;
    return STORE_OK;
}

static enum store_answer take_from(struct queue *q, const struct pick *p, int most, bool *taken)
{
    struct queue_numbers got = { 0 };

    *taken = false;
    TRY_STORE(queue_run(q, STATEMENT_pick_again, VALUES(NUMBER(q->worker), NUMBER(p->job)),
                        row_first_column, &got));
    if (got.n == 0) return STORE_OK;
    got.n = 0;
    TRY_STORE(queue_run(q, STATEMENT_take,
                        VALUES(NUMBER(q->worker), NUMBER(p->job), NUMBER(most), TEXT(q->w.host)),
                        row_first_column, &got));
    if (got.n == 0) return STORE_OK;
    *taken = true;
    snprintf(q->group, sizeof q->group, "%s", p->group);
    return queue_run(q, STATEMENT_take_attempts, VALUES(NUMBER(q->worker), TEXT(q->w.host)), NULL,
                     NULL);
}

static enum store_answer take_clips(struct queue *q, struct claim *k, const char *group, int have)
{
    for (int tries = 0; tries < 4; tries++) {
        struct pick p = { 0 };
        bool taken;

        TRY_STORE(
            queue_run(q, STATEMENT_pick,
                      VALUES(NUMBER(q->worker), TEXT(group), TEXT(q->w.host), NUMBER(q->w.mib)),
                      get_pick, &p));
        if (!p.job) return find_later(q, k);
        k->what = QUEUE_OTHER_GROUP;
        if (have > 0 && strcmp(p.group, group) != 0) return STORE_OK;
        TRY_STORE(take_from(q, &p, k->hold - have, &taken));
        k->what = QUEUE_CLAIMED;
        if (taken) return STORE_OK;
    }
    k->what = QUEUE_LATER;
    return STORE_OK;
}

static enum store_answer claim_clips(struct queue *q, void *arg)
{
    struct claim *const k = arg;
    struct queue_holding before = { 0 };

    TRY_STORE(queue_stay_alive(q, &k->alive));
    if (q->answer != QUEUE_OK) return STORE_OK;
    TRY_STORE(queue_read_holding(q, &before));
    k->what = k->alive.drain ? QUEUE_DRAIN : k->alive.blocked ? QUEUE_BLOCKED : QUEUE_CLAIMED;
    if (k->what != QUEUE_CLAIMED || before.rows >= k->hold) return STORE_OK;
    return take_clips(q, k, before.rows ? before.group : k->group, before.rows);
}

enum queue_answer queue_claim(struct queue *q, const char *group, int hold, struct queue_clip *mine,
                              int *n, enum queue_claimed *what)
{
    struct claim k = { .group = group, .hold = hold < QUEUE_HOLDS ? hold : QUEUE_HOLDS };
    struct queue_holding h = { .mine = mine, .n = *n, .append = true };
    int const known = *n;
    enum queue_answer a = queue_reap(q);

    *what = QUEUE_EMPTY;
    if (a == QUEUE_OK) a = queue_transact(q, claim_clips, &k);
    if (a == QUEUE_OK) a = queue_answered(q, queue_read_holding(q, &h));
    *n = h.n;
    queue_mark_lost(mine, known, &h, a);
    if (a == QUEUE_OK && h.no_memory) {
        snprintf(q->error, sizeof q->error, "no memory for a clip");
        return QUEUE_DOWN;
    }
    if (a == QUEUE_OK) *what = k.what;
    return a;
}

/* ---- what the world renders ---- */

static void get_spec(void *arg, const struct store_row *r) { *(char **)arg = strdup(r->text[0]); }

enum queue_answer queue_job_spec(struct queue *q, int64_t job, char **spec)
{
    *spec = NULL;
    enum queue_answer const a =
        queue_look(q, STATEMENT_job_spec, VALUES(NUMBER(job)), get_spec, spec);
    if (a != QUEUE_OK || *spec) return a;
    snprintf(q->error, sizeof q->error, "job %lld is not in the queue", (long long)job);
    return QUEUE_LOST;
}
