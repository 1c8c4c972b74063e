/* cuda_plain_linear.cu - level 1: matrix product in square tiles through shared memory, f32. */
#include "kernels/cuda/cuda_tile.cuh"

extern "C" {
#include "kernels/cuda/plain/cuda_plain_kernels.h"
}

static __device__ float apply_epilogue(const struct cuda_linear &p, int64_t r, int64_t c, float sum)
{
    float y = activate(p.bias ? sum + p.bias[c] : sum, p.act);

    if (p.gate) y *= p.gate[r / p.per_group * p.n + c];
    return p.residual ? p.residual[r * p.n + c] + y : y;
}

template <typename T, typename Out>
static __global__ void __launch_bounds__(CUDA_TILE_THREADS) linear_plain(struct cuda_linear p)
{
    __shared__ strip x, w;
    int64_t const row = (int64_t)blockIdx.x * TILE, col = (int64_t)blockIdx.y * TILE;
    float sum[EACH][EACH] = {};

    for (int64_t i = 0; i < p.k; i += STEP) {
        strip_load(x, (const T *)p.x, row, p.rows, i, p.k, p.k);
        strip_load(w, (const T *)p.w, col, p.n, i, p.k, p.k);
        __syncthreads();
        strip_product(sum, x, w);
        __syncthreads();
    }
#pragma unroll
    for (int a = 0; a < EACH; a++)
#pragma unroll
        for (int b = 0; b < EACH; b++) {
            int64_t const r = row + EACH * tile_y() + a, c = col + tile_x() + SIDE * b;
            if (r < p.rows && c < p.n)
                store((Out *)p.out + r * p.n + c, apply_epilogue(p, r, c, sum[a][b]));
        }
}

status cuda_linear(const struct cuda_plan *plan, const struct cuda_linear *p, bool act_bf16,
                   bool out_bf16, void *stream)
{
    dim3 const grid(plan->grid[0], plan->grid[1]);

    if (!act_bf16)
        return CUDA_LAUNCH((linear_plain<float, float>), grid, plan->threads, 0, stream, *p);
    if (out_bf16)
        return CUDA_LAUNCH((linear_plain<bf16, bf16>), grid, plan->threads, 0, stream, *p);
    return CUDA_LAUNCH((linear_plain<bf16, float>), grid, plan->threads, 0, stream, *p);
}
