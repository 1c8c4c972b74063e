/* comm_nccl_monitor.c - the thread's look at what is under way: launched, over, late, failed? */
#include "base/clock.h"
#include "comm/nccl/comm_nccl.h"
#include "kernels/cuda/cuda_dev.h"

static struct nccl_post *nth(struct nccl_group *g, int i)
{
    return &g->start[(g->first + i) % NCCL_STARTS];
}

/* ---- without the lock: a start that is under way is the thread's ------------------------ */

static status post(const struct nccl_group *g, const struct comm_xfer *p)
{
    size_t const n = tensor_bytes(&p->t);

    if (p->send)
        return nccl_checked(g->nccl, "ncclSend",
                            ncclSend(p->t.data, n, ncclInt8, p->peer, g->nccl, g->stream));
    return nccl_checked(g->nccl, "ncclRecv",
                        ncclRecv(p->t.data, n, ncclInt8, p->peer, g->nccl, g->stream));
}

/* In place. */
static status post_share(const struct nccl_group *g, const struct comm_shard *s)
{
    struct tensor const own = rules_slice(&g->base, &s->t, g->base.rank);

    return nccl_checked(
        g->nccl, "ncclAllGather",
        ncclAllGather(own.data, s->t.data, tensor_bytes(&own), ncclInt8, g->nccl, g->stream));
}

/* All parts in one group: none waits for another, and those to one peer keep their order. */
static status launch(const struct nccl_group *g, const struct nccl_post *s)
{
    status st = ST_OK;

    TRY(cuda_dev_select(g->memory.device));
    TRY(cuda_event_wait(s->ready, g->stream));
    TRY(nccl_checked(g->nccl, "ncclGroupStart", ncclGroupStart()));
    for (int i = 0; i < s->parts && st == ST_OK; i++) st = post(g, &s->part[i]);
    for (int i = 0; i < s->shares && st == ST_OK; i++) st = post_share(g, &s->share[i]);
    ncclResult_t const code = ncclGroupEnd(); /* also after a failure: the group is open */
    TRY(st);
    return nccl_checked(g->nccl, "ncclGroupEnd", code);
}

static status waited_for_parts(const struct nccl_group *g, const struct nccl_post *s)
{
    struct strbuf who = { 0 };
    struct comm as = g->base;

    if (s->shares) return nccl_waited_for_all(g, "gather", s->deadline_s);
    for (int r = 0; r < g->base.size; r++)
        for (int send = 0; send < 2; send++) {
            int n = 0;
            for (int i = 0; i < s->parts; i++)
                n += s->part[i].peer == r && s->part[i].send == (bool)send;
            rules_add_parts(&who, g->members[r], send, n);
        }
    as.deadline_s = s->deadline_s;
    return rules_waited(&as, "", &who);
}

/* Its time runs from when the compute stream has come to it. */
static status check_time(const struct nccl_group *g, struct nccl_post *s)
{
    bool here = true;

    if (!(s->since > 0)) {
        TRY(cuda_event_passed(s->ready, &here));
        if (here) s->since = clock_seconds();
        return ST_OK;
    }
    if (clock_seconds() - s->since <= s->deadline_s) return ST_OK;
    return waited_for_parts(g, s);
}

/* One step of one start; *next is its state after that. */
static status step(const struct nccl_group *g, struct nccl_post *s, enum start_state *next)
{
    bool done = false;

    TRY(nccl_asked(g->nccl, &done));
    switch (s->state) {
    case START_ASKED:
        if (!done) break;
        TRY(launch(g, s));
        *next = START_LAUNCHES;
        break;
    case START_LAUNCHES:
        if (!done) break;
        TRY(cuda_event_record(s->over, g->stream));
        *next = START_MOVES;
        return ST_OK;
    case START_MOVES:
        TRY(cuda_event_passed(s->over, &done));
        if (done) *next = START_OVER;
        break;
    case START_OVER: break;
    }
    return *next == START_OVER ? ST_OK : check_time(g, s);
}

/* ---- with it -------------------------------------------------------------------------- */

static void moved(struct nccl_group *g)
{
    g->world->moved_at = clock_seconds();
    pthread_cond_broadcast(&g->changed);
}

/* false: the group is broken. */
static bool take_step(struct nccl_group *g, struct nccl_post *s)
{
    enum start_state next = s->state;

    pthread_mutex_unlock(&g->world->lock);
    status const st = step(g, s, &next);
    bool const aborted = over_aborted(&g->base);
    pthread_mutex_lock(&g->world->lock);
    if (g->phase != NCCL_LIVES) return false;
    if (aborted || st != ST_OK) {
        nccl_break(g, aborted ? ST_PEER : st);
        return false;
    }
    if (next != s->state) moved(g);
    s->state = next;
    return true;
}

static void retire(struct nccl_group *g)
{
    while (g->under_way && nth(g, 0)->state == START_OVER) {
        g->first = (g->first + 1) % NCCL_STARTS;
        g->under_way--;
        pthread_cond_broadcast(&g->changed);
    }
}

/* The oldest, as they are over in order; and up to the first that is not launched, as what is
 * behind it waits for NCCL to be done. */
bool nccl_watch(struct nccl_group *g)
{
    for (int i = 0; i < g->under_way; i++) {
        struct nccl_post *const s = nth(g, i);
        if (i && s->state == START_MOVES) continue;
        do {
            enum start_state const before = s->state;
            if (!take_step(g, s)) return true;
            if (s->state == before) break;
        } while (s->state != START_OVER);
        if (s->state < START_MOVES) break;
    }
    retire(g);
    return g->under_way > 0;
}
