/*
 * cuda_backend.h - the CUDA backends, one per level.
 *
 *   cuda-1   own kernels in plain CUDA C, for every operation; needs no library beside
 *            the runtime, and is the oracle where the oracle in C is too slow
 *   cuda-2   products by cuBLASLt, attention and convolution by cuDNN, rows by own kernels
 *            that do several operations in one pass; what those do not take stays with
 *            level 1 (cuda_fused.h)
 *   cuda-3   products with low_precision weights in FP8 by cuBLASLt (cuda_fp8.h), all else as
 *            level 2; needs a card of compute capability 9
 *   cuda-4   as level 3, and attention in FP8 by cuDNN (cuda_fp8_attention.h)
 *
 * Each level is a table of its own; cuda_backend.c is the page that says which function
 * serves which operation at which level. Built without CUDA there are none
 * (cuda_stub.c). pack converts on the host, and at level 3 on the card.
 */
#ifndef CUDA_BACKEND_H
#define CUDA_BACKEND_H

#include "kernels/kern.h"

/* The CUDA backends of this build by level, the plain one first; NULL behind the last. */
const struct kern_backend *cuda_backend_at(int i);

#endif /* CUDA_BACKEND_H */
