/* cuda_fp8_kernels.cu - level 3: rows to FP8 with a scale each, and what comes behind their product. */
#include "kernels/cuda/cuda_act.cuh"
#include "kernels/cuda/cuda_pieces.cuh"

#include <cuda_fp8.h>

extern "C" {
#include "kernels/cuda/cuda_fp8_kernels.h"
#include "kernels/cuda/cuda_fused_plan.h"
}

enum { CHUNK = CUDA_FUSED_CHUNK };
static constexpr float LARGEST = 448;        /* of e4m3 */
static constexpr float SMALLEST = 0x1p-100f; /* a row's largest counts as no less */

/* Of all threads of the block; every thread has it. Whole warps only. */
static __device__ float block_max(float v)
{
    __shared__ float of_warp[(int)CUDA_FUSED_THREADS / (int)WARP];
    float most = 0;

    for (int d = WARP / 2; d; d /= 2) v = fmaxf(v, __shfl_xor_sync(WHOLE_WARP, v, d));
    if (threadIdx.x % WARP == 0) of_warp[threadIdx.x / WARP] = v;
    __syncthreads();
    for (unsigned w = 0; w < blockDim.x / WARP; w++) most = fmaxf(most, of_warp[w]);
    return most;
}

static __device__ __forceinline__ unsigned four_of(const float *v, float by)
{
    unsigned all = 0;

    for (int i = 0; i < 4; i++)
        all |= (unsigned)__nv_cvt_float_to_fp8(v[i] * by, __NV_SATFINITE, __NV_E4M3) << 8 * i;
    return all;
}

/* The row is read twice, the second time from near. */
static __global__ void __launch_bounds__(CUDA_FUSED_THREADS)
    quantise_rows(struct cuda_fp8_quantise p)
{
    int64_t const row = (int64_t)blockIdx.x * p.cols, step = (int64_t)blockDim.x * CHUNK;
    const bf16 *const x = (const bf16 *)p.x + row;
    float v[CHUNK], most = 0;

    for (int64_t c = threadIdx.x * CHUNK; c < p.cols; c += step) {
        load_piece(v, x + c);
        for (int j = 0; j < CHUNK; j++) most = fmaxf(most, fabsf(v[j]));
    }
    most = fmaxf(block_max(most), SMALLEST);
    float const by = LARGEST / most;
    for (int64_t c = threadIdx.x * CHUNK; c < p.cols; c += step) {
        load_piece(v, x + c);
        *(uint2 *)(p.out + row + c) = make_uint2(four_of(v, by), four_of(v + 4, by));
    }
    if (threadIdx.x == 0) p.scale[blockIdx.x] = most / LARGEST;
}

status cuda_fp8_quantise(const struct cuda_fp8_quantise *p, void *stream)
{
    if (!p->rows) return ST_OK;
    return CUDA_LAUNCH(quantise_rows, (unsigned)p->rows, cuda_fused_threads(p->cols), 0, stream,
                       *p);
}

static __device__ __forceinline__ void load_floats(float v[CHUNK], const float *p)
{
    load_piece(v, p);
    load_piece(v + CHUNK / 2, p + CHUNK / 2);
}

static __device__ __forceinline__ void store_chunk(bf16 *p, const float v[CHUNK])
{
    store_piece(p, v);
}

static __device__ __forceinline__ void store_chunk(float *p, const float v[CHUNK])
{
    store_piece(p, v);
    store_piece(p + CHUNK / 2, v + CHUNK / 2);
}

template <typename T>
static __global__ void __launch_bounds__(CUDA_FUSED_THREADS) finish_fp8(struct cuda_fp8_finish p)
{
    int64_t const at = grid_first() * CHUNK, row = at / p.cols, c = at % p.cols;
    float v[CHUNK], more[CHUNK];

    if (at >= p.rows * p.cols) return;
    load_piece(v, (const bf16 *)p.y + at);
    if (p.bias) {
        load_floats(more, p.bias + c);
        for (int j = 0; j < CHUNK; j++) v[j] += more[j];
    }
    for (int j = 0; j < CHUNK; j++) v[j] = activate(v[j], (enum kern_act)p.act);
    if (p.gate) {
        load_floats(more, p.gate + row / p.gate_rows * p.cols + c);
        for (int j = 0; j < CHUNK; j++) v[j] *= more[j];
    }
    if (p.residual) {
        load_floats(more, p.residual + at);
        for (int j = 0; j < CHUNK; j++) v[j] += more[j];
    }
    store_chunk((T *)p.out + at, v);
}

status cuda_fp8_finish(const struct cuda_fp8_finish *p, bool out_bf16, void *stream)
{
    unsigned const blocks = cuda_fused_blocks(p->rows * p->cols);

    if (!blocks) return ST_OK;
    return out_bf16 ? CUDA_LAUNCH(finish_fp8<bf16>, blocks, CUDA_FUSED_THREADS, 0, stream, *p)
                    : CUDA_LAUNCH(finish_fp8<float>, blocks, CUDA_FUSED_THREADS, 0, stream, *p);
}
