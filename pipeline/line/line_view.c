/* line_view.c - parts of the line's tensors, and what can be read off the places of a tick. */
#include "pipeline/line/line_internal.h"

#include <stdio.h>

struct tensor line_own_rows(const struct line *l, const struct tensor *t, struct line_span s,
                            int64_t per)
{
    return tensor_slice(t, (s.first - l->first) * per, (s.end - s.first) * per);
}

struct tensor line_attn_rows(const struct line *l, const struct tensor *t, struct line_span s)
{
    return tensor_slice(t, (s.first - l->attn_stages.first) * l->tokens,
                        (s.end - s.first) * l->tokens);
}

int64_t line_scratch_row(const struct line *l, int stage)
{
    return l->c.mode.determinism == LINE_BATCH ? (stage - l->first) * l->tokens : 0;
}

bool line_holds(const struct line *l, int stage) { return l->place[stage].clip >= 0; }

int line_first_of_window(const struct line *l, int stage)
{
    if (stage == l->levels) return stage;
    while (stage > l->attn_stages.first && l->place[stage - 1].clip == l->place[stage].clip)
        stage--;
    return stage;
}

struct line_span line_noise_of(const struct line *l, struct line_span run)
{
    return (struct line_span){ run.first, run.end < l->levels ? run.end : l->levels };
}

status line_kv(struct line *l, int stage, int layer, struct tensor *k, struct tensor *v)
{
    if (stage == l->levels) return kv_cache_get(&l->cache, l->place[stage].block, layer, k, v);
    *k = tensor_slice(&l->window_k, stage * l->tokens, l->tokens);
    *v = tensor_slice(&l->window_v, stage * l->tokens, l->tokens);
    return ST_OK;
}

bool line_ends(const struct line *l, int stage, int layer)
{
    return stage == l->levels && layer == dit_shape_of(l->c.model)->layers - 1;
}

struct line_span line_rest(const struct line *l, struct line_span run, int layer)
{
    if (line_ends(l, run.end - 1, layer)) run.end--;
    return run;
}

bool line_moves_on(const struct line *l, int stage)
{
    struct place const here = l->place[stage];
    struct place const next = timeline_at(&l->timeline, l->tick + 1, stage + 1);

    return here.clip >= 0 && here.clip == next.clip && here.block == next.block;
}

bool line_may_gather(const struct line *l)
{
    const struct split *const s = &l->c.split;

    if (l->c.mode.wire != LINE_ACT || l->c.mode.exchange != LINE_BLOCKS) return false;
    return s->ranks > 1 && s->stages % s->ranks == 0;
}

struct track_at line_at(const struct line *l, int stage, int layer)
{
    struct place const p = l->place[stage];
    return (struct track_at){ .clip = p.clip, .stage = stage, .layer = layer, .block = p.block };
}

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
