/*
 * cuda_fast.h - level 2: matrix products by cuBLASLt, attention by cuDNN, rows by the
 * kernels of cuda_fused.h.
 *
 * Each function serves what its libraries and kernels take and hands the rest to level 1:
 * which, its predicate says from shapes, dtypes and alignment before anything is queued. All
 * shapes of the released models are served here.
 *   rows        columns a multiple of 8, at most 8192 (cuda_fused_suits)
 *   products    k and n multiples of 8 (cuda_fast_linear.c)
 *   attention   cuda_fast_attention.h
 * Private to kernels/.
 */
#ifndef CUDA_FAST_H
#define CUDA_FAST_H

#include "kernels/cuda/cuda_backend.h"

status cuda_fast_linear(struct kern_ctx *, const struct kern_linear *);
status cuda_fast_linear_norm(struct kern_ctx *, const struct kern_linear_norm *);
status cuda_fast_qkv(struct kern_ctx *, const struct kern_qkv *);
status cuda_fast_layernorm(struct kern_ctx *, const struct kern_layernorm *);
status cuda_fast_rmsnorm(struct kern_ctx *, const struct kern_rmsnorm *);
status cuda_fast_rope(struct kern_ctx *, const struct kern_rope *);
status cuda_fast_merge(struct kern_ctx *, const struct kern_merge *);
status cuda_fast_channel_norm(struct kern_ctx *, const struct kern_channel_norm *);

/* What each takes of the context's scratch: see kern_backend.scratch_bytes. */
size_t cuda_fast_linear_scratch(const struct kern_linear *);
size_t cuda_fast_qkv_scratch(const struct kern_qkv *);

/* See kern_backend.prepare. A linear_norm is prepared, and takes scratch, as its linear. */
status cuda_fast_linear_prepare(struct cuda_ctx *, const struct kern_linear *);
status cuda_fast_qkv_prepare(struct cuda_ctx *, const struct kern_qkv *);

/* Loads of 16 bytes may read it; no tensor has none. */
bool cuda_fast_aligned(const struct tensor *t);

struct cuda_fused_angles;
struct cuda_fused_angles cuda_fast_angles(const struct tensor *time, const struct tensor *row,
                                          const struct tensor *col);

/* An F32 operand's numbers; NULL for none. */
const float *cuda_fast_floats(const struct tensor *t);

/* The projections of a qkv that are wanted, in the order of their columns in y below; how
 * many. of: room for CUDA_FUSED_PARTS. */
int cuda_fast_parts(const struct kern_qkv *a, const struct kern_projection **of);

/* What comes behind the products: bias, norm and RoPE, each part to its place.
 * y: the sums, [rows, parts * dim] act, on the card. The arguments suit (cuda_fused_suits). */
status cuda_fast_split(const struct cuda_ctx *c, const struct kern_qkv *a, const void *y) MUST_USE;

#endif /* CUDA_FAST_H */
