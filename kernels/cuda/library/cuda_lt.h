/*
 * cuda_lt.h - matrix products by cuBLASLt.
 *
 * Which of cuBLASLt's algorithms runs a shape is settled once per process and kind of
 * card, and kept:
 *   strict   the first that its heuristics name among those that do not split k over
 *            blocks: no timing, so all ranks (same card, same library) have the same
 *   timed    the fastest of those it names (at most CUDA_LT_TRIED), measured on the
 *            device when the shape first comes; another run may choose another one
 * Sums are F32 either way, F32 inputs are not cut to TF32. FP8 (e4m3) comes with a scale for
 * each row of x and of w (cuBLASLt's outer vectors; cards of compute capability 9), its sums
 * are carried in full: cuBLASLt's fast accumulation stays off.
 *
 * Private to kernels/. One thread uses a struct cuda_lt at a time; the choices are shared.
 */
#ifndef CUDA_LT_H
#define CUDA_LT_H

#include "kernels/tensor.h"

enum { CUDA_LT_TRIED = 12, CUDA_LT_WORKSPACE = 32 << 20, CUDA_LT_ALIGN = 16 };

struct cuda_lt;

struct cuda_lt_config {
    void *stream; /* cudaStream_t; products are queued on it */
    int device;
    bool strict;
};

/* Takes CUDA_LT_WORKSPACE bytes of device memory. Whoever opens, closes. */
status cuda_lt_open(struct cuda_lt **out, const struct cuda_lt_config *c) MUST_USE;
void cuda_lt_close(struct cuda_lt **lt); /* NULL is fine; sets NULL */

/* The workspace; free for others of the same stream between products. */
void *cuda_lt_workspace(const struct cuda_lt *lt);

/* out[r, c] = f(sum_i x[r, i] w[c, i] + bias[c]) + add[r, c], f the identity or GELU (tanh)
 * x: [rows, k], w: [n, k] of dtype in   out: [rows, n] of dtype out, rows out_step apart
 * bias: [n] of dtype out, or NULL   add: like out, or NULL; may be out; not with gelu
 * With x_scale and w_scale, [rows] and [n] F32, x and w are e4m3 and stand for x * x_scale
 * and w * w_scale: out BF16, no bias, add or gelu; `in` is not read.
 * Everything is aligned to CUDA_LT_ALIGN bytes, and so is every row: cuda_lt_suits. */
struct cuda_lt_product {
    int64_t rows, n, k, out_step;
    enum dtype in, out;
    const void *x, *w, *bias, *add;
    const float *x_scale, *w_scale; /* both or none */
    void *to;
    bool gelu;
    void *trial; /* as much memory as out's, may be out unless add is out: overwritten when
                    an algorithm is chosen */
};

/* Whether cuBLASLt takes these shapes: rows and columns aligned. Pure. */
bool cuda_lt_suits(int64_t n, int64_t k, enum dtype in, enum dtype out);

/* Settle which algorithm runs it, unless that is settled. What x, w, bias and add hold does
 * not matter. */
status cuda_lt_prepare(struct cuda_lt *lt, const struct cuda_lt_product *p) MUST_USE;

status cuda_lt_run(struct cuda_lt *lt, const struct cuda_lt_product *p) MUST_USE;

#endif /* CUDA_LT_H */
