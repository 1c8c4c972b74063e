/*
 * comm_nccl_finalize.c - abort, detach and close: the callers' side of a communicator's end.
 *
 * The caller asks the thread and waits, but not for ever: what NCCL still holds after its
 * patience is kept, as the thread may be looking at it, and ends with the process.
 */
#include "comm/nccl/comm_nccl_internal.h"
#include "kernels/cuda/cuda_dev.h"

#include <errno.h>
#include <stdlib.h>

static bool has_comm(const struct nccl_group *g)
{
    return g->phase != NCCL_BARE && g->phase != NCCL_BROKEN;
}

/* May the thread still be at something of it? */
static bool is_held(struct nccl_group *g)
{
    pthread_mutex_lock(&g->world->lock);
    bool held = has_comm(g);
    for (int i = 0; i < COUNT_OF(g->buffer); i++) held |= g->buffer[i].state != BUFFER_NONE;
    pthread_mutex_unlock(&g->world->lock);
    return held;
}

/* Nothing touches a caller's memory after this, but for an NCCL that does not come back. */
void nccl_abort(struct comm *c)
{
    struct nccl_group *const g = nccl_of(c);
    struct timespec const until = comm_time_after(NCCL_PATIENCE_S);

    wrap_abort(&g->base);
    pthread_mutex_lock(&g->world->lock);
    g->give_up = true;
    nccl_ask(g->world);
    while (has_comm(g))
        if (!nccl_wait(g, &until)) break;
    pthread_mutex_unlock(&g->world->lock);
}

void nccl_detach(struct nccl_group *g)
{
    struct timespec const until = comm_time_after(g->base.deadline_s + 2 * NCCL_PATIENCE_S);

    pthread_mutex_lock(&g->world->lock);
    g->end = true;
    nccl_ask(g->world);
    while (has_comm(g))
        if (!nccl_wait(g, &until)) break;
    bool const held = has_comm(g);
    if (!held) g->phase = NCCL_BARE;
    pthread_mutex_unlock(&g->world->lock);
    g->base.streamed = g->base.gathers = false;
    g->on_card = false;
    if (held) return;
    nccl_free_all(g);
    for (int i = 0; i < COUNT_OF(g->posts); i++) {
        cuda_event_close(&g->posts[i].ready);
        cuda_event_close(&g->posts[i].over);
    }
    cuda_stream_close(&g->stream);
}

static void unlink_group(struct nccl_group *g)
{
    struct nccl_group **at = &g->world->groups;

    pthread_mutex_lock(&g->world->lock);
    while (*at != g) at = &(*at)->next;
    *at = g->next;
    pthread_mutex_unlock(&g->world->lock);
}

static void end_thread(struct nccl_world *w)
{
    struct timespec const until = comm_time_after(NCCL_PATIENCE_S);
    bool late = false;

    pthread_mutex_lock(&w->lock);
    w->over = true;
    nccl_ask(w);
    while (!w->ended && !late)
        late = pthread_cond_timedwait(&w->changed, &w->lock, &until) == ETIMEDOUT;
    pthread_mutex_unlock(&w->lock);
    if (late) {
        pthread_detach(w->task.thread);
        return;
    }
    (void)task_join(&w->task, ST_OK);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

void comm_nccl_unwrap(struct comm **c)
{
    struct nccl_group *const g = nccl_of(*c);
    struct nccl_world *const w = g->world;

    *c = g->base.inner;
    nccl_detach(g);
    bool const held = is_held(g);
    if (!held) unlink_group(g);
    bool const last = !w->groups || (held && w->groups == g && !g->next);
    if (last) end_thread(w);
    if (held) return;
    for (int i = 0; i < COUNT_OF(g->posts); i++) {
        free(g->posts[i].xfer);
        free(g->posts[i].shard);
    }
    pthread_cond_destroy(&g->changed);
    free(g->host_xfer);
    free(g->members);
    free(g);
}

void nccl_close(struct comm **c)
{
    if (!*c) return;
    comm_nccl_unwrap(c);
    comm_close(c);
}
