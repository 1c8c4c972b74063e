/*
 * comm_mpi_group.c - groups and the world as memory, and how callers wait in a group.
 *
 * A group that its owner has closed stays in the list until the thread has taken it off its
 * packets: only then is it freed, by the thread. Each group has a condition variable of its own, so
 * what arrives wakes its caller and nobody else's; what ends all waits, an abort or a failure of
 * MPI, wakes all groups.
 */
#include "comm/mpi/comm_mpi_internal.h"

#include <errno.h>
#include <stdlib.h>

status mpi_broken(const struct mpi_group *g)
{
    const struct mpi_world *const w = g->world;

    if (w->aborted_by >= 0) return comm_fail_aborted(&g->base, w->aborted_by);
    if (*w->trouble) return fail(ST_COMM, "rank %d: %s", w->rank, w->trouble);
    return ST_OK;
}

void mpi_wake_all(struct mpi_world *w)
{
    for (struct mpi_group *g = w->groups; g; g = g->next) pthread_cond_broadcast(&g->changed);
}

bool mpi_wait(struct mpi_group *g, const struct timespec *until)
{
    return pthread_cond_timedwait(&g->changed, &g->world->lock, until) != ETIMEDOUT;
}

struct mpi_world *mpi_world_new(void)
{
    struct mpi_world *const w = calloc(1, sizeof *w);

    if (!w) return NULL;
    w->aborted_by = -1;
    w->last = &w->first;
    pthread_mutex_init(&w->lock, NULL);
    condvar_init(&w->work);
    condvar_init(&w->changed);
    return w;
}

status mpi_group_open(struct mpi_group **out, struct mpi_world *w, int size,
                      const struct comm_ops *ops)
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
        g->contributions[i] = calloc(n, sizeof *g->contributions[i]);
    }
    if (!g->members || !g->node || !g->moving[0] || !g->moving[1] || !g->contributions[0] ||
        !g->contributions[1]) {
        mpi_group_free(g);
        return fail(ST_NOMEM, "a group of %d ranks", size);
    }
    g->world = w;
    g->base = (struct comm){ .ops = ops, .size = size, .world_rank = w->rank };
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
        free(g->contributions[i]);
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
    for (int r = 0; w->outbox && r < w->size; r++) free(w->outbox[r]);
    packets_free(w->first);
    for (int i = 0; i < w->active; i++) free(w->packet[i]);
    free(w->outbox);
    free(w->controls_moving);
    free(w->shutdown_msg);
    free(w->request);
    free(w->packet);
    free(w->index);
    free(w->status);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
