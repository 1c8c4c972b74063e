/*
 * cuda_fused.h - level 2: matrix products by cuBLASLt, attention by cuDNN, rows by the
 * kernels of cuda_fused_kernels.h.
 *
 * Each function serves what its libraries and kernels take and hands the rest to level 1:
 * which, its predicate says from shapes, dtypes and alignment before anything is queued. All
 * shapes of the released models are served here.
 *   rows        columns a multiple of 8, at most 8192 (cuda_fused_suits)
 *   products    k and n multiples of 8 (cuda_fused_linear.c)
 *   attention   cuda_fused_attention.h
 * Private to kernels/.
 */
#ifndef CUDA_FUSED_H
#define CUDA_FUSED_H

#include "kernels/cuda/cuda_ctx.h"

status cuda_fused_linear(struct kern_ctx *, const struct kern_linear *);
status cuda_fused_linear_norm(struct kern_ctx *, const struct kern_linear_norm *);
status cuda_fused_qkv(struct kern_ctx *, const struct kern_qkv *);
status cuda_fused_layernorm(struct kern_ctx *, const struct kern_layernorm *);
status cuda_fused_rmsnorm(struct kern_ctx *, const struct kern_rmsnorm *);
status cuda_fused_rope(struct kern_ctx *, const struct kern_rope *);
status cuda_fused_merge(struct kern_ctx *, const struct kern_merge *);
status cuda_fused_channel_norm(struct kern_ctx *, const struct kern_channel_norm *);

/* What each takes of the context's scratch: see kern_backend.scratch_bytes. */
size_t cuda_fused_linear_scratch(const struct kern_linear *);
size_t cuda_fused_linear_norm_scratch(const struct kern_linear_norm *); /* as its linear */
size_t cuda_fused_qkv_scratch(const struct kern_qkv *);

/* See kern_backend.prepare. */
status cuda_fused_linear_prepare(struct cuda_ctx *, const struct kern_linear *);
status cuda_fused_linear_norm_prepare(struct cuda_ctx *, const struct kern_linear_norm *);
status cuda_fused_qkv_prepare(struct cuda_ctx *, const struct kern_qkv *);

/* Loads of 16 bytes may read it; no tensor has none. */
bool cuda_fused_aligned(const struct tensor *t);

struct cuda_fused_angles;
struct cuda_fused_angles cuda_fused_angles(const struct tensor *time, const struct tensor *row,
                                           const struct tensor *col);

/* An F32 operand's numbers; NULL for none. */
const float *cuda_fused_floats(const struct tensor *t);

/* The projections of a qkv that are wanted, in the order of their columns in y below; how
 * many. of: room for CUDA_FUSED_PARTS. */
int cuda_fused_parts(const struct kern_qkv *a, const struct kern_projection **of);

/* What comes behind the products: bias, norm and RoPE, each part to its place.
 * y: the sums, [rows, parts * dim] act, on the card. The arguments suit (cuda_fused_suits). */
status cuda_fused_split(const struct cuda_ctx *c, const struct kern_qkv *a, const void *y) MUST_USE;

/* ---- convolution: cuDNN on frames as they lie -----------------------------------
 *
 * Where x lies right behind past the two are read in place, otherwise they are gathered
 * into scratch. The few channels of pictures have a kernel of their own
 * (cuda_fused_conv_few.cu). Weights that cuda_conv_packs leaves out are the plain level's.
 */

status cuda_fused_conv3d(struct kern_ctx *ctx, const struct kern_conv3d *a) MUST_USE;

/* The second level's packing: for cuDNN what cuda_conv_packs, all else as the plain level. */
status cuda_fused_conv_pack(struct kern_ctx *ctx, const struct kern_pack *a) MUST_USE;
size_t cuda_fused_conv_bytes(const struct kern_weight *w);

/* See kern_backend.scratch_bytes; as if x did not lie behind past. */
size_t cuda_fused_conv3d_scratch(const struct kern_conv3d *a);

/* See kern_backend.prepare. */
status cuda_fused_conv3d_prepare(struct cuda_ctx *c, const struct kern_conv3d *a) MUST_USE;

#endif /* CUDA_FUSED_H */
