/*
 * cuda_conv_few.h - level 2's own kernel for the convolution to pictures, and how it is launched.
 *
 * The plan is arithmetic (cuda_conv_few_plan.c); the
 * launcher queues on the stream, a cudaStream_t. Its arguments have passed kern_check; there is
 * work to do.
 */
#ifndef CUDA_CONV_FEW_H
#define CUDA_CONV_FEW_H

#include "kernels/cuda/cuda_launch_plan.h"
#include "kernels/kern.h"

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

#endif /* CUDA_CONV_FEW_H */
