/*
 * cuda_plain_kernels.h - level 1's kernels as C calls them: plain numbers and device pointers.
 *
 * Each struct is what its kernel is given, as it is; kern.h has the formulas, and the caller
 * (cuda_plain.c) has checked and planned the shapes. `bf16`: what is marked act is
 * BF16, else F32. Launchers queue on `stream` and fail with ST_DEVICE alone.
 */
#ifndef CUDA_PLAIN_KERNELS_H
#define CUDA_PLAIN_KERNELS_H

#include "kernels/cuda/cuda_launch_plan.h"
#include "kernels/kern.h"
#include "kernels/pixels.h"

/* ---- cuda_plain_each.cu: single elements ---------------------------------------- */

struct cuda_mul {
    const void *a, *b; /* [count] act */
    void *out;
    int64_t count;
};
status cuda_mul(const struct cuda_plan *, const struct cuda_mul *, bool bf16, void *stream);

struct cuda_rope {
    const void *x; /* [rows, pairs of all heads, 2] act */
    void *out;
    const float *time, *row, *col; /* [., pairs[i], 2] */
    int64_t frame_step, head_step; /* of time, in pairs; head_step 0: heads have the same */
    int64_t count;                 /* of pairs, in all */
    int64_t h, w, row_pairs, head_pairs;
    int64_t time_pairs, y_pairs, x_pairs; /* of a head: by frame, row, column */
};
status cuda_rope(const struct cuda_plan *, const struct cuda_rope *, bool bf16, void *stream);

struct cuda_merge {
    const void *a, *b; /* F32, or act */
    const float *a_lse, *b_lse;
    void *out; /* act */
    int64_t count, head_dim;
};
status cuda_merge(const struct cuda_plan *, const struct cuda_merge *, bool parts_bf16, bool bf16,
                  void *stream);

struct cuda_patchify {
    const float *latent; /* [frames, c, h, w] */
    void *out;           /* act */
    int64_t count, c, h, w;
};
status cuda_patchify(const struct cuda_plan *, const struct cuda_patchify *, bool bf16,
                     void *stream);

struct cuda_unpatchify {
    const float *tokens;
    float *out; /* [frames, c, h, w] */
    int64_t count, c, h, w;
};
status cuda_unpatchify(const struct cuda_plan *, const struct cuda_unpatchify *, void *stream);

struct cuda_axpby {
    const float *x, *y;
    float *out;
    int64_t count;
    double a, b;
};
status cuda_axpby(const struct cuda_plan *, const struct cuda_axpby *, void *stream);

/* ---- cuda_plain_pictures.cu: a thread to a square of 2 x 2 pixels ----------------- */

/* With at least one picture. Its input is the F32 that the last convolution leaves: 4.8 MB a
 * picture of 832 x 480, written once and read once more, which the memory of a card does in
 * microseconds where the convolutions before take milliseconds; so each of the two kernels
 * does one thing. */
struct cuda_pictures {
    const float *pixels; /* [t, height, width, 3] */
    unsigned char *out;  /* [t, layout.bytes] */
    struct pixels_layout layout;
    struct pixels_scale scale[2];   /* of 8 bits, of 10 */
    int64_t pictures, across, down; /* t; squares of a row, rows of squares */
};
status cuda_pictures(const struct cuda_plan *, const struct cuda_pictures *, void *stream);

/* ---- cuda_plain_rows.cu: a warp to a row ---------------------------------------- */

struct cuda_layernorm {
    const float *x, *scale, *shift;
    void *out; /* act */
    int64_t rows, cols, per_group;
    float eps;
};
status cuda_layernorm(const struct cuda_plan *, const struct cuda_layernorm *, bool bf16,
                      void *stream);

struct cuda_rmsnorm {
    const void *x; /* F32 or act */
    const float *weight;
    void *out; /* act */
    int64_t rows, cols;
    float eps;
};
status cuda_rmsnorm(const struct cuda_plan *, const struct cuda_rmsnorm *, bool x_bf16,
                    bool out_bf16, void *stream);

struct cuda_channel_norm {
    const void *x; /* act */
    const float *gamma;
    void *out; /* act */
    int64_t rows, cols;
    enum kern_act act;
};
status cuda_channel_norm(const struct cuda_plan *, const struct cuda_channel_norm *, bool bf16,
                         void *stream);

/* ---- cuda_plain_wire.cu: what goes from rank to rank ------------------------------ */

/* A warp to a row. */
struct cuda_quantize_e4m3 {
    const void *x; /* act */
    uint8_t *out;
    float *scale;
    int64_t rows, cols;
};
status cuda_quantize_e4m3(const struct cuda_plan *, const struct cuda_quantize_e4m3 *, bool bf16,
                          void *stream);

struct cuda_dequantize_e4m3 {
    const uint8_t *x;
    const float *scale;
    void *out; /* act */
    int64_t rows, cols;
};
status cuda_dequantize_e4m3(const struct cuda_plan *, const struct cuda_dequantize_e4m3 *,
                            bool bf16, void *stream);

/* Of pieces of 16, 4 or 1 bytes, a thread to each. */
struct cuda_permute01 {
    const void *in; /* [rows, parts, cols] */
    void *out;      /* [parts, rows, cols] */
    int64_t count, rows, parts, cols;
};
status cuda_permute01(const struct cuda_plan *, const struct cuda_permute01 *, int piece,
                      void *stream);

/* ---- cuda_plain_keys.cu: what cache policies ask of keys --------------------------- */

/* A warp to a row. */
struct cuda_score_keys {
    const void *k; /* [rows, cols] act */
    const float *w, *amplitude;
    float *out;
    int64_t rows, cols;
    float scale;
};
status cuda_score_keys(const struct cuda_plan *, const struct cuda_score_keys *, bool bf16,
                       void *stream);

/* A block of CUDA_SUM_WARPS warps to each 32 columns. */
struct cuda_sum_rows {
    const void *x; /* [rows, cols] act */
    float *out;
    int64_t rows, cols;
};
status cuda_sum_rows(const struct cuda_plan *, const struct cuda_sum_rows *, bool bf16,
                     void *stream);

/* Of pieces of 16, 4 or 1 bytes, a thread to each. */
struct cuda_gather_rows {
    const void *x; /* [., cols] */
    const float *index;
    void *out; /* [count / cols, cols] */
    int64_t count, cols;
};
status cuda_gather_rows(const struct cuda_plan *, const struct cuda_gather_rows *, int piece,
                        void *stream);

struct cuda_cast {
    const void *in;
    void *out;
    int64_t count;
};
status cuda_cast(const struct cuda_plan *, const struct cuda_cast *, bool in_bf16, bool out_bf16,
                 void *stream);

/* ---- cuda_plain_linear.cu, cuda_plain_attention.cu, cuda_plain_conv.cu: a block to a tile ---- */

struct cuda_linear {
    const void *x, *w;                   /* [rows, k], [n, k] act */
    const float *bias, *residual, *gate; /* [n], [rows, n], [groups, n]; NULL: none */
    void *out;                           /* [rows, n] */
    int64_t rows, k, n, per_group;
    enum kern_act act;
};
status cuda_linear(const struct cuda_plan *, const struct cuda_linear *, bool bf16, bool out_bf16,
                   void *stream);

/* Key j of all stands in the last segment that begins at or before j. */
struct cuda_attention {
    const void *q; /* [nq, row] act */
    const void *k[KERN_SEGMENTS], *v[KERN_SEGMENTS];
    int64_t begin[KERN_SEGMENTS]; /* first key of each segment */
    int segments;
    const float *bias; /* [heads, nq, keys] or NULL */
    void *out;
    float *lse; /* [nq, heads] or NULL */
    int64_t nq, keys, row, head_dim;
    float scale;
};
status cuda_attention(const struct cuda_plan_attention *, const struct cuda_attention *, bool bf16,
                      bool out_bf16, void *stream);

struct cuda_conv3d {
    const void *past, *x, *w; /* act; w as torch stores it */
    const float *bias;        /* or NULL */
    const void *residual;     /* act or NULL */
    void *out;
    int64_t pixels, cin, cout; /* pixels: of all frames of the output */
    int frames_past, in_h, in_w, out_h, out_w;
    int kt, kh, kw, stride_t, stride, pad_lo;
    int doublings; /* of height and width before: 0 or 1 */
};
status cuda_conv3d(const struct cuda_plan *, const struct cuda_conv3d *, bool bf16, bool out_bf16,
                   void *stream);

#endif /* CUDA_PLAIN_KERNELS_H */
