/*
 * comm_thread_group.c - groups as memory: made, split, freed; and waking who waits in them.
 *
 * A group lies in one piece, with a place for each of its ranks, and lives until the last of
 * them has closed its own. The world's group is the last of the list, the newest group the first.
 */
#include "base/thread.h"
#include "comm/thread/comm_thread_internal.h"

#include <stdlib.h>

static const int one_machine[COMM_RANKS_MAX];

void thread_wake(struct rank *r) { pthread_cond_broadcast(&r->changed); }

void thread_wake_all(struct world *w)
{
    for (struct group *g = w->groups; g; g = g->next)
        for (int r = 0; r < g->size; r++) thread_wake(&g->ranks[r]);
}

void thread_take_back(struct rank *me)
{
    me->open = false;
    while (me->readers) pthread_cond_wait(&me->changed, &me->group->world->lock);
    me->count = 0;
}

status thread_group_open(struct group **out, struct world *w, int size, const struct comm_ops *ops)
{
    struct group *const g = calloc(1, sizeof *g + (size_t)size * sizeof *g->ranks);

    if (!g) return fail(ST_NOMEM, "a group of %d ranks", size);
    g->world = w;
    g->size = g->living = size;
    for (int r = 0; r < size; r++) {
        g->ranks[r].base =
            (struct comm){ .ops = ops, .rank = r, .size = size, .node = one_machine };
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
static status make_colour_group(struct group *parent, int first)
{
    int const colour = parent->ranks[first].contribution.colour;
    struct group *child = NULL;
    int size = 0;

    for (int r = first; r < parent->size; r++)
        size += parent->ranks[r].contribution.colour == colour;
    TRY(thread_group_open(&child, parent->world, size, parent->ranks[0].base.ops));
    for (int r = first, n = 0; r < parent->size; r++) {
        if (parent->ranks[r].contribution.colour != colour) continue;
        child->ranks[n].base.world_rank = parent->ranks[r].base.world_rank;
        parent->ranks[r].contribution.child = &child->ranks[n++];
    }
    return ST_OK;
}

status thread_group_split(struct group *parent)
{
    status st = ST_OK;

    for (int r = 0; r < parent->size && st == ST_OK; r++)
        if (parent->ranks[r].contribution.colour >= 0 && !parent->ranks[r].contribution.child)
            st = make_colour_group(parent, r);
    if (st == ST_OK) return ST_OK;
    for (int r = 0; r < parent->size; r++) {
        struct rank *const child = parent->ranks[r].contribution.child;
        if (child && child->base.rank == 0) {
            struct group *half_made = child->group;
            thread_group_close(&half_made);
        }
    }
    for (int r = 0; r < parent->size; r++) parent->ranks[r].contribution.child = NULL;
    return st;
}
