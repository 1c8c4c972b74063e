/* comm_thread.c - parts that move: receivers copy out of the sender's memory. */
#include "comm/thread/comm_thread.h"
#include "comm/comm_device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool aborted(const struct rank *me) { return me->group->world->aborted_by >= 0; }

static status peer_aborted(const struct rank *me)
{
    return rules_aborted(&me->base, me->group->world->aborted_by);
}

void thread_take_back(struct rank *me)
{
    me->open = false;
    while (me->readers) pthread_cond_wait(&me->changed, &me->group->world->lock);
    me->count = 0;
}

static status post(struct rank *me, const struct comm_xfer *parts, int count)
{
    TRY(rules_parts(&me->base, parts, count, me->open));
    if (aborted(me)) return peer_aborted(me);
    if (count > me->cap) {
        struct posted *const more = realloc(me->posted, (size_t)count * sizeof *more);
        if (!more) return fail(ST_NOMEM, "start: %d parts", count);
        me->posted = more;
        me->cap = count;
    }
    for (int i = 0; i < count; i++) me->posted[i] = (struct posted){ .part = parts[i] };
    me->count = count;
    me->open = true;
    for (int i = 0; i < count; i++)
        if (parts[i].send) thread_wake(&me->group->ranks[parts[i].peer]);
    return ST_OK;
}

status thread_post(struct comm *c, const struct comm_xfer *parts, int count)
{
    struct rank *const me = rank_of(c);
    struct world *const w = me->group->world;

    pthread_mutex_lock(&w->lock);
    status const st = post(me, parts, count);
    pthread_mutex_unlock(&w->lock);
    return st;
}

static bool pending(const struct rank *me)
{
    for (int i = 0; i < me->count; i++)
        if (me->posted[i].state != PART_DONE) return true;
    return false;
}

/* The oldest part `from` offers to rank `to`, or NULL. */
static struct posted *offered(struct rank *from, int to)
{
    for (int i = 0; from->open && i < from->count; i++) {
        struct posted *const p = &from->posted[i];
        if (p->part.send && p->part.peer == to && p->state == PART_WAITS) return p;
    }
    return NULL;
}

/* A receive of ours that can go ahead; *offer is the sender's side of it. */
static struct posted *ready(struct rank *me, struct posted **offer)
{
    for (int i = 0; i < me->count; i++) {
        struct posted *const p = &me->posted[i];
        if (p->part.send || p->state != PART_WAITS) continue;
        *offer = offered(&me->group->ranks[p->part.peer], me->base.rank);
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
static status move(const struct rank *me, const struct comm_xfer *to, const struct tensor *from)
{
    size_t const n = tensor_bytes(from);

    if (rules_on_card(to, me->attached)) return device_copy(&me->memory, to->t.data, from->data, n);
    if (n) memcpy(to->t.data, from->data, n);
    return ST_OK;
}

/* Called with the lock; copies without it. */
static status copy(struct rank *me, struct posted *in, struct posted *offer)
{
    struct rank *const sender = &me->group->ranks[in->part.peer];
    const struct tensor *const to = &in->part.t;
    struct tensor const from = offer->part.t;

    TRY(rules_fit(&me->base, to, sender->base.world_rank, &from));
    in->state = offer->state = PART_MOVES;
    sender->readers++;
    pthread_mutex_unlock(&me->group->world->lock);
    status const st = move(me, &in->part, &from);
    pthread_mutex_lock(&me->group->world->lock);
    in->state = offer->state = PART_DONE;
    sender->readers--;
    thread_wake(sender);
    return st;
}

static status waited_for_parts(const struct rank *me)
{
    struct strbuf who = { 0 };

    for (int r = 0; r < me->base.size; r++)
        for (int send = 0; send < 2; send++) {
            int n = 0;
            for (int i = 0; i < me->count; i++) {
                const struct posted *const p = &me->posted[i];
                n += p->part.peer == r && p->part.send == (bool)send && p->state != PART_DONE;
            }
            rules_add_parts(&who, me->group->ranks[r].base.world_rank, send, n);
        }
    return rules_waited(&me->base, "", &who);
}

static status receive_all(struct rank *me)
{
    struct timespec const until = rules_until(me->base.deadline_s);
    bool late = false;

    while (pending(me)) {
        struct posted *offer = NULL;
        struct posted *const in = ready(me, &offer);

        if (aborted(me)) return peer_aborted(me);
        if (in) TRY(copy(me, in, offer));
        else if (late) return waited_for_parts(me);
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
