/*
 * comm_nccl_transfer.c - post, gather, wait, synchronize: what a rank asks of the thread.
 *
 * A post may have transfers of both kinds: those in host memory go to the inner comm, those on
 * the card into the ring. If one half fails the other must not go on moving, so the communicator
 * is broken then.
 */
#include "comm/nccl/comm_nccl_internal.h"
#include "kernels/cuda/cuda_dev.h"

#include <stdlib.h>

static bool lies_on_card(const struct nccl_group *g, const struct comm_xfer *p)
{
    return comm_xfer_on_card(p, g->base.streamed);
}

/* Nothing is sent of no bytes, and both sides know. */
static bool is_launched(const struct nccl_group *g, const struct comm_xfer *p)
{
    return lies_on_card(g, p) && tensor_bytes(&p->t) > 0;
}

static status reserve_xfers(struct comm_xfer **xfer, int *cap, int count)
{
    if (count <= *cap) return ST_OK;
    struct comm_xfer *const more = realloc(*xfer, (size_t)count * sizeof *more);
    if (!more) return fail(ST_NOMEM, "post: %d transfers", count);
    *xfer = more;
    *cap = count;
    return ST_OK;
}

static status reserve_shards(struct comm_shard **shard, int *cap, int count)
{
    if (count <= *cap) return ST_OK;
    struct comm_shard *const more = realloc(*shard, (size_t)count * sizeof *more);
    if (!more) return fail(ST_NOMEM, "gather: %d tensors", count);
    *shard = more;
    *cap = count;
    return ST_OK;
}

/* With the lock: a slot in the ring, empty. The oldest posts leave it by themselves. */
static status claim_slot(struct nccl_group *g, struct nccl_post **out)
{
    struct timespec const until = comm_time_after(g->base.deadline_s + NCCL_PATIENCE_S);

    while (g->under_way == NCCL_POSTS && g->phase == NCCL_LIVES)
        if (!nccl_wait(g, &until)) return fail(ST_COMM, "NCCL made no progress in time");
    TRY(nccl_broken(g));
    g->last = (g->first + g->under_way) % NCCL_POSTS;
    *out = &g->posts[g->last];
    (*out)->xfers = (*out)->shards = 0;
    return ST_OK;
}

/* With the lock. What is in that slot is for the thread. */
static status enqueue_post(struct nccl_group *g, struct nccl_post *s)
{
    if (!s->xfers && !s->shards) return ST_OK;
    TRY(cuda_event_record(s->ready, g->memory.stream));
    s->state = POST_ASKED;
    s->deadline_s = g->base.deadline_s;
    s->since = 0;
    g->on_card = true;
    g->under_way++;
    nccl_ask(g->world);
    return ST_OK;
}

/* With the lock. */
static status post_on_card(struct nccl_group *g, const struct comm_xfer *xfers, int count)
{
    struct nccl_post *s = NULL;

    TRY(claim_slot(g, &s));
    TRY(reserve_xfers(&s->xfer, &s->xfer_cap, count));
    for (int i = 0; i < count; i++)
        if (is_launched(g, &xfers[i])) s->xfer[s->xfers++] = xfers[i];
    return enqueue_post(g, s);
}

/* With the lock. */
static status gather_on_card(struct nccl_group *g, const struct comm_shard *shards, int count)
{
    struct nccl_post *s = NULL;

    TRY(claim_slot(g, &s));
    TRY(reserve_shards(&s->shard, &s->shard_cap, count));
    for (int i = 0; i < count; i++)
        if (tensor_bytes(&shards[i].t)) s->shard[s->shards++] = shards[i];
    return enqueue_post(g, s);
}

static status post_on_host(struct nccl_group *g, const struct comm_xfer *xfers, int count)
{
    struct comm *const inner = wrap_inner(&g->base);

    TRY(reserve_xfers(&g->host_xfer, &g->xfer_cap, count));
    for (int i = 0; i < count; i++)
        if (!lies_on_card(g, &xfers[i])) g->host_xfer[g->host_count++] = xfers[i];
    if (!g->host_count) return ST_OK;
    status const st = comm_post(inner, g->host_xfer, g->host_count);
    if (st != ST_OK) g->host_count = 0;
    return st;
}

/* May a post or a gather begin? */
static status check_may_post(struct nccl_group *g, const struct comm_xfer *xfers, int count)
{
    TRY(comm_check_post(&g->base, xfers, count, g->open));
    if (wrap_aborted(&g->base)) return nccl_fail_aborted(g);
    if (g->out_of_step)
        return fail(ST_COMM, "post: rank %d failed in its last wait", g->base.world_rank);
    g->on_card = false;
    return ST_OK;
}

static status set_open(struct nccl_group *g, status st)
{
    g->open = st == ST_OK;
    g->out_of_step = st != ST_OK;
    return st;
}

status nccl_gather(struct comm *c, const struct comm_shard *shards, int count)
{
    struct nccl_group *const g = nccl_of(c);

    TRY(check_may_post(g, NULL, 0));
    pthread_mutex_lock(&g->world->lock);
    status const st = gather_on_card(g, shards, count);
    pthread_mutex_unlock(&g->world->lock);
    return set_open(g, st);
}

status nccl_post(struct comm *c, const struct comm_xfer *xfers, int count)
{
    struct nccl_group *const g = nccl_of(c);
    status st = ST_OK;

    TRY(check_may_post(g, xfers, count));
    TRY(post_on_host(g, xfers, count));
    if (c->streamed) {
        pthread_mutex_lock(&g->world->lock);
        st = post_on_card(g, xfers, count);
        pthread_mutex_unlock(&g->world->lock);
    }
    return set_open(g, st);
}

/* With the lock. NCCL launches what needs nobody at once; the first transfers between two ranks
 * when both are there. */
static status await_launch(struct nccl_group *g, const struct nccl_post *s)
{
    struct timespec const until = comm_time_after(g->base.deadline_s + NCCL_PATIENCE_S);

    while (s->state < POST_MOVES && g->phase == NCCL_LIVES)
        if (!nccl_wait(g, &until))
            return fail(ST_COMM, "NCCL did not launch the posted transfers in time");
    return nccl_broken(g);
}

static status wait_on_card(struct nccl_group *g)
{
    const struct nccl_post *const s = &g->posts[g->last];

    pthread_mutex_lock(&g->world->lock);
    status const st = await_launch(g, s);
    pthread_mutex_unlock(&g->world->lock);
    TRY(st);
    return cuda_event_wait(s->over, g->memory.stream);
}

/* The rest failed: nothing may move on the card either. */
static status break_card_half(struct nccl_group *g, status st)
{
    struct error const why = *error_last();

    pthread_mutex_lock(&g->world->lock);
    if (g->phase == NCCL_LIVES) nccl_break(g, st);
    (void)nccl_broken(g);
    pthread_mutex_unlock(&g->world->lock);
    error_adopt(&why);
    return st;
}

status nccl_wait_posted(struct comm *c)
{
    struct nccl_group *const g = nccl_of(c);
    struct comm *const inner = wrap_inner(&g->base);
    status st = ST_OK;

    if (g->host_count) st = comm_wait(inner);
    g->host_count = 0;
    if (g->on_card) st = st == ST_OK ? wait_on_card(g) : break_card_half(g, st);
    g->on_card = false;
    g->open = false;
    g->out_of_step |= st != ST_OK;
    return st == ST_PEER ? nccl_fail_aborted(g) : st;
}

status nccl_synchronize(struct comm *c)
{
    struct nccl_group *const g = nccl_of(c);
    status st = ST_OK;

    if (!c->streamed) return ST_OK;
    pthread_mutex_lock(&g->world->lock);
    struct timespec const until =
        comm_time_after((g->under_way + 1) * c->deadline_s + NCCL_PATIENCE_S);
    while (g->under_way && g->phase == NCCL_LIVES && st == ST_OK)
        if (!nccl_wait(g, &until)) st = fail(ST_COMM, "NCCL made no progress in time");
    if (st == ST_OK) st = nccl_broken(g);
    pthread_mutex_unlock(&g->world->lock);
    g->out_of_step |= st != ST_OK;
    return st == ST_PEER ? nccl_fail_aborted(g) : st;
}
