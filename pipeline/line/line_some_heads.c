/*
 * line_some_heads.c - a layer whose heads attend to different keys, by a policy's profile of heads.
 *
 * Kernels attend with all heads of a call to the same keys. So attention is taken over the keys of
 * all heads and over those for some of them apart, with all heads both times, and merged by
 * log-sum-exps: to the second a bias is added that is so low for the other heads that the merge
 * leaves what they came to over the first as it is, to the bit. That computes a few products for
 * nothing, and no kernel has to know of heads.
 *
 * What must hold: block by block, where one block is in the line and all keys are here, so that the
 * two sets are the same on whichever rank. The bias is finite: the merge takes differences.
 */
#include "pipeline/line/line_internal.h"

#include <stdlib.h>

#define LEFT_OUT (-1e30f)

status line_place_some_heads(struct line *l, struct arena *a)
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    enum dtype const dtype = l->c.ctx->backend->partial_dtype(dit_act(l->c.model));

    l->some_heads = (struct line_some_heads){ 0 };
    if (!l->c.policy.profile.layers) return ST_OK;
    TRY(tensor_place(&l->some_heads.table, a, DT_F32, DIMS(s->layers, s->heads)));
    TRY(tensor_place(&l->some_heads.zeros, a, DT_F32, DIMS(l->tokens)));
    TRY(tensor_place(&l->some_heads.bias, a, DT_F32, DIMS(l->tokens, s->heads)));
    TRY(attn_partial_place(&l->local, s, dtype, l->tokens, a));
    return attn_partial_place(&l->remote, s, dtype, l->tokens, a);
}

status line_upload_some_heads(struct line *l)
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    const struct kern_backend *const b = l->c.ctx->backend;
    const struct kv_profile *const p = &l->c.policy.profile;

    if (!p->layers) return ST_OK;
    float *const host = malloc(tensor_bytes(&l->some_heads.table) + 1);
    if (!host) return fail(ST_NOMEM, "heads of %d layers", s->layers);
    for (int i = 0; i < s->layers * s->heads; i++)
        host[i] = kv_head_is_static(p, i / s->heads, i % s->heads) ? LEFT_OUT : 0;
    status st = b->upload(l->c.ctx, &l->some_heads.table, host);
    if (st == ST_OK) st = b->sync(l->c.ctx);
    free(host);
    TRY(st);
    return kern_zero(l->c.ctx, &(struct kern_zero){ .out = &l->some_heads.zeros });
}

status line_attend_some_heads(struct line *l, int layer, const struct tensor *q,
                              const struct dit_keys *all, const struct dit_keys *theirs,
                              struct tensor *out)
{
    struct tensor const row = tensor_slice(&l->some_heads.table, layer, 1);

    TRY(dit_attend_part(l->c.model, l->c.ctx, q, all, &l->local));
    TRY(kern_gather_rows(l->c.ctx, &(struct kern_gather_rows){ .x = &row,
                                                               .index = &l->some_heads.zeros,
                                                               .out = &l->some_heads.bias }));
    return dit_attend(l->c.model, l->c.ctx,
                      &(struct dit_attend){ .q = q,
                                            .keys = theirs,
                                            .before = &l->local,
                                            .part = &l->remote,
                                            .bias = &l->some_heads.bias,
                                            .out = out });
}
