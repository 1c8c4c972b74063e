/*
 * comm_nccl_memory.c - memory of NCCL's: allocated, registered with the peers, released.
 *
 * Allocating is each rank's own and may fail on one; registering waits for all. So between the
 * two all ranks agree: either every rank registers or none has the memory.
 */
#include "base/clock.h"
#include "comm/nccl/comm_nccl_internal.h"
#include "kernels/cuda/cuda_dev.h"

/* ---- the thread, with the lock; without it while NCCL is called -------------------------- */

/* What the caller wants by now may be something else. */
static void advance_buffer(struct nccl_group *g, struct nccl_buffer *b, enum buffer_state was,
                           enum buffer_state next)
{
    if (b->state == was) b->state = next;
    g->world->moved_at = clock_seconds();
    pthread_cond_broadcast(&g->changed);
}

static void allocate_buffer(struct nccl_group *g, struct nccl_buffer *b)
{
    ncclResult_t code = ncclUnhandledCudaError;
    void *at = NULL;

    pthread_mutex_unlock(&g->world->lock);
    if (cuda_dev_select(g->memory.device) == ST_OK) code = ncclMemAlloc(&at, b->bytes);
    pthread_mutex_lock(&g->world->lock);
    b->at = code == ncclSuccess ? at : NULL;
    b->code = code;
    advance_buffer(g, b, BUFFER_WANTED, BUFFER_MADE);
}

static void register_buffer(struct nccl_group *g, struct nccl_buffer *b)
{
    pthread_mutex_unlock(&g->world->lock);
    status st = cuda_dev_select(g->memory.device);
    if (st == ST_OK)
        st = nccl_checked(g->nccl, "NCCL memory registration", nccl_register(g->nccl, b));
    pthread_mutex_lock(&g->world->lock);
    b->since = clock_seconds();
    advance_buffer(g, b, BUFFER_ASKED, BUFFER_BEGINS);
    if (st != ST_OK) nccl_break(g, st);
}

static void poll_registration(struct nccl_group *g, struct nccl_buffer *b)
{
    bool done = false;

    pthread_mutex_unlock(&g->world->lock);
    status const st = nccl_asked(g->nccl, &done);
    bool const aborted = wrap_aborted(&g->base);
    pthread_mutex_lock(&g->world->lock);
    if (st != ST_OK) nccl_break(g, st);
    else if (aborted) nccl_break(g, ST_PEER);
    else if (done) advance_buffer(g, b, BUFFER_BEGINS, BUFFER_THERE);
    else if (clock_seconds() - b->since > g->base.deadline_s)
        nccl_break(g, nccl_fail_waited(g, "NCCL memory registration", g->base.deadline_s));
}

static void deregister_buffer(struct nccl_group *g, struct nccl_buffer *b)
{
    if (!b->handle) return;
    pthread_mutex_unlock(&g->world->lock);
    if (cuda_dev_select(g->memory.device) == ST_OK) (void)nccl_deregister(g->nccl, b);
    pthread_mutex_lock(&g->world->lock);
    b->handle = NULL;
}

static void release_buffer(struct nccl_group *g, struct nccl_buffer *b)
{
    deregister_buffer(g, b);
    pthread_mutex_unlock(&g->world->lock);
    if (b->at) (void)ncclMemFree(b->at);
    pthread_mutex_lock(&g->world->lock);
    advance_buffer(g, b, BUFFER_LEAVES, BUFFER_NONE);
}

void nccl_buffers_leave(struct nccl_group *g)
{
    for (int i = 0; i < COUNT_OF(g->buffer); i++) deregister_buffer(g, &g->buffer[i]);
}

void nccl_buffers_lost(struct nccl_group *g)
{
    for (int i = 0; i < COUNT_OF(g->buffer); i++) g->buffer[i].handle = NULL;
}

bool nccl_buffers(struct nccl_group *g)
{
    bool busy = false;

    for (int i = 0; i < COUNT_OF(g->buffer); i++) {
        struct nccl_buffer *const b = &g->buffer[i];
        bool const lives = g->phase == NCCL_LIVES;
        if (b->state == BUFFER_LEAVES) release_buffer(g, b);
        else if (lives && b->state == BUFFER_WANTED) allocate_buffer(g, b);
        else if (lives && b->state == BUFFER_ASKED) register_buffer(g, b);
        else if (lives && b->state == BUFFER_BEGINS) poll_registration(g, b);
        busy |= b->state == BUFFER_BEGINS;
    }
    return busy;
}

/* ---- callers, with the lock -------------------------------------------------------------- */

static struct nccl_buffer *buffer_at(struct nccl_group *g, const void *at)
{
    for (int i = 0; i < COUNT_OF(g->buffer); i++)
        if (g->buffer[i].state != BUFFER_NONE && g->buffer[i].at == at) return &g->buffer[i];
    return NULL;
}

static struct nccl_buffer *empty_slot(struct nccl_group *g)
{
    for (int i = 0; i < COUNT_OF(g->buffer); i++)
        if (g->buffer[i].state == BUFFER_NONE) return &g->buffer[i];
    return NULL;
}

/* Until the thread has brought a buffer on. */
static status await_buffer(struct nccl_group *g, const struct nccl_buffer *b,
                           enum buffer_state next)
{
    struct timespec const until = comm_time_after(g->base.deadline_s + 2 * NCCL_PATIENCE_S);

    nccl_ask(g->world);
    while (b->state != next && g->phase == NCCL_LIVES)
        if (!nccl_wait(g, &until))
            nccl_break(g, fail(ST_COMM, "NCCL did not answer a request for memory in time"));
    return nccl_broken(g);
}

static status allocate_now(struct nccl_group *g, size_t bytes, struct nccl_buffer **out)
{
    struct nccl_buffer *const b = empty_slot(g);

    TRY(nccl_broken(g));
    if (!b) return fail(ST_ARG, "alloc: more than %d buffers of NCCL's memory", NCCL_BUFFERS);
    *b = (struct nccl_buffer){ .state = BUFFER_WANTED,
                               .bytes = bytes ? bytes : 1,
                               .window = comm_one_machine(&g->base) };
    *out = b;
    TRY(await_buffer(g, b, BUFFER_MADE));
    if (b->code == ncclSuccess) return ST_OK;
    return fail(ST_NOMEM, "ncclMemAlloc: %zu bytes on card %d: %s", bytes, g->memory.device,
                ncclGetErrorString(b->code));
}

static void return_buffer(struct nccl_group *g, struct nccl_buffer *b)
{
    struct timespec const until = comm_time_after(NCCL_PATIENCE_S);

    b->state = BUFFER_LEAVES;
    nccl_ask(g->world);
    while (b->state == BUFFER_LEAVES)
        if (!nccl_wait(g, &until)) break;
}

/* ---- callers ------------------------------------------------------------------------------ */

static status register_now(struct nccl_group *g, struct nccl_buffer *b)
{
    pthread_mutex_lock(&g->world->lock);
    b->state = BUFFER_ASKED;
    status const st = await_buffer(g, b, BUFFER_THERE);
    pthread_mutex_unlock(&g->world->lock);
    if (st != ST_OK && st != ST_PEER) wrap_abort(&g->base); /* others wait inside NCCL */
    return st == ST_PEER ? nccl_fail_aborted(g) : st;
}

static status check_same_bytes(struct nccl_group *g, size_t bytes)
{
    size_t all[COMM_RANKS_MAX] = { 0 };

    all[g->base.rank] = bytes;
    TRY(nccl_exchange(g, all, sizeof *all));
    for (int r = 1; r < g->base.size; r++)
        if (all[r] != all[0])
            return fail(ST_ARG, "alloc: rank %d asks for %zu bytes, rank %d for %zu", g->members[0],
                        all[0], g->members[r], all[r]);
    return ST_OK;
}

/* What all ranks have is made known to all. */
status nccl_alloc(struct comm *c, size_t bytes, void **at)
{
    struct nccl_group *const g = nccl_of(c);
    struct nccl_buffer *b = NULL;

    if (!c->streamed) return ST_OK;
    TRY(check_same_bytes(g, bytes));
    pthread_mutex_lock(&g->world->lock);
    status st = allocate_now(g, bytes, &b);
    pthread_mutex_unlock(&g->world->lock);
    st = comm_agree(c, st);
    if (!b) return st;
    if (st == ST_OK) st = register_now(g, b);
    if (st == ST_OK) {
        *at = b->at;
        return ST_OK;
    }
    pthread_mutex_lock(&g->world->lock);
    return_buffer(g, b);
    pthread_mutex_unlock(&g->world->lock);
    return st;
}

/* A card that has failed uses nothing any more. */
static void drain_stream(const struct memory *m)
{
    struct error const why = *error_last();
    status st = cuda_dev_select(m->device);

    if (st == ST_OK) st = cuda_stream_sync(m->stream);
    if (st != ST_OK) error_adopt(&why);
}

void nccl_free(struct comm *c, void *at)
{
    struct nccl_group *const g = nccl_of(c);

    pthread_mutex_lock(&g->world->lock);
    struct nccl_buffer *const b = buffer_at(g, at);
    pthread_mutex_unlock(&g->world->lock);
    if (!b) return;
    drain_stream(&g->memory);
    pthread_mutex_lock(&g->world->lock);
    return_buffer(g, b);
    pthread_mutex_unlock(&g->world->lock);
}

void nccl_free_all(struct nccl_group *g)
{
    pthread_mutex_lock(&g->world->lock);
    for (int i = 0; i < COUNT_OF(g->buffer); i++)
        if (g->buffer[i].state != BUFFER_NONE) return_buffer(g, &g->buffer[i]);
    pthread_mutex_unlock(&g->world->lock);
}
