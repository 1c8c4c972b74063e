/*
 * cuda_fp8_attention.h - level 4: attention in FP8 by cuDNN's Hopper kernel.
 *
 * cuDNN has no single node for it: it knows the whole chain of products, scales, softmax and
 * largest magnitudes by its pattern, and runs it as one kernel (tests/gpu/gpu_plans.c pins
 * which). What it takes and gives is e4m3:
 *   q, k, v   each quantized to e4m3 with one scale per call, the least power of two with which
 *             its largest magnitude is at most 448 (all zeros: 1). Found and applied on the
 *             card; the keys of all segments go into one run in scratch, and so their values
 *   weights   times 256, a power of two below 448: they are at most 1
 *   out       with v's scale (a mean of values is no larger than the largest), then back to
 *             BF16, exactly, or F32
 *   lse       F32, of what e4m3 made of q and k
 *
 * A scale that is a power of two moves no number between e4m3's steps: but for those below
 * 2^-13 of the call's largest, a number is rounded alike whatever else is in the call. For
 * them, a row's result depends on the call's other rows and keys: the same call gives the same
 * bits, one with more or fewer rows or keys need not. With --determinism strict a line
 * makes the same calls for any number of ranks.
 *
 * What cuDNN has no such kernel for is level 2's: see cuda_fp8_attention_suits. Tensors
 * that do not begin at a multiple of 16 bytes are ST_ARG. Private to kernels/.
 */
#ifndef CUDA_FP8_ATTENTION_H
#define CUDA_FP8_ATTENTION_H

#include "kernels/cuda/fused/cuda_fused_attention.h"

/* Whether it is computed in FP8: shapes, dtypes and the mark alone decide. Marked
 * low_precision, BF16, no bias, heads of a multiple of 16 numbers, at most 128, two queries or
 * more. */
bool cuda_fp8_attention_suits(const struct kern_attention *a);

/* The graph; tensors have these numbers. Scales and largest magnitudes are one F32 each, on
 * the device; cuDNN's kernel has to be given a place for the latter, nobody reads them. */
enum {
    CUDA_FP8_Q = 1, /* e4m3: [nq, heads * head_dim] */
    CUDA_FP8_K,     /* [nk, heads * head_dim] */
    CUDA_FP8_V,
    CUDA_FP8_OUT, /* as q */
    CUDA_FP8_DESCALE_Q,
    CUDA_FP8_DESCALE_K,
    CUDA_FP8_DESCALE_V,
    CUDA_FP8_DESCALE_S, /* of the weights */
    CUDA_FP8_SCALE_S,
    CUDA_FP8_SCALE_O,
    CUDA_FP8_AMAX_S,
    CUDA_FP8_AMAX_O,
    CUDA_FP8_SCALE, /* kern_attention's: F32 on the host */
    CUDA_FP8_LSE,   /* F32: [nq, heads]; in memory only if the shape has it */
};
void cuda_fp8_attention_graph(struct cuda_dnn_graph *out, const struct cuda_attention_shape *s);

/* Where in scratch: bytes from its beginning. */
struct cuda_fp8_layout {
    size_t q, k, v, out, scales, bytes; /* the last: of all */
};
struct cuda_fp8_layout cuda_fp8_attention_layout(const struct kern_attention *a);

/* See kern_backend.scratch_bytes. */
size_t cuda_fp8_attention_scratch(const struct kern_attention *a);

/* See kern_backend.prepare. */
status cuda_fp8_attention_prepare(struct cuda_ctx *c, const struct kern_attention *a) MUST_USE;

/* The operation, at level 4. */
status cuda_fp8_attention(struct kern_ctx *ctx, const struct kern_attention *a) MUST_USE;

#endif /* CUDA_FP8_ATTENTION_H */
