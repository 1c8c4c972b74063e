/* queue_submit.c - a job with all its clips enters the queue, in one transaction. */
#include "jobs/queue/queue_internal.h"

#include <stdio.h>

struct submission {
    const struct queue_job *job;
    void (*next)(void *arg, int64_t i, struct queue_new_clip *clip);
    void *arg;
    int64_t id;
    bool fresh;
};

static enum store_answer insert_job(struct queue *q, const struct queue_job *j,
                                    struct queue_numbers *got)
{
    return queue_run(q, STATEMENT_job_add,
                     VALUES(TEXT(j->uid), TEXT(j->name), TEXT(j->owner), TEXT(j->spec),
                            TEXT(j->group), NUMBER(j->need_mib), NUMBER(j->priority),
                            NUMBER(j->held), NUMBER(j->clips), NUMBER(j->max_failed),
                            NUMBER(j->max_worlds), NUMBER(j->budget_error), NUMBER(j->budget_crash),
                            NUMBER(j->budget_preempt), NUMBER(j->backoff_ms)),
                     row_first_column, got);
}

static enum store_answer add_afters(struct queue *q, const struct submission *s)
{
    for (int i = 0; i < s->job->afters; i++) {
        const struct queue_after *const after = &s->job->after[i];
        struct queue_numbers got = { 0 };
        char why[200];

        TRY_STORE(queue_run(q, STATEMENT_dep_add,
                            VALUES(NUMBER(s->id), TEXT(after->job), NUMBER(after->any)),
                            row_first_column, &got));
        if (got.n) continue;
        snprintf(why, sizeof why, "after: there is no job %.100s in the queue", after->job);
        return queue_refuse(q, QUEUE_REFUSED, why);
    }
    return STORE_OK;
}

static enum store_answer add_clips(struct queue *q, const struct submission *s)
{
    TRY_STORE(q->s->ops->bulk_begin(q->s));
    for (int64_t i = 0; i < s->job->clips; i++) {
        struct queue_new_clip c = { 0 };
        s->next(s->arg, i, &c);
        struct store_value const value[] = { NUMBER(s->id),      NUMBER(i),
                                             TEXT(c.task),       TEXT(c.folder),
                                             TEXT(c.values),     NUMBER(c.blocks),
                                             NUMBER(c.pictures), NUMBER(c.video_ms) };
        TRY_STORE(q->s->ops->bulk_row(q->s, value, COUNT_OF(value)));
    }
    return q->s->ops->bulk_end(q->s);
}

static enum store_answer submit_job(struct queue *q, void *arg)
{
    struct submission *const s = arg;
    struct queue_numbers got = { 0 };

    TRY_STORE(insert_job(q, s->job, &got));
    s->fresh = got.n > 0;
    if (!s->fresh)
        TRY_STORE(
            queue_run(q, STATEMENT_job_find, VALUES(TEXT(s->job->uid)), row_first_column, &got));
    s->id = got.v[0];
    if (!s->fresh) return STORE_OK;
    TRY_STORE(add_afters(q, s));
    if (q->answer != QUEUE_OK) return STORE_OK;
    TRY_STORE(add_clips(q, s));
    TRY_STORE(queue_note_event(q, s->id, "submit", s->job->owner));
    return queue_run(q, STATEMENT_notify, NO_VALUES, NULL, NULL);
}

enum queue_answer queue_submit(struct queue *q, const struct queue_job *job,
                               void (*next)(void *arg, int64_t i, struct queue_new_clip *clip),
                               void *arg, int64_t *id, bool *fresh)
{
    struct submission s = { .job = job, .next = next, .arg = arg };
    enum queue_answer const a = queue_transact(q, submit_job, &s);

    *id = s.id;
    *fresh = s.fresh;
    return a;
}
