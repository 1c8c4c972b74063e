/* cuda_fused_conv_frames.cu - what stands before and behind cuDNN's convolution: pixels doubled,
 * bias rounded, sums to outputs. */
#include "kernels/cuda/cuda_pieces.cuh"

extern "C" {
#include "kernels/cuda/fused/cuda_fused_kernels.h"
}

struct finish_args {
    const float *sums, *bias;
    const bf16 *residual;
    int64_t count, wide, cout;
};

template <typename T> static __global__ void conv_finish(struct finish_args a, T *out)
{
    for (int64_t i = grid_first(); i < a.count; i += grid_step()) {
        int64_t const pixel = i / a.cout, channel = i % a.cout;
        float y = a.sums[pixel * a.wide + channel];
        if (a.bias) y += a.bias[channel];
        if (a.residual) y += load(a.residual + i);
        store(out + i, y);
    }
}

extern "C" status cuda_fused_launch_conv_finish(const struct kern_conv3d *k, const float *sums,
                                                int64_t wide, void *stream)
{
    int64_t const cout = k->out->dim[3], count = tensor_count(k->out);
    struct finish_args const a = {
        sums,
        k->bias ? (const float *)k->bias->data : NULL,
        k->residual ? (const bf16 *)k->residual->data : NULL,
        count,
        wide,
        cout,
    };
    struct cuda_plan const p = cuda_plan_each(count);

    if (k->out->dtype == DT_F32)
        return CUDA_LAUNCH(conv_finish<float>, p.grid[0], p.threads, 0, stream, a,
                           (float *)k->out->data);
    return CUDA_LAUNCH(conv_finish<bf16>, p.grid[0], p.threads, 0, stream, a, (bf16 *)k->out->data);
}

/* Frames of rows of `across` pixels, each of so many pieces of 16 bytes. */
struct double_args {
    const uint4 *in;
    uint4 *out;
    int64_t count, across, pieces; /* count: pieces of out */
};

static __global__ void double_pixels(struct double_args a)
{
    for (int64_t i = grid_first(); i < a.count; i += grid_step()) {
        int64_t const piece = i % a.pieces, pixel = i / a.pieces;
        int64_t const x = pixel % (2 * a.across) / 2, row = pixel / (2 * a.across) / 2;
        a.out[i] = a.in[(row * a.across + x) * a.pieces + piece];
    }
}

extern "C" status cuda_fused_launch_double_pixels(const struct tensor *in, void *out, void *stream)
{
    int64_t const pieces = in->dim[3] * (int64_t)dtype_size(in->dtype) / (int64_t)sizeof(uint4);
    struct double_args const a = {
        (const uint4 *)in->data,
        (uint4 *)out,
        4 * in->dim[0] * in->dim[1] * in->dim[2] * pieces,
        in->dim[2],
        pieces,
    };
    struct cuda_plan const p = cuda_plan_each(a.count);

    return a.count ? CUDA_LAUNCH(double_pixels, p.grid[0], p.threads, 0, stream, a) : ST_OK;
}

static __global__ void round_bias(const float *bias, int64_t count, bf16 *out, int64_t wide)
{
    int64_t const i = grid_first();
    if (i < wide) store(out + i, i < count ? bias[i] : 0.0f);
}

extern "C" status cuda_fused_launch_round_bias(const struct tensor *bias, void *out, int64_t wide,
                                               void *stream)
{
    struct cuda_plan const p = cuda_plan_each(wide);

    return CUDA_LAUNCH(round_bias, p.grid[0], p.threads, 0, stream,
                       bias ? (const float *)bias->data : NULL, bias ? bias->dim[0] : 0,
                       (bf16 *)out, wide);
}
