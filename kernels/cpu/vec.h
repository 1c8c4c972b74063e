/*
 * vec.h - what the CPU backend does to single rows, sixteen numbers at a time.
 *
 * One source, vec.c, is compiled once per instruction set; vec_best picks the
 * widest this machine has. All of it runs on the calling thread. Sums are
 * carried in sixteen F32 lanes that are added in a fixed order. No function
 * checks shapes: the operations above have. Private to kernels/.
 */
#ifndef VEC_H
#define VEC_H

#include "kernels/kern.h"

/* `rows` rows of `cols` numbers, dense. x and out are F32 or BF16; out may be x
 * if the dtypes agree. */
struct vec_rows {
    const void *x;
    void *out;
    enum dtype x_dtype, out_dtype;
    int64_t rows, cols;
};

/* out = residual + gate * act(y + bias), row by row; what is NULL takes no part.
 * y: F32, rows y_step apart   out, residual: rows out_step numbers apart */
struct vec_epilogue {
    const float *y, *bias, *gate;
    const void *residual;
    void *out;
    enum dtype residual_dtype, out_dtype;
    enum kern_act act;
    int64_t rows, cols, y_step, out_step;
};

/* One chunk of keys of a softmax that runs over many: s = scale * score + bias,
 * new_max = max(max, s), p = exp(s - new_max), sum = sum * exp(max - new_max) +
 * sum p; the row of `values` found so far is multiplied by exp(max - new_max).
 * Begin with max = -INFINITY, sum = 0.
 * score: F32 [rows, step]   p: p_dtype [rows, step], written in all `step`
 * columns, zero from `cols` on   bias: rows bias_step apart, or NULL
 * max, sum: [rows]   values: F32 [rows, value_cols] */
struct vec_softmax {
    const float *score, *bias;
    void *p;
    float *max, *sum, *values;
    enum dtype p_dtype;
    float scale;
    int64_t rows, cols, step, bias_step, value_cols;
};

/* out[i] = a_share * a[i] + b_share * b[i] */
struct vec_blend {
    const void *a, *b;
    void *out;
    enum dtype dtype, out_dtype; /* of a and b: F32, or out's */
    float a_share, b_share;
    int64_t count;
};

struct vec_ops {
    const char *name; /* "baseline", "avx2", "avx512", "avx512bf16" */

    /* to[i] = from[i]; F32 and BF16 either way */
    void (*convert)(void *to, enum dtype to_dtype, const void *from, enum dtype from_dtype,
                    int64_t count);
    void (*mul)(void *out, const void *a, const void *b, enum dtype dtype, int64_t count);
    void (*axpby)(float *out, const float *x, const float *y, const double ab[2], int64_t count);
    void (*blend)(const struct vec_blend *);
    void (*epilogue)(const struct vec_epilogue *);
    void (*layernorm)(const struct vec_rows *, const float *scale, const float *shift, float eps);
    void (*rmsnorm)(const struct vec_rows *, const float *weight, float eps);
    void (*channel_norm)(const struct vec_rows *, const float *gamma, enum kern_act act);
    /* One row of `heads` heads; cos and sin: [head_dim], each pair's angle twice,
     * the sine negated at even places. */
    void (*rope)(const struct vec_rows *, int64_t heads, const float *cos, const float *sin);
    void (*softmax)(const struct vec_softmax *);
    /* out[r, :] = values[r, :] / sum[r]; rows of out are out_step numbers apart */
    void (*divide)(const struct vec_rows *, const float *sum, int64_t out_step);
};

extern const struct vec_ops vec_baseline, vec_avx2, vec_avx512, vec_avx512bf16;

const struct vec_ops *vec_best(void);

#endif /* VEC_H */
