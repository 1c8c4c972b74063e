/*
 * cuda_fused_attention.h - level 2's attention: cuDNN's single-node kernel, which for these
 * shapes is its Hopper one (tests/gpu/gpu_plans.c).
 *
 * cuDNN takes BF16 alone, one run of keys and one of values, no bias, and gives a BF16 out;
 * its statistics are our lse. What else kern_attention allows:
 *   several segments   used where they are if they lie right behind one another, else
 *                      gathered into scratch first: keys and values each by themselves
 *   out F32            computed in BF16 and widened; kern_backend.partial_dtype says so
 *   F32 activations, a bias (the text encoder's), heads that cuDNN's kernel is not made for
 *                      level 1's kernel, as cuda_fused_attention_suits tells beforehand
 */
#ifndef CUDA_FUSED_ATTENTION_H
#define CUDA_FUSED_ATTENTION_H

#include "kernels/cuda/cuda_ctx.h"
#include "kernels/cuda/library/cuda_dnn_graph.h"

/* Whether cuDNN serves these arguments (checked by kern_check before). Shapes and dtypes
 * alone decide: BF16, no bias, heads of 64, 128 or (the autoencoder's) 384 numbers, at
 * least one query. */
bool cuda_fused_attention_suits(const struct kern_attention *a);

/* Whether the segments' keys, and their values, lie as one: each right behind the one before. */
struct cuda_fused_whole {
    bool k, v;
};
struct cuda_fused_whole cuda_fused_attention_whole(const struct kern_attention *a);

/* The graph of q, out: [nq, heads * head_dim], k, v: [nk, heads * head_dim] and, if wanted,
 * lse [nq, heads]; tensors have these numbers. */
enum {
    CUDA_DNN_Q = 1,
    CUDA_DNN_K,
    CUDA_DNN_V,
    CUDA_DNN_OUT,
    CUDA_DNN_SCALE, /* F32 on the host */
    CUDA_DNN_LSE,
};
struct cuda_attention_shape {
    int64_t nq, nk, heads, head_dim;
    bool lse;
};
struct cuda_attention_shape cuda_attention_shape_of(const struct kern_attention *a);
void cuda_fused_attention_graph(struct cuda_dnn_graph *out, const struct cuda_attention_shape *s);

/* Make or find a graph's plan; ST_DEVICE if it takes more than the context's workspace. */
status cuda_attention_plan(const struct cuda_ctx *c, const struct cuda_dnn_graph *g) MUST_USE;

/* What it takes of the context's scratch: see kern_backend.scratch_bytes. */
size_t cuda_fused_attention_scratch(const struct kern_attention *a);

/* See kern_backend.prepare. */
status cuda_fused_attention_prepare(struct cuda_ctx *c, const struct kern_attention *a) MUST_USE;

/* The operation, at level 2. */
status cuda_fused_attention(struct kern_ctx *ctx, const struct kern_attention *a) MUST_USE;

#endif /* CUDA_FUSED_ATTENTION_H */
