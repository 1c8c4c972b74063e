/*
 * line_exchange_blocks.c - each rank attends for its own blocks: of the others' blocks that these
 * attend to, keys and values come to it, in transfers from owner to owner.
 *
 * A noise stage's goes to all ranks that denoise blocks of the same clip in this tick. The clean
 * stage's goes to all that will ever meet the clip again: it is written into every cache in the
 * tick in which it is made, and never asked for later. Transfers run beside attention over local
 * keys; only what they bring is waited for.
 */
#include "pipeline/line/line_internal.h"

status line_blocks_place(struct line *l, int64_t rows, struct arena *scratch, struct arena *wire)
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);

    (void)rows, (void)wire;
    return tensor_place(&l->q, scratch, dit_act(l->c.model),
                        DIMS((l->end - l->first) * l->tokens, s->dim));
}

/* Where the layer reads them: the window, or the cache. */
status line_blocks_target(struct line *l, struct line_span s, int layer, struct line_qkv *out)
{
    int64_t const rows = (s.end - s.first) * l->tokens;

    out->q = line_attn_rows(l, &l->q, s);
    if (s.first == l->levels) return line_kv(l, s.first, layer, &out->k, &out->v);
    out->k = tensor_slice(&l->window_k, s.first * l->tokens, rows);
    out->v = tensor_slice(&l->window_v, s.first * l->tokens, rows);
    return ST_OK;
}

struct tensor line_blocks_attn_target(const struct line *l, struct line_span s)
{
    return tensor_slice(&l->scratch.h, line_scratch_row(l, s.first), (s.end - s.first) * l->tokens);
}

/* Each run was finished where it was attended. */
status line_blocks_finish(struct line *l, int layer)
{
    (void)l, (void)layer;
    return ST_OK;
}

/* ---- who gets what ---------------------------------------------------------------------- */

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

static bool rank_needs(const struct line *l, int rank, int stage)
{
    int const clip = l->place[stage].clip;
    return stage == l->levels ? will_meet(l, rank, clip) : in_window(l, rank, clip);
}

bool line_blocks_arrives(const struct line *l, int stage)
{
    int const rank = l->c.comm->rank;

    if (!line_holds(l, stage) || split_owner(&l->c.split, stage) == rank) return false;
    return rank_needs(l, rank, stage);
}

/* ---- a layer ---------------------------------------------------------------------------- */

static status list_stage(struct line *l, int stage, int layer)
{
    struct comm *const comm = l->c.comm;
    int const owner = split_owner(&l->c.split, stage);
    struct tensor kv[2];

    if (!line_holds(l, stage)) return ST_OK;
    if (owner != comm->rank && !line_blocks_arrives(l, stage)) return ST_OK;
    TRY(line_kv_parts(l, stage, layer, kv));
    for (int rank = 0; rank < comm->size; rank++) {
        bool const mine = owner == comm->rank;
        if (rank == owner || !rank_needs(l, rank, stage) || (!mine && rank != comm->rank)) continue;
        for (int i = 0; i < COUNT_OF(kv); i++)
            line_add_xfer(&l->xfers, &kv[i], mine ? rank : owner, mine);
    }
    return ST_OK;
}

static status post_blocks(struct line *l, int layer)
{
    l->xfers.count = 0;
    for (int stage = 0; stage <= l->levels; stage++) TRY(list_stage(l, stage, layer));
    return line_post_xfers(l, layer);
}

static status wait_for_blocks(struct line *l, int layer)
{
    if (!l->exchanging) return ST_OK;
    TRY(line_wait_xfers(l, layer));
    return line_dequantize_kv(l, layer);
}

const struct line_exchange_ops line_exchange_blocks = {
    .place = line_blocks_place,
    .project_target = line_blocks_target,
    .projected = line_quantize_kv,
    .begin = post_blocks,
    .end = wait_for_blocks,
    .attn_target = line_blocks_attn_target,
    .attended = line_finish,
    .finish = line_blocks_finish,
    .arrives = line_blocks_arrives,
};
