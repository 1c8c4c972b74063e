/*
 * kern_compose.c - the fused operations made of the plain ones, in order.
 *
 * linear_norm and qkv exist so that a backend with kernels for them saves the trips to memory in
 * between. One without has these, and a backend that serves only some shapes has them for the
 * others. They go through ctx's table, not to a backend's functions, so a dry run sees the parts.
 */
#include "kernels/kern_internal.h"

status kern_compose_linear_norm(struct kern_ctx *ctx, const struct kern_linear_norm *a)
{
    TRY(kern_check_linear_norm(a));
    TRY(kern_linear(ctx, &a->linear));
    return kern_layernorm(ctx, &(struct kern_layernorm){ .x = a->linear.out,
                                                         .scale = a->scale,
                                                         .shift = a->shift,
                                                         .out = a->norm,
                                                         .eps = a->eps });
}

static status compute_projection(struct kern_ctx *ctx, const struct kern_qkv *a,
                                 const struct kern_projection *p)
{
    TRY(kern_linear(ctx,
                    &(struct kern_linear){ .x = a->x, .w = p->w, .bias = p->bias, .out = p->out }));
    if (!p->norm) return ST_OK;
    return kern_rmsnorm(ctx, &(struct kern_rmsnorm){
                                 .x = p->out, .weight = p->norm, .out = p->out, .eps = a->eps });
}

status kern_compose_qkv(struct kern_ctx *ctx, const struct kern_qkv *a)
{
    TRY(kern_check_qkv(a));
    TRY(compute_projection(ctx, a, &a->k));
    TRY(compute_projection(ctx, a, &a->v));
    if (!a->q.out) return ST_OK;
    TRY(compute_projection(ctx, a, &a->q));
    struct kern_rope const rope = kern_qkv_rope(a);
    return kern_rope(ctx, &rope);
}
