/* standin_nccl.c - NCCL's calls, and which of them goes wrong. */
#include "tests/standin/standin_nccl.h"

#include "base/clock.h"
#include "tests/rng.h"
#include "tests/standin/standin.h"
#include "tests/standin/standin_wire.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

ncclResult_t ncclGroupStart(void); /* nccl.h declares them without */
ncclResult_t ncclGroupEnd(void);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct standin_plan plan;
static long calls, polls, ids;
static bool faulted;

/* Of the thread: the open group. */
enum { MOST_PARTS = 512 };
static _Thread_local struct {
    int depth, count;
    struct ncclComm *comm;
    struct CUstream_st *stream;
    struct standin_part part[MOST_PARTS];
} group;

void standin_nccl_plan(const struct standin_plan *p)
{
    pthread_mutex_lock(&lock);
    plan = *p;
    calls = polls = 0;
    faulted = false;
    pthread_mutex_unlock(&lock);
}

long standin_nccl_calls(void)
{
    pthread_mutex_lock(&lock);
    long const n = calls;
    pthread_mutex_unlock(&lock);
    return n;
}

bool standin_nccl_faulted(void)
{
    pthread_mutex_lock(&lock);
    bool const yes = faulted;
    pthread_mutex_unlock(&lock);
    return yes;
}

/* Is it this call, or poll, of that rank? */
static enum standin_fault fault_of(int rank, bool poll)
{
    enum standin_fault fault = STANDIN_NONE;

    pthread_mutex_lock(&lock);
    if (rank == plan.rank) {
        long const n = poll ? ++polls : ++calls;
        if ((plan.fault == STANDIN_LATER) == poll && n == plan.at) fault = plan.fault;
        faulted |= fault != STANDIN_NONE;
    }
    pthread_mutex_unlock(&lock);
    return fault;
}

static void pause_ms(int ms)
{
    struct timespec const t = { ms / 1000, ms % 1000 * 1000000L };
    nanosleep(&t, NULL);
}

/* Each counted call begins with it. */
static ncclResult_t call(struct ncclComm *c, int rank)
{
    switch (fault_of(rank, false)) {
    case STANDIN_REFUSE: return ncclSystemError;
    case STANDIN_DIE: (void)raise(SIGKILL); break;
    case STANDIN_BLOCK: pause_ms(plan.block_ms); break;
    case STANDIN_LOSE:
        pthread_mutex_lock(&c->lock);
        c->lost = true;
        pthread_mutex_unlock(&c->lock);
        break;
    case STANDIN_NONE:
    case STANDIN_LATER: break;
    }
    return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    pthread_mutex_lock(&lock);
    snprintf(id->internal, sizeof id->internal, "standin-nccl-%ld-%ld-%ld", (long)getpid(), ++ids,
             (long)time(NULL));
    pthread_mutex_unlock(&lock);
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t r)
{
    static const char *const text[] = {
        "no error",         "unhandled cuda error", "unhandled system error", "internal error",
        "invalid argument", "invalid usage",        "remote process exited",  "in progress",
    };
    return (int)r < (int)(sizeof text / sizeof *text) ? text[r] : "unknown";
}

const char *ncclGetLastError(ncclComm_t c) { return c ? c->why : "(stand-in)"; }

static void comm_free(struct ncclComm *c)
{
    for (int r = 0; r < c->size; r++)
        if (c->peer[r] >= 0) close(c->peer[r]);
    if (c->listener >= 0) close(c->listener);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->work);
    free(c->peer);
    free(c->bye);
    free(c);
}

static struct ncclComm *comm_new(int n, const char *id, int rank)
{
    struct ncclComm *const c = calloc(1, sizeof *c);

    if (!c) return NULL;
    c->peer = calloc((size_t)n, sizeof *c->peer);
    c->bye = calloc((size_t)n, sizeof *c->bye);
    if (!c->peer || !c->bye) standin_stop("no memory for a communicator");
    for (int r = 0; r < n; r++) c->peer[r] = -1;
    c->plan = plan;
    c->rank = rank;
    c->size = n;
    snprintf(c->id, sizeof c->id, "%.63s", id);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->work, NULL);
    c->state = ncclInProgress;
    c->last = &c->first;
    c->rng = plan.seed + (uint64_t)rank * 7919;
    c->listener = -1;
    return c;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *out, int n, ncclUniqueId id, int rank,
                                    ncclConfig_t *config)
{
    struct ncclComm *c;

    if (config->blocking) standin_stop("a communicator that blocks");
    c = comm_new(n, id.internal, rank);
    if (!c) return ncclSystemError;
    if (call(c, rank) != ncclSuccess) {
        comm_free(c);
        return ncclSystemError;
    }
    if (pthread_create(&c->thread, NULL, standin_wire, c)) standin_stop("no thread");
    *out = c;
    return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t c, ncclResult_t *state)
{
    enum standin_fault const fault = fault_of(c->rank, true);

    pthread_mutex_lock(&c->lock);
    if (fault == STANDIN_LATER) standin_state(c, ncclSystemError, "a cable was cut (stand-in)");
    if (c->until > 0 && c->state == ncclInProgress && clock_seconds() >= c->until)
        c->state = ncclSuccess;
    if (c->state != ncclInProgress) c->until = 0;
    *state = c->state;
    pthread_mutex_unlock(&c->lock);
    return ncclSuccess;
}

/* ---- parts ------------------------------------------------------------------------------ */

ncclResult_t ncclGroupStart(void)
{
    if (group.depth++) standin_stop("a group in a group");
    group.count = 0;
    group.comm = NULL;
    return ncclSuccess;
}

static ncclResult_t add(struct ncclComm *c, struct standin_part part, struct CUstream_st *stream)
{
    if (call(c, c->rank) != ncclSuccess) return ncclSystemError;
    if (!group.depth || group.count == MOST_PARTS) standin_stop("a part outside of a group");
    if (group.comm && (group.comm != c || group.stream != stream))
        standin_stop("two communicators in a group");
    if (part.peer < 0 || part.peer >= c->size || part.peer == c->rank)
        standin_stop("rank %d names %d", c->rank, part.peer);
    if (!standin_is_device(part.at)) standin_stop("a part in memory of the host");
    part.at = standin_at(part.at);
    group.comm = c;
    group.stream = stream;
    group.part[group.count++] = part;
    return ncclSuccess;
}

ncclResult_t ncclSend(const void *at, size_t n, ncclDataType_t type, int peer, ncclComm_t c,
                      cudaStream_t stream)
{
    if (type != ncclInt8) standin_stop("a part of another type");
    return add(c,
               (struct standin_part){
                   .send = true, .peer = peer, .at = (void *)(uintptr_t)at, .bytes = n },
               stream);
}

ncclResult_t ncclRecv(void *at, size_t n, ncclDataType_t type, int peer, ncclComm_t c,
                      cudaStream_t stream)
{
    if (type != ncclInt8) standin_stop("a part of another type");
    return add(c, (struct standin_part){ .peer = peer, .at = at, .bytes = n }, stream);
}

/* Sometimes launching takes a while. */
static ncclResult_t queue(struct ncclComm *c, struct standin_group *g)
{
    pthread_mutex_lock(&c->lock);
    if (c->state != ncclSuccess) standin_stop("a group while NCCL is at something else");
    uint64_t s = c->plan.seed + (uintptr_t)g;
    if (c->plan.delay_us && rng_below(&s, 2)) {
        c->state = ncclInProgress;
        c->until = clock_seconds() + 1e-6 * rng_below(&s, c->plan.delay_us);
    }
    ncclResult_t const state = c->state;
    *c->last = g;
    c->last = &g->next;
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&c->lock);
    return state;
}

ncclResult_t ncclGroupEnd(void)
{
    struct ncclComm *const c = group.comm;
    size_t const bytes = (size_t)group.count * sizeof *group.part;

    if (!group.depth) standin_stop("the end of no group");
    group.depth = 0;
    if (!c) return ncclSuccess;
    if (call(c, c->rank) != ncclSuccess) return ncclSystemError;
    struct standin_group *const g = calloc(1, sizeof *g + bytes);
    if (!g) standin_stop("no memory for a group");
    g->stream = group.stream;
    g->count = group.count;
    memcpy(g->part, group.part, bytes);
    if (cudaEventCreateWithFlags(&g->ready, cudaEventDisableTiming) != cudaSuccess ||
        cudaEventRecord(g->ready, g->stream) != cudaSuccess)
        standin_stop("a group on a stream of another device");
    standin_stream_queue(g->stream);
    return queue(c, g);
}

/* ---- buffers, the end ---------------------------------------------------------------------- */

ncclResult_t ncclCommRegister(const ncclComm_t c, void *at, size_t bytes, void **handle)
{
    if (!standin_is_device(at) || !bytes) standin_stop("a buffer of the host");
    if (call(c, c->rank) != ncclSuccess) return ncclSystemError;
    *handle = c; /* one is as good as another */
    c->buffers++;
    return ncclSuccess;
}

ncclResult_t ncclCommDeregister(const ncclComm_t c, void *handle)
{
    if (handle != c || !c->buffers--) standin_stop("a buffer that was not registered");
    return call(c, c->rank);
}

ncclResult_t ncclCommFinalize(ncclComm_t c)
{
    if (call(c, c->rank) != ncclSuccess) return ncclSystemError;
    pthread_mutex_lock(&c->lock);
    c->state = ncclInProgress;
    c->finalize = true;
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&c->lock);
    return ncclInProgress;
}

static void comm_end(struct ncclComm *c)
{
    pthread_mutex_lock(&c->lock);
    c->quit = true;
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    comm_free(c);
}

ncclResult_t ncclCommDestroy(ncclComm_t c)
{
    ncclResult_t const code = call(c, c->rank);

    if (!c->finalize || c->buffers) standin_stop("the end of a communicator still in use");
    comm_end(c);
    return code;
}

ncclResult_t ncclCommAbort(ncclComm_t c)
{
    ncclResult_t const code = call(c, c->rank);

    comm_end(c);
    return code;
}
