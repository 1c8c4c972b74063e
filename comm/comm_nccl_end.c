/* comm_nccl_end.c - abort and close. */
#include "comm/comm_nccl.h"
#include "kernels/cuda/cuda_dev.h"

#include <errno.h>
#include <stdlib.h>

static bool lives(const struct nccl_group *g)
{
    return g->phase != NCCL_BARE && g->phase != NCCL_BROKEN;
}

/* Nothing touches a caller's memory after this, but for an NCCL that does not come back. */
void nccl_abort(struct comm *c)
{
    struct nccl_group *const g = nccl_of(c);
    struct timespec const until = rules_until(NCCL_PATIENCE_S);

    g->inner->ops->abort(g->inner);
    pthread_mutex_lock(&g->world->lock);
    g->give_up = true;
    nccl_ask(g->world);
    while (lives(g))
        if (!nccl_wait(g, &until)) break;
    pthread_mutex_unlock(&g->world->lock);
}

/* In order, the others end it too: what they have not read yet may lie on this card. */
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
    g->base.streamed = false;
    g->on_card = false;
    if (held) return;
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

/* A thread that NCCL holds is left behind, with all it may still look at. */
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

void comm_nccl_end(struct comm **c)
{
    struct nccl_group *const g = nccl_of(*c);
    struct nccl_world *const w = g->world;

    *c = g->inner;
    nccl_detach(g);
    bool const held = lives(g);
    if (!held) leave_world(g);
    bool const last = !w->groups || (held && w->groups == g && !g->next);
    if (last) end_world(w);
    if (held) return;
    for (int i = 0; i < COUNT_OF(g->start); i++) free(g->start[i].part);
    pthread_cond_destroy(&g->changed);
    free(g->host_part);
    free(g->members);
    free(g);
}

void nccl_close(struct comm **c)
{
    if (!*c) return;
    comm_nccl_end(c);
    (*c)->ops->close(c);
}
