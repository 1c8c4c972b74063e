/*
 * cuda_fp8.h - level 3: products with low_precision weights in FP8.
 *
 * What is packed as FP8 says cuda_fp8_packs, from a weight's use, dtype and shape: in the
 * released models the linears of the transformer's layers. Each row of x is quantized to FP8
 * when it comes, rows of weights when they are packed. cuBLASLt gives the sums in BF16 without
 * an epilogue, kernels of our own do the rest (cuda_fused.h): which epilogues and outputs go
 * with a scale per row, its header does not say, and BF16 is what others use.
 *
 * With such a weight, tensors that do not begin at a multiple of 16 bytes are ST_ARG; with all
 * others each function is level 2's. Private to kernels/.
 */
#ifndef CUDA_FP8_H
#define CUDA_FP8_H

#include "kernels/cuda/cuda_ctx.h"

/* Packs by way of the weight in BF16 on the card, which is freed again. */
status cuda_fp8_pack(struct kern_ctx *, const struct kern_pack *);
size_t cuda_fp8_bytes(const struct kern_weight *w);

status cuda_fp8_linear(struct kern_ctx *, const struct kern_linear *);
status cuda_fp8_linear_norm(struct kern_ctx *, const struct kern_linear_norm *);
status cuda_fp8_qkv(struct kern_ctx *, const struct kern_qkv *);

/* What each takes of the context's scratch: see kern_backend.scratch_bytes. */
size_t cuda_fp8_linear_scratch(const struct kern_linear *);
size_t cuda_fp8_linear_norm_scratch(const struct kern_linear_norm *); /* as its linear */
size_t cuda_fp8_qkv_scratch(const struct kern_qkv *);

/* See kern_backend.prepare. */
status cuda_fp8_linear_prepare(struct cuda_ctx *, const struct kern_linear *);
status cuda_fp8_linear_norm_prepare(struct cuda_ctx *, const struct kern_linear_norm *);
status cuda_fp8_qkv_prepare(struct cuda_ctx *, const struct kern_qkv *);

#endif /* CUDA_FP8_H */
