/*
 * comm_thread_collective.c - agree and split: the last rank to arrive decides for all.
 *
 * Every rank leaves its contribution in its place and waits for the round to end. The last one
 * comes to the verdict, or makes the new groups, and wakes the others, who read what it left in
 * the group. That stays as it is until all have read it, as the next round ends only when all
 * have come to it. A rank that goes because of its deadline or an abort takes its contribution
 * along: the round never ends, and the world is out of step.
 */
#include "comm/thread/comm_thread_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const collective_name[] = {
    [COLLECTIVE_AGREE] = "agree", [COLLECTIVE_SPLIT] = "split"
};

/* What the sound ones get, and rank 0's words. */
static void reach_verdict(struct group *g)
{
    g->verdict = (struct verdict){ ST_OK, -1 };
    for (int r = 0; r < g->size; r++) verdict_add(&g->verdict, r, g->ranks[r].contribution.st);
    if (g->verdict.culprit >= 0)
        snprintf(g->reason, sizeof g->reason, "%s",
                 g->ranks[g->verdict.culprit].contribution.error->msg);
    if (g->ranks[0].contribution.words)
        memcpy(g->words, g->ranks[0].contribution.words, sizeof g->words);
}

static void conclude_collective(struct group *g)
{
    reach_verdict(g);
    if (g->collective == COLLECTIVE_SPLIT && thread_group_split(g) != ST_OK) {
        g->verdict = (struct verdict){ ST_NOMEM, g->size - 1 };
        snprintf(g->reason, sizeof g->reason, "%s", error_last()->msg);
    }
    for (int r = 0; r < g->size; r++) {
        g->ranks[r].contribution.here = false;
        thread_wake(&g->ranks[r]);
    }
    g->arrived = 0;
    g->round++;
}

static status fail_ranks_absent(const struct rank *me)
{
    const struct group *const g = me->group;
    struct strbuf who = { 0 };

    for (int r = 0; r < g->size; r++)
        if (!g->ranks[r].contribution.here) comm_list_rank(&who, g->ranks[r].base.world_rank);
    return comm_fail_waited(&me->base, collective_name[g->collective], &who);
}

/* ST_OK: the collective took place. Else this rank is gone, though it was here. */
static status contribute_and_wait(struct rank *me, enum collective what, struct contribution bring)
{
    struct group *const g = me->group;
    struct timespec const until = comm_time_after(me->base.deadline_s);
    uint64_t const round = g->round;
    bool late = false;

    if (g->arrived && g->collective != what)
        return fail(ST_ARG, "rank %d calls %s, others of its group call %s", me->base.world_rank,
                    collective_name[what], collective_name[g->collective]);
    g->collective = what;
    bring.here = true;
    me->contribution = bring;
    if (++g->arrived == g->size) conclude_collective(g);
    while (g->round == round && g->world->aborted_by < 0 && !late)
        late = pthread_cond_timedwait(&me->changed, &g->world->lock, &until) == ETIMEDOUT;
    if (g->round != round) return ST_OK;

    status const st = g->world->aborted_by >= 0 ? comm_fail_aborted(&me->base, g->world->aborted_by)
                                                : fail_ranks_absent(me);
    g->arrived--;
    return st;
}

static status verdict_here(const struct group *g)
{
    int const culprit = g->verdict.culprit;
    return verdict_status(g->verdict.st, culprit < 0 ? -1 : g->ranks[culprit].base.world_rank,
                          g->reason);
}

status thread_agree(struct comm *c, status mine, int64_t *words)
{
    struct rank *const me = rank_of(c);
    struct world *const w = me->group->world;
    struct error const own = *error_last();

    pthread_mutex_lock(&w->lock);
    status st = contribute_and_wait(
        me, COLLECTIVE_AGREE, (struct contribution){ .st = mine, .error = &own, .words = words });
    if (st == ST_OK) st = verdict_here(me->group);
    if (st == ST_OK && words) memcpy(words, me->group->words, sizeof me->group->words);
    pthread_mutex_unlock(&w->lock);
    return comm_agree_result(mine, &own, st);
}

status thread_split(struct comm *c, int colour, struct comm **out)
{
    struct rank *const me = rank_of(c);
    struct world *const w = me->group->world;

    *out = NULL;
    if (colour < -1) return fail(ST_ARG, "split: colour %d", colour);
    pthread_mutex_lock(&w->lock);
    status st =
        contribute_and_wait(me, COLLECTIVE_SPLIT, (struct contribution){ .colour = colour });
    if (st == ST_OK && me->group->verdict.st != ST_OK)
        st = fail(me->group->verdict.st, "split: %s", me->group->reason);
    if (st == ST_OK && me->contribution.child) {
        *out = &me->contribution.child->base;
        (*out)->deadline_s = c->deadline_s;
    }
    pthread_mutex_unlock(&w->lock);
    return st;
}
