/*
 * comm_nccl_attach.c - memory is attached: a communicator begins.
 *
 * All that can go wrong on one rank alone (streams, events, the card's place) is done before an
 * agree of the inner comm, so that nobody asks NCCL for a communicator that one rank will not
 * join. Once NCCL is asked the others wait inside it, and a rank that fails there aborts the
 * world.
 */
#include "comm/nccl/comm_nccl_internal.h"
#include "kernels/cuda/cuda_dev.h"

#include <stdlib.h>
#include <string.h>

/* What all ranks get to know of each. */
struct rank_card {
    int world_rank;
    char place[DEVICE_PLACE]; /* of its card */
    ncclUniqueId id;          /* rank 0's counts */
};

/* Every rank sees the same, and fails alike. */
static status check_distinct_cards(const struct nccl_group *g, const struct rank_card *all)
{
    for (int a = 0; a < g->base.size; a++)
        for (int b = 0; b < a; b++)
            if (g->base.node[a] == g->base.node[b] && !strcmp(all[a].place, all[b].place))
                return fail(
                    ST_ARG,
                    "ranks %d and %d are on one card (%s), and NCCL needs one card per rank: "
                    "start as many ranks as there are cards, or one process with "
                    "--ranks N, whose ranks may share cards",
                    all[b].world_rank, all[a].world_rank, all[a].place);
    return ST_OK;
}

static status exchange_cards(struct nccl_group *g, struct rank_card *mine)
{
    struct rank_card *const all = calloc((size_t)g->base.size, sizeof *all);
    status st = all ? ST_OK : fail(ST_NOMEM, "%d ranks", g->base.size);

    TRY_OUT(st);
    all[g->base.rank] = *mine;
    TRY_OUT(nccl_exchange(g, all, sizeof *all));
    TRY_OUT(check_distinct_cards(g, all));
    for (int r = 0; r < g->base.size; r++) g->members[r] = all[r].world_rank;
    g->id = all[0].id;
out:
    free(all);
    return st;
}

static status open_streams(struct nccl_group *g, struct rank_card *mine)
{
    *mine = (struct rank_card){ .world_rank = g->base.world_rank };
    TRY(cuda_dev_select(g->memory.device));
    TRY(device_place(g->memory.device, mine->place));
    TRY(cuda_stream_open(&g->stream, true));
    for (int i = 0; i < COUNT_OF(g->posts); i++) {
        TRY(cuda_event_open(&g->posts[i].ready));
        TRY(cuda_event_open(&g->posts[i].over));
    }
    if (g->base.rank) return ST_OK;
    return nccl_checked(NULL, "ncclGetUniqueId", ncclGetUniqueId(&mine->id));
}

/* Until the communicator is there for this rank. */
static status wait_until_live(struct nccl_group *g)
{
    struct timespec const until = comm_time_after(g->base.deadline_s + 2 * NCCL_PATIENCE_S);
    bool late = false;

    pthread_mutex_lock(&g->world->lock);
    g->phase = NCCL_WANTED;
    g->end = g->give_up = false;
    nccl_ask(g->world);
    while ((g->phase == NCCL_WANTED || g->phase == NCCL_BEGINS) && !late)
        late = !nccl_wait(g, &until);
    status st = nccl_broken(g);
    if (late && st == ST_OK)
        st = fail(ST_COMM, "NCCL did not start a communicator in time, and reports no error");
    pthread_mutex_unlock(&g->world->lock);
    return st == ST_PEER ? nccl_fail_aborted(g) : st;
}

status nccl_attach(struct comm *c, const struct memory *m)
{
    struct nccl_group *const g = nccl_of(c);
    struct comm *const inner = wrap_inner(&g->base);
    struct rank_card mine;

    nccl_detach(g);
    if (!m || c->size == 1) return ST_OK;
    g->memory = *m;
    TRY(comm_agree(inner, open_streams(g, &mine)));
    TRY(exchange_cards(g, &mine));
    status const st = wait_until_live(g);
    if (st != ST_OK && st != ST_PEER) comm_abort(inner); /* others wait inside NCCL */
    TRY(st);
    TRY(comm_agree(inner, ST_OK));
    c->streamed = true;
    c->gathers = nccl_has_engines && comm_one_machine(c);
    return ST_OK;
}
