/* comm_mpi_wait.c - how callers wait for the thread, and what ends their waits early. */
#include "comm/mpi/comm_mpi_internal.h"

#include <errno.h>

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
