/*
 * comm_thread_transfer.c - post and wait: a receiver copies out of the sender's memory.
 *
 * A post only lists what is offered and wanted. All work is done by receivers while they wait:
 * each takes the oldest offer that matches a receive of its own, copies it without the lock and
 * wakes the sender. So order between two ranks holds, and a sender that waits does nothing.
 */
#include "comm/thread/comm_thread_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool rank_is_aborted(const struct rank *me) { return me->group->world->aborted_by >= 0; }

static status fail_peer_aborted(const struct rank *me)
{
    return comm_fail_aborted(&me->base, me->group->world->aborted_by);
}

static status offer_xfers(struct rank *me, const struct comm_xfer *xfers, int count)
{
    TRY(comm_check_post(&me->base, xfers, count, me->open));
    if (rank_is_aborted(me)) return fail_peer_aborted(me);
    if (count > me->cap) {
        struct posted *const more = realloc(me->posted, (size_t)count * sizeof *more);
        if (!more) return fail(ST_NOMEM, "post: %d transfers", count);
        me->posted = more;
        me->cap = count;
    }
    for (int i = 0; i < count; i++) me->posted[i] = (struct posted){ .xfer = xfers[i] };
    me->count = count;
    me->open = true;
    for (int i = 0; i < count; i++)
        if (xfers[i].send) thread_wake(&me->group->ranks[xfers[i].peer]);
    return ST_OK;
}

status thread_post(struct comm *c, const struct comm_xfer *xfers, int count)
{
    struct rank *const me = rank_of(c);
    struct world *const w = me->group->world;

    pthread_mutex_lock(&w->lock);
    status const st = offer_xfers(me, xfers, count);
    pthread_mutex_unlock(&w->lock);
    return st;
}

static bool xfers_left(const struct rank *me)
{
    for (int i = 0; i < me->count; i++)
        if (me->posted[i].state != XFER_DONE) return true;
    return false;
}

/* The oldest transfer `from` offers to rank `to`, or NULL. */
static struct posted *find_offer(struct rank *from, int to)
{
    for (int i = 0; from->open && i < from->count; i++) {
        struct posted *const p = &from->posted[i];
        if (p->xfer.send && p->xfer.peer == to && p->state == XFER_WAITS) return p;
    }
    return NULL;
}

/* A receive of ours that can go ahead; *offer is the sender's side of it. */
static struct posted *find_receivable(struct rank *me, struct posted **offer)
{
    for (int i = 0; i < me->count; i++) {
        struct posted *const p = &me->posted[i];
        if (p->xfer.send || p->state != XFER_WAITS) continue;
        *offer = find_offer(&me->group->ranks[p->xfer.peer], me->base.rank);
        if (*offer) return p;
    }
    return NULL;
}

status thread_attach(struct comm *c, const struct memory *m)
{
    struct rank *const me = rank_of(c);

    me->attached = m != NULL;
    if (m) me->memory = *m;
    return ST_OK;
}

/* On a card, or from one to another, the receiver's does it. */
static status copy_tensor(const struct rank *me, const struct comm_xfer *to,
                          const struct tensor *from)
{
    size_t const n = tensor_bytes(from);

    if (comm_xfer_on_card(to, me->attached))
        return device_copy(&me->memory, to->t.data, from->data, n);
    if (n) memcpy(to->t.data, from->data, n);
    return ST_OK;
}

/* Called with the lock; copies without it. */
static status receive_one(struct rank *me, struct posted *in, struct posted *offer)
{
    struct rank *const sender = &me->group->ranks[in->xfer.peer];
    const struct tensor *const to = &in->xfer.t;
    struct tensor const from = offer->xfer.t;

    TRY(comm_check_fit(&me->base, to, sender->base.world_rank, &from));
    in->state = offer->state = XFER_COPIES;
    sender->readers++;
    pthread_mutex_unlock(&me->group->world->lock);
    status const st = copy_tensor(me, &in->xfer, &from);
    pthread_mutex_lock(&me->group->world->lock);
    in->state = offer->state = XFER_DONE;
    sender->readers--;
    thread_wake(sender);
    return st;
}

static status fail_xfers_late(const struct rank *me)
{
    struct strbuf who = { 0 };

    for (int r = 0; r < me->base.size; r++)
        for (int send = 0; send < 2; send++) {
            int n = 0;
            for (int i = 0; i < me->count; i++) {
                const struct posted *const p = &me->posted[i];
                n += p->xfer.peer == r && p->xfer.send == (bool)send && p->state != XFER_DONE;
            }
            comm_list_xfers(&who, me->group->ranks[r].base.world_rank, send, n);
        }
    return comm_fail_waited(&me->base, NULL, &who);
}

static status receive_all(struct rank *me)
{
    struct timespec const until = comm_time_after(me->base.deadline_s);
    bool late = false;

    while (xfers_left(me)) {
        struct posted *offer = NULL;
        struct posted *const in = find_receivable(me, &offer);

        if (rank_is_aborted(me)) return fail_peer_aborted(me);
        if (in) TRY(receive_one(me, in, offer));
        else if (late) return fail_xfers_late(me);
        else
            late =
                pthread_cond_timedwait(&me->changed, &me->group->world->lock, &until) == ETIMEDOUT;
    }
    return ST_OK;
}

status thread_wait_posted(struct comm *c)
{
    struct rank *const me = rank_of(c);
    struct world *const w = me->group->world;

    pthread_mutex_lock(&w->lock);
    status const st = receive_all(me);
    thread_take_back(me);
    pthread_mutex_unlock(&w->lock);
    return st;
}
