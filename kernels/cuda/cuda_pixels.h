/*
 * cuda_pixels.h - own kernels of the autoencoder's second level, and how they are launched.
 *
 * Plans are arithmetic (cuda_pixels_plan.c); launchers queue on the stream, a
 * cudaStream_t. Their arguments have passed kern_check; there is work to do.
 */
#ifndef CUDA_PIXELS_H
#define CUDA_PIXELS_H

#include "kernels/cuda/cuda_plan.h"
#include "kernels/kern.h"

/* The operation at the second level. */
status cuda_fast_channel_norm(struct kern_ctx *ctx, const struct kern_channel_norm *a) MUST_USE;

/* Rows of `lanes * pieces` pieces of 16 bytes; lanes is a power of two up to 32, so a
 * warp holds whole rows. */
enum { CUDA_NORM_PIECES = 4 };
struct cuda_norm_plan {
    int lanes, pieces;
    unsigned blocks, threads;
};

/* False: the rows are not made of pieces in such a way, or lie at odd addresses, or there
 * are too many for one launch; they are the plain level's. */
bool cuda_norm_plan(struct cuda_norm_plan *out, const struct kern_channel_norm *a);

status cuda_channel_norm_rows(const struct kern_channel_norm *a, const struct cuda_norm_plan *p,
                              void *stream) MUST_USE;

/* The convolution to pictures, of weights that cuda_conv_packs: taps 3x3x3, strides 1, pads 1,
 * no residual, at most CUDA_FEW_CHANNELS channels out. A block has a tile of one frame. */
enum { CUDA_FEW_CHANNELS = 3, CUDA_FEW_COLS = 32, CUDA_FEW_ROWS = 16, CUDA_FEW_THREADS = 128 };
struct cuda_few_plan {
    unsigned tiles, frames; /* blocks: of a frame | frames */
    int64_t across;         /* tiles in a row */
};

/* False: another shape, or frames at odd addresses. */
bool cuda_few_plan(struct cuda_few_plan *out, const struct kern_conv3d *a);

status cuda_conv_few(const struct kern_conv3d *a, const struct cuda_few_plan *p,
                     void *stream) MUST_USE;

/* out = sums + bias + residual; sums: [t', h', w', wide] F32, of which out has the first
 * channels; residual bf16. */
status cuda_conv_finish(const struct kern_conv3d *a, const float *sums, int64_t wide,
                        void *stream) MUST_USE;

/* in: [t, h, w, c], pixels of whole pieces; out: [t, 2h, 2w, c], every pixel four times */
status cuda_double_pixels(const struct tensor *in, void *out, void *stream) MUST_USE;

/* bias: [n] F32, n up to wide, or NULL; out: [wide] bf16, zeros where there is none */
status cuda_round_bias(const struct tensor *bias, void *out, int64_t wide, void *stream) MUST_USE;

#endif /* CUDA_PIXELS_H */
