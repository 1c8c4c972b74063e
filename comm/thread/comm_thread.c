/*
 * comm_thread.c - a world of ranks that are threads: its table, control messages, stop, abort and
 * close, which reach all of its groups.
 */
#include "comm/thread/comm_thread_internal.h"

#include <stdlib.h>

static bool is_of_world(const struct rank *me) { return !me->group->next; }

static status thread_send_control(struct comm *c, int peer, const struct comm_control *control)
{
    struct rank *const me = rank_of(c);
    struct world *const w = me->group->world;

    TRY(comm_check_control(c, peer, is_of_world(me)));
    pthread_mutex_lock(&w->lock);
    mailbox_put(&w->mailbox[peer], control, c->rank);
    pthread_mutex_unlock(&w->lock);
    return ST_OK;
}

static bool thread_poll_control(struct comm *c, struct comm_control *out, int *from)
{
    struct world *const w = rank_of(c)->group->world;

    pthread_mutex_lock(&w->lock);
    bool const any = is_of_world(rank_of(c)) && mailbox_take(&w->mailbox[c->rank], out, from);
    pthread_mutex_unlock(&w->lock);
    return any;
}

static void thread_stop(struct comm *c)
{
    struct world *const w = rank_of(c)->group->world;

    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_mutex_unlock(&w->lock);
}

static bool thread_stopped(struct comm *c)
{
    struct world *const w = rank_of(c)->group->world;

    pthread_mutex_lock(&w->lock);
    bool const stop = w->stop;
    pthread_mutex_unlock(&w->lock);
    return stop;
}

/* Nobody begins a copy after this. One under way ends before the call returns. */
static void thread_abort(struct comm *c)
{
    struct rank *const me = rank_of(c);
    struct world *const w = me->group->world;

    pthread_mutex_lock(&w->lock);
    if (w->aborted_by < 0) w->aborted_by = c->world_rank;
    thread_wake_all(w);
    while (me->readers) pthread_cond_wait(&me->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

static bool thread_aborted(struct comm *c)
{
    struct world *const w = rank_of(c)->group->world;

    pthread_mutex_lock(&w->lock);
    bool const yes = w->aborted_by >= 0;
    pthread_mutex_unlock(&w->lock);
    return yes;
}

static void free_world(struct world **w)
{
    pthread_mutex_destroy(&(*w)->lock);
    free((*w)->mailbox);
    free(*w);
    *w = NULL;
}

static void thread_close(struct comm **c)
{
    if (!*c) return;
    struct rank *const me = rank_of(*c);
    struct group *g = me->group;
    struct world *w = g->world;

    pthread_mutex_lock(&w->lock);
    thread_take_back(me);
    if (--g->living == 0) thread_group_close(&g);
    bool const last = !w->groups;
    pthread_mutex_unlock(&w->lock);
    if (last) free_world(&w);
    *c = NULL;
}

static const struct comm_ops thread_ops = {
    .post = thread_post,
    .wait = thread_wait_posted,
    .agree = thread_agree,
    .split = thread_split,
    .send_control = thread_send_control,
    .poll_control = thread_poll_control,
    .stop = thread_stop,
    .stopped = thread_stopped,
    .abort = thread_abort,
    .aborted = thread_aborted,
    .close = thread_close,
    .attach = thread_attach,
};

status comm_thread_open(struct comm **group, int size, double deadline_s)
{
    struct group *g = NULL;

    if (size < 1 || size > COMM_RANKS_MAX)
        return fail(ST_ARG, "%d thread ranks; 1..%d are possible", size, COMM_RANKS_MAX);
    TRY(comm_check_deadline(deadline_s));
    struct world *w = calloc(1, sizeof *w);
    if (!w) return fail(ST_NOMEM, "%d thread ranks", size);
    w->aborted_by = -1;
    w->mailbox = calloc((size_t)size, sizeof *w->mailbox);
    pthread_mutex_init(&w->lock, NULL);
    status const st = w->mailbox ? thread_group_open(&g, w, size, &thread_ops)
                                 : fail(ST_NOMEM, "%d thread ranks", size);
    if (st != ST_OK) {
        free_world(&w);
        return st;
    }
    for (int r = 0; r < size; r++) {
        g->ranks[r].base.world_rank = r;
        g->ranks[r].base.deadline_s = deadline_s;
        group[r] = &g->ranks[r].base;
    }
    return ST_OK;
}
