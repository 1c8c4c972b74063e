/* cuda_fp8_kernels.cu - level 3: rows to FP8 with a scale each. */
#include "kernels/cuda/cuda_e4m3.cuh"
#include "kernels/cuda/cuda_pieces.cuh"

extern "C" {
#include "kernels/cuda/cuda_launch_plan.h"
#include "kernels/cuda/fp8/cuda_fp8_kernels.h"
}

enum { CHUNK = CUDA_FUSED_CHUNK };

/* Of all threads of the block; every thread has it. Whole warps only. */
static __device__ float block_max(float v)
{
    __shared__ float of_warp[(int)CUDA_FUSED_THREADS / (int)WARP];
    float most = 0;

    v = warp_max(v);
    if (threadIdx.x % WARP == 0) of_warp[threadIdx.x / WARP] = v;
    __syncthreads();
    for (unsigned w = 0; w < blockDim.x / WARP; w++) most = fmaxf(most, of_warp[w]);
    return most;
}

/* The row is read twice, the second time from near. */
static __global__ void __launch_bounds__(CUDA_FUSED_THREADS)
    quantize_rows(struct cuda_fp8_quantize_rows p)
{
    int64_t const row = (int64_t)blockIdx.x * p.cols, step = (int64_t)blockDim.x * CHUNK;
    const bf16 *const x = (const bf16 *)p.x + row;
    float v[CHUNK], most = 0;

    for (int64_t c = threadIdx.x * CHUNK; c < p.cols; c += step) {
        load_piece(v, x + c);
        for (int j = 0; j < CHUNK; j++) most = fmaxf(most, fabsf(v[j]));
    }
    most = fmaxf(block_max(most), E4M3_LEAST);
    float const by = E4M3_MAX / most;
    for (int64_t c = threadIdx.x * CHUNK; c < p.cols; c += step) {
        load_piece(v, x + c);
        *(uint2 *)(p.out + row + c) = make_uint2(four_of(v, by), four_of(v + 4, by));
    }
    if (threadIdx.x == 0) p.scale[blockIdx.x] = most / E4M3_MAX;
}

status cuda_fp8_quantize_rows(const struct cuda_fp8_quantize_rows *p, void *stream)
{
    if (!p->rows) return ST_OK;
    return CUDA_LAUNCH(quantize_rows, (unsigned)p->rows, cuda_fused_threads(p->cols), 0, stream,
                       *p);
}
