/* comm_thread.c - ranks as threads of one process: receivers copy out of the sender's memory. */
#include "base/text.h"
#include "comm/comm.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RANKS_MAX = 256, DEADLINE_MAX = 1000000 /* s */ };

enum part_state { PART_WAITS, PART_MOVES, PART_DONE };

struct posted {
    struct comm_part part;
    enum part_state state;
};

struct group;

struct rank {
    struct comm base; /* first member: a comm * is a rank * here */
    struct group *group;

    struct posted *posted; /* the open start */
    int count, cap;
    bool open;
    int readers; /* peers that are copying out of our parts just now */

    bool arrived; /* waits in agree */
    status mine;
    const struct error *error; /* what it brings to agree; its own copy */
    pthread_cond_t changed;    /* what this rank waits for may have happened */
};

/* Everything but the tensors' memory is under `lock`. */
struct group {
    pthread_mutex_t lock;
    double deadline_s;
    int aborted_by; /* rank, or -1 */
    int living;     /* ranks not yet closed */

    uint64_t round; /* agreements reached */
    int arrived;
    int culprit; /* of the last agreement: a rank that was not well, or -1 */
    status verdict;
    char reason[ERROR_MESSAGE]; /* the culprit's message */

    int size;
    struct rank ranks[];
};

static struct rank *rank_of(struct comm *c) { return (struct rank *)c; }

static struct timespec deadline(const struct group *g)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)g->deadline_s;
    t.tv_nsec += (long)((g->deadline_s - (double)(time_t)g->deadline_s) * 1e9);
    if (t.tv_nsec >= 1000000000L) t.tv_sec++, t.tv_nsec -= 1000000000L;
    return t;
}

static status peer_aborted(const struct rank *me)
{
    return fail(ST_PEER, "rank %d stops: rank %d aborted the group", me->base.rank,
                me->group->aborted_by);
}

static void wake(struct group *g, int rank) { pthread_cond_signal(&g->ranks[rank].changed); }

static void wake_all(struct group *g)
{
    for (int r = 0; r < g->size; r++) wake(g, r);
}

/* No part of ours is offered any more, and nobody copies out of one: the memory
 * is the caller's again. The wait is for a memcpy, which ends by itself. */
static void take_back(struct rank *me)
{
    me->open = false;
    while (me->readers) pthread_cond_wait(&me->changed, &me->group->lock);
    me->count = 0;
}

static status check_parts(const struct rank *me, const struct comm_part *parts, int count)
{
    if (me->open) return fail(ST_ARG, "start: rank %d has not finished its last", me->base.rank);
    if (count < 0) return fail(ST_ARG, "start: %d parts", count);
    for (int i = 0; i < count; i++)
        if (parts[i].peer < 0 || parts[i].peer >= me->base.size || parts[i].peer == me->base.rank)
            return fail(ST_ARG, "start: rank %d of %d names peer %d in part %d", me->base.rank,
                        me->base.size, parts[i].peer, i);
    return ST_OK;
}

static status post(struct rank *me, const struct comm_part *parts, int count)
{
    struct group *const g = me->group;

    TRY(check_parts(me, parts, count));
    if (g->aborted_by >= 0) return peer_aborted(me);
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
        if (parts[i].send) wake(g, parts[i].peer);
    return ST_OK;
}

static status thread_start(struct comm *c, const struct comm_part *parts, int count)
{
    struct rank *const me = rank_of(c);

    pthread_mutex_lock(&me->group->lock);
    status const st = post(me, parts, count);
    pthread_mutex_unlock(&me->group->lock);
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

/* Called with the lock; copies without it. */
static status copy(struct rank *me, struct posted *in, struct posted *offer)
{
    struct rank *const sender = &me->group->ranks[in->part.peer];
    const struct tensor *const to = &in->part.t;
    struct tensor const from = offer->part.t;
    char a[SHAPE_TEXT], b[SHAPE_TEXT];

    if (from.dtype != to->dtype || tensor_bytes(&from) != tensor_bytes(to))
        return fail(ST_ARG, "rank %d receives %s %s, rank %d sends %s %s", me->base.rank,
                    dtype_name(to->dtype), tensor_shape(to, a), sender->base.rank,
                    dtype_name(from.dtype), tensor_shape(&from, b));
    in->state = offer->state = PART_MOVES;
    sender->readers++;
    pthread_mutex_unlock(&me->group->lock);
    if (tensor_bytes(to)) memcpy(to->data, from.data, tensor_bytes(to));
    pthread_mutex_lock(&me->group->lock);
    in->state = offer->state = PART_DONE;
    sender->readers--;
    wake(me->group, sender->base.rank);
    return ST_OK;
}

/* "rank 2 waited 5 s for rank 0 to send 3 parts, rank 4 to receive 1 part" */
static status waited_for_parts(const struct rank *me)
{
    struct text who = { 0 };

    for (int r = 0; r < me->base.size; r++)
        for (int send = 0; send < 2; send++) {
            int n = 0;
            for (int i = 0; i < me->count; i++) {
                const struct posted *const p = &me->posted[i];
                n += p->part.peer == r && p->part.send == (bool)send && p->state != PART_DONE;
            }
            if (n)
                text_addf(&who, "%s rank %d to %s %d part%s", who.len ? "," : "", r,
                          send ? "receive" : "send", n, n == 1 ? "" : "s");
        }
    status const st = fail(ST_COMM, "rank %d waited %g s for%s", me->base.rank,
                           me->group->deadline_s, who.s ? who.s : " its peers");
    text_free(&who);
    return st;
}

static status receive_all(struct rank *me)
{
    struct group *const g = me->group;
    struct timespec const until = deadline(g);
    bool late = false;

    while (pending(me)) {
        struct posted *offer = NULL;
        struct posted *const in = ready(me, &offer);

        if (g->aborted_by >= 0) return peer_aborted(me);
        if (in) TRY(copy(me, in, offer));
        else if (late) return waited_for_parts(me);
        else late = pthread_cond_timedwait(&me->changed, &g->lock, &until) == ETIMEDOUT;
    }
    return ST_OK;
}

static status thread_finish(struct comm *c)
{
    struct rank *const me = rank_of(c);

    pthread_mutex_lock(&me->group->lock);
    status const st = receive_all(me);
    take_back(me);
    pthread_mutex_unlock(&me->group->lock);
    return st;
}

/* Who is to blame: a rank that only suffers from a peer, never if there is another. */
static int blame(status st)
{
    switch (st) {
    case ST_OK: return 0;
    case ST_CANCELED: return 1;
    case ST_PEER: return 2;
    default: return 3;
    }
}

/* The last rank is here: what the sound ones will be told. */
static void conclude(struct group *g)
{
    g->culprit = -1;
    g->verdict = ST_OK;
    for (int r = 0; r < g->size; r++) {
        if (blame(g->ranks[r].mine) > blame(g->verdict)) {
            g->culprit = r;
            g->verdict = g->ranks[r].mine;
        }
        g->ranks[r].arrived = false;
    }
    if (g->culprit >= 0)
        snprintf(g->reason, sizeof g->reason, "%s", g->ranks[g->culprit].error->msg);
    g->arrived = 0;
    g->round++;
    wake_all(g);
}

static status waited_for_ranks(const struct rank *me)
{
    const struct group *const g = me->group;
    struct text who = { 0 };

    for (int r = 0; r < g->size; r++)
        if (!g->ranks[r].arrived) text_addf(&who, "%s rank %d", who.len ? "," : "", r);
    status const st = fail(ST_COMM, "agree: rank %d waited %g s for%s", me->base.rank,
                           g->deadline_s, who.s ? who.s : " its peers");
    text_free(&who);
    return st;
}

static status meet(struct rank *me)
{
    struct group *const g = me->group;
    struct timespec const until = deadline(g);
    uint64_t const round = g->round;
    bool late = false;

    me->arrived = true;
    if (++g->arrived == g->size) conclude(g);
    while (g->round == round && g->aborted_by < 0 && !late)
        late = pthread_cond_timedwait(&me->changed, &g->lock, &until) == ETIMEDOUT;
    if (g->round != round) return ST_OK;

    status const st = g->aborted_by >= 0 ? peer_aborted(me) : waited_for_ranks(me);
    me->arrived = false;
    g->arrived--;
    return st;
}

static status thread_agree(struct comm *c, status mine)
{
    struct rank *const me = rank_of(c);
    struct group *const g = me->group;
    struct error const own = *error_last();
    status st = mine;

    pthread_mutex_lock(&g->lock);
    me->mine = mine;
    me->error = &own;
    status const met = meet(me);
    if (mine != ST_OK) error_adopt(&own);
    else if (met != ST_OK) st = met;
    else if (g->verdict == ST_CANCELED) st = fail(ST_CANCELED, "%s", g->reason);
    else if (g->verdict != ST_OK)
        st =
            fail(ST_PEER, "rank %d failed: %s: %s", g->culprit, status_name(g->verdict), g->reason);
    pthread_mutex_unlock(&g->lock);
    return st;
}

static void thread_abort(struct comm *c)
{
    struct rank *const me = rank_of(c);
    struct group *const g = me->group;

    pthread_mutex_lock(&g->lock);
    if (g->aborted_by < 0) g->aborted_by = me->base.rank;
    wake_all(g);
    take_back(me);
    pthread_mutex_unlock(&g->lock);
}

static void group_free(struct group *g)
{
    for (int r = 0; r < g->size; r++) {
        pthread_cond_destroy(&g->ranks[r].changed);
        free(g->ranks[r].posted);
    }
    pthread_mutex_destroy(&g->lock);
    free(g);
}

static void thread_close(struct comm **c)
{
    if (!*c) return;
    struct rank *const me = rank_of(*c);
    struct group *const g = me->group;

    pthread_mutex_lock(&g->lock);
    take_back(me);
    bool const last = --g->living == 0;
    pthread_mutex_unlock(&g->lock);
    if (last) group_free(g);
    *c = NULL;
}

static const struct comm_ops thread_ops = {
    .name = "thread",
    .start = thread_start,
    .finish = thread_finish,
    .agree = thread_agree,
    .abort = thread_abort,
    .close = thread_close,
};

status comm_thread_open(struct comm **group, int size, double deadline_s)
{
    pthread_condattr_t attr;

    if (size < 1 || size > RANKS_MAX)
        return fail(ST_ARG, "%d thread ranks; 1..%d are possible", size, RANKS_MAX);
    if (!(deadline_s > 0 && deadline_s <= DEADLINE_MAX))
        return fail(ST_ARG, "a deadline of %g s; up to %d are possible", deadline_s, DEADLINE_MAX);

    struct group *const g = calloc(1, sizeof *g + (size_t)size * sizeof *g->ranks);
    if (!g) return fail(ST_NOMEM, "%d thread ranks", size);
    g->size = g->living = size;
    g->deadline_s = deadline_s;
    g->aborted_by = g->culprit = -1;
    pthread_mutex_init(&g->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    for (int r = 0; r < size; r++) {
        g->ranks[r].base = (struct comm){ .ops = &thread_ops, .rank = r, .size = size };
        g->ranks[r].group = g;
        pthread_cond_init(&g->ranks[r].changed, &attr);
        group[r] = &g->ranks[r].base;
    }
    pthread_condattr_destroy(&attr);
    return ST_OK;
}
