/*
 * standin_stream.c - the CUDA runtime's streams and events, on the host.
 *
 * What is queued on a stream to run by itself is counted, and so is what is over; an event is a
 * list of counts to be reached, and so is what a stream waits for. The host runs everything else
 * where it is put, when the stream's list is reached.
 */
#include "tests/standin/standin.h"

#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdlib.h>

/* Outlives its stream while lists name it. */
struct counted {
    int users, device;
    long queued, over;
};

enum { MOST = 32 };
struct list {
    int count;
    struct {
        struct counted *c;
        long at;
    } wait[MOST];
};

struct CUstream_st {
    struct counted *c;
    struct list list;
};
struct CUevent_st {
    int device;
    struct list list;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* ---- with the lock ------------------------------------------------------------ */

static void release_counted(struct counted *c)
{
    if (--c->users == 0) free(c);
}

/* Forget what is reached. true: all is. */
static bool forget_reached(struct list *l)
{
    int n = 0;

    for (int i = 0; i < l->count; i++) {
        if (l->wait[i].c->over < l->wait[i].at) l->wait[n++] = l->wait[i];
        else release_counted(l->wait[i].c);
    }
    l->count = n;
    return !n;
}

static void add_counted(struct list *l, struct counted *c, long at)
{
    if (c->over >= at) return;
    for (int i = 0; i < l->count; i++)
        if (l->wait[i].c == c) {
            if (l->wait[i].at < at) l->wait[i].at = at;
            return;
        }
    if (l->count == MOST) standin_stop("a stream waits for more than %d others", MOST);
    c->users++;
    l->wait[l->count].c = c;
    l->wait[l->count++].at = at;
}

static void add_list(struct list *l, const struct list *more)
{
    for (int i = 0; i < more->count; i++) add_counted(l, more->wait[i].c, more->wait[i].at);
}

static void clear_list(struct list *l)
{
    for (int i = 0; i < l->count; i++) release_counted(l->wait[i].c);
    l->count = 0;
}

static void wait_for_list(struct list *l)
{
    while (!forget_reached(l)) pthread_cond_wait(&changed, &lock);
}

/* All that is on the stream. */
static void gather_stream(struct list *l, cudaStream_t s)
{
    forget_reached(&s->list);
    add_list(l, &s->list);
    add_counted(l, s->c, s->c->queued);
}

/* ---- streams ------------------------------------------------------------------- */

static bool is_own(cudaStream_t s) { return s && s != cudaStreamPerThread; }

void standin_stream_queue(cudaStream_t s)
{
    pthread_mutex_lock(&lock);
    s->c->users++;
    s->c->queued++;
    pthread_mutex_unlock(&lock);
}

void standin_stream_over(cudaStream_t s)
{
    pthread_mutex_lock(&lock);
    s->c->over++;
    pthread_cond_broadcast(&changed);
    release_counted(s->c);
    pthread_mutex_unlock(&lock);
}

static void run_stream(cudaStream_t s)
{
    struct list l = { .count = 0 };

    if (!is_own(s)) return;
    pthread_mutex_lock(&lock);
    gather_stream(&l, s);
    wait_for_list(&l);
    pthread_mutex_unlock(&lock);
}

void standin_stream_run(cudaStream_t s)
{
    if (is_own(s) && s->c->device != standin_device())
        standin_stop("device %d is given work on a stream of device %d", standin_device(),
                     s->c->device);
    run_stream(s);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int priority)
{
    struct counted *const c = calloc(1, sizeof *c);

    (void)priority;
    if (flags != cudaStreamNonBlocking) standin_stop("a stream that waits for the default one");
    *out = calloc(1, sizeof **out);
    if (!*out || !c) {
        free(c);
        free(*out);
        return cudaErrorMemoryAllocation;
    }
    c->users = 1;
    c->device = standin_device();
    (*out)->c = c;
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    return cudaStreamCreateWithPriority(out, flags, 0);
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    run_stream(s);
    pthread_mutex_lock(&lock);
    clear_list(&s->list);
    release_counted(s->c);
    pthread_mutex_unlock(&lock);
    free(s);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    run_stream(s);
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t s)
{
    struct list l = { .count = 0 };

    if (!is_own(s)) return cudaSuccess;
    pthread_mutex_lock(&lock);
    gather_stream(&l, s);
    bool const over = forget_reached(&l);
    clear_list(&l);
    pthread_mutex_unlock(&lock);
    return over ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t event, unsigned flags)
{
    (void)flags;
    if (!is_own(s)) return cudaEventSynchronize(event);
    pthread_mutex_lock(&lock);
    forget_reached(&s->list);
    forget_reached(&event->list);
    add_list(&s->list, &event->list);
    pthread_mutex_unlock(&lock);
    return cudaSuccess;
}

/* ---- events --------------------------------------------------------------------- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    if (flags != cudaEventDisableTiming) return cudaErrorNotSupported; /* nobody times */
    *out = calloc(1, sizeof **out);
    if (!*out) return cudaErrorMemoryAllocation;
    (*out)->device = standin_device();
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    pthread_mutex_lock(&lock);
    clear_list(&event->list);
    pthread_mutex_unlock(&lock);
    free(event);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t s)
{
    if (is_own(s) && s->c->device != event->device) return cudaErrorInvalidResourceHandle;
    pthread_mutex_lock(&lock);
    clear_list(&event->list);
    if (is_own(s)) gather_stream(&event->list, s);
    pthread_mutex_unlock(&lock);
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    struct list l = { .count = 0 };

    pthread_mutex_lock(&lock);
    add_list(&l, &event->list);
    wait_for_list(&l);
    pthread_mutex_unlock(&lock);
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    pthread_mutex_lock(&lock);
    bool const over = forget_reached(&event->list);
    pthread_mutex_unlock(&lock);
    return over ? cudaSuccess : cudaErrorNotReady;
}
