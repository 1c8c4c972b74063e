/* comm_nccl_finalize.c - abort and close. */
#include "comm/nccl/comm_nccl.h"
#include "kernels/cuda/cuda_dev.h"

#include <errno.h>
#include <stdlib.h>

static bool lives(const struct nccl_group *g)
{
    return g->phase != NCCL_BARE && g->phase != NCCL_BROKEN;
}

/* May the thread still be at something of it? */
static bool is_held(struct nccl_group *g)
{
    pthread_mutex_lock(&g->world->lock);
    bool held = lives(g);
    for (int i = 0; i < COUNT_OF(g->buffer); i++) held |= g->buffer[i].state != BUFFER_NONE;
    pthread_mutex_unlock(&g->world->lock);
    return held;
}

/* Nothing touches a caller's memory after this, but for an NCCL that does not come back. */
void nccl_abort(struct comm *c)
{
    struct nccl_group *const g = nccl_of(c);
    struct timespec const until = rules_until(NCCL_PATIENCE_S);

    over_abort(&g->base);
    pthread_mutex_lock(&g->world->lock);
    g->give_up = true;
    nccl_ask(g->world);
    while (lives(g))
        if (!nccl_wait(g, &until)) break;
    pthread_mutex_unlock(&g->world->lock);
}

void nccl_detach(struct nccl_group *g)
{
    struct timespec const until = rules_until(g->base.deadline_s + 2 * NCCL_PATIENCE_S);

    pthread_mutex_lock(&g->world->lock);
    g->end = true;
    nccl_ask(g->world);
    while (lives(g))
        if (!nccl_wait(g, &until)) break;
    bool const held = lives(g);
    if (!held) g->phase = NCCL_BARE;
    pthread_mutex_unlock(&g->world->lock);
    g->base.streamed = g->base.gathers = false;
    g->on_card = false;
    if (held) return;
    nccl_free_all(g);
    for (int i = 0; i < COUNT_OF(g->start); i++) {
        cuda_event_close(&g->start[i].ready);
        cuda_event_close(&g->start[i].over);
    }
    cuda_stream_close(&g->stream);
}

static void leave_world(struct nccl_group *g)
{
    struct nccl_group **at = &g->world->groups;

    pthread_mutex_lock(&g->world->lock);
    while (*at != g) at = &(*at)->next;
    *at = g->next;
    pthread_mutex_unlock(&g->world->lock);
}

static void end_world(struct nccl_world *w)
{
    struct timespec const until = rules_until(NCCL_PATIENCE_S);
    bool late = false;

    pthread_mutex_lock(&w->lock);
    w->over = true;
    nccl_ask(w);
    while (!w->ended && !late)
        late = pthread_cond_timedwait(&w->changed, &w->lock, &until) == ETIMEDOUT;
    pthread_mutex_unlock(&w->lock);
    if (late) {
        pthread_detach(w->thread);
        return;
    }
    pthread_join(w->thread, NULL);
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
    if (!held) leave_world(g);
    bool const last = !w->groups || (held && w->groups == g && !g->next);
    if (last) end_world(w);
    if (held) return;
    for (int i = 0; i < COUNT_OF(g->start); i++) {
        free(g->start[i].part);
        free(g->start[i].share);
    }
    pthread_cond_destroy(&g->changed);
    free(g->host_part);
    free(g->members);
    free(g);
}

void nccl_close(struct comm **c)
{
    if (!*c) return;
    comm_nccl_unwrap(c);
    comm_close(c);
}
