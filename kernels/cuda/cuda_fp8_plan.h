/*
 * cuda_fp8_plan.h - which weights level 3 packs as FP8, and how packed weights and an
 * operation's scratch are laid out.
 *
 * Arithmetic alone, pinned by tables in tests/unit/kernels/unit_cuda_fused.c.
 */
#ifndef CUDA_FP8_PLAN_H
#define CUDA_FP8_PLAN_H

#include "kernels/kern.h"

enum { CUDA_FP8_STEP = 16 }; /* what cuBLASLt asks of n and k */

/* For KERN_LINEAR_COARSE, BF16, n and k multiples of CUDA_FP8_STEP. All products with them
 * are FP8's, those with other weights level 2's. */
bool cuda_fp8_packs(const struct kern_weight *w);

/* Rows of e4m3 with a scale each: bytes from their common start. A packed weight is one,
 * and so is what x becomes in scratch. */
struct cuda_fp8_rows {
    size_t scales, bytes; /* the numbers are first | of all */
};
struct cuda_fp8_rows cuda_fp8_rows(int64_t rows, int64_t k);

/* Scratch of a product: x in FP8, then the sums, [rows, sums] BF16; sums 0: they have another
 * place. */
struct cuda_fp8_scratch {
    struct cuda_fp8_rows x;
    size_t sums, bytes;
};
struct cuda_fp8_scratch cuda_fp8_scratch(int64_t rows, int64_t k, int64_t sums);

#endif /* CUDA_FP8_PLAN_H */
