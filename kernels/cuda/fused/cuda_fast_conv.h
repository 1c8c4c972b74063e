/*
 * cuda_fast_conv.h - the second level's convolution: cuDNN on frames as they lie.
 *
 * Where x lies right behind past the two are read in place, otherwise they are gathered
 * into scratch. The few channels of pictures have a kernel of their own (cuda_conv_few.h).
 * Weights that cuda_conv_packs leaves out are the plain level's.
 */
#ifndef CUDA_FAST_CONV_H
#define CUDA_FAST_CONV_H

#include "kernels/cuda/cuda_backend.h"

status cuda_fast_conv3d(struct kern_ctx *ctx, const struct kern_conv3d *a) MUST_USE;

/* The second level's packing: for cuDNN what cuda_conv_packs, all else as the plain level. */
status cuda_fast_conv_pack(struct kern_ctx *ctx, const struct kern_pack *a) MUST_USE;
size_t cuda_fast_conv_bytes(const struct kern_weight *w);

/* See kern_backend.scratch_bytes; as if x did not lie behind past. */
size_t cuda_fast_conv_scratch(const struct kern_conv3d *a);

/* See kern_backend.prepare. */
status cuda_fast_conv_prepare(struct cuda_ctx *c, const struct kern_conv3d *a) MUST_USE;

#endif /* CUDA_FAST_CONV_H */
