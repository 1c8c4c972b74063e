/* comm_mpi_world.c - groups and the world as memory. */
#include "base/thread.h"
#include "comm/mpi/comm_mpi.h"

#include <stdlib.h>

void mpi_close(struct comm **c)
{
    if (!*c) return;
    struct mpi_group *const g = group_of(*c);
    struct mpi_world *const w = g->world;

    if (g->id == 0) {
        (void)comm_mpi_finalize(c, 0, false);
        return;
    }
    pthread_mutex_lock(&w->lock);
    g->open = false;
    g->closed = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    *c = NULL;
}

static const struct comm_ops mpi_ops = {
    .post = mpi_post,
    .wait = mpi_wait_posted,
    .agree = mpi_agree,
    .split = mpi_split,
    .send_control = mpi_send_control,
    .poll_control = mpi_poll_control,
    .stop = mpi_stop,
    .stopped = mpi_stopped,
    .abort = mpi_abort,
    .aborted = mpi_aborted,
    .close = mpi_close,
    .attach = mpi_attach,
};

status mpi_group_open(struct mpi_group **out, struct mpi_world *w, int size)
{
    struct mpi_group *const g = calloc(1, sizeof *g);
    size_t const n = (size_t)size;

    *out = NULL;
    if (!g) return fail(ST_NOMEM, "a group of %d ranks", size);
    condvar_init(&g->changed);
    g->members = calloc(n, sizeof *g->members);
    g->node = calloc(n, sizeof *g->node);
    for (int i = 0; i < 2; i++) {
        g->moving[i] = calloc(n, sizeof *g->moving[i]);
        g->brought[i] = calloc(n, sizeof *g->brought[i]);
    }
    if (!g->members || !g->node || !g->moving[0] || !g->moving[1] || !g->brought[0] ||
        !g->brought[1]) {
        mpi_group_free(g);
        return fail(ST_NOMEM, "a group of %d ranks", size);
    }
    g->world = w;
    g->base = (struct comm){ .ops = &mpi_ops, .size = size, .world_rank = w->rank };
    g->base.node = g->node;
    g->next = w->groups;
    w->groups = g;
    *out = g;
    return ST_OK;
}

void mpi_group_free(struct mpi_group *g)
{
    for (int i = 0; i < 2; i++) {
        free(g->moving[i]);
        free(g->brought[i]);
    }
    free(g->members);
    free(g->node);
    free(g->posted);
    pthread_cond_destroy(&g->changed);
    free(g);
}

void mpi_world_free(struct mpi_world *w)
{
    while (w->groups) {
        struct mpi_group *const g = w->groups;
        w->groups = g->next;
        mpi_group_free(g);
    }
    for (int r = 0; w->notes && r < w->size; r++) free(w->notes[r]);
    packets_free(w->first);
    for (int i = 0; i < w->active; i++) free(w->packet[i]);
    free(w->notes);
    free(w->notes_moving);
    free(w->goodbye);
    free(w->request);
    free(w->packet);
    free(w->index);
    free(w->status);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
