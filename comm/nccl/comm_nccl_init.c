/*
 * comm_nccl_init.c - the table of operations, worlds and groups.
 *
 * What does not lie on cards, control messages and splits go through to the inner comm.
 */
#include "base/thread.h"
#include "comm/nccl/comm_nccl_internal.h"

#include <signal.h>
#include <stdlib.h>

static status open_nccl_group(struct nccl_group **out, struct nccl_world *w, struct comm *inner,
                              const struct comm_ops *ops)
{
    struct nccl_group *const g = calloc(1, sizeof *g);

    *out = NULL;
    if (!g) return fail(ST_NOMEM, "a group of %d ranks", inner->size);
    g->members = calloc((size_t)inner->size, sizeof *g->members);
    if (!g->members) {
        free(g);
        return fail(ST_NOMEM, "a group of %d ranks", inner->size);
    }
    g->base = *inner;
    g->base.ops = ops;
    g->base.inner = inner;
    g->base.gathers = false;
    g->world = w;
    condvar_init(&g->changed);
    pthread_mutex_lock(&w->lock);
    g->next = w->groups;
    w->groups = g;
    pthread_mutex_unlock(&w->lock);
    *out = g;
    return ST_OK;
}

/* A rank whose exchange failed behind its back learns it here, and so do the others. */
static status nccl_agree(struct comm *c, status mine, int64_t *words)
{
    if (mine == ST_OK) mine = nccl_synchronize(c);
    return wrap_agree(c, mine, words);
}

static status nccl_split(struct comm *c, int colour, struct comm **out)
{
    struct nccl_group *const g = nccl_of(c);
    struct comm *inner = NULL;
    struct nccl_group *child = NULL;

    *out = NULL;
    TRY(comm_split(wrap_inner(c), colour, &inner));
    if (!inner) return ST_OK;
    status const st = open_nccl_group(&child, g->world, inner, c->ops);
    if (st == ST_OK) *out = &child->base;
    else comm_close(&inner);
    return st;
}

static const struct comm_ops nccl_ops = {
    .post = nccl_post,
    .wait = nccl_wait_posted,
    .agree = nccl_agree,
    .split = nccl_split,
    .send_control = wrap_send_control,
    .poll_control = wrap_poll_control,
    .stop = wrap_stop,
    .stopped = wrap_stopped,
    .abort = nccl_abort,
    .aborted = wrap_aborted,
    .close = nccl_close,
    .attach = nccl_attach,
    .synchronize = nccl_synchronize,
    .alloc = nccl_alloc,
    .free = nccl_free,
    .gather = nccl_gather,
};

/* Signals are for the threads of the program. */
static status start_nccl_thread(struct nccl_world *w)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    status const st = task_start(&w->task, "nccl", -1, nccl_progress, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return st;
}

const char *comm_nccl_absent(void) { return NULL; }

status comm_nccl_open(struct comm **out, struct comm *world)
{
    struct nccl_world *const w = calloc(1, sizeof *w);
    struct nccl_group *home = NULL;
    status st = ST_OK;

    *out = NULL;
    if (!w) return fail(ST_NOMEM, "a world");
    pthread_mutex_init(&w->lock, NULL);
    condvar_init(&w->work);
    condvar_init(&w->changed);
    st = open_nccl_group(&home, w, world, &nccl_ops);
    if (st == ST_OK) st = start_nccl_thread(w);
    if (st != ST_OK) {
        if (home) {
            pthread_cond_destroy(&home->changed);
            free(home->members);
        }
        free(home);
        pthread_cond_destroy(&w->work);
        pthread_cond_destroy(&w->changed);
        pthread_mutex_destroy(&w->lock);
        free(w);
        return st;
    }
    *out = &home->base;
    return ST_OK;
}
