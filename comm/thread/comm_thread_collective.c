/* comm_thread_collective.c - agree and split: the last to arrive decides for all. */
#include "comm/thread/comm_thread.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const meeting_name[] = { [MEET_AGREE] = "agree", [MEET_SPLIT] = "split" };

/* What the sound ones will be told. */
static void judge(struct group *g)
{
    g->verdict = (struct verdict){ ST_OK, -1 };
    for (int r = 0; r < g->size; r++) rules_judge(&g->verdict, r, g->ranks[r].arrival.st);
    if (g->verdict.culprit >= 0)
        snprintf(g->reason, sizeof g->reason, "%s",
                 g->ranks[g->verdict.culprit].arrival.error->msg);
    if (g->ranks[0].arrival.words) memcpy(g->words, g->ranks[0].arrival.words, sizeof g->words);
}

static void conclude(struct group *g)
{
    judge(g);
    if (g->meeting == MEET_SPLIT && thread_group_split(g) != ST_OK) {
        g->verdict = (struct verdict){ ST_NOMEM, g->size - 1 };
        snprintf(g->reason, sizeof g->reason, "%s", error_last()->msg);
    }
    for (int r = 0; r < g->size; r++) {
        g->ranks[r].arrival.here = false;
        thread_wake(&g->ranks[r]);
    }
    g->arrived = 0;
    g->round++;
}

static status waited_for_ranks(const struct rank *me)
{
    const struct group *const g = me->group;
    struct strbuf who = { 0 };

    for (int r = 0; r < g->size; r++)
        if (!g->ranks[r].arrival.here) rules_add_rank(&who, g->ranks[r].base.world_rank);
    return rules_waited(&me->base, meeting_name[g->meeting], &who);
}

/* ST_OK: the meeting took place. Else this rank is gone, though it was here. */
static status meet(struct rank *me, enum meeting what, struct arrival bring)
{
    struct group *const g = me->group;
    struct timespec const until = rules_until(me->base.deadline_s);
    uint64_t const round = g->round;
    bool late = false;

    if (g->arrived && g->meeting != what)
        return fail(ST_ARG, "rank %d calls %s, others of its group call %s", me->base.world_rank,
                    meeting_name[what], meeting_name[g->meeting]);
    g->meeting = what;
    bring.here = true;
    me->arrival = bring;
    if (++g->arrived == g->size) conclude(g);
    while (g->round == round && g->world->aborted_by < 0 && !late)
        late = pthread_cond_timedwait(&me->changed, &g->world->lock, &until) == ETIMEDOUT;
    if (g->round != round) return ST_OK;

    status const st = g->world->aborted_by >= 0 ? rules_aborted(&me->base, g->world->aborted_by)
                                                : waited_for_ranks(me);
    g->arrived--;
    return st;
}

static status told(const struct group *g)
{
    int const culprit = g->verdict.culprit;
    return rules_tell(g->verdict.st, culprit < 0 ? -1 : g->ranks[culprit].base.world_rank,
                      g->reason);
}

status thread_agree(struct comm *c, status mine, int64_t *words)
{
    struct rank *const me = rank_of(c);
    struct world *const w = me->group->world;
    struct error const own = *error_last();

    pthread_mutex_lock(&w->lock);
    status st = meet(me, MEET_AGREE, (struct arrival){ .st = mine, .error = &own, .words = words });
    if (st == ST_OK) st = told(me->group);
    if (st == ST_OK && words) memcpy(words, me->group->words, sizeof me->group->words);
    pthread_mutex_unlock(&w->lock);
    return rules_agreed(mine, &own, st);
}

status thread_split(struct comm *c, int colour, struct comm **out)
{
    struct rank *const me = rank_of(c);
    struct world *const w = me->group->world;

    *out = NULL;
    if (colour < -1) return fail(ST_ARG, "split: colour %d", colour);
    pthread_mutex_lock(&w->lock);
    status st = meet(me, MEET_SPLIT, (struct arrival){ .colour = colour });
    if (st == ST_OK && me->group->verdict.st != ST_OK)
        st = fail(me->group->verdict.st, "split: %s", me->group->reason);
    if (st == ST_OK && me->arrival.child) {
        *out = &me->arrival.child->base;
        (*out)->deadline_s = c->deadline_s;
    }
    pthread_mutex_unlock(&w->lock);
    return st;
}
