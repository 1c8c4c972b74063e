/* comm_mpi_collective.c - agree and split: each tells all, and each decides alike. */
#include "comm/mpi/comm_mpi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const meeting_name[] = { [MEET_AGREE] = "agree", [MEET_SPLIT] = "split" };

static struct arrival *brought(const struct mpi_group *g) { return g->brought[g->round % 2]; }

static int arrival_bytes(const struct arrival *a)
{
    return (int)(offsetof(struct arrival, reason) + strlen(a->reason) + 1);
}

static status send_arrival(struct mpi_group *g, const struct arrival *a)
{
    struct packet *list = NULL;
    int const n = arrival_bytes(a);

    for (int r = 0; r < g->base.size; r++) {
        if (r == g->base.rank) continue;
        struct packet *const p = packet_new(PACKET_ARRIVAL, g, g->members[r], n);
        if (!p) {
            packets_free(list);
            return fail(ST_NOMEM, "%s", meeting_name[a->meeting]);
        }
        memcpy(p->bytes, a, (size_t)n);
        p->next = list;
        list = p;
    }
    while (list) {
        struct packet *const next = list->next;
        packet_queue(g->world, list);
        list = next;
    }
    pthread_cond_signal(&g->world->work);
    return ST_OK;
}

/* ST_OK: all are here for the same. *absent: how many are not here yet. */
static status look_around(const struct mpi_group *g, enum meeting what, int *absent)
{
    const struct arrival *const a = brought(g);

    *absent = 0;
    for (int r = 0; r < g->base.size; r++) {
        *absent += !a[r].here;
        if (a[r].here && a[r].meeting != what)
            return fail(ST_ARG, "rank %d calls %s, rank %d of its group calls %s",
                        g->base.world_rank, meeting_name[what], g->members[r],
                        meeting_name[a[r].meeting]);
    }
    return ST_OK;
}

static status waited_for_ranks(const struct mpi_group *g, enum meeting what)
{
    struct strbuf who = { 0 };

    for (int r = 0; r < g->base.size; r++)
        if (!brought(g)[r].here) rules_add_rank(&who, g->members[r]);
    return rules_waited(&g->base, meeting_name[what], &who);
}

static status wait_for_ranks(struct mpi_group *g, enum meeting what)
{
    struct timespec const until = rules_until(g->base.deadline_s);
    bool late = false;
    int absent = 0;

    for (;;) {
        TRY(look_around(g, what, &absent));
        if (!absent) return ST_OK;
        TRY(mpi_broken(g));
        if (late) return waited_for_ranks(g, what);
        late = !mpi_wait(g, &until);
    }
}

/* ST_OK: all are here, and what they brought may be looked at until part(). */
static status meet(struct mpi_group *g, struct arrival *mine)
{
    mine->here = true;
    mine->round = g->round;
    brought(g)[g->base.rank] = *mine;
    TRY(send_arrival(g, mine));
    g->meets = true;
    status const st = wait_for_ranks(g, mine->meeting);
    g->meets = false;
    return st;
}

static void part(struct mpi_group *g)
{
    for (int r = 0; r < g->base.size; r++) brought(g)[r].here = false;
    g->round++;
}

static status agree(struct mpi_group *g, struct arrival *mine, int64_t *words)
{
    struct verdict v = { ST_OK, -1 };

    TRY(meet(g, mine));
    for (int r = 0; r < g->base.size; r++) rules_judge(&v, r, brought(g)[r].st);
    status const st = rules_tell(v.st, v.culprit < 0 ? -1 : g->members[v.culprit],
                                 v.culprit < 0 ? "" : brought(g)[v.culprit].reason);
    if (st == ST_OK && words) memcpy(words, brought(g)[0].words, sizeof brought(g)[0].words);
    part(g);
    return st;
}

status mpi_agree(struct comm *c, status mine, int64_t *words)
{
    struct mpi_group *const g = group_of(c);
    struct error const own = *error_last();
    struct arrival a = { .meeting = MEET_AGREE, .st = mine };

    if (mine != ST_OK) snprintf(a.reason, sizeof a.reason, "%s", own.msg);
    if (words) memcpy(a.words, words, sizeof a.words);
    pthread_mutex_lock(&g->world->lock);
    status const st = agree(g, &a, words);
    pthread_mutex_unlock(&g->world->lock);
    return rules_agreed(mine, &own, st);
}

/* Which of the new groups, in order of their first rank, has the colour. */
static int number_of(const struct arrival *a, int colour)
{
    int n = 0;

    for (int r = 0; a[r].colour != colour; r++) {
        bool seen = a[r].colour < 0;
        for (int q = 0; q < r && !seen; q++) seen = a[q].colour == a[r].colour;
        n += !seen;
    }
    return n;
}

static status split_off(struct mpi_group *g, int colour, struct mpi_group **out)
{
    const struct arrival *const a = brought(g);
    int64_t const id = a[0].first_id + (int64_t)number_of(a, colour) * g->world->size;
    int size = 0;

    if (id > (g->world->tag_max - 1) / 2)
        return fail(ST_COMM, "split: this MPI has tags up to %d, for fewer groups",
                    g->world->tag_max);
    for (int r = 0; r < g->base.size; r++) size += a[r].colour == colour;
    TRY(mpi_group_open(out, g->world, size));
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
static int new_ids(struct mpi_group *g)
{
    struct mpi_world *const w = g->world;
    int64_t const first = 1 + w->rank + (int64_t)w->split_count * w->size;

    if (first > w->tag_max) return w->tag_max;
    w->split_count += g->base.size;
    return (int)first;
}

static status split(struct mpi_group *g, struct arrival *mine, struct comm **out)
{
    struct mpi_group *child = NULL;
    status st = ST_OK;

    if (g->base.rank == 0) mine->first_id = new_ids(g);
    TRY(meet(g, mine));
    if (mine->colour >= 0) st = split_off(g, mine->colour, &child);
    if (st == ST_OK && child) *out = &child->base;
    part(g);
    return st;
}

status mpi_split(struct comm *c, int colour, struct comm **out)
{
    struct mpi_group *const g = group_of(c);
    struct arrival a = { .meeting = MEET_SPLIT, .colour = colour };

    *out = NULL;
    if (colour < -1) return fail(ST_ARG, "split: colour %d", colour);
    pthread_mutex_lock(&g->world->lock);
    status const st = split(g, &a, out);
    pthread_mutex_unlock(&g->world->lock);
    return st;
}

void meet_listen(struct mpi_group *g)
{
    struct packet *const p =
        packet_new(PACKET_ARRIVAL, g, MPI_ANY_SOURCE, (int)sizeof(struct arrival));

    if (!p) return;
    p->receive = true;
    packet_queue(g->world, p);
    g->listening = true;
}

static int rank_in(const struct mpi_group *g, int world_rank)
{
    for (int r = 0; r < g->base.size; r++)
        if (g->members[r] == world_rank) return r;
    return -1;
}

void meet_deliver(struct mpi_group *g, const struct packet *p)
{
    struct arrival a = { 0 };
    int const from = rank_in(g, p->peer);

    if (!p->receive) return;
    g->listening = false;
    memcpy(&a, p->bytes, (size_t)p->size);
    if (from < 0 || (a.round != g->round && a.round != g->round + 1)) return;
    g->brought[a.round % 2][from] = a;
    pthread_cond_broadcast(&g->changed);
}
