/*
 * line_exchange_gather.c - as by blocks, in ticks in which every rank needs every stage's keys and
 * values: one gather of the window in place of transfers. It wants a comm that is good at it, the
 * same number of stages on all ranks, and blocks of one clip at all stages: the steady state.
 *
 * The window has a place for the clean stage's behind the noise stages'; that rank copies its own
 * there before, and the others from there to their caches after.
 */
#include "pipeline/line/line_internal.h"

bool line_gathers(const struct line *l)
{
    if (!l->c.comm->gathers || !line_may_gather(l) || !line_holds(l, 0)) return false;
    for (int i = 1; i <= l->levels; i++)
        if (l->place[i].clip != l->place[0].clip) return false;
    return true;
}

static bool owns_clean(const struct line *l) { return l->end == l->levels + 1; }

/* The clean stage's keys and values of a layer, in the cache and in the window. */
struct clean_kv {
    struct tensor cache[2], window[2];
};

static status find_clean(struct line *l, int layer, struct clean_kv *out)
{
    int64_t const row = l->levels * l->tokens;

    out->window[0] = tensor_slice(&l->window_k, row, l->tokens);
    out->window[1] = tensor_slice(&l->window_v, row, l->tokens);
    return line_kv(l, l->levels, layer, &out->cache[0], &out->cache[1]);
}

static status copy_both(struct line *l, const struct tensor from[2], struct tensor to[2])
{
    for (int i = 0; i < 2; i++)
        TRY(kern_copy(l->c.ctx, &(struct kern_copy){ .in = &from[i], .out = &to[i] }));
    return ST_OK;
}

static status post_gather(struct line *l, int layer)
{
    struct comm_shard const shard[] = { { .t = l->window_k, .device = true },
                                        { .t = l->window_v, .device = true } };
    struct clean_kv clean;

    TRY(find_clean(l, layer, &clean));
    if (owns_clean(l)) TRY(copy_both(l, clean.cache, clean.window));
    TRY(line_flush(l));
    TRY(line_located(l, layer, comm_gather(l->c.comm, shard, COUNT_OF(shard))));
    l->exchanging = true;
    return ST_OK;
}

static status wait_for_gather(struct line *l, int layer)
{
    struct clean_kv clean;

    if (!l->exchanging) return ST_OK;
    TRY(line_wait_xfers(l, layer));
    if (owns_clean(l)) return ST_OK;
    TRY(find_clean(l, layer, &clean));
    return copy_both(l, clean.window, clean.cache);
}

const struct line_exchange_ops line_exchange_gather = {
    .place = line_blocks_place,
    .project_target = line_blocks_target,
    .projected = line_quantize_kv,
    .begin = post_gather,
    .end = wait_for_gather,
    .attn_target = line_blocks_attn_target,
    .attended = line_finish,
    .finish = line_blocks_finish,
    .arrives = line_blocks_arrives,
};
