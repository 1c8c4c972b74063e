/* cuda_plain_keys.cu - level 1: what cache policies ask of keys. Sums are f64, in an order of the
 * shape alone. */
#include "kernels/cuda/cuda_device.cuh"

extern "C" {
#include "kernels/cuda/plain/cuda_plain_kernels.h"
}

/* A lane has pairs of columns. */
template <typename T> static __global__ void score_keys_plain(struct cuda_score_keys p)
{
    for (int64_t r = first_row(); r < p.rows; r += row_step()) {
        const T *const k = (const T *)p.k + r * p.cols;
        double sum = 0;

        for (int64_t c = 2 * lane(); c < p.cols; c += 2 * WARP) {
            double const re = (double)load(k + c), im = (double)load(k + c + 1);
            sum += re * (double)p.w[c] + im * (double)p.w[c + 1];
            if (p.amplitude) sum += (double)p.amplitude[c / 2] * sqrt(re * re + im * im);
        }
        sum = warp_sum(sum);
        if (lane() == 0) p.out[r] = (float)((double)p.scale * sum);
    }
}

status cuda_score_keys(const struct cuda_plan *plan, const struct cuda_score_keys *p, bool act_bf16,
                       void *stream)
{
    return CUDA_EACH(act_bf16, score_keys_plain, plan, stream, *p);
}

template <typename T> static __global__ void sum_rows_plain(struct cuda_sum_rows p)
{
    __shared__ double part[CUDA_SUM_WARPS][WARP];
    int64_t const c = (int64_t)blockIdx.x * WARP + lane();
    int const warp = (int)(threadIdx.x / WARP);
    double sum = 0;

    for (int64_t r = warp; c < p.cols && r < p.rows; r += CUDA_SUM_WARPS)
        sum += (double)load((const T *)p.x + r * p.cols + c);
    part[warp][lane()] = sum;
    __syncthreads();
    if (warp || c >= p.cols) return;
    for (int w = 1; w < CUDA_SUM_WARPS; w++) sum += part[w][lane()];
    p.out[c] = (float)sum;
}

status cuda_sum_rows(const struct cuda_plan *plan, const struct cuda_sum_rows *p, bool act_bf16,
                     void *stream)
{
    return CUDA_EACH(act_bf16, sum_rows_plain, plan, stream, *p);
}

template <typename T> static __global__ void gather_rows_plain(struct cuda_gather_rows p)
{
    for (int64_t i = grid_first(); i < p.count; i += grid_step())
        ((T *)p.out)[i] = ((const T *)p.x)[(int64_t)p.index[i / p.cols] * p.cols + i % p.cols];
}

status cuda_gather_rows(const struct cuda_plan *plan, const struct cuda_gather_rows *p, int piece,
                        void *stream)
{
    unsigned const grid = plan->grid[0], threads = plan->threads;

    if (piece == 16) return CUDA_LAUNCH(gather_rows_plain<uint4>, grid, threads, 0, stream, *p);
    if (piece == 4) return CUDA_LAUNCH(gather_rows_plain<uint32_t>, grid, threads, 0, stream, *p);
    return CUDA_LAUNCH(gather_rows_plain<uint8_t>, grid, threads, 0, stream, *p);
}

template <typename T, typename I> static __global__ void cast_plain(struct cuda_cast p)
{
    for (int64_t i = grid_first(); i < p.count; i += grid_step())
        store((T *)p.out + i, load((const I *)p.in + i));
}

status cuda_cast(const struct cuda_plan *plan, const struct cuda_cast *p, bool in_bf16,
                 bool out_bf16, void *stream)
{
    unsigned const grid = plan->grid[0], threads = plan->threads;

    if (in_bf16 && out_bf16)
        return CUDA_LAUNCH((cast_plain<bf16, bf16>), grid, threads, 0, stream, *p);
    if (in_bf16) return CUDA_LAUNCH((cast_plain<float, bf16>), grid, threads, 0, stream, *p);
    if (out_bf16) return CUDA_LAUNCH((cast_plain<bf16, float>), grid, threads, 0, stream, *p);
    return CUDA_LAUNCH((cast_plain<float, float>), grid, threads, 0, stream, *p);
}
