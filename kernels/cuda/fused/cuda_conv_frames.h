/*
 * cuda_conv_frames.h - what stands before and behind cuDNN's convolutions: frames, sums, a bias.
 *
 * Launchers queue on the stream, a cudaStream_t. Arguments have passed kern_check; there is
 * work to do.
 */
#ifndef CUDA_CONV_FRAMES_H
#define CUDA_CONV_FRAMES_H

#include "kernels/kern.h"

/* out = sums + bias + residual; sums: [t', h', w', wide] F32, of which out has the first
 * channels; residual bf16. */
status cuda_conv_finish(const struct kern_conv3d *a, const float *sums, int64_t wide,
                        void *stream) MUST_USE;

/* in: [t, h, w, c], pixels of whole pieces; out: [t, 2h, 2w, c], every pixel four times */
status cuda_double_pixels(const struct tensor *in, void *out, void *stream) MUST_USE;

/* bias: [n] F32, n up to wide, or NULL; out: [wide] bf16, zeros where there is none */
status cuda_round_bias(const struct tensor *bias, void *out, int64_t wide, void *stream) MUST_USE;

#endif /* CUDA_CONV_FRAMES_H */
