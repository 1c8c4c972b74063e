/* dit_forward.c - one block's way through the transformer. */
#include "pipeline/dit_model.h"

#include <math.h>
#include <stdlib.h>

status dit_scratch_place(struct dit_scratch *out, const struct dit_shape *s, enum dtype act,
                         int64_t tokens, struct arena *a)
{
    TRY(tensor_place(&out->h, a, act, DIMS(tokens, s->dim)));
    TRY(tensor_place(&out->q, a, act, DIMS(tokens, s->dim)));
    TRY(tensor_place(&out->ffn, a, act, DIMS(tokens, s->ffn_dim)));
    TRY(tensor_place(&out->patch, a, act, DIMS(tokens, 4 * s->channels)));
    return tensor_place(&out->flow, a, DT_F32, DIMS(tokens, 4 * s->channels));
}

status dit_part_place(struct dit_part *out, const struct dit_shape *s, int64_t tokens,
                      struct arena *a)
{
    TRY(tensor_place(&out->x, a, DT_F32, DIMS(tokens, s->dim)));
    return tensor_place(&out->lse, a, DT_F32, DIMS(tokens, s->heads));
}

status dit_context_place(struct dit_context *out, const struct dit_shape *s, enum dtype act,
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

/* x += gate * (in * W^T + b); gate NULL: 1 */
static status add_linear(struct kern_ctx *ctx, const struct dit_linear *l, const struct tensor *in,
                         const struct tensor *gate, struct tensor *x)
{
    return kern_linear(
        ctx, &(struct kern_linear){
                 .x = in, .w = &l->w, .bias = &l->bias, .residual = x, .gate = gate, .out = x });
}

static status rmsnorm(const struct dit *d, struct kern_ctx *ctx, struct tensor *x,
                      const struct tensor *weight)
{
    return kern_rmsnorm(
        ctx, &(struct kern_rmsnorm){ .x = x, .weight = weight, .out = x, .eps = d->shape.eps });
}

/* h = LN(x) * scale + shift */
static status norm(const struct dit *d, struct kern_ctx *ctx, const struct tensor *x,
                   const struct tensor *scale, const struct tensor *shift, struct tensor *h)
{
    return kern_layernorm(
        ctx, &(struct kern_layernorm){
                 .x = x, .scale = scale, .shift = shift, .out = h, .eps = d->shape.eps });
}

static status attention(const struct dit *d, struct kern_ctx *ctx, struct kern_attention a)
{
    int const head_dim = d->shape.dim / d->shape.heads;

    a.heads = d->shape.heads;
    a.scale = 1.0f / sqrtf((float)head_dim);
    return kern_attention(ctx, &a);
}

status dit_context_fill(const struct dit *d, struct kern_ctx *ctx, struct dit_context *c,
                        const float *embeds)
{
    int64_t const len = d->shape.text_len;
    struct tensor hidden = tensor_slice(&c->hidden, 0, len),
                  text = tensor_slice(&c->hidden, len, len);
    void *const host = malloc(tensor_bytes(&c->text));
    status st = ST_OK;

    if (!host) return fail(ST_NOMEM, "prompt embeddings");
    TRY_OUT(tensor_convert(host, d->act, embeds, DT_F32, tensor_count(&c->text)));
    TRY_OUT(ctx->backend->upload(ctx, &c->text, host));
    TRY_OUT(dit_linear(ctx, &d->text_in, &c->text, &hidden, KERN_ACT_GELU_TANH));
    TRY_OUT(dit_linear(ctx, &d->text_out, &hidden, &text, KERN_ACT_NONE));
    for (int l = 0; l < d->shape.layers; l++) {
        const struct dit_attention *const cross = &d->layer[l].cross;
        struct tensor k = tensor_slice(&c->k, l * len, len), v = tensor_slice(&c->v, l * len, len);
        TRY_OUT(dit_linear(ctx, &cross->k, &text, &k, KERN_ACT_NONE));
        TRY_OUT(rmsnorm(d, ctx, &k, &cross->norm_k));
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

status dit_project(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                   const struct dit_project *p)
{
    const struct dit_attention *const self = &d->layer[p->layer].self;
    struct tensor const scale = dit_layer_mod(d, p->layer, p->level, DIT_SCALE1);
    struct tensor const shift = dit_layer_mod(d, p->layer, p->level, DIT_SHIFT1);

    TRY(norm(d, ctx, p->x, &scale, &shift, &s->h));
    TRY(dit_linear(ctx, &self->k, &s->h, p->k, KERN_ACT_NONE));
    TRY(rmsnorm(d, ctx, p->k, &self->norm_k));
    TRY(dit_linear(ctx, &self->v, &s->h, p->v, KERN_ACT_NONE));
    if (!p->q) return ST_OK;
    TRY(dit_linear(ctx, &self->q, &s->h, p->q, KERN_ACT_NONE));
    TRY(rmsnorm(d, ctx, p->q, &self->norm_q));
    return kern_rope(ctx, &(struct kern_rope){ .x = p->q,
                                               .out = p->q,
                                               .heads = d->shape.heads,
                                               .time = &p->at->time,
                                               .row = &p->at->row,
                                               .col = &p->at->col });
}

static status cross_attend(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                           const struct dit_attend *p)
{
    const struct dit_layer *const l = &d->layer[p->layer];
    int64_t const len = d->shape.text_len;
    struct tensor const scale = tensor_as(&l->norm3_w, DIMS(1, d->shape.dim));
    struct tensor const shift = tensor_as(&l->norm3_b, DIMS(1, d->shape.dim));
    struct kern_segment const text = {
        .k = tensor_slice(&p->context->k, p->layer * len, len),
        .v = tensor_slice(&p->context->v, p->layer * len, len),
    };

    TRY(norm(d, ctx, p->x, &scale, &shift, &s->h));
    TRY(dit_linear(ctx, &l->cross.q, &s->h, &s->q, KERN_ACT_NONE));
    TRY(rmsnorm(d, ctx, &s->q, &l->cross.norm_q));
    TRY(attention(d, ctx,
                  (struct kern_attention){
                      .q = &s->q, .segments = &text, .segment_count = 1, .out = &s->h }));
    return add_linear(ctx, &l->cross.o, &s->h, NULL, p->x);
}

static status feed_forward(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                           const struct dit_attend *p)
{
    const struct dit_layer *const l = &d->layer[p->layer];
    struct tensor const scale = dit_layer_mod(d, p->layer, p->level, DIT_SCALE2);
    struct tensor const shift = dit_layer_mod(d, p->layer, p->level, DIT_SHIFT2);
    struct tensor const gate = dit_layer_mod(d, p->layer, p->level, DIT_GATE2);

    TRY(norm(d, ctx, p->x, &scale, &shift, &s->h));
    TRY(dit_linear(ctx, &l->up, &s->h, &s->ffn, KERN_ACT_GELU_TANH));
    return add_linear(ctx, &l->down, &s->ffn, &gate, p->x);
}

status dit_attend_part(const struct dit *d, struct kern_ctx *ctx, const struct tensor *q,
                       const struct dit_keys *keys, struct dit_part *out)
{
    return attention(d, ctx,
                     (struct kern_attention){ .q = q,
                                              .segments = keys->segment,
                                              .segment_count = keys->count,
                                              .out = &out->x,
                                              .lse = &out->lse });
}

static status self_attend(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                          const struct dit_attend *p)
{
    if (!p->before)
        return attention(d, ctx,
                         (struct kern_attention){ .q = p->q,
                                                  .segments = p->keys->segment,
                                                  .segment_count = p->keys->count,
                                                  .out = &s->h });
    TRY(dit_attend_part(d, ctx, p->q, p->keys, &s->part));
    return kern_merge(ctx, &(struct kern_merge){ .a = &p->before->x,
                                                 .a_lse = &p->before->lse,
                                                 .b = &s->part.x,
                                                 .b_lse = &s->part.lse,
                                                 .out = &s->h });
}

status dit_attend(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                  const struct dit_attend *p)
{
    struct tensor const gate = dit_layer_mod(d, p->layer, p->level, DIT_GATE1);

    TRY(self_attend(d, ctx, s, p));
    TRY(add_linear(ctx, &d->layer[p->layer].self.o, &s->h, &gate, p->x));
    TRY(cross_attend(d, ctx, s, p));
    return feed_forward(d, ctx, s, p);
}

status dit_head(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s, int level,
                const struct tensor *x, struct tensor *flow)
{
    struct tensor const shift = tensor_slice(&d->head_mod, 2 * level, 1);
    struct tensor const scale = tensor_slice(&d->head_mod, 2 * level + 1, 1);

    TRY(norm(d, ctx, x, &scale, &shift, &s->h));
    TRY(dit_linear(ctx, &d->head, &s->h, &s->flow, KERN_ACT_NONE));
    return kern_unpatchify(ctx, &(struct kern_unpatchify){ .tokens = &s->flow, .out = flow });
}
