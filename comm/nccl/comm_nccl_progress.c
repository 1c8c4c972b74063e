/*
 * comm_nccl_progress.c - the thread of a rank that makes NCCL's calls: a turn for each group.
 *
 * Communicators are non-blocking: a call begins something and NCCL is asked later how far it is.
 * So one thread serves all groups of a rank, and an abort by anybody is seen while NCCL waits for
 * a peer that will never come. It sleeps until it is asked; while something is under way it
 * looks again every 50 us, and every 500 us after 5 ms in which nothing has happened.
 */
#include "base/clock.h"
#include "comm/nccl/comm_nccl_internal.h"
#include "kernels/cuda/cuda_dev.h"

#include <sys/prctl.h>

/* ---- a communicator's life, lock released while NCCL is called ------------------------ */

static void begin_comm(struct nccl_group *g)
{
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;

    nccl_configure(&config);
    pthread_mutex_unlock(&g->world->lock);
    status st = cuda_dev_select(g->memory.device);
    if (st == ST_OK)
        st = nccl_checked(
            NULL, "ncclCommInitRankConfig",
            ncclCommInitRankConfig(&g->nccl, g->base.size, g->id, g->base.rank, &config));
    pthread_mutex_lock(&g->world->lock);
    if (st == ST_OK) nccl_enter(g, NCCL_BEGINS);
    else nccl_break(g, st);
}

/* The peers come, or do not. */
static void poll_begin(struct nccl_group *g)
{
    bool done = false;

    pthread_mutex_unlock(&g->world->lock);
    status const st = nccl_asked(g->nccl, &done);
    bool const aborted = wrap_aborted(&g->base);
    pthread_mutex_lock(&g->world->lock);
    if (st != ST_OK) nccl_break(g, st);
    else if (aborted || g->give_up) nccl_break(g, ST_PEER);
    else if (done) nccl_enter(g, NCCL_LIVES);
    else if (clock_seconds() - g->since > g->base.deadline_s)
        nccl_break(g, nccl_fail_waited(g, "NCCL communicator start-up", g->base.deadline_s));
}

static void abort_comm(struct nccl_group *g)
{
    ncclComm_t const nccl = g->nccl;

    g->nccl = NULL;
    pthread_mutex_unlock(&g->world->lock);
    if (nccl) (void)ncclCommAbort(nccl);
    pthread_mutex_lock(&g->world->lock);
    nccl_buffers_lost(g);
    g->first = g->under_way = 0;
    nccl_enter(g, NCCL_BROKEN);
}

static void finalize_comm(struct nccl_group *g)
{
    nccl_buffers_leave(g);
    pthread_mutex_unlock(&g->world->lock);
    ncclResult_t const code = ncclCommFinalize(g->nccl);
    pthread_mutex_lock(&g->world->lock);
    if (nccl_checked(g->nccl, "ncclCommFinalize", code) == ST_OK) nccl_enter(g, NCCL_ENDS);
    else abort_comm(g);
}

static void poll_finalize(struct nccl_group *g)
{
    ncclResult_t state = ncclInProgress;

    pthread_mutex_unlock(&g->world->lock);
    ncclResult_t const code = ncclCommGetAsyncError(g->nccl, &state);
    bool const aborted = wrap_aborted(&g->base);
    bool const done = code == ncclSuccess && state == ncclSuccess;
    if (done) (void)ncclCommDestroy(g->nccl);
    pthread_mutex_lock(&g->world->lock);
    bool const late = clock_seconds() - g->since > g->base.deadline_s;
    if (done) {
        g->nccl = NULL;
        nccl_enter(g, NCCL_BARE);
    } else if (aborted || late || code != ncclSuccess || state != ncclInProgress) abort_comm(g);
}

/* One look at a group; true: another one soon. */
static bool turn_group(struct nccl_group *g)
{
    switch (g->phase) {
    case NCCL_BARE:
    case NCCL_BROKEN: return nccl_buffers(g);
    case NCCL_WANTED: begin_comm(g); return true;
    case NCCL_BEGINS: poll_begin(g); return true;
    case NCCL_ENDS: poll_finalize(g); return true;
    case NCCL_BREAKS: abort_comm(g); return false;
    case NCCL_LIVES: break;
    }
    if (g->give_up || (g->end && g->under_way)) nccl_break(g, ST_PEER);
    else if (g->end) finalize_comm(g);
    else return g->under_way ? nccl_watch(g) : nccl_buffers(g);
    return true;
}

static void pause_thread(struct nccl_world *w, bool busy)
{
    double const idle = clock_seconds() - w->moved_at;
    struct timespec const until = comm_time_after(idle < 5e-3 ? 50e-6 : 500e-6);

    if (busy) (void)pthread_cond_timedwait(&w->work, &w->lock, &until);
    else pthread_cond_wait(&w->work, &w->lock);
}

status nccl_progress(void *world)
{
    struct nccl_world *const w = world;

    (void)prctl(PR_SET_TIMERSLACK, 1000UL); /* ns; its sleeps are short */
    pthread_mutex_lock(&w->lock);
    while (!w->over) {
        bool busy = false;
        w->asked = false;
        for (struct nccl_group *g = w->groups; g; g = g->next) busy |= turn_group(g);
        if (!w->asked && !w->over) pause_thread(w, busy);
    }
    w->ended = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return ST_OK;
}
