/* comm_nccl_transfer.c - start, gather, finish, settle: what a rank asks of the thread. */
#include "comm/nccl/comm_nccl.h"
#include "kernels/cuda/cuda_dev.h"

#include <stdlib.h>

status nccl_peer_aborted(struct nccl_group *g)
{
    struct comm *const inner = over_inner(&g->base);
    status st = ST_OK;

    if (g->host_count) st = comm_wait(inner);
    g->host_count = 0;
    if (st == ST_OK) st = comm_post(inner, NULL, 0);
    if (st != ST_OK) return st;
    if (comm_wait(inner) != ST_OK) error_clear(); /* what follows says it */
    return fail(ST_PEER, "rank %d stops: another rank aborted", g->base.world_rank);
}

static bool on_card(const struct nccl_group *g, const struct comm_xfer *p)
{
    return rules_on_card(p, g->base.streamed);
}

/* Nothing is sent of no bytes, and both sides know. */
static bool counts(const struct nccl_group *g, const struct comm_xfer *p)
{
    return on_card(g, p) && tensor_bytes(&p->t) > 0;
}

static status part_room(struct comm_xfer **part, int *cap, int count)
{
    if (count <= *cap) return ST_OK;
    struct comm_xfer *const more = realloc(*part, (size_t)count * sizeof *more);
    if (!more) return fail(ST_NOMEM, "start: %d parts", count);
    *part = more;
    *cap = count;
    return ST_OK;
}

static status share_room(struct comm_shard **share, int *cap, int count)
{
    if (count <= *cap) return ST_OK;
    struct comm_shard *const more = realloc(*share, (size_t)count * sizeof *more);
    if (!more) return fail(ST_NOMEM, "gather: %d tensors", count);
    *share = more;
    *cap = count;
    return ST_OK;
}

/* With the lock: a place in the ring, empty. The oldest starts leave it by themselves. */
static status find_place(struct nccl_group *g, struct nccl_post **out)
{
    struct timespec const until = rules_until(g->base.deadline_s + NCCL_PATIENCE_S);

    while (g->under_way == NCCL_STARTS && g->phase == NCCL_LIVES)
        if (!nccl_wait(g, &until)) return fail(ST_COMM, "NCCL does not get on");
    TRY(nccl_broken(g));
    g->last = (g->first + g->under_way) % NCCL_STARTS;
    *out = &g->start[g->last];
    (*out)->parts = (*out)->shares = 0;
    return ST_OK;
}

/* With the lock. What is in that place is for the thread. */
static status put(struct nccl_group *g, struct nccl_post *s)
{
    if (!s->parts && !s->shares) return ST_OK;
    TRY(cuda_event_record(s->ready, g->memory.stream));
    s->state = START_ASKED;
    s->deadline_s = g->base.deadline_s;
    s->since = 0;
    g->on_card = true;
    g->under_way++;
    nccl_ask(g->world);
    return ST_OK;
}

/* With the lock. */
static status start_on_card(struct nccl_group *g, const struct comm_xfer *parts, int count)
{
    struct nccl_post *s = NULL;

    TRY(find_place(g, &s));
    TRY(part_room(&s->part, &s->part_cap, count));
    for (int i = 0; i < count; i++)
        if (counts(g, &parts[i])) s->part[s->parts++] = parts[i];
    return put(g, s);
}

/* With the lock. */
static status gather_on_card(struct nccl_group *g, const struct comm_shard *shares, int count)
{
    struct nccl_post *s = NULL;

    TRY(find_place(g, &s));
    TRY(share_room(&s->share, &s->share_cap, count));
    for (int i = 0; i < count; i++)
        if (tensor_bytes(&shares[i].t)) s->share[s->shares++] = shares[i];
    return put(g, s);
}

static status start_on_host(struct nccl_group *g, const struct comm_xfer *parts, int count)
{
    struct comm *const inner = over_inner(&g->base);

    TRY(part_room(&g->host_part, &g->part_cap, count));
    for (int i = 0; i < count; i++)
        if (!on_card(g, &parts[i])) g->host_part[g->host_count++] = parts[i];
    if (!g->host_count) return ST_OK;
    status const st = comm_post(inner, g->host_part, g->host_count);
    if (st != ST_OK) g->host_count = 0;
    return st;
}

/* May a start or a gather begin? */
static status may_start(struct nccl_group *g, const struct comm_xfer *parts, int count)
{
    TRY(rules_parts(&g->base, parts, count, g->open));
    if (over_aborted(&g->base)) return nccl_peer_aborted(g);
    if (g->out_of_step)
        return fail(ST_COMM, "start: rank %d failed in its last exchange", g->base.world_rank);
    g->on_card = false;
    return ST_OK;
}

static status started(struct nccl_group *g, status st)
{
    g->open = st == ST_OK;
    g->out_of_step = st != ST_OK;
    return st;
}

status nccl_gather(struct comm *c, const struct comm_shard *shares, int count)
{
    struct nccl_group *const g = nccl_of(c);

    TRY(may_start(g, NULL, 0));
    pthread_mutex_lock(&g->world->lock);
    status const st = gather_on_card(g, shares, count);
    pthread_mutex_unlock(&g->world->lock);
    return started(g, st);
}

status nccl_post(struct comm *c, const struct comm_xfer *parts, int count)
{
    struct nccl_group *const g = nccl_of(c);
    status st = ST_OK;

    TRY(may_start(g, parts, count));
    TRY(start_on_host(g, parts, count));
    if (c->streamed) {
        pthread_mutex_lock(&g->world->lock);
        st = start_on_card(g, parts, count);
        pthread_mutex_unlock(&g->world->lock);
    }
    return started(g, st);
}

/* With the lock. NCCL launches what needs nobody at once; the first parts between two ranks
 * when both are there. */
static status await_launch(struct nccl_group *g, const struct nccl_post *s)
{
    struct timespec const until = rules_until(g->base.deadline_s + NCCL_PATIENCE_S);

    while (s->state < START_MOVES && g->phase == NCCL_LIVES)
        if (!nccl_wait(g, &until)) return fail(ST_COMM, "NCCL does not launch what was started");
    return nccl_broken(g);
}

static status finish_on_card(struct nccl_group *g)
{
    const struct nccl_post *const s = &g->start[g->last];

    pthread_mutex_lock(&g->world->lock);
    status const st = await_launch(g, s);
    pthread_mutex_unlock(&g->world->lock);
    TRY(st);
    return cuda_event_wait(s->over, g->memory.stream);
}

/* The rest failed: nothing may move on the card either. */
static status take_back(struct nccl_group *g, status st)
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
    struct comm *const inner = over_inner(&g->base);
    status st = ST_OK;

    if (g->host_count) st = comm_wait(inner);
    g->host_count = 0;
    if (g->on_card) st = st == ST_OK ? finish_on_card(g) : take_back(g, st);
    g->on_card = false;
    g->open = false;
    g->out_of_step |= st != ST_OK;
    return st == ST_PEER ? nccl_peer_aborted(g) : st;
}

status nccl_synchronize(struct comm *c)
{
    struct nccl_group *const g = nccl_of(c);
    status st = ST_OK;

    if (!c->streamed) return ST_OK;
    pthread_mutex_lock(&g->world->lock);
    struct timespec const until = rules_until((g->under_way + 1) * c->deadline_s + NCCL_PATIENCE_S);
    while (g->under_way && g->phase == NCCL_LIVES && st == ST_OK)
        if (!nccl_wait(g, &until)) st = fail(ST_COMM, "NCCL does not get on");
    if (st == ST_OK) st = nccl_broken(g);
    pthread_mutex_unlock(&g->world->lock);
    g->out_of_step |= st != ST_OK;
    return st == ST_PEER ? nccl_peer_aborted(g) : st;
}
