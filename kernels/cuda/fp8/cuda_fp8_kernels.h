/*
 * cuda_fp8_kernels.h - own kernels of levels 3 and 4 as C calls them: plain numbers and device
 * pointers.
 *
 * Launchers queue on `stream` and fail with ST_DEVICE alone.
 */
#ifndef CUDA_FP8_KERNELS_H
#define CUDA_FP8_KERNELS_H

#include "kernels/kern.h"

/* ---- level 3, cuda_fp8_kernels.cu: rows with a scale each -------------------------
 *
 * Rows begin at multiples of 16 bytes and have a multiple of eight numbers; zero rows do
 * nothing.
 */

/* scale[r] = max(max |x[r, :]|, 2^-100) / 448
 * out[r, c] = x[r, c] / scale[r] in e4m3, to nearest even
 * x: [rows, cols] BF16   out: [rows, cols] bytes   scale: [rows]
 * A row with an infinity or a NaN stands for NaNs. */
struct cuda_fp8_quantize_rows {
    const void *x;
    unsigned char *out;
    float *scale;
    int64_t rows, cols;
};
status cuda_fp8_quantize_rows(const struct cuda_fp8_quantize_rows *p, void *stream) MUST_USE;

/* ---- level 4, cuda_fp8_scales.cu: an attention's operands to e4m3 and its result back, with
 * scales that never leave the card.
 *
 * Tensors begin at multiples of 16 bytes and have a multiple of 16 numbers.
 */

/* Softmax gives at most 1, and e4m3 ends at E4M3_MAX: what it gives is multiplied with this. */
enum { CUDA_FP8_SOFTMAX_SCALE = 256 };

/* On the device. A tensor of e4m3 times its descale is what it stands for. */
struct cuda_fp8_scales {
    unsigned most[3]; /* of q, k, v: the largest magnitude's bits in BF16 */
    float descale[3]; /* of q, k, v: powers of two, or NaN where one is not finite */
    float scale_softmax, descale_softmax;
    float scale_out; /* 1 / descale of v */
    float amax[2];   /* cuDNN's */
};

/* q, then the segments' keys, then their values. */
struct cuda_fp8_part {
    const void *x;      /* BF16, [count] */
    unsigned char *out; /* e4m3, [count] */
    int64_t count;      /* may be 0 */
};
struct cuda_fp8_parts {
    struct cuda_fp8_part part[1 + 2 * KERN_SEGMENTS];
    int segments;
    struct cuda_fp8_scales *scales; /* filled, whatever they were */
};
status cuda_fp8_quantize_parts(const struct cuda_fp8_parts *p, void *stream) MUST_USE;

/* out[i] = x[i] * descale of v; x: e4m3, out: BF16 or F32 */
struct cuda_fp8_dequantize_out {
    const unsigned char *x;
    void *out;
    const struct cuda_fp8_scales *scales;
    int64_t count;
};
status cuda_fp8_dequantize_out(const struct cuda_fp8_dequantize_out *p, bool out_bf16,
                               void *stream) MUST_USE;

#endif /* CUDA_FP8_KERNELS_H */
