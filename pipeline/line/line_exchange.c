/*
 * line_exchange.c - tensors from rank to rank: posting and waiting for whatever way a layer is
 * shared, and the hand-over between ticks.
 *
 * No message carries an address. Which block stands where is known to all ranks, so both sides
 * of a transfer list it by themselves, in the same order: stages downwards or upwards, and of
 * each stage always the same tensors.
 */
#include "pipeline/line/line_internal.h"

static struct comm_xfer xfer_of(const struct tensor *t, int peer, bool send)
{
    return (struct comm_xfer){ .t = *t, .peer = peer, .send = send, .device = true };
}

void line_add_xfer(struct line_xfers *to, const struct tensor *t, int peer, bool send)
{
    to->xfer[to->count++] = xfer_of(t, peer, send);
}

status line_flush(struct line *l)
{
    return l->c.comm->streamed ? ST_OK : l->c.ctx->backend->sync(l->c.ctx);
}

status line_synchronize(struct line *l)
{
    TRY(line_located(l, -1, comm_synchronize(l->c.comm)));
    return l->c.ctx->backend->sync(l->c.ctx);
}

/* ---- in a layer ------------------------------------------------------------------------- */

status line_post_xfers(struct line *l, int layer)
{
    if (!l->xfers.count) return ST_OK;
    TRY(line_flush(l));
    TRY(line_located(l, layer, comm_post(l->c.comm, l->xfers.xfer, l->xfers.count)));
    l->exchanging = true;
    return ST_OK;
}

status line_wait_xfers(struct line *l, int layer)
{
    if (!l->exchanging) return ST_OK;
    track_begin(l->c.track, TRACK_EXCHANGE, line_at(l, l->first, layer));
    status const st = comm_wait(l->c.comm);
    track_end(l->c.track);
    l->exchanging = false;
    return line_located(l, layer, st);
}

/* ---- between ticks ---------------------------------------------------------------------- */

/* Arrows of the trace: from the stages of this rank to the next one's, or to them. */
static void show_arrows(const struct line *l, bool leaves)
{
    int const edge = leaves ? l->end - 1 : l->first - 1; /* the stage before the hand-over */

    if (edge < 0 || edge >= l->levels || !line_moves_on(l, edge)) return;
    struct track_at at = line_at(l, edge, -1);
    track_arrow(l->c.track, leaves, at);
}

/* From the last stage down, so that on one rank what a stage holds is copied on before the one
 * before it writes there. A block that a cut at the next boundary lets out of its clean pass goes
 * along for nothing; one that no cut can touch never stays behind. */
status line_hand_over(struct line *l)
{
    struct comm *const comm = l->c.comm;
    struct comm_xfer transfer[2];
    int count = 0;

    for (int stage = l->levels - 1; stage >= 0; stage--) {
        int const from = split_owner(&l->c.split, stage), to = split_owner(&l->c.split, stage + 1);
        struct line_stage *const here = &l->stage[stage], *const next = &l->stage[stage + 1];
        if (!line_moves_on(l, stage)) continue;
        if (from == comm->rank && to == comm->rank)
            TRY(kern_copy(l->c.ctx, &(struct kern_copy){ .in = &here->out, .out = &next->in }));
        else if (from == comm->rank) transfer[count++] = xfer_of(&here->out, to, true);
        else if (to == comm->rank) transfer[count++] = xfer_of(&next->in, from, false);
    }
    if (!count) return ST_OK;
    TRY(line_flush(l));
    TRY(line_located(l, -1, comm_post(comm, transfer, count)));
    track_begin(l->c.track, TRACK_HAND_OVER, line_at(l, l->first, -1));
    show_arrows(l, true);
    status const st = comm_wait(comm);
    show_arrows(l, false);
    track_end(l->c.track);
    return line_located(l, -1, st);
}
