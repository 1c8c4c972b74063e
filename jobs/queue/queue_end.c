/*
 * queue_end.c - an attempt has ended.
 *
 * Done is reported by whoever put the folder there, whoever holds the clip by now: a world that
 * lost its lease and finished all the same tells the truth, and its heir learns of it at its next
 * beat.
 * Only a person's discard makes it untrue, and `past` guards that. Any other end counts from the
 * holder of this attempt alone. A clip that its host is unable to render goes to another; if there
 * is none left to ask, nobody can: it ends as spec.
 */
#include "jobs/queue/queue_internal.h"

#include <stdio.h>
#include <string.h>

struct end {
    const struct queue_clip *c;
    enum queue_end said, how; /* by the world; and what it comes to */
    char message[QUEUE_MESSAGE];
};

struct clip_now {
    int64_t state, ended;
    char how[16];
};

static void get_clip_now(void *arg, const struct store_row *r)
{
    struct clip_now *const n = arg;
    n->state = row_number(r, 0);
    n->ended = row_number(r, 3);
    snprintf(n->how, sizeof n->how, "%s", r->text[4]);
}

/* Nothing changed: the end was reported before and its answer lost, or it does not count. */
static enum store_answer judge_unchanged(struct queue *q, const struct end *e, bool *reported)
{
    const struct queue_clip *const c = e->c;
    struct clip_now now = { .state = -1 };

    TRY_STORE(queue_run(q, STATEMENT_clip_state,
                        VALUES(NUMBER(c->job), NUMBER(c->index), NUMBER(c->attempt)), get_clip_now,
                        &now));
    bool const done = e->how == QUEUE_END_DONE;
    *reported = !done && now.ended && !strcmp(now.how, queue_end_name(e->how));
    if (done && now.state != QUEUE_DONE)
        return queue_refuse(q, QUEUE_LOST, "the clip was discarded by hand");
    if (!done && !*reported) return queue_refuse(q, QUEUE_LOST, "the clip is held no more");
    return STORE_OK;
}

static enum store_answer change_clip(struct queue *q, const struct end *e,
                                     struct queue_numbers *got)
{
    const struct queue_clip *const c = e->c;
    enum queue_end const k = e->how;
    bool const unable = k == QUEUE_END_UNABLE;
    bool const elsewhere = k == QUEUE_END_ERROR || k == QUEUE_END_HOST || unable;

    if (k == QUEUE_END_DONE)
        return queue_run(q, STATEMENT_done,
                         VALUES(NUMBER(c->job), NUMBER(c->index), NUMBER(c->attempt)),
                         row_first_column, got);
    return queue_run(q, STATEMENT_give_back,
                     VALUES(NUMBER(c->job), NUMBER(c->index), NUMBER(c->attempt), NUMBER(q->worker),
                            NUMBER(k == QUEUE_END_ERROR), NUMBER(k == QUEUE_END_CRASH),
                            NUMBER(k == QUEUE_END_PREEMPT && c->blocks_done >= 0),
                            NUMBER(k == QUEUE_END_SPEC), NUMBER(k == QUEUE_END_CANCEL),
                            TEXT(elsewhere ? q->w.host : ""), NUMBER(unable)),
                     row_first_column, got);
}

static enum store_answer judge_host(struct queue *q, enum queue_end k)
{
    if (k == QUEUE_END_DONE)
        return queue_run(q, STATEMENT_unstrike, VALUES(TEXT(q->w.host)), NULL, NULL);
    if (k != QUEUE_END_ERROR && k != QUEUE_END_CRASH && k != QUEUE_END_HOST) return STORE_OK;
    return queue_run(q, STATEMENT_strike, VALUES(TEXT(q->w.host)), NULL, NULL);
}

/* What an end comes to, now that the job is locked. */
static enum store_answer judge_end(struct queue *q, struct end *e)
{
    struct queue_numbers got = { 0 };

    e->how = e->said;
    if (e->said != QUEUE_END_UNABLE) return STORE_OK;
    TRY_STORE(queue_run(q, STATEMENT_unasked,
                        VALUES(NUMBER(e->c->job), NUMBER(e->c->index), TEXT(q->w.host)),
                        row_first_column, &got));
    if (got.v[0] == 0) e->how = QUEUE_END_SPEC;
    return STORE_OK;
}

static enum store_answer end_clip(struct queue *q, void *arg)
{
    struct end *const e = arg;
    const struct queue_clip *const c = e->c;
    struct queue_numbers got = { 0 };
    bool reported = false;

    TRY_STORE(queue_run(q, STATEMENT_lock_job, VALUES(NUMBER(c->job)), NULL, NULL));
    TRY_STORE(judge_end(q, e));
    TRY_STORE(change_clip(q, e, &got));
    if (got.n == 0) TRY_STORE(judge_unchanged(q, e, &reported));
    if (reported || q->answer != QUEUE_OK) return STORE_OK;
    TRY_STORE(
        queue_run(q, STATEMENT_attempt_end,
                  VALUES(NUMBER(c->job), NUMBER(c->index), NUMBER(c->attempt),
                         TEXT(queue_end_name(e->how)), TEXT(e->message), NUMBER(c->blocks_done),
                         NUMBER(e->how == QUEUE_END_DONE && got.n > 0)),
                  NULL, NULL));
    if (e->how == QUEUE_END_DONE)
        TRY_STORE(queue_run(q, STATEMENT_overtaken,
                            VALUES(NUMBER(c->job), NUMBER(c->index), NUMBER(c->attempt)), NULL,
                            NULL));
    TRY_STORE(judge_host(q, e->how));
    return queue_settle_job(q, c->job);
}

/* Cut between two characters. */
static void cut_message(char to[QUEUE_MESSAGE], const char *text)
{
    size_t n = strnlen(text, QUEUE_MESSAGE - 1);

    while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) n--;
    memcpy(to, text, n);
    to[n] = '\0';
}

enum queue_answer queue_end(struct queue *q, const struct queue_clip *clip, enum queue_end how,
                            const char *message)
{
    struct end e = { .c = clip, .said = how };

    cut_message(e.message, message ? message : "");
    return queue_transact(q, end_clip, &e);
}
