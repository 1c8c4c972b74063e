/* comm_nccl_progress.c - the thread of a rank that is NCCL's. */
#include "base/clock.h"
#include "comm/nccl/comm_nccl.h"
#include "kernels/cuda/cuda_dev.h"

#include <errno.h>
#include <sys/prctl.h>

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

static void enter(struct nccl_group *g, enum nccl_phase phase)
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
    enter(g, NCCL_BREAKS);
    nccl_ask(g->world);
}

status nccl_broken(struct nccl_group *g)
{
    struct timespec const until = rules_until(NCCL_PATIENCE_S);

    if (g->phase != NCCL_BREAKS && g->phase != NCCL_BROKEN) return ST_OK;
    while (g->phase == NCCL_BREAKS)
        if (!nccl_wait(g, &until)) break;
    error_adopt(&g->why);
    return g->why.st;
}

/* ---- a communicator's life, lock released while NCCL is called ------------------------ */

static void begin(struct nccl_group *g)
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
    if (st == ST_OK) enter(g, NCCL_BEGINS);
    else nccl_break(g, st);
}

status nccl_waited_for_all(const struct nccl_group *g, const char *call, double deadline_s)
{
    struct strbuf who = { 0 };
    struct comm as = g->base;

    as.deadline_s = deadline_s;
    for (int r = 0; r < g->base.size; r++)
        if (r != g->base.rank) rules_add_rank(&who, g->members[r]);
    return rules_waited(&as, call, &who);
}

/* The peers come, or do not. */
static void look_for_peers(struct nccl_group *g)
{
    bool done = false;

    pthread_mutex_unlock(&g->world->lock);
    status const st = nccl_asked(g->nccl, &done);
    bool const aborted = over_aborted(&g->base);
    pthread_mutex_lock(&g->world->lock);
    if (st != ST_OK) nccl_break(g, st);
    else if (aborted || g->give_up) nccl_break(g, ST_PEER);
    else if (done) enter(g, NCCL_LIVES);
    else if (clock_seconds() - g->since > g->base.deadline_s)
        nccl_break(g, nccl_waited_for_all(g, "NCCL begins", g->base.deadline_s));
}

void nccl_abort_now(struct nccl_group *g)
{
    ncclComm_t const nccl = g->nccl;

    g->nccl = NULL;
    pthread_mutex_unlock(&g->world->lock);
    if (nccl) (void)ncclCommAbort(nccl);
    pthread_mutex_lock(&g->world->lock);
    nccl_buffers_lost(g);
    g->first = g->under_way = 0;
    enter(g, NCCL_BROKEN);
}

static void begin_end(struct nccl_group *g)
{
    nccl_buffers_leave(g);
    pthread_mutex_unlock(&g->world->lock);
    ncclResult_t const code = ncclCommFinalize(g->nccl);
    pthread_mutex_lock(&g->world->lock);
    if (nccl_checked(g->nccl, "ncclCommFinalize", code) == ST_OK) enter(g, NCCL_ENDS);
    else nccl_abort_now(g);
}

void nccl_end_now(struct nccl_group *g)
{
    ncclResult_t state = ncclInProgress;

    pthread_mutex_unlock(&g->world->lock);
    ncclResult_t const code = ncclCommGetAsyncError(g->nccl, &state);
    bool const aborted = over_aborted(&g->base);
    bool const done = code == ncclSuccess && state == ncclSuccess;
    if (done) (void)ncclCommDestroy(g->nccl);
    pthread_mutex_lock(&g->world->lock);
    bool const late = clock_seconds() - g->since > g->base.deadline_s;
    if (done) {
        g->nccl = NULL;
        enter(g, NCCL_BARE);
    } else if (aborted || late || code != ncclSuccess || state != ncclInProgress) nccl_abort_now(g);
}

/* One look at a group; true: another one soon. */
static bool turn(struct nccl_group *g)
{
    switch (g->phase) {
    case NCCL_BARE:
    case NCCL_BROKEN: return nccl_buffers(g);
    case NCCL_WANTED: begin(g); return true;
    case NCCL_BEGINS: look_for_peers(g); return true;
    case NCCL_ENDS: nccl_end_now(g); return true;
    case NCCL_BREAKS: nccl_abort_now(g); return false;
    case NCCL_LIVES: break;
    }
    if (g->give_up || (g->end && g->under_way)) nccl_break(g, ST_PEER);
    else if (g->end) begin_end(g);
    else return g->under_way ? nccl_watch(g) : nccl_buffers(g);
    return true;
}

static void rest(struct nccl_world *w, bool busy)
{
    double const idle = clock_seconds() - w->moved_at;
    struct timespec const until = rules_until(idle < 5e-3 ? 50e-6 : 500e-6);

    if (busy) (void)pthread_cond_timedwait(&w->work, &w->lock, &until);
    else pthread_cond_wait(&w->work, &w->lock);
}

void *nccl_thread(void *world)
{
    struct nccl_world *const w = world;

    (void)prctl(PR_SET_TIMERSLACK, 1000UL); /* ns; its naps are short */
    pthread_mutex_lock(&w->lock);
    while (!w->over) {
        bool busy = false;
        w->asked = false;
        for (struct nccl_group *g = w->groups; g; g = g->next) busy |= turn(g);
        if (!w->asked && !w->over) rest(w, busy);
    }
    w->ended = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}
