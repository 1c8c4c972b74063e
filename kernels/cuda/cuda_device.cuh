/*
 * cuda_device.cuh - what every .cu file begins with: launching, and elements of either precision.
 *
 * Kernels are plain CUDA C: no inline assembly, no library of device code. Dynamic shared
 * memory has one name, cuda_shared; static shared memory is an array of constant size.
 * So a host compiler can build them too, where tests stand in for a card.
 */
#ifndef CUDA_DEVICE_CUH
#define CUDA_DEVICE_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdint.h>

extern "C" {
#include "kernels/cuda/cuda_launch_plan.h"
}

typedef __nv_bfloat16 bf16;

enum { WARP = CUDA_WARP };
static constexpr unsigned WHOLE_WARP = 0xffffffffu;

/* Queue kernel<<<grid, block, shared, stream>>>(args...); a status. A kernel that is a
 * template with more than one argument stands in parentheses. */
#define CUDA_LAUNCH(kernel, grid, block, shared, stream, ...)                                      \
    cuda_launch(#kernel, kernel, grid, block, shared, stream, __VA_ARGS__)

template <typename... Params, typename... Args>
static status cuda_launch(const char *name, void (*kernel)(Params...), dim3 grid, dim3 block,
                          size_t shared, void *stream, const Args &...args)
{
    enum { WITHOUT_ASKING = 48 << 10 };
    cudaLaunchConfig_t config = {};
    cudaError_t e = cudaSuccess;

    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared;
    config.stream = (cudaStream_t)stream;
    if (shared > WITHOUT_ASKING)
        e = cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 (int)shared);
    if (e == cudaSuccess) e = cudaLaunchKernelEx(&config, kernel, args...);
    if (e == cudaSuccess) return ST_OK;
    (void)cudaGetLastError();
    return fail(ST_DEVICE, "kernel %s, %u x %u x %u blocks of %u: %s", name, grid.x, grid.y, grid.z,
                block.x * block.y * block.z, cudaGetErrorString(e));
}

/* A kernel that is a template over the precision of act, in one dimension of blocks. */
#define CUDA_EACH(is_bf16, kernel, plan, stream, ...)                                              \
    ((is_bf16)                                                                                     \
         ? CUDA_LAUNCH(kernel<bf16>, (plan)->grid[0], (plan)->threads, 0, stream, __VA_ARGS__)     \
         : CUDA_LAUNCH(kernel<float>, (plan)->grid[0], (plan)->threads, 0, stream, __VA_ARGS__))

/* An element as a number, and a number as an element, rounded to nearest even. */
static __device__ __forceinline__ float load(const float *p) { return *p; }
static __device__ __forceinline__ float load(const bf16 *p) { return __bfloat162float(*p); }
static __device__ __forceinline__ void store(float *p, float v) { *p = v; }
static __device__ __forceinline__ void store(bf16 *p, float v) { *p = __float2bfloat16_rn(v); }

/* The activations of kern.h, in f32. */
static __device__ __forceinline__ float activate(float x, enum kern_act act)
{
    switch (act) {
    case KERN_ACT_SILU: return x / (1.0f + expf(-x));
    case KERN_ACT_GELU_TANH:
        return 0.5f * x * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
    default: return x;
    }
}

/* Of all lanes of a warp, in one order; every lane has it. */
template <typename V> static __device__ __forceinline__ V warp_sum(V v)
{
    for (int d = WARP / 2; d; d /= 2) v += __shfl_xor_sync(WHOLE_WARP, v, d);
    return v;
}

/* The largest of all lanes of a warp; every lane has it. */
template <typename V> static __device__ __forceinline__ V warp_max(V v)
{
    for (int d = WARP / 2; d; d /= 2) v = max(v, __shfl_xor_sync(WHOLE_WARP, v, d));
    return v;
}

/* This thread's first element of a loop over many, and the distance to its next. */
static __device__ __forceinline__ int64_t grid_first(void)
{
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}
static __device__ __forceinline__ int64_t grid_step(void)
{
    return (int64_t)gridDim.x * blockDim.x;
}

/* A warp to a row: this warp's first one, and the distance to its next; this thread's lane. */
static __device__ __forceinline__ int64_t first_row(void) { return grid_first() / WARP; }
static __device__ __forceinline__ int64_t row_step(void) { return grid_step() / WARP; }
static __device__ __forceinline__ int lane(void) { return (int)(threadIdx.x % WARP); }

#endif /* CUDA_DEVICE_CUH */
