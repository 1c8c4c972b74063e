/*
 * queue.c - opening a queue, and its transactions: the protocol is the same for both stores.
 *
 * A transaction that lost a race (deadlock, busy) is made again; one whose connection was lost once
 * more, and then the answer is QUEUE_DOWN. Whether a lost COMMIT took place is never asked: every
 * call may be repeated.
 */
#include "jobs/queue/queue_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *queue_error(const struct queue *q) { return q ? q->error : "no memory"; }

const char *queue_end_name(enum queue_end e)
{
    static const char *const name[] = { "done", "spec",   "error",   "crash",
                                        "host", "unable", "preempt", "cancel" };
    return name[e];
}

const char *queue_state_name(enum queue_state s)
{
    static const char *const name[] = { "ready", "running", "done", "failed", "canceled" };
    return (unsigned)s < COUNT_OF(name) ? name[s] : "unknown";
}

void queue_clip_free(struct queue_clip *clip)
{
    free(clip->folder);
    clip->folder = NULL;
}

/* ---- rows ---- */

int64_t row_number(const struct store_row *r, int column)
{
    return strtoll(r->text[column], NULL, 10);
}

void row_first_column(void *arg, const struct store_row *r)
{
    struct queue_numbers *const to = arg;
    if (to->n < QUEUE_NUMBERS) to->v[to->n++] = row_number(r, 0);
}

void row_all_columns(void *arg, const struct store_row *r)
{
    struct queue_numbers *const to = arg;
    for (to->n = 0; to->n < r->n; to->n++) to->v[to->n] = row_number(r, to->n);
}

/* ---- transactions ---- */

enum store_answer queue_run(struct queue *q, enum statement id, const struct store_value *value,
                            int n, store_row_fn each, void *arg)
{
    return q->s->ops->run(q->s, id, value, n, each, arg);
}

enum queue_answer queue_answered(struct queue *q, enum store_answer a)
{
    if (a == STORE_OK) return q->answer;
    snprintf(q->error, sizeof q->error, "%s", q->s->error);
    return a == STORE_BAD ? QUEUE_REFUSED : QUEUE_DOWN;
}

enum store_answer queue_refuse(struct queue *q, enum queue_answer a, const char *why)
{
    q->answer = a;
    snprintf(q->error, sizeof q->error, "%s", why);
    return STORE_OK;
}

static void wait_a_little(int tries)
{
    struct timespec const t = { 0, (1 + tries) * (5 + rand() % 20) * 1000000L };
    nanosleep(&t, NULL);
}

enum queue_answer queue_transact(struct queue *q, enum store_answer (*work)(struct queue *, void *),
                                 void *arg)
{
    enum store_answer a = STORE_OK;

    for (int tries = 0, down = 0; tries < 8; tries++) {
        q->answer = QUEUE_OK;
        a = q->s->ops->begin(q->s, !q->quick);
        if (a == STORE_OK) a = work(q, arg);
        if (a == STORE_OK && q->answer == QUEUE_OK) a = q->s->ops->commit(q->s);
        if (a == STORE_OK && q->answer == QUEUE_OK) break;
        q->s->ops->rollback(q->s);
        if (a == STORE_OK || a == STORE_BAD || (a == STORE_DOWN && down++ > 0)) break;
        wait_a_little(tries);
    }
    q->quick = false;
    return queue_answered(q, a);
}

enum queue_answer queue_look(struct queue *q, enum statement id, const struct store_value *value,
                             int n, store_row_fn each, void *arg)
{
    q->answer = QUEUE_OK;
    return queue_answered(q, queue_run(q, id, value, n, each, arg));
}

enum store_answer queue_note_event(struct queue *q, int64_t job, const char *kind, const char *text)
{
    return queue_run(q, STATEMENT_event,
                     VALUES(NUMBER(job), NUMBER(q->worker), TEXT(kind), TEXT(text)), NULL, NULL);
}

/* ---- opening ---- */

struct opening {
    bool make, any_version;
    int version;
};

static void get_version(void *arg, const struct store_row *r)
{
    *(int *)arg = (int)row_number(r, 0);
}

static enum store_answer check_tables(struct queue *q, void *arg)
{
    struct opening *const o = arg;
    bool have;

    TRY_STORE(q->s->ops->has_tables(q->s, &have));
    if (!have && !o->make)
        return queue_refuse(q, QUEUE_REFUSED, "there is no queue; `rollmill queue make` makes one");
    if (!have) TRY_STORE(q->s->ops->make_tables(q->s));
    o->version = 0;
    TRY_STORE(queue_run(q, STATEMENT_version, NO_VALUES, get_version, &o->version));
    if (o->version > QUEUE_SCHEMA)
        return queue_refuse(q, QUEUE_REFUSED, "the queue is of a newer version of this program");
    if (o->version < QUEUE_SCHEMA && !o->any_version)
        return queue_refuse(q, QUEUE_REFUSED,
                            "the queue is of an older version: `rollmill queue upgrade`");
    return STORE_OK;
}

static const char *after_scheme(const char *url, const char *scheme)
{
    size_t const n = strlen(scheme);
    return strncmp(url, scheme, n) ? NULL : url + n;
}

static bool is_postgres(const char *url)
{
    return after_scheme(url, "postgresql://") || after_scheme(url, "postgres://");
}

static enum queue_answer open_store(struct queue *q, const char *url, struct opening *o)
{
    const char *const path = after_scheme(url, "sqlite:");
    enum store_answer a;

    if (path && *path) a = store_sqlite_open(&q->s, path, o->make);
    else if (is_postgres(url)) a = store_postgres_open(&q->s, url);
    else {
        snprintf(q->error, sizeof q->error,
                 "found \"%.*s\"; allowed: sqlite:PATH or postgresql://...", (int)strcspn(url, ":"),
                 url);
        return QUEUE_REFUSED;
    }
    if (!q->s) return QUEUE_REFUSED;
    /* Whoever only looks waits for no writer: one may be stopped inside a transaction. */
    if (a == STORE_OK && !o->make) a = check_tables(q, o);
    enum queue_answer const got =
        a == STORE_OK && o->make ? queue_transact(q, check_tables, o) : queue_answered(q, a);
    return got == QUEUE_DOWN ? QUEUE_REFUSED : got;
}

static enum queue_answer open_with(struct queue **out, const char *url, struct opening *o)
{
    struct queue *const q = calloc(1, sizeof *q);

    *out = q;
    return q ? open_store(q, url, o) : QUEUE_REFUSED;
}

enum queue_answer queue_open(struct queue **q, const char *url, bool make)
{
    struct opening o = { .make = make };
    return open_with(q, url, &o);
}

/* What brings the tables from a version to the next. */
static const struct upgrade_step {
    int from;
    enum statement statement;
} upgrade_steps[] = {
    { 1, STATEMENT_upgrade_pictures },
    { 1, STATEMENT_upgrade_video },
    { 1, STATEMENT_upgrade_entered },
    { 1, STATEMENT_upgrade_ended },
};

/* The version is read once more: another may have upgraded meanwhile. */
static enum store_answer upgrade_tables(struct queue *q, void *arg)
{
    struct opening *const o = arg;
    char why[80];

    TRY_STORE(check_tables(q, o));
    if (q->answer != QUEUE_OK || o->version == QUEUE_SCHEMA) return STORE_OK;
    if (o->version < 1) {
        snprintf(why, sizeof why, "version %d of the tables is unknown; allowed: 1 to %d",
                 o->version, QUEUE_SCHEMA);
        return queue_refuse(q, QUEUE_REFUSED, why);
    }
    for (int i = 0; i < COUNT_OF(upgrade_steps); i++)
        if (upgrade_steps[i].from >= o->version)
            TRY_STORE(queue_run(q, upgrade_steps[i].statement, NO_VALUES, NULL, NULL));
    return queue_run(q, STATEMENT_upgrade_version, VALUES(NUMBER(QUEUE_SCHEMA)), NULL, NULL);
}

enum queue_answer queue_upgrade(struct queue **q, const char *url, int *from)
{
    struct opening o = { .any_version = true };
    enum queue_answer a = open_with(q, url, &o);

    if (a == QUEUE_OK && o.version != QUEUE_SCHEMA) a = queue_transact(*q, upgrade_tables, &o);
    *from = o.version;
    return a;
}

void queue_close(struct queue **queue)
{
    struct queue *const q = *queue;

    *queue = NULL;
    if (!q) return;
    if (q->s) q->s->ops->close(q->s);
    free(q);
}

bool queue_url_has_password(const char *url)
{
    return is_postgres(url) && store_postgres_has_password(url);
}

enum queue_answer queue_wait(struct queue *q, int ms, bool *news)
{
    q->answer = QUEUE_OK;
    return queue_answered(q, q->s->ops->wait(q->s, ms, news));
}
