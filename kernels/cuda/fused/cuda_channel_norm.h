/*
 * cuda_channel_norm.h - level 2's own kernel for channel_norm, and how it is launched.
 *
 * The plan is arithmetic (cuda_channel_norm_plan.c); the
 * launcher queues on the stream, a cudaStream_t. Its arguments have passed kern_check; there is
 * work to do.
 */
#ifndef CUDA_CHANNEL_NORM_H
#define CUDA_CHANNEL_NORM_H

#include "kernels/cuda/cuda_launch_plan.h"
#include "kernels/kern.h"

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

#endif /* CUDA_CHANNEL_NORM_H */
