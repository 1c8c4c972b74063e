/*
 * cuda_fp8.c - level 3's products: x to FP8, cuBLASLt's sums, and what comes behind them.
 *
 * Each weight is FP8's or level 2's for its life (cuda_fp8_packs), and so is every product with
 * it. qkv may meet both kinds: if all three weights are FP8's, x is quantized once and one kernel
 * takes the sums on; if only some are, it is composed of its parts, each of which goes its way.
 */
#include "kernels/cuda/fp8/cuda_fp8.h"
#include "kernels/cuda/cuda_dev.h"
#include "kernels/cuda/cuda_launch_plan.h"
#include "kernels/cuda/fp8/cuda_fp8_kernels.h"
#include "kernels/cuda/fused/cuda_fused.h"
#include "kernels/cuda/fused/cuda_fused_kernels.h"
#include "kernels/cuda/library/cuda_lt.h"
#include "kernels/cuda/plain/cuda_plain.h"
#include "kernels/kern_internal.h"

static void *at_bytes(void *at, size_t bytes) { return (unsigned char *)at + bytes; }

/* ---- weights ------------------------------------------------------------------ */

size_t cuda_fp8_bytes(const struct kern_weight *w)
{
    return cuda_fp8_packs(w) ? cuda_fp8_rows(w->t.dim[0], w->t.dim[1]).bytes
                             : cuda_fused_conv_bytes(w);
}

/* x: [rows, k] BF16, to what cuda_fp8_rows says. */
static status quantize_to(const struct cuda_ctx *c, void *to, const void *x, int64_t rows,
                          int64_t k)
{
    struct cuda_fp8_quantize_rows const p = { .x = x,
                                              .out = to,
                                              .scale = at_bytes(to, cuda_fp8_rows(rows, k).scales),
                                              .rows = rows,
                                              .cols = k };
    return cuda_fp8_quantize_rows(&p, c->stream);
}

status cuda_fp8_pack(struct kern_ctx *ctx, const struct kern_pack *a)
{
    struct kern_weight wide = *a->w;
    struct cuda_ctx *c;
    status st = ST_OK;

    TRY(kern_check_pack(a));
    if (!cuda_fp8_packs(a->w)) return cuda_fused_conv_pack(ctx, a);
    TRY(cuda_enter(ctx, &c));
    TRY(cuda_dev_alloc(tensor_bytes(&wide.t), &wide.t.data));
    TRY_OUT(cuda_plain_pack(
        ctx, &(struct kern_pack){ .w = &wide, .src = a->src, .src_dtype = a->src_dtype }));
    TRY_OUT(quantize_to(c, a->w->t.data, wide.t.data, wide.t.dim[0], wide.t.dim[1]));
    TRY_OUT(cuda_stream_sync(c->stream));
out:
    cuda_dev_free(wide.t.data);
    return st;
}

/* ---- products ----------------------------------------------------------------- */

/* `bytes` of scratch, with x in FP8 at its beginning. */
static status quantize_x(struct cuda_ctx *c, const struct tensor *x, size_t bytes)
{
    TRY(cuda_scratch(c, bytes));
    return quantize_to(c, c->scratch, x->data, x->dim[0], x->dim[1]);
}

/* Sums of x in scratch with w, rows of BF16 out_step apart. */
static struct cuda_lt_product product_sums(const struct cuda_ctx *c, const struct tensor *x,
                                           const struct kern_weight *w, void *to, int64_t out_step)
{
    int64_t const rows = x->dim[0], k = x->dim[1], n = w->t.dim[0];
    return (struct cuda_lt_product){
        .rows = rows,
        .n = n,
        .k = k,
        .out_step = out_step,
        .in = DT_BF16,
        .out = DT_BF16,
        .x = c->scratch,
        .x_scale = at_bytes(c->scratch, cuda_fp8_rows(rows, k).scales),
        .w = w->t.data,
        .w_scale = at_bytes(w->t.data, cuda_fp8_rows(n, k).scales),
        .to = to,
        .trial = to,
    };
}

static status check_aligned(const char *op, const struct tensor *t)
{
    if (cuda_fused_aligned(t)) return ST_OK;
    return fail(ST_ARG, "%s: with FP8 weights tensors must be aligned to 16 bytes", op);
}

static struct cuda_fp8_scratch linear_layout(const struct kern_linear *a)
{
    int64_t const n = a->out->dtype == DT_BF16 ? 0 : a->out->dim[1];
    return cuda_fp8_scratch(a->x->dim[0], a->x->dim[1], n);
}

size_t cuda_fp8_linear_scratch(const struct kern_linear *a)
{
    return cuda_fp8_packs(a->w) ? linear_layout(a).bytes : cuda_fused_linear_scratch(a);
}

static struct cuda_lt_product linear_product(const struct cuda_ctx *c, const struct kern_linear *a)
{
    bool const direct = a->out->dtype == DT_BF16;
    void *const y = direct ? a->out->data : at_bytes(c->scratch, linear_layout(a).sums);
    return product_sums(c, a->x, a->w, y, a->out->dim[1]);
}

/* y: the sums; where nothing comes behind them they are the result. */
static status finish_fp8_sums(const struct cuda_ctx *c, const struct kern_linear *a, const void *y)
{
    struct cuda_fused_finish const f = {
        .y = y,
        .bias = cuda_fused_floats(a->bias),
        .gate = cuda_fused_floats(a->gate),
        .residual = cuda_fused_floats(a->residual),
        .out = a->out->data,
        .rows = a->x->dim[0],
        .cols = a->out->dim[1],
        .gate_rows = a->gate ? a->x->dim[0] / a->gate->dim[0] : 1,
        .act = (int)a->act,
        .y_bf16 = true,
        .out_bf16 = a->out->dtype == DT_BF16,
    };
    if (y == f.out && !f.bias && !f.residual && a->act == KERN_ACT_NONE) return ST_OK;
    return cuda_fused_launch_finish(&f, c->stream);
}

status cuda_fp8_linear(struct kern_ctx *ctx, const struct kern_linear *a)
{
    const struct tensor *const of[] = { a->x, a->out, a->bias, a->gate, a->residual };
    struct cuda_ctx *c;

    TRY(kern_check_linear(a));
    if (!cuda_fp8_packs(a->w)) return cuda_fused_linear(ctx, a);
    for (int i = 0; i < COUNT_OF(of); i++) TRY(check_aligned("linear", of[i]));
    if (!a->x->dim[0]) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    TRY(quantize_x(c, a->x, linear_layout(a).bytes));
    struct cuda_lt_product const p = linear_product(c, a);
    TRY(cuda_lt_run(c->lt, &p));
    return finish_fp8_sums(c, a, p.to);
}

status cuda_fp8_linear_prepare(struct cuda_ctx *c, const struct kern_linear *a)
{
    if (!cuda_fp8_packs(a->w)) return cuda_fused_linear_prepare(c, a);
    if (!a->x->dim[0]) return ST_OK;
    TRY(cuda_scratch(c, linear_layout(a).bytes));
    struct cuda_lt_product const p = linear_product(c, a);
    return cuda_lt_prepare(c->lt, &p);
}

size_t cuda_fp8_linear_norm_scratch(const struct kern_linear_norm *a)
{
    return cuda_fp8_linear_scratch(&a->linear);
}

status cuda_fp8_linear_norm_prepare(struct cuda_ctx *c, const struct kern_linear_norm *a)
{
    return cuda_fp8_linear_prepare(c, &a->linear);
}

status cuda_fp8_linear_norm(struct kern_ctx *ctx, const struct kern_linear_norm *a)
{
    TRY(kern_check_linear_norm(a));
    return cuda_fp8_packs(a->linear.w) ? kern_compose_linear_norm(ctx, a)
                                       : cuda_fused_linear_norm(ctx, a);
}

/* ---- qkv ---------------------------------------------------------------------- */

/* All in one: with one x in FP8, one kernel behind the products. */
static bool fp8_qkv_suits(const struct kern_projection *const of[], int parts)
{
    for (int i = 0; i < parts; i++)
        if (!cuda_fp8_packs(of[i]->w)) return false;
    return cuda_fused_suits(of[0]->w->t.dim[0]);
}

static bool packs_any(const struct kern_projection *const of[], int parts)
{
    for (int i = 0; i < parts; i++)
        if (cuda_fp8_packs(of[i]->w)) return true;
    return false;
}

size_t cuda_fp8_qkv_scratch(const struct kern_qkv *a)
{
    const struct kern_projection *of[CUDA_FUSED_PARTS];
    int const parts = cuda_fused_parts(a, of);
    int64_t const rows = a->x->dim[0], dim = a->k.out->dim[1];
    size_t most = 0;

    if (fp8_qkv_suits(of, parts)) return cuda_fp8_scratch(rows, a->x->dim[1], parts * dim).bytes;
    if (!packs_any(of, parts)) return cuda_fused_qkv_scratch(a);
    for (int i = 0; i < parts; i++) {
        struct kern_linear const l = { .x = a->x, .w = of[i]->w, .out = of[i]->out };
        size_t const bytes = cuda_fp8_linear_scratch(&l);
        if (bytes > most) most = bytes;
    }
    return most;
}

static status check_parts_aligned(const struct kern_qkv *a,
                                  const struct kern_projection *const of[], int parts)
{
    TRY(check_aligned("qkv", a->x));
    for (int i = 0; i < parts; i++) {
        TRY(check_aligned("qkv", of[i]->bias));
        TRY(check_aligned("qkv", of[i]->norm));
        TRY(check_aligned("qkv", of[i]->out));
    }
    return ST_OK;
}

/* All in one: the sums of its part i, which lie side by side in scratch. */
static struct cuda_lt_product qkv_product(const struct cuda_ctx *c, const struct kern_qkv *a, int i)
{
    const struct kern_projection *of[CUDA_FUSED_PARTS];
    int const parts = cuda_fused_parts(a, of);
    int64_t const rows = a->x->dim[0], dim = a->k.out->dim[1];
    size_t const at = cuda_fp8_scratch(rows, a->x->dim[1], parts * dim).sums;
    uint16_t *const y = at_bytes(c->scratch, at);

    return product_sums(c, a->x, of[i]->w, y + i * dim, parts * dim);
}

status cuda_fp8_qkv(struct kern_ctx *ctx, const struct kern_qkv *a)
{
    const struct kern_projection *of[CUDA_FUSED_PARTS];
    struct cuda_ctx *c;

    TRY(kern_check_qkv(a));
    int const parts = cuda_fused_parts(a, of);
    if (!fp8_qkv_suits(of, parts))
        return packs_any(of, parts) ? kern_compose_qkv(ctx, a) : cuda_fused_qkv(ctx, a);
    TRY(check_parts_aligned(a, of, parts));
    if (!a->x->dim[0]) return ST_OK;
    TRY(cuda_enter(ctx, &c));
    TRY(quantize_x(c, a->x, cuda_fp8_qkv_scratch(a)));
    for (int i = 0; i < parts; i++) {
        struct cuda_lt_product const p = qkv_product(c, a, i);
        TRY(cuda_lt_run(c->lt, &p));
    }
    return cuda_fused_split(c, a, qkv_product(c, a, 0).to);
}

status cuda_fp8_qkv_prepare(struct cuda_ctx *c, const struct kern_qkv *a)
{
    const struct kern_projection *of[CUDA_FUSED_PARTS];
    int const parts = cuda_fused_parts(a, of);
    bool const whole = fp8_qkv_suits(of, parts);

    if (!whole && !packs_any(of, parts)) return cuda_fused_qkv_prepare(c, a);
    if (!a->x->dim[0]) return ST_OK;
    TRY(cuda_scratch(c, cuda_fp8_qkv_scratch(a)));
    for (int i = 0; i < parts; i++) {
        struct cuda_lt_product const p = qkv_product(c, a, i);
        struct kern_linear const l = {
            .x = a->x, .w = of[i]->w, .bias = of[i]->bias, .out = of[i]->out
        };
        if (whole) TRY(cuda_lt_prepare(c->lt, &p));
        else TRY(cuda_fp8_linear_prepare(c, &l));
    }
    return ST_OK;
}
