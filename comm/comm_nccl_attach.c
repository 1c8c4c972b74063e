/* comm_nccl_attach.c - memory: a communicator's beginning, and buffers. */
#include "comm/comm_device.h"
#include "comm/comm_nccl.h"
#include "kernels/cuda/cuda_dev.h"

#include <stdlib.h>
#include <string.h>

/* What each rank tells all others. */
struct hello {
    int world_rank;
    char place[DEVICE_PLACE]; /* of its card */
    ncclUniqueId id;          /* rank 0's counts */
};

static struct comm_part part_of(struct hello *h, int peer, bool send)
{
    return (struct comm_part){
        .t = { .data = h, .dtype = DT_U8, .ndim = 1, .dim = { (int64_t)sizeof *h } },
        .peer = peer,
        .send = send,
    };
}

/* All to all. */
static status exchange(struct nccl_group *g, struct hello *all)
{
    struct comm *const inner = nccl_inner(g);
    int const n = inner->size, me = inner->rank;
    struct comm_part *const part = calloc(2 * (size_t)n, sizeof *part);
    int count = 0;
    status st = part ? ST_OK : fail(ST_NOMEM, "%d ranks", n);

    TRY_OUT(st);
    for (int r = 0; r < n; r++) {
        if (r == me) continue;
        part[count++] = part_of(&all[r], r, false);
        part[count++] = part_of(&all[me], r, true);
    }
    TRY_OUT(inner->ops->start(inner, part, count));
    TRY_OUT(inner->ops->finish(inner));
out:
    free(part);
    return st;
}

/* Every rank sees the same, and fails alike. */
static status check_cards(const struct nccl_group *g, const struct hello *all)
{
    for (int a = 0; a < g->base.size; a++)
        for (int b = 0; b < a; b++)
            if (g->base.node[a] == g->base.node[b] && !strcmp(all[a].place, all[b].place))
                return fail(ST_ARG,
                            "ranks %d and %d are on one card (%s), and NCCL wants one for each: "
                            "start as many ranks as there are cards, or one process with "
                            "--ranks N, whose ranks may share cards",
                            all[b].world_rank, all[a].world_rank, all[a].place);
    return ST_OK;
}

static status meet(struct nccl_group *g, struct hello *mine)
{
    struct hello *const all = calloc((size_t)g->base.size, sizeof *all);
    status st = all ? ST_OK : fail(ST_NOMEM, "%d ranks", g->base.size);

    TRY_OUT(st);
    all[g->base.rank] = *mine;
    TRY_OUT(exchange(g, all));
    TRY_OUT(check_cards(g, all));
    for (int r = 0; r < g->base.size; r++) g->members[r] = all[r].world_rank;
    g->id = all[0].id;
out:
    free(all);
    return st;
}

static status prepare(struct nccl_group *g, struct hello *mine)
{
    *mine = (struct hello){ .world_rank = g->base.world_rank };
    TRY(cuda_dev_select(g->memory.device));
    TRY(device_place(g->memory.device, mine->place));
    TRY(cuda_stream_open(&g->stream, true));
    for (int i = 0; i < COUNT_OF(g->start); i++) {
        TRY(cuda_event_open(&g->start[i].ready, false));
        TRY(cuda_event_open(&g->start[i].over, false));
    }
    if (g->base.rank) return ST_OK;
    return nccl_checked(NULL, "ncclGetUniqueId", ncclGetUniqueId(&mine->id));
}

/* Until the communicator is there for this rank. */
static status begin(struct nccl_group *g)
{
    struct timespec const until = rules_until(g->base.deadline_s + 2 * NCCL_PATIENCE_S);
    bool late = false;

    pthread_mutex_lock(&g->world->lock);
    g->phase = NCCL_WANTED;
    g->end = g->give_up = false;
    nccl_ask(g->world);
    while ((g->phase == NCCL_WANTED || g->phase == NCCL_BEGINS) && !late)
        late = !nccl_wait(g, &until);
    status st = nccl_broken(g);
    if (late && st == ST_OK) st = fail(ST_COMM, "NCCL does not begin, and does not say why");
    pthread_mutex_unlock(&g->world->lock);
    return st == ST_PEER ? nccl_peer_aborted(g) : st;
}

status nccl_attach(struct comm *c, const struct memory *m)
{
    struct nccl_group *const g = nccl_of(c);
    struct comm *const inner = nccl_inner(g);
    struct hello mine;

    nccl_detach(g);
    if (!m || c->size == 1) return ST_OK;
    g->memory = *m;
    TRY(inner->ops->agree(inner, prepare(g, &mine)));
    TRY(meet(g, &mine));
    status const st = begin(g);
    if (st != ST_OK && st != ST_PEER) inner->ops->abort(inner); /* others wait inside NCCL */
    TRY(st);
    TRY(inner->ops->agree(inner, ST_OK));
    c->streamed = true;
    return ST_OK;
}

void nccl_enroll(struct comm *c, void *at, size_t bytes)
{
    struct nccl_group *const g = nccl_of(c);
    int i = 0;

    if (!c->streamed || !bytes) return;
    pthread_mutex_lock(&g->world->lock);
    while (i < NCCL_BUFFERS && g->buffer[i].state != BUFFER_NONE) i++;
    if (i < NCCL_BUFFERS && g->phase == NCCL_LIVES) {
        g->buffer[i] = (struct nccl_buffer){ .state = BUFFER_ASKED, .at = at, .bytes = bytes };
        nccl_ask(g->world);
    }
    pthread_mutex_unlock(&g->world->lock);
}

void nccl_dismiss(struct comm *c, void *at)
{
    struct nccl_group *const g = nccl_of(c);
    struct timespec const until = rules_until(NCCL_PATIENCE_S);

    if (!c->streamed) return;
    pthread_mutex_lock(&g->world->lock);
    for (int i = 0; i < NCCL_BUFFERS; i++) {
        struct nccl_buffer *const b = &g->buffer[i];
        if (b->state == BUFFER_NONE || b->at != at) continue;
        while (b->state == BUFFER_ASKED && g->phase == NCCL_LIVES)
            if (!nccl_wait(g, &until)) break;
        b->state = BUFFER_LEAVES;
        nccl_ask(g->world);
        while (b->state == BUFFER_LEAVES && g->phase == NCCL_LIVES)
            if (!nccl_wait(g, &until)) break;
    }
    pthread_mutex_unlock(&g->world->lock);
}
