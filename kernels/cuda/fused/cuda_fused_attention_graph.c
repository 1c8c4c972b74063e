/* cuda_fused_attention_graph.c - which attentions are cuDNN's, and their graph; arithmetic, in
 * every build. */
#include "kernels/cuda/fused/cuda_fused_attention.h"
#include "kernels/kern_internal.h"

bool cuda_fused_attention_suits(const struct kern_attention *a)
{
    int64_t const head_dim = a->q->dim[1] / a->heads;
    return a->q->dtype == DT_BF16 && !a->bias &&
           (head_dim == 64 || head_dim == 128 || head_dim == 384) && a->q->dim[0] > 0;
}

struct cuda_fused_whole cuda_fused_attention_whole(const struct kern_attention *a)
{
    struct cuda_fused_whole w = { .k = true, .v = true };

    for (int i = 1; i < a->segment_count; i++) {
        const struct kern_segment *const s = &a->segments[i];
        w.k = w.k && tensor_follows(&s[-1].k, &s->k);
        w.v = w.v && tensor_follows(&s[-1].v, &s->v);
    }
    return w;
}

struct cuda_attention_shape cuda_attention_shape_of(const struct kern_attention *a)
{
    return (struct cuda_attention_shape){ .nq = a->q->dim[0],
                                          .nk = attention_keys(a),
                                          .heads = a->heads,
                                          .head_dim = a->q->dim[1] / a->heads,
                                          .lse = a->lse != NULL };
}

/* [rows, heads * width] as cuDNN's [1, heads, rows, width]. */
static struct cuda_dnn_tensor heads_tensor(const struct cuda_attention_shape *s, int64_t rows,
                                           int64_t width)
{
    return (struct cuda_dnn_tensor){
        .dtype = DT_BF16,
        .ndim = 4,
        .dim = { 1, s->heads, rows, width },
        .stride = { rows * s->heads * width, width, s->heads * width, 1 },
    };
}

void cuda_fused_attention_graph(struct cuda_dnn_graph *out, const struct cuda_attention_shape *s)
{
    struct cuda_dnn_tensor const q = heads_tensor(s, s->nq, s->head_dim);
    struct cuda_dnn_tensor const k = heads_tensor(s, s->nk, s->head_dim);
    struct cuda_dnn_tensor const scale = { .dtype = DT_F32,
                                           .place = CUDA_DNN_HOST,
                                           .ndim = 4,
                                           .align = 4,
                                           .dim = { 1, 1, 1, 1 },
                                           .stride = { 1, 1, 1, 1 } };
    struct cuda_dnn_tensor lse = heads_tensor(s, s->nq, 1);

    *out = (struct cuda_dnn_graph){ 0 };
    lse.dtype = DT_F32;
    lse.align = 4; /* rows of few heads may begin anywhere */
    cuda_dnn_tensor(out, &q);
    cuda_dnn_tensor(out, &k);
    cuda_dnn_tensor(out, &k);
    cuda_dnn_tensor(out, &q);
    cuda_dnn_tensor(out, &scale);
    if (s->lse) cuda_dnn_tensor(out, &lse);
    cuda_dnn_sdpa(out, &(struct cuda_dnn_sdpa){ .q = CUDA_DNN_Q,
                                                .k = CUDA_DNN_K,
                                                .v = CUDA_DNN_V,
                                                .o = CUDA_DNN_OUT,
                                                .scale = CUDA_DNN_SCALE,
                                                .stats = s->lse ? CUDA_DNN_LSE : 0 });
}
