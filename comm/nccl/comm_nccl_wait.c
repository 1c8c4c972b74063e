/*
 * comm_nccl_wait.c - how callers and the thread meet: waits, phases, and what a failure comes to.
 *
 * A group breaks once, with one reason on record, and whoever waits for it gets that reason. An
 * abort of the world is the exception: who aborted is known to the inner comm alone, so it
 * is asked for the words.
 */
#include "base/clock.h"
#include "comm/nccl/comm_nccl_internal.h"

#include <errno.h>

void nccl_ask(struct nccl_world *w)
{
    w->asked = true;
    pthread_cond_signal(&w->work);
}

bool nccl_wait(struct nccl_group *g, const struct timespec *until)
{
    return pthread_cond_timedwait(&g->changed, &g->world->lock, until) != ETIMEDOUT;
}

status nccl_checked(ncclComm_t c, const char *call, ncclResult_t code)
{
    if (code == ncclSuccess || code == ncclInProgress) return ST_OK;
    return fail(ST_COMM, "%s: %s: %s", call, ncclGetErrorString(code), ncclGetLastError(c));
}

status nccl_asked(ncclComm_t c, bool *done)
{
    ncclResult_t state = ncclInProgress;

    TRY(nccl_checked(c, "ncclCommGetAsyncError", ncclCommGetAsyncError(c, &state)));
    *done = state == ncclSuccess;
    return nccl_checked(c, "NCCL", state);
}

void nccl_enter(struct nccl_group *g, enum nccl_phase phase)
{
    g->phase = phase;
    g->since = clock_seconds();
    g->world->moved_at = g->since;
    pthread_cond_broadcast(&g->changed);
}

void nccl_break(struct nccl_group *g, status st)
{
    g->why = *error_last();
    g->why.st = st;
    nccl_enter(g, NCCL_BREAKS);
    nccl_ask(g->world);
}

status nccl_broken(struct nccl_group *g)
{
    struct timespec const until = comm_time_after(NCCL_PATIENCE_S);

    if (g->phase != NCCL_BREAKS && g->phase != NCCL_BROKEN) return ST_OK;
    while (g->phase == NCCL_BREAKS)
        if (!nccl_wait(g, &until)) break;
    error_adopt(&g->why);
    return g->why.st;
}

status nccl_fail_waited(const struct nccl_group *g, const char *call, double deadline_s)
{
    struct strbuf who = { 0 };
    struct comm as = g->base;

    as.deadline_s = deadline_s;
    for (int r = 0; r < g->base.size; r++)
        if (r != g->base.rank) comm_list_rank(&who, g->members[r]);
    return comm_fail_waited(&as, call, &who);
}

status nccl_exchange(struct nccl_group *g, void *all, size_t each)
{
    struct comm *const inner = wrap_inner(&g->base);
    struct comm_shard const shard = { .t = { all, DT_U8, 2, { inner->size, (int64_t)each } } };

    TRY(comm_gather(inner, &shard, 1));
    return comm_wait(inner);
}

status nccl_fail_aborted(struct nccl_group *g)
{
    struct comm *const inner = wrap_inner(&g->base);
    status st = ST_OK;

    if (g->host_count) st = comm_wait(inner);
    g->host_count = 0;
    if (st == ST_OK) st = comm_post(inner, NULL, 0);
    if (st != ST_OK) return st;
    if (comm_wait(inner) != ST_OK) error_clear(); /* what follows says it */
    return fail(ST_PEER, "rank %d stopped: another rank aborted", g->base.world_rank);
}
