/*
 * cuda_plain.c - level 1: each operation checked, its launch planned, its kernel given plain
 * numbers.
 *
 * Every function goes the same way: kern_check, the kernel's arguments, the plan, nothing to do,
 * enter, launch. Planning comes before entering so that what cannot be launched is refused before
 * any device is touched.
 */
#include "kernels/cuda/plain/cuda_plain.h"
#include "kernels/cuda/cuda_ctx.h"
#include "kernels/cuda/cuda_dev.h"
#include "kernels/cuda/plain/cuda_plain_kernels.h"
#include "kernels/kern_internal.h"

#include <stdlib.h>

static bool is_bf16(const struct tensor *t) { return t->dtype == DT_BF16; }

static void *data_of(const struct tensor *t) { return t ? t->data : NULL; }

size_t cuda_plain_bytes(const struct kern_weight *w) { return tensor_bytes(&w->t); }

status cuda_plain_pack(struct kern_ctx *ctx, const struct kern_pack *a)
{
    const struct tensor *const t = &a->w->t;
    void *host = NULL;
    struct cuda_ctx *c;
    status st = ST_OK;

    TRY(kern_check_pack(a));
    TRY(cuda_enter(ctx, &c));
    if (a->src_dtype == t->dtype)
        return cuda_dev_upload(t->data, a->src, tensor_bytes(t), c->stream);
    host = malloc(tensor_bytes(t) + 1);
    if (!host) return fail(ST_NOMEM, "pack: no memory for %zu bytes", tensor_bytes(t));
    TRY_OUT(tensor_convert(host, t->dtype, a->src, a->src_dtype, tensor_count(t)));
    TRY_OUT(cuda_dev_upload(t->data, host, tensor_bytes(t), c->stream));
out:
    free(host);
    return st;
}

status cuda_plain_linear(struct kern_ctx *ctx, const struct kern_linear *a)
{
    struct cuda_plan plan;
    struct cuda_ctx *c;

    TRY(kern_check_linear(a));
    struct cuda_linear const p = {
        .x = a->x->data,
        .w = a->w->t.data,
        .bias = data_of(a->bias),
        .residual = data_of(a->residual),
        .gate = data_of(a->gate),
        .out = a->out->data,
        .rows = a->x->dim[0],
        .k = a->x->dim[1],
        .n = a->w->t.dim[0],
        .per_group = a->gate ? a->x->dim[0] / a->gate->dim[0] : 1,
        .act = a->act,
    };
    TRY(cuda_plan_tiles(&plan, "linear", p.rows, p.n));
    if (!p.rows || !p.n) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_linear(&plan, &p, is_bf16(a->x), is_bf16(a->out), c->stream);
}

status cuda_plain_layernorm(struct kern_ctx *ctx, const struct kern_layernorm *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_layernorm(a));
    struct cuda_layernorm const p = {
        .x = a->x->data,
        .scale = a->scale->data,
        .shift = a->shift->data,
        .out = a->out->data,
        .rows = a->x->dim[0],
        .cols = a->x->dim[1],
        .per_group = a->x->dim[0] / a->scale->dim[0],
        .eps = a->eps,
    };
    struct cuda_plan const plan = cuda_plan_rows(p.rows);
    if (!p.rows) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_layernorm(&plan, &p, is_bf16(a->out), c->stream);
}

status cuda_plain_rmsnorm(struct kern_ctx *ctx, const struct kern_rmsnorm *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_rmsnorm(a));
    struct cuda_rmsnorm const p = {
        .x = a->x->data,
        .weight = a->weight->data,
        .out = a->out->data,
        .rows = a->x->dim[0],
        .cols = a->x->dim[1],
        .eps = a->eps,
    };
    struct cuda_plan const plan = cuda_plan_rows(p.rows);
    if (!p.rows) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_rmsnorm(&plan, &p, is_bf16(a->x), is_bf16(a->out), c->stream);
}

status cuda_plain_rope(struct kern_ctx *ctx, const struct kern_rope *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_rope(a));
    struct cuda_rope const p = {
        .x = a->x->data,
        .out = a->out->data,
        .time = a->time->data,
        .row = a->row->data,
        .col = a->col->data,
        .frame_step = kern_rope_heads(a->time) * kern_rope_pairs(a->time),
        .head_step = a->time->ndim > 3 ? kern_rope_pairs(a->time) : 0,
        .count = tensor_count(a->x) / 2,
        .h = a->row->dim[0],
        .w = a->col->dim[0],
        .row_pairs = a->x->dim[1] / 2,
        .head_pairs = a->x->dim[1] / a->heads / 2,
        .time_pairs = kern_rope_pairs(a->time),
        .y_pairs = a->row->dim[1],
        .x_pairs = a->col->dim[1],
    };
    struct cuda_plan const plan = cuda_plan_each(p.count);
    if (!p.count) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_rope(&plan, &p, is_bf16(a->x), c->stream);
}

static struct cuda_attention attention_args(const struct kern_attention *a)
{
    struct cuda_attention p = {
        .q = a->q->data,
        .segments = a->segment_count,
        .bias = data_of(a->bias),
        .out = a->out->data,
        .lse = data_of(a->lse),
        .nq = a->q->dim[0],
        .row = a->q->dim[1],
        .head_dim = a->q->dim[1] / a->heads,
        .scale = a->scale,
    };

    for (int i = 0; i < a->segment_count; i++) {
        p.k[i] = a->segments[i].k.data;
        p.v[i] = a->segments[i].v.data;
        p.begin[i] = p.keys;
        p.keys += a->segments[i].k.dim[0];
    }
    return p;
}

status cuda_plain_attention(struct kern_ctx *ctx, const struct kern_attention *a)
{
    struct cuda_plan_attention plan;
    struct cuda_ctx *c;

    TRY(kern_check_attention(a));
    struct cuda_attention const p = attention_args(a);
    TRY(cuda_plan_attention(&plan, p.nq, a->heads, p.head_dim));
    if (!p.nq) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_attention(&plan, &p, is_bf16(a->q), is_bf16(a->out), c->stream);
}

status cuda_plain_merge(struct kern_ctx *ctx, const struct kern_merge *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_merge(a));
    struct cuda_merge const p = {
        .a = a->a->data,
        .a_lse = a->a_lse->data,
        .b = a->b->data,
        .b_lse = a->b_lse->data,
        .out = a->out->data,
        .count = tensor_count(a->a),
        .head_dim = a->a->dim[1] / a->a_lse->dim[1],
    };
    struct cuda_plan const plan = cuda_plan_each(p.count);
    if (!p.count) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_merge(&plan, &p, is_bf16(a->a), is_bf16(a->out), c->stream);
}

/* The largest of the numbers that a kernel takes as int: frames, rows, columns. */
static int64_t largest_dimension(const struct kern_conv3d *a)
{
    struct conv_shape const s = conv_shape_of(a);
    int64_t const all[] = { s.past + s.t,
                            s.upsample * s.h + a->pad_lo + a->pad_hi,
                            s.upsample * s.w + a->pad_lo + a->pad_hi,
                            s.out_t * s.stride_t + s.kt,
                            s.kh,
                            s.kw };
    int64_t most = 0;

    for (int i = 0; i < COUNT_OF(all); i++) most = all[i] > most ? all[i] : most;
    return most;
}

static struct cuda_conv3d conv_args(const struct kern_conv3d *a)
{
    struct conv_shape const s = conv_shape_of(a);

    return (struct cuda_conv3d){
        .past = data_of(a->past),
        .x = a->x->data,
        .w = a->w->t.data,
        .bias = data_of(a->bias),
        .residual = data_of(a->residual),
        .out = a->out->data,
        .pixels = s.out_t * s.out_h * s.out_w,
        .cin = s.cin,
        .cout = s.cout,
        .frames_past = (int)s.past,
        .in_h = (int)s.h,
        .in_w = (int)s.w,
        .out_h = (int)s.out_h,
        .out_w = (int)s.out_w,
        .kt = (int)s.kt,
        .kh = (int)s.kh,
        .kw = (int)s.kw,
        .stride_t = (int)s.stride_t,
        .stride = (int)s.stride,
        .pad_lo = a->pad_lo,
        .doublings = s.upsample == 2,
    };
}

status cuda_plain_conv3d(struct kern_ctx *ctx, const struct kern_conv3d *a)
{
    struct cuda_plan plan;
    struct cuda_ctx *c;

    TRY(kern_check_conv3d(a));
    TRY(cuda_plan_fits("conv3d", largest_dimension(a)));
    struct cuda_conv3d const p = conv_args(a);
    TRY(cuda_plan_tiles(&plan, "conv3d", p.pixels, p.cout));
    if (!p.pixels || !p.cout) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_conv3d(&plan, &p, is_bf16(a->x), is_bf16(a->out), c->stream);
}

status cuda_plain_channel_norm(struct kern_ctx *ctx, const struct kern_channel_norm *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_channel_norm(a));
    struct cuda_channel_norm p = {
        .x = a->x->data,
        .gamma = a->gamma->data,
        .out = a->out->data,
        .cols = a->gamma->dim[0],
        .act = a->act,
    };
    p.rows = p.cols ? tensor_count(a->x) / p.cols : 0;
    struct cuda_plan const plan = cuda_plan_rows(p.rows);
    if (!p.rows) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_channel_norm(&plan, &p, is_bf16(a->x), c->stream);
}

status cuda_plain_mul(struct kern_ctx *ctx, const struct kern_mul *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_mul(a));
    struct cuda_mul const p = {
        .a = a->a->data, .b = a->b->data, .out = a->out->data, .count = tensor_count(a->out)
    };
    struct cuda_plan const plan = cuda_plan_each(p.count);
    if (!p.count) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_mul(&plan, &p, is_bf16(a->out), c->stream);
}

status cuda_plain_patchify(struct kern_ctx *ctx, const struct kern_patchify *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_patchify(a));
    struct cuda_patchify const p = { .latent = a->latent->data,
                                     .out = a->out->data,
                                     .count = tensor_count(a->latent),
                                     .c = a->latent->dim[1],
                                     .h = a->latent->dim[2],
                                     .w = a->latent->dim[3] };
    struct cuda_plan const plan = cuda_plan_each(p.count);
    if (!p.count) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_patchify(&plan, &p, is_bf16(a->out), c->stream);
}

status cuda_plain_unpatchify(struct kern_ctx *ctx, const struct kern_unpatchify *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_unpatchify(a));
    struct cuda_unpatchify const p = { .tokens = a->tokens->data,
                                       .out = a->out->data,
                                       .count = tensor_count(a->out),
                                       .c = a->out->dim[1],
                                       .h = a->out->dim[2],
                                       .w = a->out->dim[3] };
    struct cuda_plan const plan = cuda_plan_each(p.count);
    if (!p.count) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_unpatchify(&plan, &p, c->stream);
}

status cuda_plain_pictures(struct kern_ctx *ctx, const struct kern_pictures *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_pictures(a));
    struct pixels_layout const layout = kern_pictures_layout(a);
    struct cuda_pictures const p = { .pixels = a->pixels->data,
                                     .out = a->out->data,
                                     .layout = layout,
                                     .scale = { pixels_scale(8), pixels_scale(10) },
                                     .pictures = a->pixels->dim[0],
                                     .across = (layout.width + 1) / 2,
                                     .down = (layout.height + 1) / 2 };
    struct cuda_plan const plan = cuda_plan_each(p.pictures * p.down * p.across);
    if (!p.pictures) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_pictures(&plan, &p, c->stream);
}

status cuda_plain_axpby(struct kern_ctx *ctx, const struct kern_axpby *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_axpby(a));
    struct cuda_axpby const p = { .x = a->x->data,
                                  .y = a->y->data,
                                  .out = a->out->data,
                                  .count = tensor_count(a->out),
                                  .a = a->a,
                                  .b = a->b };
    struct cuda_plan const plan = cuda_plan_each(p.count);
    if (!p.count) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_axpby(&plan, &p, c->stream);
}

status cuda_plain_quantize_e4m3(struct kern_ctx *ctx, const struct kern_quantize_e4m3 *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_quantize_e4m3(a));
    struct cuda_quantize_e4m3 const p = { .x = a->x->data,
                                          .out = a->out->data,
                                          .scale = a->scale->data,
                                          .rows = a->x->dim[0],
                                          .cols = a->x->dim[1] };
    struct cuda_plan const plan = cuda_plan_rows(p.rows);
    if (!p.rows) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_quantize_e4m3(&plan, &p, is_bf16(a->x), c->stream);
}

status cuda_plain_dequantize_e4m3(struct kern_ctx *ctx, const struct kern_dequantize_e4m3 *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_dequantize_e4m3(a));
    struct cuda_dequantize_e4m3 const p = { .x = a->x->data,
                                            .scale = a->scale->data,
                                            .out = a->out->data,
                                            .rows = a->x->dim[0],
                                            .cols = a->x->dim[1] };
    struct cuda_plan const plan = cuda_plan_rows(p.rows);
    if (!p.rows) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_dequantize_e4m3(&plan, &p, is_bf16(a->out), c->stream);
}

/* Bytes that are moved at once: as many as all places are multiples of. */
static int piece_bytes(const struct tensor *in, const struct tensor *out, size_t part)
{
    size_t const places = (size_t)in->data | (size_t)out->data | part;
    return places % 16 == 0 ? 16 : places % 4 == 0 ? 4 : 1;
}

status cuda_plain_permute01(struct kern_ctx *ctx, const struct kern_permute01 *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_permute01(a));
    size_t const part = (size_t)a->in->dim[2] * dtype_size(a->in->dtype);
    int const piece = piece_bytes(a->in, a->out, part);
    struct cuda_permute01 p = { .in = a->in->data,
                                .out = a->out->data,
                                .rows = a->in->dim[0],
                                .parts = a->in->dim[1],
                                .cols = (int64_t)part / piece };
    p.count = p.rows * p.parts * p.cols;
    struct cuda_plan const plan = cuda_plan_each(p.count);
    if (!p.count) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_permute01(&plan, &p, piece, c->stream);
}

status cuda_plain_score_keys(struct kern_ctx *ctx, const struct kern_score_keys *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_score_keys(a));
    struct cuda_score_keys const p = { .k = a->k->data,
                                       .w = a->w->data,
                                       .amplitude = a->amplitude ? a->amplitude->data : NULL,
                                       .out = a->out->data,
                                       .rows = a->k->dim[0],
                                       .cols = a->k->dim[1],
                                       .scale = a->scale };
    struct cuda_plan const plan = cuda_plan_rows(p.rows);
    if (!p.rows) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_score_keys(&plan, &p, is_bf16(a->k), c->stream);
}

status cuda_plain_sum_rows(struct kern_ctx *ctx, const struct kern_sum_rows *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_sum_rows(a));
    struct cuda_sum_rows const p = {
        .x = a->x->data, .out = a->out->data, .rows = a->x->dim[0], .cols = a->x->dim[1]
    };
    struct cuda_plan const plan = cuda_plan_columns(p.cols);
    if (!p.cols) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_sum_rows(&plan, &p, is_bf16(a->x), c->stream);
}

status cuda_plain_gather_rows(struct kern_ctx *ctx, const struct kern_gather_rows *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_gather_rows(a));
    size_t const row = (size_t)a->x->dim[1] * dtype_size(a->x->dtype);
    int const piece = piece_bytes(a->x, a->out, row);
    struct cuda_gather_rows p = {
        .x = a->x->data, .index = a->index->data, .out = a->out->data, .cols = (int64_t)row / piece
    };
    p.count = a->out->dim[0] * p.cols;
    struct cuda_plan const plan = cuda_plan_each(p.count);
    if (!p.count) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_gather_rows(&plan, &p, piece, c->stream);
}

status cuda_plain_cast(struct kern_ctx *ctx, const struct kern_cast *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_cast(a));
    struct cuda_cast const p = { .in = a->in->data,
                                 .out = a->out->data,
                                 .count = tensor_count(a->out) };
    struct cuda_plan const plan = cuda_plan_each(p.count);
    if (!p.count) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    return cuda_cast(&plan, &p, is_bf16(a->in), is_bf16(a->out), c->stream);
}

status cuda_plain_copy(struct kern_ctx *ctx, const struct kern_copy *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_copy(a));
    TRY(cuda_enter(ctx, &c));
    return cuda_dev_copy(a->out->data, a->in->data, tensor_bytes(a->in), c->stream);
}

status cuda_plain_zero(struct kern_ctx *ctx, const struct kern_zero *a)
{
    struct cuda_ctx *c;

    TRY(kern_check_zero(a));
    TRY(cuda_enter(ctx, &c));
    return cuda_dev_zero(a->out->data, tensor_bytes(a->out), c->stream);
}
