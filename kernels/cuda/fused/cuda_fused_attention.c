/*
 * cuda_fused_attention.c - level 2's attention: operands to where cuDNN takes them, its graph
 * run, the result widened.
 *
 * Keys and values that already lie in one piece are used in place; only what does not is
 * copied into scratch. scratch, run and prepare all go by scratch_layout, so they cannot disagree.
 */
#include "kernels/cuda/fused/cuda_fused_attention.h"
#include "kernels/cuda/cuda_dev.h"
#include "kernels/cuda/fused/cuda_fused_kernels.h"
#include "kernels/cuda/library/cuda_lt.h"
#include "kernels/cuda/plain/cuda_plain.h"
#include "kernels/kern_internal.h"

/* One call's keys, values and out, where cuDNN is to find them. */
struct attention_operands {
    void *k, *v, *out;
};

static status gather_segments(struct cuda_ctx *c, const struct kern_attention *a,
                              const struct attention_operands *at)
{
    struct cuda_fused_whole const whole = cuda_fused_attention_whole(a);
    size_t done = 0;

    for (int i = 0; i < a->segment_count; i++) {
        const struct tensor *const k = &a->segments[i].k, *const v = &a->segments[i].v;
        size_t const bytes = tensor_bytes(k);
        if (!bytes) continue;
        if (!whole.k) TRY(cuda_dev_copy((unsigned char *)at->k + done, k->data, bytes, c->stream));
        if (!whole.v) TRY(cuda_dev_copy((unsigned char *)at->v + done, v->data, bytes, c->stream));
        done += bytes;
    }
    return ST_OK;
}

/* Scratch for what does not lie as cuDNN takes it. */
struct attention_scratch {
    size_t k, v, out, all;
};
static struct attention_scratch scratch_layout(const struct kern_attention *a)
{
    struct cuda_fused_whole const whole = cuda_fused_attention_whole(a);
    bool const widens = a->out->dtype == DT_F32;
    size_t const row = (size_t)a->q->dim[1] * dtype_size(DT_BF16);
    size_t const keys = (size_t)attention_keys(a) * row;
    struct attention_scratch r = { 0 };

    r.k = cuda_scratch_take(&r.all, whole.k ? 0 : keys);
    r.v = cuda_scratch_take(&r.all, whole.v ? 0 : keys);
    r.out = cuda_scratch_take(&r.all, widens ? (size_t)a->q->dim[0] * row : 0);
    return r;
}

size_t cuda_fused_attention_scratch(const struct kern_attention *a)
{
    return cuda_fused_attention_suits(a) ? scratch_layout(a).all : 0;
}

static status place_operands(struct cuda_ctx *c, const struct kern_attention *a,
                             struct attention_operands *at)
{
    struct cuda_fused_whole const whole = cuda_fused_attention_whole(a);
    struct attention_scratch const r = scratch_layout(a);

    TRY(cuda_scratch(c, r.all));
    unsigned char *const base = c->scratch;
    at->k = whole.k ? a->segments[0].k.data : base + r.k;
    at->v = whole.v ? a->segments[0].v.data : base + r.v;
    at->out = a->out->dtype == DT_F32 ? base + r.out : a->out->data;
    return gather_segments(c, a, at);
}

status cuda_attention_plan(const struct cuda_ctx *c, const struct cuda_dnn_graph *g)
{
    struct cuda_dnn_facts facts;

    TRY(cuda_dnn_plan(c->dnn, g, &facts));
    if (facts.workspace <= CUDA_LT_WORKSPACE) return ST_OK;
    return fail(ST_DEVICE, "attention: cuDNN needs %zu bytes of workspace; there are %d",
                facts.workspace, CUDA_LT_WORKSPACE);
}

static status plan_graph(const struct cuda_ctx *c, const struct kern_attention *a,
                         struct cuda_dnn_graph *g)
{
    struct cuda_attention_shape const shape = cuda_attention_shape_of(a);

    cuda_fused_attention_graph(g, &shape);
    return cuda_attention_plan(c, g);
}

status cuda_fused_attention_prepare(struct cuda_ctx *c, const struct kern_attention *a)
{
    struct cuda_dnn_graph g;
    return cuda_fused_attention_suits(a) ? plan_graph(c, a, &g) : ST_OK;
}

static status run_graph(struct cuda_ctx *c, const struct kern_attention *a,
                        const struct attention_operands *at)
{
    struct cuda_dnn_data data = { .workspace = cuda_lt_workspace(c->lt) };
    struct cuda_dnn_graph g;
    float scale = a->scale;

    TRY(plan_graph(c, a, &g));
    data.at[CUDA_DNN_Q] = a->q->data;
    data.at[CUDA_DNN_K] = at->k;
    data.at[CUDA_DNN_V] = at->v;
    data.at[CUDA_DNN_OUT] = at->out;
    data.at[CUDA_DNN_SCALE] = &scale;
    if (a->lse) data.at[CUDA_DNN_LSE] = a->lse->data;
    return cuda_dnn_run(c->dnn, &g, &data);
}

status cuda_fused_attention(struct kern_ctx *ctx, const struct kern_attention *a)
{
    struct attention_operands at;
    struct cuda_ctx *c;

    TRY(kern_check_attention(a));
    if (!cuda_fused_attention_suits(a)) return cuda_plain_attention(ctx, a);
    TRY(cuda_enter(ctx, &c));
    TRY(place_operands(c, a, &at));
    TRY(run_graph(c, a, &at));
    if (at.out == a->out->data) return ST_OK;
    return cuda_fused_launch_convert(&(struct cuda_fused_convert){ .x = at.out,
                                                                   .out = a->out->data,
                                                                   .count = tensor_count(a->out) },
                                     false, c->stream);
}
