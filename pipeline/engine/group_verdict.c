/*
 * group_verdict.c - may a group go on? Asked wherever ranks have opened something by themselves.
 *
 * What one rank cannot open must not leave another in a call that all make together. So each
 * tells rank 0 how it went, in its own words where it failed, and all go on, or none does: then
 * every rank gives back what it has opened for the group and is in step with the others, the
 * group's clips have failed, and the next group begins. A rank whose transport failed brings no
 * vote, for it cannot be in step: it gives up, and the world ends.
 *
 * A line's ranks vote likewise, on a clip alone.
 */
#include "pipeline/engine/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* What opening has come to on a rank; travels as bytes. */
struct vote {
    int64_t st;
    char why[GROUP_WHY]; /* "" for ST_OK */
};

static struct comm_xfer vote_xfer(const struct vote *v, int peer, bool send)
{
    return (struct comm_xfer){
        .t = { .data = (void *)(uintptr_t)v, .dtype = DT_U8, .ndim = 1, .dim = { sizeof *v } },
        .peer = peer,
        .send = send
    };
}

/* [all] all: [ranks], filled in on rank 0. */
static status gather_votes(struct comm *world, const struct vote *mine, struct vote *all)
{
    struct comm_xfer *const xfer = calloc((size_t)world->size, sizeof *xfer);
    int xfers = 0;
    status st = ST_OK;

    if (!xfer) return fail(ST_NOMEM, "votes of %d ranks", world->size);
    all[world->rank] = *mine;
    if (world->rank) xfer[xfers++] = vote_xfer(mine, 0, true);
    for (int i = 1; !world->rank && i < world->size; i++)
        xfer[xfers++] = vote_xfer(&all[i], i, false);
    TRY_OUT(comm_post(world, xfer, xfers));
    TRY_OUT(comm_wait(world));
out:
    free(xfer);
    return st;
}

/* Of the weightiest failure, the first rank's. */
static int find_verdict(const struct vote *all, int ranks)
{
    int found = 0;

    for (int r = 1; r < ranks; r++)
        if (status_outweighs((status)all[r].st, (status)all[found].st)) found = r;
    return found;
}

void group_verdict_set(struct group_verdict *v, status st, int rank, const char *why)
{
    *v = (struct group_verdict){ .st = st };
    int const used = rank ? snprintf(v->why, GROUP_WHY, "rank %d: ", rank) : 0;
    snprintf(v->why + used, (size_t)(GROUP_WHY - used), "%.*s", GROUP_WHY - 1 - used, why);
}

static status agree_on_votes(struct group *t, const struct vote *mine, struct vote *all)
{
    struct comm *const world = t->world;
    int64_t words[COMM_AGREE_WORDS] = { 0 };

    TRY(gather_votes(world, mine, all));
    if (world->rank == 0) {
        words[1] = find_verdict(all, world->size);
        words[0] = all[words[1]].st;
    }
    TRY(comm_agree_on(world, ST_OK, words));
    status const st = (status)words[0];
    if (st == ST_OK) return ST_OK;
    if (st == ST_CANCELED) return fail(st, "stopped");
    t->verdict = (struct group_verdict){ .st = st };
    if (world->rank) return fail(st, "rank %lld refuses the group", (long long)words[1]);
    group_verdict_set(&t->verdict, st, (int)words[1], all[words[1]].why);
    return fail(st, "%s", t->verdict.why);
}

status group_agree(struct group *t, status mine)
{
    struct vote vote = { .st = mine };

    if (mine == ST_COMM) return mine;
    if (mine != ST_OK)
        snprintf(vote.why, sizeof vote.why, "%.*s", GROUP_WHY - 1, error_last()->msg);
    struct vote *const all = calloc((size_t)t->world->size, sizeof *all);
    if (!all) return fail(ST_NOMEM, "votes of %d ranks", t->world->size);
    status const st = agree_on_votes(t, &vote, all);
    free(all);
    return st;
}

static struct comm_xfer line_vote_xfer(int64_t *vote, int peer, bool send)
{
    return (struct comm_xfer){ .t = { .data = vote, .dtype = DT_I64, .ndim = 1, .dim = { 1 } },
                               .peer = peer,
                               .send = send };
}

status line_verdict(struct comm *line, status mine, status *verdict, int *whose)
{
    int64_t vote[SPLIT_RANKS] = { mine }, words[COMM_AGREE_WORDS] = { mine };
    struct comm_xfer xfer[SPLIT_RANKS];
    int xfers = 0;

    if (line->rank) xfer[xfers++] = line_vote_xfer(vote, 0, true);
    for (int i = 1; !line->rank && i < line->size; i++)
        xfer[xfers++] = line_vote_xfer(&vote[i], i, false);
    TRY(comm_post(line, xfer, xfers));
    TRY(comm_wait(line));
    for (int i = 1; !line->rank && i < line->size; i++)
        if (status_outweighs((status)vote[i], (status)words[0])) words[0] = vote[i], words[1] = i;
    TRY(comm_agree_on(line, ST_OK, words));
    *verdict = (status)words[0];
    *whose = (int)words[1];
    return ST_OK;
}
