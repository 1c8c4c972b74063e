/* dit_forward.c - the way of blocks through the transformer. */
#include "pipeline/dit/dit_internal.h"

#include <math.h>
#include <stdlib.h>

status dit_scratch_place(struct dit_scratch *out, const struct dit_shape *s, enum dtype act,
                         int64_t rows, struct arena *a)
{
    TRY(tensor_place(&out->h, a, act, DIMS(rows, s->dim)));
    TRY(tensor_place(&out->q, a, act, DIMS(rows, s->dim)));
    TRY(tensor_place(&out->ffn, a, act, DIMS(rows, s->ffn_dim)));
    TRY(tensor_place(&out->patch, a, act, DIMS(rows, 4 * s->channels)));
    return tensor_place(&out->flow, a, DT_F32, DIMS(rows, 4 * s->channels));
}

struct dit_scratch dit_scratch_rows(const struct dit_scratch *s, int64_t first, int64_t rows)
{
    return (struct dit_scratch){ .h = tensor_slice(&s->h, first, rows),
                                 .q = tensor_slice(&s->q, first, rows),
                                 .ffn = tensor_slice(&s->ffn, first, rows),
                                 .patch = tensor_slice(&s->patch, first, rows),
                                 .flow = tensor_slice(&s->flow, first, rows) };
}

status attn_partial_place(struct attn_partial *out, const struct dit_shape *s, enum dtype dtype,
                          int64_t rows, struct arena *a)
{
    TRY(tensor_place(&out->x, a, dtype, DIMS(rows, s->dim)));
    return tensor_place(&out->lse, a, DT_F32, DIMS(rows, s->heads));
}

struct attn_partial attn_partial_rows(const struct attn_partial *p, int64_t first, int64_t rows)
{
    return (struct attn_partial){ .x = tensor_slice(&p->x, first, rows),
                                  .lse = tensor_slice(&p->lse, first, rows) };
}

status cross_kv_place(struct cross_kv *out, const struct dit_shape *s, enum dtype act,
                      struct arena *a)
{
    int64_t const rows = (int64_t)s->layers * s->text_len;

    TRY(tensor_place(&out->k, a, act, DIMS(rows, s->dim)));
    TRY(tensor_place(&out->v, a, act, DIMS(rows, s->dim)));
    TRY(tensor_place(&out->text, a, act, DIMS(s->text_len, s->text_dim)));
    return tensor_place(&out->hidden, a, act, DIMS(2 * (int64_t)s->text_len, s->dim));
}

status dit_linear(struct kern_ctx *ctx, const struct dit_linear *l, const struct tensor *x,
                  struct tensor *out, enum kern_act act)
{
    return kern_linear(
        ctx, &(struct kern_linear){ .x = x, .w = &l->w, .bias = &l->bias, .out = out, .act = act });
}

/* One of the six vectors at levels `level` .. `level` + blocks - 1, as [blocks, d]. */
static struct tensor mod_rows(const struct dit *d, int layer, enum dit_mod which, int level,
                              int blocks)
{
    int64_t const row = ((int64_t)layer * DIT_MODS + which) * d->levels + level;
    return tensor_slice(&d->layer_mod, row, blocks);
}

static status normalise_rows(const struct dit *d, struct kern_ctx *ctx, struct tensor *x,
                             const struct tensor *weight)
{
    return kern_rmsnorm(
        ctx, &(struct kern_rmsnorm){ .x = x, .weight = weight, .out = x, .eps = d->shape.eps });
}

/* h = LN(x) * scale + shift */
static status modulate_norm(const struct dit *d, struct kern_ctx *ctx, const struct tensor *x,
                            const struct tensor *scale, const struct tensor *shift,
                            struct tensor *h)
{
    return kern_layernorm(
        ctx, &(struct kern_layernorm){
                 .x = x, .scale = scale, .shift = shift, .out = h, .eps = d->shape.eps });
}

static status run_attention(const struct dit *d, struct kern_ctx *ctx, struct kern_attention a)
{
    int const head_dim = d->shape.dim / d->shape.heads;

    a.heads = (int)a.q->dim[1] / head_dim;
    a.scale = 1.0f / sqrtf((float)head_dim);
    a.low_precision = true;
    return kern_attention(ctx, &a);
}

status cross_kv_fill(const struct dit *d, struct kern_ctx *ctx, struct cross_kv *c,
                     const float *embeds)
{
    int64_t const len = d->shape.text_len;
    struct tensor hidden = tensor_slice(&c->hidden, 0, len),
                  text = tensor_slice(&c->hidden, len, len);
    void *const host = malloc(tensor_bytes(&c->text));
    status st = ST_OK;

    if (!host) return fail(ST_NOMEM, "no memory for prompt embeddings");
    TRY_OUT(tensor_convert(host, d->act, embeds, DT_F32, tensor_count(&c->text)));
    TRY_OUT(ctx->backend->upload(ctx, &c->text, host));
    TRY_OUT(dit_linear(ctx, &d->text_in, &c->text, &hidden, KERN_ACT_GELU_TANH));
    TRY_OUT(dit_linear(ctx, &d->text_out, &hidden, &text, KERN_ACT_NONE));
    for (int l = 0; l < d->shape.layers; l++) {
        const struct dit_attention *const cross = &d->layer[l].cross;
        struct tensor k = tensor_slice(&c->k, l * len, len), v = tensor_slice(&c->v, l * len, len);
        TRY_OUT(dit_linear(ctx, &cross->k, &text, &k, KERN_ACT_NONE));
        TRY_OUT(normalise_rows(d, ctx, &k, &cross->norm_k));
        TRY_OUT(dit_linear(ctx, &cross->v, &text, &v, KERN_ACT_NONE));
    }
    TRY_OUT(ctx->backend->sync(ctx)); /* `host` goes */
out:
    free(host);
    return st;
}

status dit_embed(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                 const struct tensor *latent, struct tensor *x)
{
    TRY(kern_patchify(ctx, &(struct kern_patchify){ .latent = latent, .out = &s->patch }));
    return dit_linear(ctx, &d->patch, &s->patch, x, KERN_ACT_NONE);
}

static struct kern_projection projection_of(const struct dit_linear *l, const struct tensor *norm,
                                            struct tensor *out)
{
    return (struct kern_projection){ .w = &l->w, .bias = &l->bias, .norm = norm, .out = out };
}

status dit_project(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                   const struct dit_project *p)
{
    const struct dit_attention *const self = &d->layer[p->layer].self;
    struct tensor const scale = mod_rows(d, p->layer, DIT_SCALE1, p->level, p->blocks);
    struct tensor const shift = mod_rows(d, p->layer, DIT_SHIFT1, p->level, p->blocks);

    TRY(modulate_norm(d, ctx, p->x, &scale, &shift, &s->h));
    return kern_qkv(ctx, &(struct kern_qkv){ .x = &s->h,
                                             .q = projection_of(&self->q, &self->norm_q, p->q),
                                             .k = projection_of(&self->k, &self->norm_k, p->k),
                                             .v = projection_of(&self->v, NULL, p->v),
                                             .time = &p->at->time,
                                             .row = &p->at->row,
                                             .col = &p->at->col,
                                             .heads = d->shape.heads,
                                             .eps = d->shape.eps });
}

/* Of cross-attention: s->h from s->q, one call for neighbours with the same prompt. */
static status attend_prompts(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                             const struct dit_finish *p)
{
    int64_t const len = d->shape.text_len, tokens = s->q.dim[0] / p->blocks;

    for (int i = 0, end; i < p->blocks; i = end) {
        const struct cross_kv *const c = p->context[i];
        for (end = i + 1; end < p->blocks && p->context[end] == c;) end++;
        struct tensor const q = tensor_slice(&s->q, i * tokens, (end - i) * tokens);
        struct tensor h = tensor_slice(&s->h, i * tokens, (end - i) * tokens);
        struct kern_segment const text = {
            .k = tensor_slice(&c->k, p->layer * len, len),
            .v = tensor_slice(&c->v, p->layer * len, len),
        };
        TRY(run_attention(
            d, ctx,
            (struct kern_attention){ .q = &q, .segments = &text, .segment_count = 1, .out = &h }));
    }
    return ST_OK;
}

/* s->h goes onto x by way of a linear; LN(x) * scale + shift is then in s->h. */
struct onto {
    const struct dit_linear *linear;
    const struct tensor *gate; /* NULL: 1 */
    const struct tensor *scale, *shift;
};
static status add_and_norm(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                           struct tensor *x, const struct onto *o)
{
    return kern_linear_norm(ctx, &(struct kern_linear_norm){ .linear = { .x = &s->h,
                                                                         .w = &o->linear->w,
                                                                         .bias = &o->linear->bias,
                                                                         .residual = x,
                                                                         .gate = o->gate,
                                                                         .out = x },
                                                             .scale = o->scale,
                                                             .shift = o->shift,
                                                             .norm = &s->h,
                                                             .eps = d->shape.eps });
}

static status cross_attend(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                           const struct dit_finish *p)
{
    const struct dit_layer *const l = &d->layer[p->layer];

    TRY(dit_linear(ctx, &l->cross.q, &s->h, &s->q, KERN_ACT_NONE));
    TRY(normalise_rows(d, ctx, &s->q, &l->cross.norm_q));
    return attend_prompts(d, ctx, s, p);
}

static status run_ffn(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                      const struct dit_finish *p)
{
    const struct dit_layer *const l = &d->layer[p->layer];
    struct tensor const gate = mod_rows(d, p->layer, DIT_GATE2, p->level, p->blocks);

    TRY(dit_linear(ctx, &l->up, &s->h, &s->ffn, KERN_ACT_GELU_TANH));
    return kern_linear(ctx, &(struct kern_linear){ .x = &s->ffn,
                                                   .w = &l->down.w,
                                                   .bias = &l->down.bias,
                                                   .residual = p->x,
                                                   .gate = &gate,
                                                   .out = p->x });
}

status dit_attend_part(const struct dit *d, struct kern_ctx *ctx, const struct tensor *q,
                       const struct dit_keys *keys, struct attn_partial *out)
{
    return run_attention(d, ctx,
                         (struct kern_attention){ .q = q,
                                                  .segments = keys->segment,
                                                  .segment_count = keys->count,
                                                  .out = &out->x,
                                                  .lse = &out->lse });
}

status dit_attend(const struct dit *d, struct kern_ctx *ctx, const struct dit_attend *p)
{
    if (!p->before)
        return run_attention(d, ctx,
                             (struct kern_attention){ .q = p->q,
                                                      .segments = p->keys->segment,
                                                      .segment_count = p->keys->count,
                                                      .out = p->out });
    TRY(dit_attend_part(d, ctx, p->q, p->keys, p->part));
    if (p->bias)
        TRY(kern_axpby(
            ctx, &(struct kern_axpby){
                     .x = &p->part->lse, .y = p->bias, .out = &p->part->lse, .a = 1, .b = 1 }));
    return kern_merge(ctx, &(struct kern_merge){ .a = &p->before->x,
                                                 .a_lse = &p->before->lse,
                                                 .b = &p->part->x,
                                                 .b_lse = &p->part->lse,
                                                 .out = p->out });
}

status dit_finish(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                  const struct dit_finish *p)
{
    const struct dit_layer *const l = &d->layer[p->layer];
    struct tensor const gate1 = mod_rows(d, p->layer, DIT_GATE1, p->level, p->blocks);
    struct tensor const scale2 = mod_rows(d, p->layer, DIT_SCALE2, p->level, p->blocks);
    struct tensor const shift2 = mod_rows(d, p->layer, DIT_SHIFT2, p->level, p->blocks);
    struct tensor const scale3 = tensor_as(&l->norm3_w, DIMS(1, d->shape.dim));
    struct tensor const shift3 = tensor_as(&l->norm3_b, DIMS(1, d->shape.dim));
    struct onto const self = { &l->self.o, &gate1, &scale3, &shift3 };
    struct onto const cross = { &l->cross.o, NULL, &scale2, &shift2 };

    TRY(add_and_norm(d, ctx, s, p->x, &self));
    TRY(cross_attend(d, ctx, s, p));
    TRY(add_and_norm(d, ctx, s, p->x, &cross));
    return run_ffn(d, ctx, s, p);
}

status dit_head(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                const struct dit_head *p)
{
    struct tensor const shift = tensor_slice(&d->head_mod, p->level, p->blocks);
    struct tensor const scale = tensor_slice(&d->head_mod, d->levels + p->level, p->blocks);

    TRY(modulate_norm(d, ctx, p->x, &scale, &shift, &s->h));
    TRY(dit_linear(ctx, &d->head, &s->h, &s->flow, KERN_ACT_NONE));
    return kern_unpatchify(ctx, &(struct kern_unpatchify){ .tokens = &s->flow, .out = p->flow });
}
