/*
 * cuda_fused_kernels.h - level 2's own kernels as C calls them: plain numbers and device pointers.
 *
 * Rows are read once, in chunks of eight numbers by loads of 16 bytes, and stay in registers
 * between the sums over them. So every row begins at a multiple of 16 bytes and has a number
 * of columns that cuda_fused_suits: callers have made sure (cuda_fused_rows.c). Sums are taken
 * in one order, whatever the card.
 *
 * Each struct is what its kernel is given. `bf16`: elements marked act are BF16, else F32.
 * Launchers queue on `stream` and fail with ST_DEVICE alone; zero rows do nothing.
 */
#ifndef CUDA_FUSED_KERNELS_H
#define CUDA_FUSED_KERNELS_H

#include "kernels/cuda/cuda_launch_plan.h"

/* out = layernorm(x) * scale + shift; x: [rows, cols] F32; scale, shift: [groups, cols],
 * `per_group` rows to a group; out: [rows, cols] act */
struct cuda_fused_norm {
    const float *x, *scale, *shift;
    void *out;
    int64_t rows, cols, per_group;
    float eps;
};
status cuda_fused_launch_layernorm(const struct cuda_fused_norm *p, bool bf16,
                                   void *stream) MUST_USE;

/* stream = residual + gate * act(y + bias), then norm.out = layernorm(stream); norm.x is
 * not read.   y: [rows, cols] F32   bias: [cols] or NULL   gate: [groups of its own, cols]
 * residual, stream: [rows, cols] F32; may be the same */
struct cuda_fused_stream {
    const float *y, *bias, *gate, *residual;
    float *stream;
    int64_t gate_rows; /* of one group */
    struct cuda_fused_norm norm;
};
status cuda_fused_launch_stream_norm(const struct cuda_fused_stream *p, bool bf16,
                                     void *stream) MUST_USE;

/* out = residual + gate * act(y + bias); gate and residual may be NULL, gate only with it
 * y, out: [rows, cols] BF16 or F32 each; out may be y of its dtype, or F32 and residual
 * bias: [cols] or NULL   gate: [groups, cols], gate_rows rows to one */
struct cuda_fused_finish {
    const void *y;
    const float *bias, *gate, *residual;
    void *out;
    int64_t rows, cols, gate_rows;
    int act; /* enum kern_act */
    bool y_bf16, out_bf16;
};
status cuda_fused_launch_finish(const struct cuda_fused_finish *p, void *stream) MUST_USE;

/* out = x / rms(x) * weight;  x, out: [rows, cols] act or F32 each */
struct cuda_fused_rms {
    const void *x;
    const float *weight;
    void *out;
    int64_t rows, cols;
    float eps;
};
status cuda_fused_launch_rmsnorm(const struct cuda_fused_rms *p, bool x_bf16, bool out_bf16,
                                 void *stream) MUST_USE;

/* Angles of a row's pairs: kern_rope's tables. Steps of time, in pairs; head_step 0: heads have
 * the same. */
struct cuda_fused_angles {
    const float *time, *row, *col;
    int64_t frame_step, head_step;
    int64_t ct, cr, cc, h, w;
};

/* out = x with every head's pairs roped; may be x */
struct cuda_fused_rope {
    const void *x;
    void *out;
    int64_t rows, cols;
    struct cuda_fused_angles at;
};
status cuda_fused_launch_rope(const struct cuda_fused_rope *p, bool bf16, void *stream) MUST_USE;

/* Parts of a row of y, each `cols` wide, in order: plus bias; if `norm`, divided by the root
 * mean square and times norm; if `rope`, roped; then to out [rows, cols]. All act. */
enum { CUDA_FUSED_PARTS = 3 };
struct cuda_fused_part {
    const float *bias, *norm; /* [cols] or NULL */
    void *out;
    int64_t rope;
};
struct cuda_fused_split {
    const void *y; /* [rows, parts * cols] */
    int64_t rows, cols, parts;
    struct cuda_fused_part part[CUDA_FUSED_PARTS];
    struct cuda_fused_angles at;
    float eps;
};
status cuda_fused_launch_split(const struct cuda_fused_split *p, bool bf16, void *stream) MUST_USE;

/* kern_merge; heads of `hd` numbers, a multiple of eight */
struct cuda_fused_merge {
    const void *a, *b;
    const float *a_lse, *b_lse;
    void *out;
    int64_t heads, hd; /* heads of all rows together */
};
status cuda_fused_launch_merge(const struct cuda_fused_merge *p, bool in_bf16, bool out_bf16,
                               void *stream) MUST_USE;

/* out[i] = x[i] in the other precision; any count */
struct cuda_fused_convert {
    const void *x;
    void *out;
    int64_t count;
};
status cuda_fused_launch_convert(const struct cuda_fused_convert *p, bool to_bf16,
                                 void *stream) MUST_USE;

/* ---- around convolutions -------------------------------------------------------
 *
 * These take the operation's own arguments, which have passed kern_check; there is work to do.
 */

status cuda_fused_launch_channel_norm(const struct kern_channel_norm *a,
                                      const struct cuda_norm_plan *p, void *stream) MUST_USE;

/* The convolution to pictures; packed weights as cuda_conv_pack leaves them. */
status cuda_fused_launch_conv_few(const struct kern_conv3d *a, const struct cuda_few_plan *p,
                                  void *stream) MUST_USE;

/* out = sums + bias + residual; sums: [t', h', w', wide] F32, of which out has the first
 * channels; residual bf16. */
status cuda_fused_launch_conv_finish(const struct kern_conv3d *a, const float *sums, int64_t wide,
                                     void *stream) MUST_USE;

/* in: [t, h, w, c], pixels of whole pieces; out: [t, 2h, 2w, c], every pixel four times */
status cuda_fused_launch_double_pixels(const struct tensor *in, void *out, void *stream) MUST_USE;

/* bias: [n] F32, n up to wide, or NULL; out: [wide] bf16, zeros where there is none */
status cuda_fused_launch_round_bias(const struct tensor *bias, void *out, int64_t wide,
                                    void *stream) MUST_USE;

#endif /* CUDA_FUSED_KERNELS_H */
