/* standin_nccl.c - NCCL's calls, and which of them goes wrong. */
#include "tests/standin/standin_nccl.h"

#include "base/clock.h"
#include "tests/standin/standin.h"
#include "tests/standin/standin_wire.h"
#include "tests/support/rng.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

ncclResult_t ncclGroupStart(void); /* NCCL's header declares them without */
ncclResult_t ncclGroupEnd(void);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct standin_plan plan;
static long made, polls, ids, gatherings;
static const char *faulted; /* the call */

/* What ncclMemAlloc has given out. */
enum { MOST_MEMORY = 64 };
static struct {
    unsigned char *at;
    size_t bytes;
} memory[MOST_MEMORY];

/* Of the thread: the open group, of parts or of gatherings. */
enum { MOST_PARTS = 512, MOST_CALLS = 8 };
static _Thread_local struct {
    bool failed; /* a call in it: nothing of it is launched */
    int depth, count, calls;
    struct standin_call call[MOST_CALLS];
    struct ncclComm *comm;
    struct CUstream_st *stream;
    struct standin_part part[MOST_PARTS];
} group;

void standin_nccl_plan(const struct standin_plan *p)
{
    pthread_mutex_lock(&lock);
    plan = *p;
    made = polls = gatherings = 0;
    faulted = NULL;
    pthread_mutex_unlock(&lock);
}

long standin_nccl_calls(void)
{
    pthread_mutex_lock(&lock);
    long const n = made;
    pthread_mutex_unlock(&lock);
    return n;
}

long standin_nccl_gatherings(void)
{
    pthread_mutex_lock(&lock);
    long const n = gatherings;
    pthread_mutex_unlock(&lock);
    return n;
}

const char *standin_nccl_faulted(void)
{
    pthread_mutex_lock(&lock);
    const char *const name = faulted;
    pthread_mutex_unlock(&lock);
    return name;
}

/* Is it this call, or poll, of that rank? */
static enum standin_fault fault_of(int rank, const char *name, bool poll)
{
    enum standin_fault fault = STANDIN_NONE;

    pthread_mutex_lock(&lock);
    if (rank == plan.rank) {
        long const n = poll ? ++polls : ++made;
        if ((plan.fault == STANDIN_LATER) == poll && n == plan.at) fault = plan.fault;
        if (fault != STANDIN_NONE) faulted = name;
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
static ncclResult_t begin_call(struct ncclComm *c, int rank, const char *name)
{
    switch (fault_of(rank, name, false)) {
    case STANDIN_REFUSE: return ncclSystemError;
    case STANDIN_DIE: (void)raise(SIGKILL); break;
    case STANDIN_BLOCK: pause_ms(plan.block_ms); break;
    case STANDIN_LOSE:
        if (!c) break;
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

static void free_comm(struct ncclComm *c)
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

static struct ncclComm *new_comm(int n, const char *id, int rank)
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

    if (config->blocking != 0) standin_stop("a communicator that blocks");
    c = new_comm(n, id.internal, rank);
    if (!c) return ncclSystemError;
    if (begin_call(c, rank, __func__) != ncclSuccess) {
        free_comm(c);
        return ncclSystemError;
    }
    c->zero = config->CTAPolicy == NCCL_CTA_POLICY_ZERO;
    if (pthread_create(&c->thread, NULL, standin_wire, c)) standin_stop("no thread");
    *out = c;
    return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t c, ncclResult_t *state)
{
    enum standin_fault const fault =
        fault_of(c->rank, c->finalize ? "ncclCommFinalize" : __func__, true);

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
    group.count = group.calls = 0;
    group.failed = false;
    group.comm = NULL;
    return ncclSuccess;
}

static void queue_part(struct ncclComm *c, struct standin_part part, struct CUstream_st *stream)
{
    if (!group.depth || group.count == MOST_PARTS) standin_stop("a part outside of a group");
    if (group.comm && (group.comm != c || group.stream != stream))
        standin_stop("two communicators in a group");
    group.comm = c;
    group.stream = stream;
    group.part[group.count++] = part;
}

static ncclResult_t refuse_call(void)
{
    group.failed = true;
    return ncclSystemError;
}

static ncclResult_t add_part(struct ncclComm *c, struct standin_part part,
                             struct CUstream_st *stream)
{
    if (begin_call(c, c->rank, part.send ? "ncclSend" : "ncclRecv") != ncclSuccess)
        return refuse_call();
    if (group.calls) standin_stop("a part in a group of gatherings");
    if (part.peer < 0 || part.peer >= c->size || part.peer == c->rank)
        standin_stop("rank %d names %d", c->rank, part.peer);
    if (!standin_is_device(part.at)) standin_stop("a part in memory of the host");
    part.at = standin_at(part.at);
    queue_part(c, part, stream);
    return ncclSuccess;
}

ncclResult_t ncclSend(const void *at, size_t n, ncclDataType_t type, int peer, ncclComm_t c,
                      cudaStream_t stream)
{
    if (type != ncclInt8) standin_stop("a part of another type");
    return add_part(c,
                    (struct standin_part){
                        .send = true, .peer = peer, .at = (void *)(uintptr_t)at, .bytes = n },
                    stream);
}

ncclResult_t ncclRecv(void *at, size_t n, ncclDataType_t type, int peer, ncclComm_t c,
                      cudaStream_t stream)
{
    if (type != ncclInt8) standin_stop("a part of another type");
    return add_part(c, (struct standin_part){ .peer = peer, .at = at, .bytes = n }, stream);
}

static struct standin_window *find_window(struct ncclComm *c, const unsigned char *at, size_t bytes)
{
    for (int i = 0; i < STANDIN_WINDOWS; i++) {
        struct standin_window *const w = &c->window[i];
        if (w->at && at >= w->at && at + bytes <= w->at + w->bytes) return w;
    }
    return NULL;
}

/* In place, of bytes, as comm_nccl gathers. */
ncclResult_t ncclAllGather(const void *from, void *to, size_t n, ncclDataType_t type, ncclComm_t c,
                           cudaStream_t stream)
{
    unsigned char *const at = standin_at(to);
    const struct standin_window *const w = find_window(c, at, n * (size_t)c->size);

    if (begin_call(c, c->rank, __func__) != ncclSuccess) return refuse_call();
    if (type != ncclInt8 || !n ||
        (const unsigned char *)standin_at(from) != at + n * (size_t)c->rank)
        standin_stop("a gathering that is not in place");
    if (!standin_is_device(to)) standin_stop("a gathering in memory of the host");
    if ((group.count && !group.calls) || group.calls == MOST_CALLS)
        standin_stop("a gathering among parts");
    group.call[group.calls++] =
        (struct standin_call){ .window = w ? 1 + (uint64_t)(w - c->window) : 0,
                               .place = w ? (uint64_t)(at - w->at) : 0,
                               .bytes = n };
    pthread_mutex_lock(&lock);
    gatherings++;
    pthread_mutex_unlock(&lock);
    for (int r = 0; r < c->size; r++) {
        struct standin_part p = { .peer = r, .bytes = n };
        if (r == c->rank) continue;
        p.at = at + n * (size_t)r;
        queue_part(c, p, stream);
        p.send = true;
        p.at = at + n * (size_t)c->rank;
        queue_part(c, p, stream);
    }
    return ncclSuccess;
}

/* What all ranks call goes before the parts: to each peer a word of it, and from it. */
static struct standin_group *new_group(struct ncclComm *c, int calls, const struct standin_call *of,
                                       int count, const struct standin_part *part)
{
    int const words = 2 * calls * (c->size - 1);
    struct standin_group *const g =
        calloc(1, sizeof *g + (size_t)(words + count) * sizeof *g->part);

    if (!g) standin_stop("no memory for a group");
    g->call = calloc((size_t)calls * (size_t)c->size + 1, sizeof *g->call);
    if (!g->call) standin_stop("no memory for a group");
    g->calls = calls;
    for (int i = 0; i < calls; i++) {
        struct standin_call *const all = g->call + i * c->size;
        all[c->rank] = of[i];
        all[c->rank].number = c->calls++;
        for (int r = 0; r < c->size; r++) {
            struct standin_part p = { .peer = r, .bytes = sizeof *all };
            if (r == c->rank) continue;
            p.at = (unsigned char *)&all[r];
            g->part[g->count++] = p;
            p.send = true;
            p.at = (unsigned char *)&all[c->rank];
            g->part[g->count++] = p;
        }
    }
    for (int i = 0; i < count; i++) g->part[g->count++] = part[i];
    return g;
}

static void append_group(struct ncclComm *c, struct standin_group *g)
{
    if (g->told) c->state = ncclInProgress;
    *c->last = g;
    c->last = &g->next;
    pthread_cond_signal(&c->work);
}

/* Sometimes launching takes a while. Engines begin with a meeting of all ranks. */
static ncclResult_t queue_group(struct ncclComm *c, struct standin_group *g, bool engines)
{
    pthread_mutex_lock(&c->lock);
    if (c->state != ncclSuccess) standin_stop("a group while NCCL is at something else");
    uint64_t s = c->plan.seed + (uintptr_t)g;
    if (engines && !c->engines) {
        struct standin_group *const begin = new_group(c, 1, &(struct standin_call){ 0 }, 0, NULL);
        begin->told = true;
        append_group(c, begin);
        c->engines = true;
    } else if (c->plan.delay_us && rng_below(&s, 2)) {
        c->state = ncclInProgress;
        c->until = clock_seconds() + 1e-6 * rng_below(&s, c->plan.delay_us);
    }
    append_group(c, g);
    ncclResult_t const state = c->state;
    pthread_mutex_unlock(&c->lock);
    return state;
}

ncclResult_t ncclGroupEnd(void)
{
    struct ncclComm *const c = group.comm;
    bool engines = group.calls > 0 && c && c->zero;

    if (!group.depth) standin_stop("the end of no group");
    group.depth = 0;
    if (group.failed) return ncclSystemError;
    if (!c) return ncclSuccess;
    if (begin_call(c, c->rank, __func__) != ncclSuccess) return ncclSystemError;
    for (int i = 0; i < group.calls; i++) engines &= group.call[i].window > 0;
    struct standin_group *const g = new_group(c, group.calls, group.call, group.count, group.part);
    g->stream = group.stream;
    if (cudaEventCreateWithFlags(&g->ready, cudaEventDisableTiming) != cudaSuccess ||
        cudaEventRecord(g->ready, g->stream) != cudaSuccess)
        standin_stop("a group on a stream of another device");
    standin_stream_queue(g->stream);
    return queue_group(c, g, engines);
}

/* ---- memory ----------------------------------------------------------------------------- */

/* As ncclMemAlloc itself it knows of no communicator: the rank of a card is its number. */
ncclResult_t ncclMemAlloc(void **at, size_t bytes)
{
    int i = 0;

    if (begin_call(NULL, standin_device(), __func__) != ncclSuccess) return ncclUnhandledCudaError;
    if (cudaMalloc(at, bytes) != cudaSuccess) return ncclUnhandledCudaError;
    pthread_mutex_lock(&lock);
    while (i < MOST_MEMORY && memory[i].at) i++;
    if (i == MOST_MEMORY) standin_stop("more than %d pieces of memory", MOST_MEMORY);
    memory[i].at = *at;
    memory[i].bytes = bytes;
    pthread_mutex_unlock(&lock);
    return ncclSuccess;
}

/* -1: it is not NCCL's. */
static int memory_owner(const void *at, size_t bytes)
{
    int found = -1;

    pthread_mutex_lock(&lock);
    for (int i = 0; i < MOST_MEMORY; i++)
        if (memory[i].at && memory[i].at == at && bytes <= memory[i].bytes) found = i;
    pthread_mutex_unlock(&lock);
    return found;
}

ncclResult_t ncclMemFree(void *at)
{
    int const i = memory_owner(at, 0);

    if (i < 0) standin_stop("ncclMemFree of what is not NCCL's");
    ncclResult_t const code = begin_call(NULL, standin_device(), __func__);
    pthread_mutex_lock(&lock);
    memory[i].at = NULL;
    pthread_mutex_unlock(&lock);
    return cudaFree(at) == cudaSuccess ? code : ncclUnhandledCudaError;
}

int standin_nccl_memory(void)
{
    int n = 0;

    pthread_mutex_lock(&lock);
    for (int i = 0; i < MOST_MEMORY; i++) n += memory[i].at != NULL;
    pthread_mutex_unlock(&lock);
    return n;
}

/* All ranks: of the same bytes, in the same order. It is there when NCCL is done. */
ncclResult_t ncclCommWindowRegister(ncclComm_t c, void *at, size_t bytes, ncclWindow_t *out,
                                    int flags)
{
    struct standin_call own = { .window = 1, .bytes = bytes };

    if (memory_owner(at, bytes) < 0) standin_stop("a window over memory that is not NCCL's");
    if (flags != NCCL_WIN_COLL_SYMMETRIC) standin_stop("a window of another kind");
    if (begin_call(c, c->rank, __func__) != ncclSuccess) return ncclSystemError;
    while (own.window <= STANDIN_WINDOWS && c->window[own.window - 1].at) own.window++;
    if (own.window > STANDIN_WINDOWS) standin_stop("more than %d windows", STANDIN_WINDOWS);
    c->window[own.window - 1] = (struct standin_window){ standin_at(at), bytes };
    struct standin_group *const g = new_group(c, 1, &own, 0, NULL);
    g->told = true;
    g->window = out;
    pthread_mutex_lock(&c->lock);
    if (c->state != ncclSuccess) standin_stop("a window while NCCL is at something else");
    append_group(c, g);
    pthread_mutex_unlock(&c->lock);
    return ncclInProgress;
}

ncclResult_t ncclCommWindowDeregister(ncclComm_t c, ncclWindow_t window)
{
    struct standin_window *const w = (struct standin_window *)(void *)window;

    if (w < c->window || w >= c->window + STANDIN_WINDOWS || !w->at)
        standin_stop("a window that was not registered");
    w->at = NULL;
    return begin_call(c, c->rank, __func__);
}

ncclResult_t ncclCommRegister(const ncclComm_t c, void *at, size_t bytes, void **handle)
{
    if (memory_owner(at, bytes) < 0) standin_stop("a buffer that is not NCCL's");
    if (begin_call(c, c->rank, __func__) != ncclSuccess) return ncclSystemError;
    *handle = c; /* one is as good as another */
    c->buffers++;
    return ncclSuccess;
}

ncclResult_t ncclCommDeregister(const ncclComm_t c, void *handle)
{
    if (handle != c || !c->buffers--) standin_stop("a buffer that was not registered");
    return begin_call(c, c->rank, __func__);
}

ncclResult_t ncclCommFinalize(ncclComm_t c)
{
    if (begin_call(c, c->rank, __func__) != ncclSuccess) return ncclSystemError;
    pthread_mutex_lock(&c->lock);
    c->state = ncclInProgress;
    c->finalize = true;
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&c->lock);
    return ncclInProgress;
}

/* ---- the end ---------------------------------------------------------------------------- */

static void end_comm(struct ncclComm *c)
{
    pthread_mutex_lock(&c->lock);
    c->quit = true;
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    free_comm(c);
}

ncclResult_t ncclCommDestroy(ncclComm_t c)
{
    ncclResult_t const code = begin_call(c, c->rank, __func__);

    bool used = !c->finalize || c->buffers;
    for (int i = 0; i < STANDIN_WINDOWS; i++) used |= c->window[i].at != NULL;
    if (used) standin_stop("the end of a communicator still in use");
    end_comm(c);
    return code;
}

ncclResult_t ncclCommAbort(ncclComm_t c)
{
    ncclResult_t const code = begin_call(c, c->rank, __func__);

    end_comm(c);
    return code;
}
