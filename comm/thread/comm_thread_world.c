/* comm_thread_world.c - worlds and groups, and what reaches all of a world. */
#include "base/thread.h"
#include "comm/thread/comm_thread.h"

#include <stdlib.h>

static const int one_machine[COMM_RANKS_MAX];

void thread_wake(struct rank *r) { pthread_cond_broadcast(&r->changed); }

void thread_wake_all(struct world *w)
{
    for (struct group *g = w->groups; g; g = g->next)
        for (int r = 0; r < g->size; r++) thread_wake(&g->ranks[r]);
}

static bool is_world(const struct rank *me) { return !me->group->next; }

static status thread_send_control(struct comm *c, int peer, const struct comm_control *note)
{
    struct rank *const me = rank_of(c);
    struct world *const w = me->group->world;

    TRY(rules_note(c, peer, is_world(me)));
    pthread_mutex_lock(&w->lock);
    inbox_put(&w->inbox[peer], note, c->rank);
    pthread_mutex_unlock(&w->lock);
    return ST_OK;
}

static bool thread_poll_control(struct comm *c, struct comm_control *out, int *from)
{
    struct world *const w = rank_of(c)->group->world;

    pthread_mutex_lock(&w->lock);
    bool const any = is_world(rank_of(c)) && inbox_take(&w->inbox[c->rank], out, from);
    pthread_mutex_unlock(&w->lock);
    return any;
}

static void thread_stop(struct comm *c)
{
    struct world *const w = rank_of(c)->group->world;

    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_mutex_unlock(&w->lock);
}

static bool thread_stopped(struct comm *c)
{
    struct world *const w = rank_of(c)->group->world;

    pthread_mutex_lock(&w->lock);
    bool const stop = w->stop;
    pthread_mutex_unlock(&w->lock);
    return stop;
}

/* Nobody begins a copy after this. One under way ends before the call returns. */
static void thread_abort(struct comm *c)
{
    struct rank *const me = rank_of(c);
    struct world *const w = me->group->world;

    pthread_mutex_lock(&w->lock);
    if (w->aborted_by < 0) w->aborted_by = c->world_rank;
    thread_wake_all(w);
    while (me->readers) pthread_cond_wait(&me->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

static bool thread_aborted(struct comm *c)
{
    struct world *const w = rank_of(c)->group->world;

    pthread_mutex_lock(&w->lock);
    bool const yes = w->aborted_by >= 0;
    pthread_mutex_unlock(&w->lock);
    return yes;
}

static void world_close(struct world **w)
{
    pthread_mutex_destroy(&(*w)->lock);
    free((*w)->inbox);
    free(*w);
    *w = NULL;
}

static void thread_close(struct comm **c)
{
    if (!*c) return;
    struct rank *const me = rank_of(*c);
    struct group *g = me->group;
    struct world *w = g->world;

    pthread_mutex_lock(&w->lock);
    thread_take_back(me);
    if (--g->living == 0) thread_group_close(&g);
    bool const last = !w->groups;
    pthread_mutex_unlock(&w->lock);
    if (last) world_close(&w);
    *c = NULL;
}

static const struct comm_ops thread_ops = {
    .post = thread_post,
    .wait = thread_wait_posted,
    .agree = thread_agree,
    .split = thread_split,
    .send_control = thread_send_control,
    .poll_control = thread_poll_control,
    .stop = thread_stop,
    .stopped = thread_stopped,
    .abort = thread_abort,
    .aborted = thread_aborted,
    .close = thread_close,
    .attach = thread_attach,
};

status thread_group_open(struct group **out, struct world *w, int size)
{
    struct group *const g = calloc(1, sizeof *g + (size_t)size * sizeof *g->ranks);

    if (!g) return fail(ST_NOMEM, "a group of %d ranks", size);
    g->world = w;
    g->size = g->living = size;
    for (int r = 0; r < size; r++) {
        g->ranks[r].base =
            (struct comm){ .ops = &thread_ops, .rank = r, .size = size, .node = one_machine };
        g->ranks[r].group = g;
        condvar_init(&g->ranks[r].changed);
    }
    g->next = w->groups;
    w->groups = g;
    *out = g;
    return ST_OK;
}

void thread_group_close(struct group **g)
{
    struct group **at = &(*g)->world->groups;

    while (*at != *g) at = &(*at)->next;
    *at = (*g)->next;
    for (int r = 0; r < (*g)->size; r++) {
        pthread_cond_destroy(&(*g)->ranks[r].changed);
        free((*g)->ranks[r].posted);
    }
    free(*g);
    *g = NULL;
}

/* The group of all ranks of a colour, from the first of them on. */
static status split_colour(struct group *parent, int first)
{
    int const colour = parent->ranks[first].arrival.colour;
    struct group *child = NULL;
    int size = 0;

    for (int r = first; r < parent->size; r++) size += parent->ranks[r].arrival.colour == colour;
    TRY(thread_group_open(&child, parent->world, size));
    for (int r = first, n = 0; r < parent->size; r++) {
        if (parent->ranks[r].arrival.colour != colour) continue;
        child->ranks[n].base.world_rank = parent->ranks[r].base.world_rank;
        parent->ranks[r].arrival.child = &child->ranks[n++];
    }
    return ST_OK;
}

status thread_group_split(struct group *parent)
{
    status st = ST_OK;

    for (int r = 0; r < parent->size && st == ST_OK; r++)
        if (parent->ranks[r].arrival.colour >= 0 && !parent->ranks[r].arrival.child)
            st = split_colour(parent, r);
    if (st == ST_OK) return ST_OK;
    for (int r = 0; r < parent->size; r++) {
        struct rank *const child = parent->ranks[r].arrival.child;
        if (child && child->base.rank == 0) {
            struct group *half_made = child->group;
            thread_group_close(&half_made);
        }
    }
    for (int r = 0; r < parent->size; r++) parent->ranks[r].arrival.child = NULL;
    return st;
}

status comm_thread_open(struct comm **group, int size, double deadline_s)
{
    struct group *g = NULL;

    if (size < 1 || size > COMM_RANKS_MAX)
        return fail(ST_ARG, "%d thread ranks; 1..%d are possible", size, COMM_RANKS_MAX);
    TRY(rules_deadline(deadline_s));
    struct world *w = calloc(1, sizeof *w);
    if (!w) return fail(ST_NOMEM, "%d thread ranks", size);
    w->aborted_by = -1;
    w->inbox = calloc((size_t)size, sizeof *w->inbox);
    pthread_mutex_init(&w->lock, NULL);
    status const st =
        w->inbox ? thread_group_open(&g, w, size) : fail(ST_NOMEM, "%d thread ranks", size);
    if (st != ST_OK) {
        world_close(&w);
        return st;
    }
    for (int r = 0; r < size; r++) {
        g->ranks[r].base.world_rank = r;
        g->ranks[r].base.deadline_s = deadline_s;
        group[r] = &g->ranks[r].base;
    }
    return ST_OK;
}
