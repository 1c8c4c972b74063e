/* cuda_plain_wire.cu - level 1: rows to 8 bits and back, a warp to a row; parts of rows to
 * other places. */
#include "kernels/cuda/cuda_e4m3.cuh"

extern "C" {
#include "kernels/cuda/plain/cuda_plain_kernels.h"
}

template <typename T> static __global__ void quantize_plain(struct cuda_quantize_e4m3 p)
{
    for (int64_t r = first_row(); r < p.rows; r += row_step()) {
        const T *const x = (const T *)p.x + r * p.cols;
        uint8_t *const out = p.out + r * p.cols;
        float most = 0;

        for (int64_t c = lane(); c < p.cols; c += WARP) most = fmaxf(most, fabsf(load(x + c)));
        float const scale = fmaxf(warp_max(most), E4M3_LEAST) / E4M3_MAX;
        for (int64_t c = lane(); c < p.cols; c += WARP) out[c] = e4m3_of(load(x + c) / scale);
        if (lane() == 0) p.scale[r] = scale;
    }
}

status cuda_quantize_e4m3(const struct cuda_plan *plan, const struct cuda_quantize_e4m3 *p,
                          bool act_bf16, void *stream)
{
    return CUDA_EACH(act_bf16, quantize_plain, plan, stream, *p);
}

template <typename T> static __global__ void dequantize_plain(struct cuda_dequantize_e4m3 p)
{
    for (int64_t r = first_row(); r < p.rows; r += row_step()) {
        const uint8_t *const x = p.x + r * p.cols;
        float const scale = p.scale[r];

        for (int64_t c = lane(); c < p.cols; c += WARP)
            store((T *)p.out + r * p.cols + c, of_e4m3(x[c]) * scale);
    }
}

status cuda_dequantize_e4m3(const struct cuda_plan *plan, const struct cuda_dequantize_e4m3 *p,
                            bool act_bf16, void *stream)
{
    return CUDA_EACH(act_bf16, dequantize_plain, plan, stream, *p);
}

template <typename T> static __global__ void regroup_plain(struct cuda_permute01 p)
{
    for (int64_t i = grid_first(); i < p.count; i += grid_step()) {
        int64_t const c = i % p.cols, row = i / p.cols % p.rows, part = i / p.cols / p.rows;
        ((T *)p.out)[i] = ((const T *)p.in)[(row * p.parts + part) * p.cols + c];
    }
}

status cuda_permute01(const struct cuda_plan *plan, const struct cuda_permute01 *p, int piece,
                      void *stream)
{
    unsigned const grid = plan->grid[0], threads = plan->threads;

    if (piece == 16) return CUDA_LAUNCH(regroup_plain<uint4>, grid, threads, 0, stream, *p);
    if (piece == 4) return CUDA_LAUNCH(regroup_plain<uint32_t>, grid, threads, 0, stream, *p);
    return CUDA_LAUNCH(regroup_plain<uint8_t>, grid, threads, 0, stream, *p);
}
