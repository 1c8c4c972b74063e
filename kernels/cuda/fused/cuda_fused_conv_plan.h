/*
 * cuda_fused_conv_plan.h - a convolution as graphs for cuDNN: layouts, phases, padding.
 *
 * Pure arithmetic: nothing here touches a device. cuda_fused_conv.c runs what it says.
 *
 *   packed weights    [wide, kt, kh, kw, cin] bf16: cuDNN's filter for channels that lie
 *                     together. wide: cout rounded up to 8, the further rows zero
 *   doubled pixels    four of them, [phase][wide, 1, 2, 2, cin], phase = 2a + b for the
 *                     output pixels (2i + a, 2j + b). With taps k0 k1 k2 across a doubled
 *                     row, output pixel 2j + b meets the low pixels
 *                         b = 0:  j-1 by k0, j by k1 + k2      pad 1 before, 0 behind
 *                         b = 1:  j by k0 + k1, j+1 by k2      pad 0 before, 1 behind
 *                     and likewise down the rows; so the border's zeros are the same ones
 *
 *   other weights     where pixels are to be doubled, that is done in memory first
 *   direct            a graph gives bf16 straight into `out`, residual and bias added in F32;
 *                     the bias, [wide], is rounded to bf16 before
 *   by way of sums    out is F32, or has channels that are no multiple of 8: graphs give
 *                     F32 sums [t', h', w', wide], which cuda_fused_launch_conv_finish takes on
 */
#ifndef CUDA_FUSED_CONV_PLAN_H
#define CUDA_FUSED_CONV_PLAN_H

#include "kernels/cuda/library/cuda_dnn_graph.h"
#include "kernels/kern.h"

enum { CUDA_CONV_CHANNELS = 8, CUDA_CONV_PHASES = 4 };

/* Which weights are packed so: bf16, for a convolution, input channels a multiple of 8.
 * All convolutions with them are cuDNN's, the others the plain level's. */
bool cuda_conv_packs(const struct kern_weight *w);

size_t cuda_conv_packed_bytes(const struct kern_weight *w);

/* src: [cout, cin, kt, kh, kw] F32; out: cuda_conv_packed_bytes. Sums of taps are taken in
 * F32 and rounded once. */
void cuda_conv_pack(uint16_t *out, const struct kern_weight *w, const float *src);

struct cuda_conv_graph {
    struct cuda_dnn_graph g;
    size_t w, y; /* bytes from the packed weights, and from the output's or the sums' start */
};

struct cuda_conv_plan {
    int graphs; /* 1, or one per phase */
    struct cuda_conv_graph graph[CUDA_CONV_PHASES];
    int x, w, y, bias, residual; /* numbers of tensors, in all graphs; 0: none */
    bool direct;
    int64_t wide;
    size_t sums;  /* bytes; 0 if direct */
    bool doubles; /* x is to be doubled pixels */

    /* What cuDNN asks for beside, at most: room for a phase's output in one piece, as it
     * writes that first, and for weights in another order. tests/gpu/gpu_plans_conv.c holds
     * its plans against this. */
    size_t workspace;
};

/* What the call's shapes say; cuda_conv_packs must hold. Data pointers are not looked at. */
void cuda_conv_plan(struct cuda_conv_plan *out, const struct kern_conv3d *a);

#endif /* CUDA_FUSED_CONV_PLAN_H */
