/* line_exchange.c - what goes from rank to rank: keys and values, latents. */
#include "pipeline/line/line_internal.h"

#include <stdio.h>

static int own_noise_end(const struct line *l, int rank)
{
    int const end = l->c.split.first[rank + 1];
    return end < l->levels ? end : l->levels;
}

/* Does a noise stage of this rank denoise a block of that clip in this tick? */
static bool in_window(const struct line *l, int rank, int clip)
{
    for (int i = l->c.split.first[rank]; i < own_noise_end(l, rank); i++)
        if (l->place[i].clip == clip) return true;
    return false;
}

/* Will this rank's noise stages meet the clip now or later? */
static bool will_meet(const struct line *l, int rank, int clip)
{
    int const last = own_noise_end(l, rank) - 1;

    if (last < l->c.split.first[rank]) return false; /* owns the clean stage alone */
    return timeline_comes(&l->timeline, l->tick, last, clip);
}

static bool wants(const struct line *l, int rank, int stage)
{
    struct place const p = l->place[stage];
    return stage == l->levels ? will_meet(l, rank, p.clip) : in_window(l, rank, p.clip);
}

bool line_arrives(const struct line *l, int stage)
{
    int const rank = l->c.comm->rank;

    if (l->place[stage].clip < 0 || split_owner(&l->c.split, stage) == rank) return false;
    return wants(l, rank, stage);
}

/* A failure of a peer or of the transport, with where this rank was. */
status line_located(const struct line *l, int layer, status st)
{
    char at[64] = "", block[64] = "no block";

    if (st != ST_COMM && st != ST_PEER) return st;
    if (layer >= 0) snprintf(at, sizeof at, ", layer %d", layer);
    for (int i = l->first; i < l->end; i++) /* the oldest one here */
        if (line_holds(l, i))
            snprintf(block, sizeof block, "clip %d block %lld", line_at(l, i, layer).clip,
                     (long long)l->place[i].block);
    return fail(st, "line: tick %lld%s, stages %d..%d, %s: %s", (long long)l->tick, at, l->first,
                l->end - 1, block, error_last()->msg);
}

struct comm_xfer line_comm_part(const struct tensor *t, int peer, bool send)
{
    return (struct comm_xfer){ .t = *t, .peer = peer, .send = send, .device = true };
}

/* What goes has been made. A streamed comm sees to that by itself. */
static status start(struct line *l, const struct comm_xfer *part, int count)
{
    struct comm *const comm = l->c.comm;

    if (!comm->streamed) TRY(l->c.ctx->backend->sync(l->c.ctx));
    return comm_post(comm, part, count);
}

status line_synchronize(struct line *l)
{
    TRY(line_located(l, -1, comm_synchronize(l->c.comm)));
    return l->c.ctx->backend->sync(l->c.ctx);
}

/* l->parts, on their way and there. */
static status depart(struct line *l, int layer)
{
    if (!l->parts.count) return ST_OK;
    TRY(line_located(l, layer, start(l, l->parts.part, l->parts.count)));
    l->exchanging = true;
    return ST_OK;
}

static status arrive(struct line *l, int layer)
{
    struct comm *const comm = l->c.comm;

    if (!l->exchanging) return ST_OK;
    track_begin(l->c.track, TRACK_EXCHANGE, line_at(l, l->first, layer));
    status const st = comm_wait(comm);
    track_end(l->c.track);
    l->exchanging = false;
    TRY(line_located(l, layer, st));
    return line_gathers(l) ? line_gather_end(l, layer) : ST_OK;
}

status line_exchange_begin(struct line *l, int layer)
{
    struct comm *const comm = l->c.comm;
    struct line_parts *const parts = &l->parts;

    if (line_gathers(l)) {
        TRY(line_located(l, layer, line_gather_begin(l, layer)));
        l->exchanging = true;
        return ST_OK;
    }
    parts->count = 0;
    for (int stage = 0; stage <= l->levels; stage++) {
        int const owner = split_owner(&l->c.split, stage);
        struct tensor kv[2];
        if (l->place[stage].clip < 0) continue;
        if (owner != comm->rank && !line_arrives(l, stage)) continue;
        TRY(line_kv_parts(l, stage, layer, kv));
        for (int rank = 0; rank < comm->size; rank++) {
            bool const mine = owner == comm->rank;
            if (rank == owner || !wants(l, rank, stage) || (!mine && rank != comm->rank)) continue;
            int const peer = mine ? rank : owner;
            for (int i = 0; i < COUNT_OF(kv); i++)
                parts->part[parts->count++] = line_comm_part(&kv[i], peer, mine);
        }
    }
    return depart(l, layer);
}

status line_exchange_end(struct line *l, int layer)
{
    if (!l->exchanging) return ST_OK;
    TRY(arrive(l, layer));
    return line_dequantize_kv(l, layer);
}

status line_exchange(struct line *l, int layer)
{
    TRY(depart(l, layer));
    return arrive(l, layer);
}

/* Arrows of the trace: from the stages of this rank to the next one's, or to them. */
static void show_arrows(const struct line *l, bool leaves)
{
    int const edge = leaves ? l->end - 1 : l->first - 1; /* the stage before the hop */

    if (edge < 0 || edge >= l->levels) return;
    if (!line_moves_on(l, edge)) return;
    struct place const p = l->place[edge];
    int const clip = l->io->number ? l->io->number(l->io->arg, p.clip) : p.clip;
    track_arrow(l->c.track, leaves,
                (struct track_at){ .clip = clip, .block = p.block, .stage = edge, .layer = -1 });
}

status line_hand_over(struct line *l)
{
    struct comm *const comm = l->c.comm;
    struct comm_xfer part[2];
    int count = 0;

    for (int stage = l->levels - 1; stage >= 0; stage--) {
        int const from = split_owner(&l->c.split, stage), to = split_owner(&l->c.split, stage + 1);
        if (!line_moves_on(l, stage)) continue;
        if (from == comm->rank && to == comm->rank)
            TRY(kern_copy(l->c.ctx, &(struct kern_copy){ .in = &l->stage[stage].out,
                                                         .out = &l->stage[stage + 1].in }));
        else if (from == comm->rank) part[count++] = line_comm_part(&l->stage[stage].out, to, true);
        else if (to == comm->rank)
            part[count++] = line_comm_part(&l->stage[stage + 1].in, from, false);
    }
    if (!count) return ST_OK;
    TRY(line_located(l, -1, start(l, part, count)));
    track_begin(l->c.track, TRACK_HAND_OVER, line_at(l, l->first, -1));
    show_arrows(l, true);
    status const st = comm_wait(comm);
    show_arrows(l, false);
    track_end(l->c.track);
    return line_located(l, -1, st);
}
