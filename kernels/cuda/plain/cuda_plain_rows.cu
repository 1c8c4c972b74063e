/* cuda_plain_rows.cu - level 1: norms, a warp to a row. Sums are f64 and in an order of the
 * columns alone. */
#include "kernels/cuda/cuda_device.cuh"

extern "C" {
#include "kernels/cuda/plain/cuda_plain_kernels.h"
}

/* sum (x[c] - mean)^2, by all lanes */
template <typename T> static __device__ double squares(const T *x, int64_t cols, double mean)
{
    double sum = 0;

    for (int64_t c = lane(); c < cols; c += WARP) {
        double const d = (double)load(x + c) - mean;
        sum += d * d;
    }
    return warp_sum(sum);
}

template <typename T> static __global__ void layernorm_plain(struct cuda_layernorm p)
{
    for (int64_t r = first_row(); r < p.rows; r += row_step()) {
        const float *const x = p.x + r * p.cols;
        const float *const scale = p.scale + r / p.per_group * p.cols;
        const float *const shift = p.shift + r / p.per_group * p.cols;
        double sum = 0;

        for (int64_t c = lane(); c < p.cols; c += WARP) sum += (double)x[c];
        double const mean = warp_sum(sum) / (double)p.cols;
        double const var = squares(x, p.cols, mean) / (double)p.cols;
        float const inv = (float)(1 / sqrt(var + (double)p.eps));
        for (int64_t c = lane(); c < p.cols; c += WARP)
            store((T *)p.out + r * p.cols + c,
                  (float)((double)x[c] - mean) * inv * scale[c] + shift[c]);
    }
}

status cuda_layernorm(const struct cuda_plan *plan, const struct cuda_layernorm *p, bool act_bf16,
                      void *stream)
{
    return CUDA_EACH(act_bf16, layernorm_plain, plan, stream, *p);
}

/* out may be x: a lane writes where it alone has read. */
template <typename T, typename X> static __global__ void rmsnorm_plain(struct cuda_rmsnorm p)
{
    for (int64_t r = first_row(); r < p.rows; r += row_step()) {
        const X *const x = (const X *)p.x + r * p.cols;
        double const mean = squares(x, p.cols, 0) / (double)p.cols;
        float const inv = (float)(1 / sqrt(mean + (double)p.eps));

        for (int64_t c = lane(); c < p.cols; c += WARP)
            store((T *)p.out + r * p.cols + c, load(x + c) * inv * p.weight[c]);
    }
}

status cuda_rmsnorm(const struct cuda_plan *plan, const struct cuda_rmsnorm *p, bool x_bf16,
                    bool out_bf16, void *stream)
{
    unsigned const grid = plan->grid[0], threads = plan->threads;

    if (x_bf16 && out_bf16)
        return CUDA_LAUNCH((rmsnorm_plain<bf16, bf16>), grid, threads, 0, stream, *p);
    if (x_bf16) return CUDA_LAUNCH((rmsnorm_plain<float, bf16>), grid, threads, 0, stream, *p);
    if (out_bf16) return CUDA_LAUNCH((rmsnorm_plain<bf16, float>), grid, threads, 0, stream, *p);
    return CUDA_LAUNCH((rmsnorm_plain<float, float>), grid, threads, 0, stream, *p);
}

template <typename T> static __global__ void channel_norm_plain(struct cuda_channel_norm p)
{
    for (int64_t r = first_row(); r < p.rows; r += row_step()) {
        const T *const x = (const T *)p.x + r * p.cols;
        double const norm = sqrt(squares(x, p.cols, 0));
        float const by = (float)(sqrt((double)p.cols) / fmax(norm, 1e-12));

        for (int64_t c = lane(); c < p.cols; c += WARP)
            store((T *)p.out + r * p.cols + c, activate(load(x + c) * by * p.gamma[c], p.act));
    }
}

status cuda_channel_norm(const struct cuda_plan *plan, const struct cuda_channel_norm *p,
                         bool act_bf16, void *stream)
{
    return CUDA_EACH(act_bf16, channel_norm_plain, plan, stream, *p);
}
