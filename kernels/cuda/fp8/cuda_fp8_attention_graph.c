/*
 * cuda_fp8_attention_graph.c - which attentions are FP8's, their scratch, and the graph in which
 * cuDNN recognises its kernel; arithmetic, in every build.
 *
 * The chain of operations is a pattern: cuDNN has one kernel for exactly this order of products,
 * scales and reductions, and compiles nothing else of the kind. tests/gpu/gpu_plans.c holds it to
 * the kernel's name.
 */
#include "kernels/cuda/cuda_launch_plan.h"
#include "kernels/cuda/fp8/cuda_fp8_attention.h"
#include "kernels/cuda/fp8/cuda_fp8_kernels.h"
#include "kernels/kern_internal.h"

bool cuda_fp8_attention_suits(const struct kern_attention *a)
{
    int64_t const head_dim = a->q->dim[1] / a->heads;
    return a->low_precision && a->q->dtype == DT_BF16 && !a->bias && head_dim % 16 == 0 &&
           head_dim > 0 && head_dim <= 128 && a->q->dim[0] >= 2;
}

struct cuda_fp8_layout cuda_fp8_attention_layout(const struct kern_attention *a)
{
    size_t const queries = (size_t)tensor_count(a->q);
    size_t const keys = (size_t)(attention_keys(a) * a->q->dim[1]);
    struct cuda_fp8_layout r = { 0 };

    r.q = cuda_scratch_take(&r.bytes, queries);
    r.k = cuda_scratch_take(&r.bytes, keys);
    r.v = cuda_scratch_take(&r.bytes, keys);
    r.out = cuda_scratch_take(&r.bytes, queries);
    r.scales = cuda_scratch_take(&r.bytes, sizeof(struct cuda_fp8_scales));
    return r;
}

enum { PLANE = 4 };

/* F32 [1, heads, rows, cols], nowhere in memory. */
static int virtual_plane(struct cuda_dnn_graph *g, const struct cuda_attention_shape *s,
                         int64_t cols)
{
    return cuda_dnn_tensor(g, &(struct cuda_dnn_tensor){
                                  .dtype = DT_F32,
                                  .place = CUDA_DNN_VIRTUAL,
                                  .ndim = PLANE,
                                  .dim = { 1, s->heads, s->nq, cols },
                                  .stride = { s->heads * s->nq * cols, s->nq * cols, cols, 1 },
                              });
}

static int apply_op(struct cuda_dnn_graph *g, enum cuda_dnn_kind kind, int a, int b, int y)
{
    cuda_dnn_apply(g, kind, (struct cuda_dnn_term){ a, b, y });
    return y;
}

/* The tensors in memory, by their numbers. */
static void name_tensors(struct cuda_dnn_graph *g, const struct cuda_attention_shape *s)
{
    int64_t const d = s->head_dim, row = s->heads * d;
    struct cuda_dnn_tensor const q = { .e4m3 = true,
                                       .ndim = PLANE,
                                       .dim = { 1, s->heads, s->nq, d },
                                       .stride = { s->nq * row, d, row, 1 } };
    struct cuda_dnn_tensor const keys = { .e4m3 = true, /* columns are keys */
                                          .ndim = PLANE,
                                          .dim = { 1, s->heads, d, s->nk },
                                          .stride = { s->nk * row, d, 1, row } };
    struct cuda_dnn_tensor const v = { .e4m3 = true,
                                       .ndim = PLANE,
                                       .dim = { 1, s->heads, s->nk, d },
                                       .stride = { s->nk * row, d, row, 1 } };
    struct cuda_dnn_tensor one = {
        .dtype = DT_F32, .ndim = PLANE, .align = 4, .dim = { 1, 1, 1, 1 }, .stride = { 1, 1, 1, 1 }
    };
    struct cuda_dnn_tensor const lse = { .dtype = DT_F32,
                                         .place = s->lse ? CUDA_DNN_DEVICE : CUDA_DNN_VIRTUAL,
                                         .ndim = PLANE,
                                         .align = 4, /* rows of few heads may begin anywhere */
                                         .dim = { 1, s->heads, s->nq, 1 },
                                         .stride = { s->nq * s->heads, 1, s->heads, 1 } };

    cuda_dnn_tensor(g, &q);
    cuda_dnn_tensor(g, &keys);
    cuda_dnn_tensor(g, &v);
    cuda_dnn_tensor(g, &q);
    for (int i = CUDA_FP8_DESCALE_Q; i <= CUDA_FP8_AMAX_O; i++) cuda_dnn_tensor(g, &one);
    one.place = CUDA_DNN_HOST;
    cuda_dnn_tensor(g, &one);
    cuda_dnn_tensor(g, &lse);
}

/* The scores' softmax; its result. */
static int add_softmax(struct cuda_dnn_graph *g, const struct cuda_attention_shape *s, int scores)
{
    int const max = apply_op(g, CUDA_DNN_MAX, scores, 0, virtual_plane(g, s, 1));
    int const below = apply_op(g, CUDA_DNN_SUB, scores, max, virtual_plane(g, s, s->nk));
    int const power = apply_op(g, CUDA_DNN_EXP, below, 0, virtual_plane(g, s, s->nk));
    int const sum = apply_op(g, CUDA_DNN_SUM, power, 0, virtual_plane(g, s, 1));

    int const log = apply_op(g, CUDA_DNN_LOG, sum, 0, virtual_plane(g, s, 1));

    apply_op(g, CUDA_DNN_ADD, max, log, CUDA_FP8_LSE);
    return apply_op(g, CUDA_DNN_DIV, power, sum, virtual_plane(g, s, s->nk));
}

void cuda_fp8_attention_graph(struct cuda_dnn_graph *g, const struct cuda_attention_shape *s)
{
    int64_t const d = s->head_dim, nk = s->nk;
    int x;

    *g = (struct cuda_dnn_graph){ 0 };
    name_tensors(g, s);
    x = apply_op(g, CUDA_DNN_MATMUL, CUDA_FP8_Q, CUDA_FP8_K, virtual_plane(g, s, nk));
    x = apply_op(g, CUDA_DNN_MUL, x, CUDA_FP8_SCALE, virtual_plane(g, s, nk));
    x = apply_op(g, CUDA_DNN_MUL, x, CUDA_FP8_DESCALE_Q, virtual_plane(g, s, nk));
    x = apply_op(g, CUDA_DNN_MUL, x, CUDA_FP8_DESCALE_K, virtual_plane(g, s, nk));
    x = add_softmax(g, s, x);
    apply_op(g, CUDA_DNN_AMAX, x, 0, CUDA_FP8_AMAX_S);
    int const weights = virtual_plane(g, s, nk);
    if (weights <= CUDA_DNN_TENSORS) g->tensor[weights - 1].e4m3 = true;
    x = apply_op(g, CUDA_DNN_MUL, x, CUDA_FP8_SCALE_S, weights);
    x = apply_op(g, CUDA_DNN_MATMUL, x, CUDA_FP8_V, virtual_plane(g, s, d));
    x = apply_op(g, CUDA_DNN_MUL, x, CUDA_FP8_DESCALE_S, virtual_plane(g, s, d));
    x = apply_op(g, CUDA_DNN_MUL, x, CUDA_FP8_DESCALE_V, virtual_plane(g, s, d));
    apply_op(g, CUDA_DNN_MUL, x, CUDA_FP8_SCALE_O, CUDA_FP8_OUT);
    apply_op(g, CUDA_DNN_AMAX, x, 0, CUDA_FP8_AMAX_O);
}
