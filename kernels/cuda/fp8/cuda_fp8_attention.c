/* cuda_fp8_attention.c - level 4's attention: operands to e4m3, cuDNN's graph, out back to act. */
#include "kernels/cuda/fp8/cuda_fp8_attention.h"
#include "kernels/cuda/cuda_ctx.h"
#include "kernels/cuda/fp8/cuda_fp8_kernels.h"
#include "kernels/cuda/fused/cuda_fused.h"
#include "kernels/cuda/library/cuda_lt.h"
#include "kernels/kern_internal.h"

size_t cuda_fp8_attention_scratch(const struct kern_attention *a)
{
    return cuda_fp8_attention_suits(a) ? cuda_fp8_attention_layout(a).bytes
                                       : cuda_fused_attention_scratch(a);
}

/* Scratch of one call. */
struct fp8_operands {
    unsigned char *q, *k, *v, *out;
    struct cuda_fp8_scales *scales;
};

static status check_attention_aligned(const struct tensor *t)
{
    if (cuda_fused_aligned(t)) return ST_OK;
    return fail(ST_ARG, "attention: in FP8 tensors must be aligned to 16 bytes");
}

static status check_operands(const struct kern_attention *a)
{
    TRY(check_attention_aligned(a->q));
    TRY(check_attention_aligned(a->out));
    for (int i = 0; i < a->segment_count; i++) {
        TRY(check_attention_aligned(&a->segments[i].k));
        TRY(check_attention_aligned(&a->segments[i].v));
    }
    return ST_OK;
}

static status place_fp8_operands(struct cuda_ctx *c, const struct kern_attention *a,
                                 struct fp8_operands *out)
{
    struct cuda_fp8_layout const r = cuda_fp8_attention_layout(a);

    TRY(cuda_scratch(c, r.bytes));
    unsigned char *const base = c->scratch;
    *out = (struct fp8_operands){ .q = base + r.q,
                                  .k = base + r.k,
                                  .v = base + r.v,
                                  .out = base + r.out,
                                  .scales = (struct cuda_fp8_scales *)(void *)(base + r.scales) };
    return ST_OK;
}

static struct cuda_fp8_part part_of_tensor(const struct tensor *t, unsigned char *to)
{
    return (struct cuda_fp8_part){ .x = t->data, .out = to, .count = tensor_count(t) };
}

static status quantize_operands(const struct cuda_ctx *c, const struct kern_attention *a,
                                const struct fp8_operands *to)
{
    int const n = a->segment_count;
    struct cuda_fp8_parts p = { .segments = n, .scales = to->scales };
    int64_t done = 0;

    p.part[0] = part_of_tensor(a->q, to->q);
    for (int i = 0; i < n; i++) {
        p.part[1 + i] = part_of_tensor(&a->segments[i].k, to->k + done);
        p.part[1 + n + i] = part_of_tensor(&a->segments[i].v, to->v + done);
        done += tensor_count(&a->segments[i].k);
    }
    return cuda_fp8_quantize_parts(&p, c->stream);
}

static status plan_fp8_graph(const struct cuda_ctx *c, const struct kern_attention *a,
                             struct cuda_dnn_graph *g)
{
    struct cuda_attention_shape const shape = cuda_attention_shape_of(a);

    cuda_fp8_attention_graph(g, &shape);
    return cuda_attention_plan(c, g);
}

status cuda_fp8_attention_prepare(struct cuda_ctx *c, const struct kern_attention *a)
{
    struct cuda_dnn_graph g;
    return cuda_fp8_attention_suits(a) ? plan_fp8_graph(c, a, &g)
                                       : cuda_fused_attention_prepare(c, a);
}

static status run_fp8_graph(struct cuda_ctx *c, const struct kern_attention *a,
                            const struct fp8_operands *at)
{
    struct cuda_fp8_scales *const s = at->scales;
    float scale = a->scale;
    struct cuda_dnn_graph g;
    struct cuda_dnn_data data = {
        .at = { [CUDA_FP8_Q] = at->q,
                [CUDA_FP8_K] = at->k,
                [CUDA_FP8_V] = at->v,
                [CUDA_FP8_OUT] = at->out,
                [CUDA_FP8_DESCALE_Q] = &s->descale[0],
                [CUDA_FP8_DESCALE_K] = &s->descale[1],
                [CUDA_FP8_DESCALE_V] = &s->descale[2],
                [CUDA_FP8_DESCALE_S] = &s->descale_softmax,
                [CUDA_FP8_SCALE_S] = &s->scale_softmax,
                [CUDA_FP8_SCALE_O] = &s->scale_out,
                [CUDA_FP8_AMAX_S] = &s->amax[0],
                [CUDA_FP8_AMAX_O] = &s->amax[1],
                [CUDA_FP8_SCALE] = &scale,
                [CUDA_FP8_LSE] = a->lse ? a->lse->data : NULL },
        .workspace = cuda_lt_workspace(c->lt),
    };

    TRY(plan_fp8_graph(c, a, &g));
    return cuda_dnn_run(c->dnn, &g, &data);
}

status cuda_fp8_attention(struct kern_ctx *ctx, const struct kern_attention *a)
{
    struct fp8_operands at;
    struct cuda_ctx *c;

    TRY(kern_check_attention(a));
    if (!cuda_fp8_attention_suits(a)) return cuda_fused_attention(ctx, a);
    TRY(check_operands(a));
    TRY(cuda_enter(ctx, &c));
    TRY(place_fp8_operands(c, a, &at));
    TRY(quantize_operands(c, a, &at));
    TRY(run_fp8_graph(c, a, &at));
    struct cuda_fp8_dequantize_out const w = {
        .x = at.out, .out = a->out->data, .scales = at.scales, .count = tensor_count(a->out)
    };
    return cuda_fp8_dequantize_out(&w, a->out->dtype == DT_BF16, c->stream);
}
