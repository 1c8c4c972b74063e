/*
 * cuda_tile.cuh - the product of two strips, which linear, attention and conv3d are made of.
 *
 * A block of SIDE x SIDE threads owns TILE x TILE sums; a thread has EACH x EACH of them:
 * rows EACH*ty + a, columns tx + SIDE*b. Both factors pass through shared memory in steps
 * of STEP along the sum, each as [STEP][TILE] with the sum's index first. A sum is one
 * chain of f32 fused products in the order of its index, so it depends on its row and
 * column alone.
 */
#ifndef CUDA_TILE_CUH
#define CUDA_TILE_CUH

#include "kernels/cuda/cuda_device.cuh"

extern "C" {
#include "kernels/cuda/cuda_launch_plan.h"
}

enum { TILE = CUDA_TILE, STEP = 16, SIDE = 16, EACH = TILE / SIDE };
static_assert(SIDE * SIDE == CUDA_TILE_THREADS, "a thread to each EACH x EACH sums");

/* One column more than is used: threads of a warp then write to different banks. */
typedef float strip[STEP][TILE + 1];

static __device__ __forceinline__ int tile_x(void) { return (int)(threadIdx.x % SIDE); }
static __device__ __forceinline__ int tile_y(void) { return (int)(threadIdx.x / SIDE); }

/* Rows [row, row + TILE) and columns [col, col + STEP) of m, whose rows are `stride` apart;
 * zeros from row `rows` and column `cols` on. */
template <typename T>
static __device__ __forceinline__ void strip_load(strip to, const T *m, int64_t row, int64_t rows,
                                                  int64_t col, int64_t cols, int64_t stride)
{
    int64_t const c = col + tile_x();

#pragma unroll
    for (int j = 0; j < EACH; j++) {
        int const i = tile_y() + SIDE * j;
        to[tile_x()][i] = row + i < rows && c < cols ? load(m + (row + i) * stride + c) : 0.0f;
    }
}

static __device__ __forceinline__ void strip_product(float sum[EACH][EACH], const strip a,
                                                     const strip b)
{
#pragma unroll
    for (int i = 0; i < STEP; i++)
#pragma unroll
        for (int y = 0; y < EACH; y++)
#pragma unroll
            for (int x = 0; x < EACH; x++)
                sum[y][x] = fmaf(a[i][EACH * tile_y() + y], b[i][tile_x() + SIDE * x], sum[y][x]);
}

#endif /* CUDA_TILE_CUH */
