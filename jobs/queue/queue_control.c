/* queue_control.c - what a person orders: each verb changes one row, or the clips of one job. */
#include "jobs/queue/queue_internal.h"

#include <stdio.h>

/* reopens: the job has clips to make again. settles: it may have none left. */
struct verb {
    const char *name;
    enum statement statement;
    bool of_job, takes_arg, reopens, settles;
};

static const struct verb verb_table[] = {
    [QUEUE_DO_HOLD] = { "hold", STATEMENT_ctl_hold, .of_job = true },
    [QUEUE_DO_RELEASE] = { "release", STATEMENT_ctl_release, .of_job = true },
    [QUEUE_DO_CANCEL] = { "cancel", STATEMENT_ctl_cancel, .of_job = true, .settles = true },
    [QUEUE_DO_PRIORITY] = { "priority", STATEMENT_ctl_priority, .of_job = true, .takes_arg = true },
    [QUEUE_DO_RETRY] = { "retry", STATEMENT_ctl_retry, .of_job = true, .reopens = true },
    [QUEUE_DO_CANCEL_CLIP] = { "cancel clip", STATEMENT_ctl_cancel_clip, .of_job = true,
                               .takes_arg = true, .settles = true },
    [QUEUE_DO_RETRY_CLIP] = { "retry clip", STATEMENT_ctl_retry_clip, .of_job = true,
                              .takes_arg = true, .reopens = true },
    [QUEUE_DO_DISCARD] = { "discard clip", STATEMENT_ctl_discard, .of_job = true, .takes_arg = true,
                           .reopens = true },
    [QUEUE_DO_DRAIN] = { "drain", STATEMENT_ctl_drain },
    [QUEUE_DO_PRUNE] = { "prune", STATEMENT_prune },
};

struct control {
    enum queue_verb verb;
    int64_t job, arg;
    const char *who;
    int64_t changed;
};

static void count_rows(void *arg, const struct store_row *r)
{
    (void)r;
    ++*(int64_t *)arg;
}

static enum store_answer change_rows(struct queue *q, struct control *k, const struct verb *v)
{
    if (k->verb == QUEUE_DO_PRUNE)
        return queue_run(q, v->statement, VALUES(NUMBER(k->arg)), count_rows, &k->changed);
    return queue_run(q, v->statement, VALUES(NUMBER(k->job), NUMBER(k->arg)), count_rows,
                     &k->changed);
}

/* Once no job of that age is left: what speaks of them. */
static enum store_answer prune_rest(struct queue *q, const struct control *k)
{
    if (k->changed) return STORE_OK;
    TRY_STORE(queue_run(q, STATEMENT_prune_events, VALUES(NUMBER(k->arg)), NULL, NULL));
    return queue_run(q, STATEMENT_prune_workers, VALUES(NUMBER(k->arg)), NULL, NULL);
}

static enum store_answer note_control(struct queue *q, const struct control *k,
                                      const struct verb *v)
{
    char text[256];

    if (v->takes_arg)
        snprintf(text, sizeof text, "%s %lld by %.100s", v->name, (long long)k->arg, k->who);
    else snprintf(text, sizeof text, "%s by %.100s", v->name, k->who);
    return queue_note_event(q, v->of_job ? k->job : 0, "control", text);
}

static enum store_answer give_order(struct queue *q, void *arg)
{
    struct control *const k = arg;
    const struct verb *const v = &verb_table[k->verb];

    k->changed = 0;
    if (v->of_job) TRY_STORE(queue_run(q, STATEMENT_lock_job, VALUES(NUMBER(k->job)), NULL, NULL));
    TRY_STORE(change_rows(q, k, v));
    if (k->verb == QUEUE_DO_PRUNE) return prune_rest(q, k);
    if (!k->changed) return STORE_OK;
    if (v->reopens)
        TRY_STORE(queue_run(q, STATEMENT_ctl_reopen, VALUES(NUMBER(k->job)), NULL, NULL));
    if (v->settles) TRY_STORE(queue_settle_job(q, k->job));
    TRY_STORE(note_control(q, k, v));
    return queue_run(q, STATEMENT_notify, NO_VALUES, NULL, NULL);
}

enum queue_answer queue_control(struct queue *q, enum queue_verb verb, int64_t job, int64_t arg,
                                const char *who, int64_t *changed)
{
    struct control k = { .verb = verb, .job = job, .arg = arg, .who = who };
    enum queue_answer const a = queue_transact(q, give_order, &k);

    *changed = k.changed;
    return a;
}
