/* cuda_fused_rows.c - level 2's operations on rows: by the fused kernels where they take the
 * shape, else by level 1. */
#include "kernels/cuda/cuda_ctx.h"
#include "kernels/cuda/fused/cuda_fused.h"
#include "kernels/cuda/fused/cuda_fused_kernels.h"
#include "kernels/cuda/plain/cuda_plain.h"
#include "kernels/kern_internal.h"

static bool is_bf16(const struct tensor *t) { return t->dtype == DT_BF16; }

bool cuda_fused_aligned(const struct tensor *t) { return !t || (uintptr_t)t->data % 16 == 0; }

status cuda_fused_layernorm(struct kern_ctx *ctx, const struct kern_layernorm *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_layernorm(a));
    int64_t const rows = a->x->dim[0], cols = a->x->dim[1];
    if (!cuda_fused_suits(cols) || !cuda_fused_aligned(a->x) || !cuda_fused_aligned(a->out) ||
        !cuda_fused_aligned(a->scale) || !cuda_fused_aligned(a->shift))
        return cuda_plain_layernorm(ctx, a);
    TRY(cuda_enter(ctx, &c));
    return cuda_fused_launch_layernorm(
        &(struct cuda_fused_norm){ .x = a->x->data,
                                   .scale = a->scale->data,
                                   .shift = a->shift->data,
                                   .out = a->out->data,
                                   .rows = rows,
                                   .cols = cols,
                                   .per_group = rows / a->scale->dim[0],
                                   .eps = a->eps },
        is_bf16(a->out), c->stream);
}

/* F32 to BF16, or one dtype: what its kernels are made for. */
static bool rms_dtypes(const struct kern_rmsnorm *a)
{
    return a->x->dtype == DT_F32 || a->x->dtype == a->out->dtype;
}

status cuda_fused_rmsnorm(struct kern_ctx *ctx, const struct kern_rmsnorm *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_rmsnorm(a));
    if (!cuda_fused_suits(a->x->dim[1]) || !rms_dtypes(a) || !cuda_fused_aligned(a->x) ||
        !cuda_fused_aligned(a->out) || !cuda_fused_aligned(a->weight))
        return cuda_plain_rmsnorm(ctx, a);
    TRY(cuda_enter(ctx, &c));
    return cuda_fused_launch_rmsnorm(&(struct cuda_fused_rms){ .x = a->x->data,
                                                               .weight = a->weight->data,
                                                               .out = a->out->data,
                                                               .rows = a->x->dim[0],
                                                               .cols = a->x->dim[1],
                                                               .eps = a->eps },
                                     is_bf16(a->x), is_bf16(a->out), c->stream);
}

struct cuda_fused_angles cuda_fused_angles(const struct tensor *time, const struct tensor *row,
                                           const struct tensor *col)
{
    return (struct cuda_fused_angles){
        .time = time->data,
        .row = row->data,
        .col = col->data,
        .frame_step = kern_rope_heads(time) * kern_rope_pairs(time),
        .head_step = time->ndim > 3 ? kern_rope_pairs(time) : 0,
        .ct = kern_rope_pairs(time),
        .cr = row->dim[1],
        .cc = col->dim[1],
        .h = row->dim[0],
        .w = col->dim[0],
    };
}

status cuda_fused_rope(struct kern_ctx *ctx, const struct kern_rope *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_rope(a));
    if (!cuda_fused_suits(a->x->dim[1]) || !cuda_fused_aligned(a->x) || !cuda_fused_aligned(a->out))
        return cuda_plain_rope(ctx, a);
    TRY(cuda_enter(ctx, &c));
    return cuda_fused_launch_rope(
        &(struct cuda_fused_rope){ .x = a->x->data,
                                   .out = a->out->data,
                                   .rows = a->x->dim[0],
                                   .cols = a->x->dim[1],
                                   .at = cuda_fused_angles(a->time, a->row, a->col) },
        is_bf16(a->x), c->stream);
}

status cuda_fused_merge(struct kern_ctx *ctx, const struct kern_merge *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_merge(a));
    int64_t const heads = a->a_lse->dim[1], hd = a->a->dim[1] / heads;
    if (hd % CUDA_FUSED_CHUNK || hd == 0 || !cuda_fused_aligned(a->a) ||
        !cuda_fused_aligned(a->b) || !cuda_fused_aligned(a->out))
        return cuda_plain_merge(ctx, a);
    TRY(cuda_enter(ctx, &c));
    return cuda_fused_launch_merge(&(struct cuda_fused_merge){ .a = a->a->data,
                                                               .b = a->b->data,
                                                               .a_lse = a->a_lse->data,
                                                               .b_lse = a->b_lse->data,
                                                               .out = a->out->data,
                                                               .heads = a->a->dim[0] * heads,
                                                               .hd = hd },
                                   is_bf16(a->a), is_bf16(a->out), c->stream);
}

status cuda_fused_channel_norm(struct kern_ctx *ctx, const struct kern_channel_norm *a)
{
    struct cuda_norm_plan plan;
    struct cuda_ctx *c;

    TRY(kern_check_channel_norm(a));
    if (!tensor_count(a->x)) return ST_OK;
    if (!cuda_norm_plan(&plan, a)) return cuda_plain_channel_norm(ctx, a);
    TRY(cuda_enter(ctx, &c));
    return cuda_fused_launch_channel_norm(a, &plan, c->stream);
}
