/*
 * cuda_fp8_kernels.h - level 3's own kernels as C calls them: plain numbers and device pointers.
 *
 * Rows begin at multiples of 16 bytes and have a multiple of eight numbers. Launchers queue
 * on `stream` and fail with ST_DEVICE alone; zero rows do nothing.
 */
#ifndef CUDA_FP8_KERNELS_H
#define CUDA_FP8_KERNELS_H

#include "base/base.h"

/* scale[r] = max(max |x[r, :]|, 2^-100) / 448
 * out[r, c] = x[r, c] / scale[r] in e4m3, to nearest even
 * x: [rows, cols] BF16   out: [rows, cols] bytes   scale: [rows]
 * A row with an infinity or a NaN stands for NaNs. */
struct cuda_fp8_narrow_rows {
    const void *x;
    unsigned char *out;
    float *scale;
    int64_t rows, cols;
};
status cuda_fp8_narrow_rows(const struct cuda_fp8_narrow_rows *p, void *stream) MUST_USE;

#endif /* CUDA_FP8_KERNELS_H */
