/*
 * line_recache.c - recache: where a new prompt says so, the clean keys and values that its first
 * block looks back on are computed once more under it, before the block's first pass.
 *
 * It is one pass over several blocks that know no earlier and later: in each layer all of them have
 * to have their keys before any attends. The line has room for one block at the clean stage, so the
 * blocks take turns there, layer by layer: first each is projected, and its keys and values
 * replace what the cache held, on every rank by the exchange as in any tick; then each goes through
 * the layer as a clean pass does, with other keys. Being projected twice costs a tenth of the pass
 * and saves a second way through a layer; between turns a block's residual stream is all that is
 * kept of it. Nobody reads what the last layer makes of its keys.
 *
 * What must hold: nothing else stands in the line, which is so where blocks come one by one; the
 * ring of the newest blocks still has all that are recached, so the block that enters has not
 * taken its place yet.
 */
#include "pipeline/line/line_internal.h"

static bool has_clean(const struct line *l) { return l->end == l->levels + 1; }

/* ---- what is kept for it ---------------------------------------------------------------- */

status line_place_recache(struct line *l, struct arena *cache, struct arena *scratch)
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    int64_t const blocks = kv_recache_blocks(&l->c.policy);

    l->recache = (struct line_recache_kept){ 0 };
    if (!l->c.recache || !has_clean(l)) return ST_OK;
    TRY(tensor_place(&l->recache.latent, cache, DT_F32,
                     DIMS(blocks * l->frames, s->channels, l->c.latent_h, l->c.latent_w)));
    return tensor_place(&l->recache.x, scratch, DT_F32, DIMS(blocks * l->tokens, s->dim));
}

static struct tensor latent_of(const struct line *l, int64_t block)
{
    int64_t const slot = block % kv_recache_blocks(&l->c.policy);
    return tensor_slice(&l->recache.latent, slot * l->frames, l->frames);
}

status line_keep_clean(struct line *l)
{
    if (!l->recache.latent.ndim || !line_holds(l, l->levels)) return ST_OK;
    struct tensor to = latent_of(l, l->place[l->levels].block);
    return kern_copy(l->c.ctx, &(struct kern_copy){ .in = &l->stage[l->levels].in, .out = &to });
}

/* ---- a block's turn ---------------------------------------------------------------------- */

/* The block alone at the clean stage, and nobody at any other. */
static void place_alone(struct line *l, struct place p)
{
    for (int i = 0; i <= l->levels; i++) l->place[i].clip = -1;
    l->place[l->levels] = p;
    l->stage[l->levels].level = l->levels + 1;
    line_find_runs(l);
}

/* The residual stream of the block at the clean stage: where passes have it, and where it is kept
 * between turns. */
static struct tensor stream_here(const struct line *l)
{
    struct line_span const clean = { l->levels, l->levels + 1 };
    return line_own_rows(l, &l->x, clean, l->tokens);
}

static struct tensor stream_kept(const struct line *l, const struct kv_recache *r)
{
    int64_t const nth = l->place[l->levels].block - r->first;
    return tensor_slice(&l->recache.x, nth * l->tokens, l->tokens);
}

static status load_stream(struct line *l, const struct kv_recache *r)
{
    if (!has_clean(l)) return ST_OK;
    struct tensor const kept = stream_kept(l, r);
    struct tensor here = stream_here(l);
    return kern_copy(l->c.ctx, &(struct kern_copy){ .in = &kept, .out = &here });
}

static status save_stream(struct line *l, const struct kv_recache *r)
{
    if (!has_clean(l)) return ST_OK;
    struct tensor const here = stream_here(l);
    struct tensor kept = stream_kept(l, r);
    return kern_copy(l->c.ctx, &(struct kern_copy){ .in = &here, .out = &kept });
}

static status begin_turn(struct line *l, const struct kv_recache *r, struct place p)
{
    place_alone(l, p);
    l->stage[l->levels].keys = r->keys;
    TRY(line_upload_angles(l));
    return load_stream(l, r);
}

static status embed_block(struct line *l, const struct kv_recache *r, struct place p)
{
    place_alone(l, p);
    if (!has_clean(l)) return ST_OK;
    struct tensor const latent = latent_of(l, p.block);
    TRY(kern_copy(l->c.ctx, &(struct kern_copy){ .in = &latent, .out = &l->stage[l->levels].in }));
    TRY(line_embed_runs(l));
    return save_stream(l, r);
}

/* ---- the pass ---------------------------------------------------------------------------- */

static status recache_layer(struct line *l, const struct kv_recache *r, struct place change,
                            int layer)
{
    struct place p = { change.clip, r->first };

    for (; p.block < change.block; p.block++) {
        TRY(begin_turn(l, r, p));
        TRY(line_layer_keys(l, layer));
    }
    if (layer == dit_shape_of(l->c.model)->layers - 1) return ST_OK;
    for (p.block = r->first; p.block < change.block; p.block++) {
        TRY(begin_turn(l, r, p));
        TRY(line_layer(l, layer));
        TRY(save_stream(l, r));
    }
    return ST_OK;
}

/* The block that enters the line in this tick, a new one or a given one. clip -1: none, or a
 * clip's first. */
static struct place find_entering_block(const struct line *l)
{
    struct place none = { .clip = -1 };

    for (int i = 0; i < l->levels; i++)
        if (line_holds(l, i) && l->stage[i].level == 0)
            return l->place[i].block ? l->place[i] : none;
    if (!timeline_given(&l->timeline, l->tick) || !l->place[l->levels].block) return none;
    return l->place[l->levels];
}

status line_recache(struct line *l)
{
    struct kv_recache r;
    struct place p;

    if (!l->io->recache) return ST_OK;
    line_place_blocks(l);
    struct place const change = find_entering_block(l);
    if (change.clip < 0 || !l->io->recache(l->io->arg, change.clip, change.block)) return ST_OK;
    if (!l->c.recache)
        return fail(ST_ARG, "line: clip %d has a recache; the line was opened for clips without",
                    change.clip);
    kv_recache_find(&r, &l->c.policy, change.block);
    place_alone(l, change);
    if (has_clean(l)) TRY(line_bind_context(l, l->levels, change));
    for (p = (struct place){ change.clip, r.first }; p.block < change.block; p.block++)
        TRY(embed_block(l, &r, p));
    for (int i = 0; i < dit_shape_of(l->c.model)->layers; i++) TRY(recache_layer(l, &r, change, i));
    return kv_cache_keep(&l->cache, l->c.ctx, r.sink_block);
}
