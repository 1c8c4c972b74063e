/* line_exchange_gather.c - a layer's exchange where all ranks have equal shares in it: one
 * gather of the window. */
#include "pipeline/line/line_internal.h"

bool line_may_gather(const struct line *l)
{
    const struct split *const s = &l->c.split;

    if (l->c.mode.wire != LINE_ACT || l->c.mode.exchange != LINE_BLOCKS) return false;
    return s->ranks > 1 && s->stages % s->ranks == 0;
}

bool line_gathers(const struct line *l)
{
    if (!l->c.comm->gathers || !line_may_gather(l) || !line_holds(l, 0)) return false;
    for (int i = 1; i <= l->levels; i++)
        if (l->place[i].clip != l->place[0].clip) return false;
    return true;
}

static bool owns_clean(const struct line *l) { return l->end == l->levels + 1; }

/* The clean stage's keys and values of a layer, in the cache and in the window. */
struct clean {
    struct tensor cache[2], window[2];
};

static status find_clean(struct line *l, int layer, struct clean *out)
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

status line_gather_begin(struct line *l, int layer)
{
    struct comm_shard const share[] = { { .t = l->window_k, .device = true },
                                        { .t = l->window_v, .device = true } };
    struct comm *const comm = l->c.comm;
    struct clean clean;

    TRY(find_clean(l, layer, &clean));
    if (owns_clean(l)) TRY(copy_both(l, clean.cache, clean.window));
    if (!comm->streamed) TRY(l->c.ctx->backend->sync(l->c.ctx));
    return comm_gather(comm, share, COUNT_OF(share));
}

status line_gather_end(struct line *l, int layer)
{
    struct clean clean;

    if (owns_clean(l)) return ST_OK;
    TRY(find_clean(l, layer, &clean));
    return copy_both(l, clean.window, clean.cache);
}
