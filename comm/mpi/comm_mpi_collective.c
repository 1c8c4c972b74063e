/*
 * comm_mpi_collective.c - agree and split: each rank sends its contribution to all, and each
 * decides alike.
 *
 * Nobody is in charge: with the same contributions before it, every rank of a group comes to the
 * same verdict and, in a split, to the same groups and group ids. A rank may be a round ahead of
 * another, but never two, as nobody leaves a round before all are in it: two sets of
 * contributions, for even and odd rounds, are enough.
 */
#include "comm/mpi/comm_mpi_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const collective_name[] = {
    [COLLECTIVE_AGREE] = "agree", [COLLECTIVE_SPLIT] = "split"
};

static struct contribution *round_contributions(const struct mpi_group *g)
{
    return g->contributions[g->round % 2];
}

static int contribution_bytes(const struct contribution *a)
{
    return (int)(offsetof(struct contribution, reason) + strlen(a->reason) + 1);
}

static status send_contribution(struct mpi_group *g, const struct contribution *a)
{
    struct packet *list = NULL;
    int const n = contribution_bytes(a);

    for (int r = 0; r < g->base.size; r++) {
        if (r == g->base.rank) continue;
        struct packet *const p = packet_new(PACKET_CONTRIBUTION, g, g->members[r], n);
        if (!p) {
            packets_free(list);
            return fail(ST_NOMEM, "%s", collective_name[a->collective]);
        }
        memcpy(p->bytes, a, (size_t)n);
        p->next = list;
        list = p;
    }
    packets_queue(g->world, list);
    pthread_cond_signal(&g->world->work);
    return ST_OK;
}

/* ST_OK: all are here for the same. *absent: how many are not here yet. */
static status count_absent(const struct mpi_group *g, enum collective what, int *absent)
{
    const struct contribution *const a = round_contributions(g);

    *absent = 0;
    for (int r = 0; r < g->base.size; r++) {
        *absent += !a[r].here;
        if (a[r].here && a[r].collective != what)
            return fail(ST_ARG, "rank %d calls %s, rank %d of its group calls %s",
                        g->base.world_rank, collective_name[what], g->members[r],
                        collective_name[a[r].collective]);
    }
    return ST_OK;
}

static status fail_ranks_missing(const struct mpi_group *g, enum collective what)
{
    struct strbuf who = { 0 };

    for (int r = 0; r < g->base.size; r++)
        if (!round_contributions(g)[r].here) comm_list_rank(&who, g->members[r]);
    return comm_fail_waited(&g->base, collective_name[what], &who);
}

static status wait_for_ranks(struct mpi_group *g, enum collective what)
{
    struct timespec const until = comm_time_after(g->base.deadline_s);
    bool late = false;
    int absent = 0;

    for (;;) {
        TRY(count_absent(g, what, &absent));
        if (!absent) return ST_OK;
        TRY(mpi_broken(g));
        if (late) return fail_ranks_missing(g, what);
        late = !mpi_wait(g, &until);
    }
}

/* ST_OK: all are here, and what they brought may be looked at until end_round. */
static status gather_contributions(struct mpi_group *g, struct contribution *mine)
{
    mine->here = true;
    mine->round = g->round;
    round_contributions(g)[g->base.rank] = *mine;
    TRY(send_contribution(g, mine));
    g->in_collective = true;
    status const st = wait_for_ranks(g, mine->collective);
    g->in_collective = false;
    return st;
}

static void end_round(struct mpi_group *g)
{
    for (int r = 0; r < g->base.size; r++) round_contributions(g)[r].here = false;
    g->round++;
}

static status agree_in_group(struct mpi_group *g, struct contribution *mine, int64_t *words)
{
    struct verdict v = { ST_OK, -1 };

    TRY(gather_contributions(g, mine));
    for (int r = 0; r < g->base.size; r++) verdict_add(&v, r, round_contributions(g)[r].st);
    status const st = verdict_status(v.st, v.culprit < 0 ? -1 : g->members[v.culprit],
                                     v.culprit < 0 ? "" : round_contributions(g)[v.culprit].reason);
    if (st == ST_OK && words)
        memcpy(words, round_contributions(g)[0].words, sizeof round_contributions(g)[0].words);
    end_round(g);
    return st;
}

status mpi_agree(struct comm *c, status mine, int64_t *words)
{
    struct mpi_group *const g = group_of(c);
    struct error const own = *error_last();
    struct contribution a = { .collective = COLLECTIVE_AGREE, .st = mine };

    if (mine != ST_OK) snprintf(a.reason, sizeof a.reason, "%s", own.msg);
    if (words) memcpy(a.words, words, sizeof a.words);
    pthread_mutex_lock(&g->world->lock);
    status const st = agree_in_group(g, &a, words);
    pthread_mutex_unlock(&g->world->lock);
    return comm_agree_result(mine, &own, st);
}

/* Which of the new groups, in order of their first rank, has the colour. */
static int index_of_colour(const struct contribution *a, int colour)
{
    int n = 0;

    for (int r = 0; a[r].colour != colour; r++) {
        bool seen = a[r].colour < 0;
        for (int q = 0; q < r && !seen; q++) seen = a[q].colour == a[r].colour;
        n += !seen;
    }
    return n;
}

static status open_child_group(struct mpi_group *g, int colour, struct mpi_group **out)
{
    const struct contribution *const a = round_contributions(g);
    int64_t const id = a[0].first_id + (int64_t)index_of_colour(a, colour) * g->world->size;
    int size = 0;

    if (id > (g->world->tag_max - 1) / 2)
        return fail(ST_COMM, "split: too many groups for the tags of this MPI, which end at %d",
                    g->world->tag_max);
    for (int r = 0; r < g->base.size; r++) size += a[r].colour == colour;
    TRY(mpi_group_open(out, g->world, size, g->base.ops));
    struct mpi_group *const child = *out;
    child->id = (int)id;
    for (int r = 0, n = 0; r < g->base.size; r++) {
        if (a[r].colour != colour) continue;
        if (r == g->base.rank) child->base.rank = n;
        child->members[n] = g->members[r];
        child->node[n++] = g->node[r];
    }
    child->base.deadline_s = g->base.deadline_s;
    return ST_OK;
}

/* Ids that no other rank gives out, nor this one again; past all tags: none are left. */
static int reserve_group_ids(struct mpi_group *g)
{
    struct mpi_world *const w = g->world;
    int64_t const first = 1 + w->rank + (int64_t)w->split_count * w->size;

    if (first > w->tag_max) return w->tag_max;
    w->split_count += g->base.size;
    return (int)first;
}

/* Ids for a group of each rank were taken; of these only one for each colour is used. Unless
 * others have been taken since. */
static void return_group_ids(struct mpi_group *g)
{
    const struct contribution *const a = round_contributions(g);
    int used = 0;

    for (int r = 0; r < g->base.size; r++) {
        bool first = a[r].colour >= 0;
        for (int q = 0; q < r && first; q++) first = a[q].colour != a[r].colour;
        used += first;
    }
    g->world->split_count -= g->base.size - used;
}

static status split_in_group(struct mpi_group *g, struct contribution *mine, struct comm **out)
{
    struct mpi_group *child = NULL;
    status st = ST_OK;

    if (g->base.rank == 0) mine->first_id = reserve_group_ids(g);
    int const reserved = g->world->split_count;
    TRY(gather_contributions(g, mine));
    if (g->base.rank == 0 && g->world->split_count == reserved &&
        mine->first_id < g->world->tag_max)
        return_group_ids(g);
    if (mine->colour >= 0) st = open_child_group(g, mine->colour, &child);
    if (st == ST_OK && child) *out = &child->base;
    end_round(g);
    return st;
}

status mpi_split(struct comm *c, int colour, struct comm **out)
{
    struct mpi_group *const g = group_of(c);
    struct contribution a = { .collective = COLLECTIVE_SPLIT, .colour = colour };

    *out = NULL;
    if (colour < -1) return fail(ST_ARG, "split: colour %d", colour);
    pthread_mutex_lock(&g->world->lock);
    status const st = split_in_group(g, &a, out);
    pthread_mutex_unlock(&g->world->lock);
    return st;
}

void collective_listen(struct mpi_group *g)
{
    struct packet *const p =
        packet_new(PACKET_CONTRIBUTION, g, MPI_ANY_SOURCE, (int)sizeof(struct contribution));

    if (!p) return;
    p->receive = true;
    packet_queue(g->world, p);
    g->listening = true;
}

static int rank_in_group(const struct mpi_group *g, int world_rank)
{
    for (int r = 0; r < g->base.size; r++)
        if (g->members[r] == world_rank) return r;
    return -1;
}

void collective_deliver(struct mpi_group *g, const struct packet *p)
{
    struct contribution a = { 0 };
    int const from = rank_in_group(g, p->peer);

    if (!p->receive) return;
    g->listening = false;
    memcpy(&a, p->bytes, (size_t)p->size);
    if (from < 0 || (a.round != g->round && a.round != g->round + 1)) return;
    g->contributions[a.round % 2][from] = a;
    pthread_cond_broadcast(&g->changed);
}
