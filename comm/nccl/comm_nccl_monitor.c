/*
 * comm_nccl_monitor.c - the thread's look at what is under way: launched, over, late, failed?
 *
 * The card waits for a peer as long as it takes. The host cannot see that wait, only two events:
 * `ready`, when the compute stream has come to a post, and `over`. The time of a post runs
 * from `ready`, so a deadline measures the wait for peers and not this rank's own computing.
 */
#include "base/clock.h"
#include "comm/nccl/comm_nccl_internal.h"
#include "kernels/cuda/cuda_dev.h"

static struct nccl_post *nth_post(struct nccl_group *g, int i)
{
    return &g->posts[(g->first + i) % NCCL_POSTS];
}

/* ---- without the lock: a post that is under way is the thread's ------------------------ */

static status launch_xfer(const struct nccl_group *g, const struct comm_xfer *p)
{
    size_t const n = tensor_bytes(&p->t);

    if (p->send)
        return nccl_checked(g->nccl, "ncclSend",
                            ncclSend(p->t.data, n, ncclInt8, p->peer, g->nccl, g->stream));
    return nccl_checked(g->nccl, "ncclRecv",
                        ncclRecv(p->t.data, n, ncclInt8, p->peer, g->nccl, g->stream));
}

/* In place. */
static status launch_shard(const struct nccl_group *g, const struct comm_shard *s)
{
    struct tensor const own = comm_shard_slice(&g->base, &s->t, g->base.rank);

    return nccl_checked(
        g->nccl, "ncclAllGather",
        ncclAllGather(own.data, s->t.data, tensor_bytes(&own), ncclInt8, g->nccl, g->stream));
}

/* All transfers in one group: none waits for another, and those to one peer keep their order. */
static status launch_post(const struct nccl_group *g, const struct nccl_post *s)
{
    status st = ST_OK;

    TRY(cuda_dev_select(g->memory.device));
    TRY(cuda_event_wait(s->ready, g->stream));
    TRY(nccl_checked(g->nccl, "ncclGroupStart", ncclGroupStart()));
    for (int i = 0; i < s->xfers && st == ST_OK; i++) st = launch_xfer(g, &s->xfer[i]);
    for (int i = 0; i < s->shards && st == ST_OK; i++) st = launch_shard(g, &s->shard[i]);
    ncclResult_t const code = ncclGroupEnd(); /* also after a failure: the group is open */
    TRY(st);
    return nccl_checked(g->nccl, "ncclGroupEnd", code);
}

static status fail_post_late(const struct nccl_group *g, const struct nccl_post *s)
{
    struct strbuf who = { 0 };
    struct comm as = g->base;

    if (s->shards) return nccl_fail_waited(g, "gather", s->deadline_s);
    for (int r = 0; r < g->base.size; r++)
        for (int send = 0; send < 2; send++) {
            int n = 0;
            for (int i = 0; i < s->xfers; i++)
                n += s->xfer[i].peer == r && s->xfer[i].send == (bool)send;
            comm_list_xfers(&who, g->members[r], send, n);
        }
    as.deadline_s = s->deadline_s;
    return comm_fail_waited(&as, NULL, &who);
}

/* Its time runs from when the compute stream has come to it. */
static status check_deadline(const struct nccl_group *g, struct nccl_post *s)
{
    bool here = true;

    if (!(s->since > 0)) {
        TRY(cuda_event_passed(s->ready, &here));
        if (here) s->since = clock_seconds();
        return ST_OK;
    }
    if (clock_seconds() - s->since <= s->deadline_s) return ST_OK;
    return fail_post_late(g, s);
}

/* One step of one post; *next is its state after that. */
static status step_post(const struct nccl_group *g, struct nccl_post *s, enum post_state *next)
{
    bool done = false;

    TRY(nccl_asked(g->nccl, &done));
    switch (s->state) {
    case POST_ASKED:
        if (!done) break;
        TRY(launch_post(g, s));
        *next = POST_LAUNCHES;
        break;
    case POST_LAUNCHES:
        if (!done) break;
        TRY(cuda_event_record(s->over, g->stream));
        *next = POST_MOVES;
        return ST_OK;
    case POST_MOVES:
        TRY(cuda_event_passed(s->over, &done));
        if (done) *next = POST_OVER;
        break;
    case POST_OVER: break;
    }
    return *next == POST_OVER ? ST_OK : check_deadline(g, s);
}

/* ---- with it -------------------------------------------------------------------------- */

static void mark_progress(struct nccl_group *g)
{
    g->world->moved_at = clock_seconds();
    pthread_cond_broadcast(&g->changed);
}

/* false: the group is broken. */
static bool advance_post(struct nccl_group *g, struct nccl_post *s)
{
    enum post_state next = s->state;

    pthread_mutex_unlock(&g->world->lock);
    status const st = step_post(g, s, &next);
    bool const aborted = wrap_aborted(&g->base);
    pthread_mutex_lock(&g->world->lock);
    if (g->phase != NCCL_LIVES) return false;
    if (aborted || st != ST_OK) {
        nccl_break(g, aborted ? ST_PEER : st);
        return false;
    }
    if (next != s->state) mark_progress(g);
    s->state = next;
    return true;
}

static void retire_posts(struct nccl_group *g)
{
    while (g->under_way && nth_post(g, 0)->state == POST_OVER) {
        g->first = (g->first + 1) % NCCL_POSTS;
        g->under_way--;
        pthread_cond_broadcast(&g->changed);
    }
}

/* The oldest, as they are over in order; and up to the first that is not launched, as what is
 * behind it waits for NCCL to be done. */
bool nccl_watch(struct nccl_group *g)
{
    for (int i = 0; i < g->under_way; i++) {
        struct nccl_post *const s = nth_post(g, i);
        if (i && s->state == POST_MOVES) continue;
        do {
            enum post_state const before = s->state;
            if (!advance_post(g, s)) return true;
            if (s->state == before) break;
        } while (s->state != POST_OVER);
        if (s->state < POST_MOVES) break;
    }
    retire_posts(g);
    return g->under_way > 0;
}
