/*
 * standin_device.cuh - CUDA C for the host compiler: put before every .cu file by the build.
 *
 * The types are the toolkit's own; what only a device has is defined here.
 */
#ifndef STANDIN_DEVICE_CUH
#define STANDIN_DEVICE_CUH

/* Instead of the toolkit's: one set of them for each thread of the host. */
#define __DEVICE_LAUNCH_PARAMETERS_H__
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <math.h>
#include <string.h>
#include <type_traits>

extern "C" {
#include "tests/standin/standin.h"
}

#undef __device__
#undef __global__
#undef __host__
#undef __shared__
#undef __constant__
#undef __launch_bounds__
#undef __forceinline__
#define __device__
#define __global__
#define __host__
#define __constant__ const
#define __launch_bounds__(...)
#define __forceinline__ inline
/* One block at a time runs on a thread of the host, so its shared memory is that thread's. */
#define __shared__ thread_local

extern thread_local struct standin_place threadIdx, blockIdx, blockDim, gridDim;

enum { STANDIN_SHARED = 227 << 10 }; /* what a block may have on an H100 */
extern thread_local unsigned char cuda_shared[STANDIN_SHARED];

/* ---- launching ------------------------------------------------------------ */

template <typename P, typename A> static P standin_argument(const A &a)
{
    P p = a;
    standin_arguments(&p, sizeof p);
    return p;
}

template <typename F> static void standin_body(void *f) { (*(F *)f)(); }

template <typename... P, typename... A>
static cudaError_t standin_launch(const cudaLaunchConfig_t *c, void (*kernel)(P...), const A &...a)
{
    struct standin_grid const g = { { c->gridDim.x, c->gridDim.y, c->gridDim.z },
                                    { c->blockDim.x, c->blockDim.y, c->blockDim.z },
                                    c->dynamicSmemBytes };
    auto run = [=, ... p = standin_argument<std::remove_cv_t<P>>(a)]() { kernel(p...); };

    standin_stream_run(c->stream);
    standin_run(&g, standin_body<decltype(run)>, &run);
    return cudaSuccess;
}
#define cudaLaunchKernelEx standin_launch

/* ---- threads of a block --------------------------------------------------- */

extern "C" {
void standin_barrier(void);                                 /* of the block */
void standin_exchange(void *value, size_t bytes, int from); /* of the warp: `from` is a lane */
int standin_lane(void);
}

static inline void __syncthreads(void) { standin_barrier(); }
static inline void __syncwarp(unsigned = ~0u)
{
    int none = 0;
    standin_exchange(&none, sizeof none, standin_lane());
}

static inline void standin_whole(unsigned mask)
{
    if (mask != ~0u) standin_stop("a shuffle of part of a warp");
}

template <typename T> static T __shfl_sync(unsigned mask, T v, int lane, int width = 32)
{
    standin_whole(mask);
    standin_exchange(&v, sizeof v, (standin_lane() & ~(width - 1)) | (lane & (width - 1)));
    return v;
}
template <typename T> static T __shfl_xor_sync(unsigned mask, T v, int with, int = 32)
{
    standin_whole(mask);
    standin_exchange(&v, sizeof v, standin_lane() ^ with);
    return v;
}
template <typename T> static T __shfl_down_sync(unsigned mask, T v, int by, int width = 32)
{
    int const lane = standin_lane();
    standin_whole(mask);
    standin_exchange(&v, sizeof v, (lane & (width - 1)) + by < width ? lane + by : lane);
    return v;
}
static inline unsigned __ballot_sync(unsigned mask, int yes)
{
    unsigned all = 0;
    for (int i = 0; i < 32; i++) all |= (unsigned)(__shfl_sync(mask, yes, i) != 0) << i;
    return all;
}
static inline int __any_sync(unsigned mask, int yes) { return __ballot_sync(mask, yes) != 0; }
static inline int __all_sync(unsigned mask, int yes) { return __ballot_sync(mask, yes) == ~0u; }

/* Fibers do not interrupt one another. */
template <typename T> static T atomicAdd(T *at, T by)
{
    T const was = *at;
    *at = was + by;
    return was;
}
template <typename T> static T atomicMin(T *at, T with)
{
    T const was = *at;
    if (with < was) *at = with;
    return was;
}
template <typename T> static T atomicMax(T *at, T with)
{
    T const was = *at;
    if (with > was) *at = with;
    return was;
}

/* ---- arithmetic ----------------------------------------------------------- */

template <typename T> static T __ldg(const T *p) { return *p; }
template <typename T> static T min(T a, T b) { return b < a ? b : a; }
template <typename T> static T max(T a, T b) { return a < b ? b : a; }
static inline float rsqrtf(float x) { return (float)(1 / sqrt((double)x)); }
#define __expf expf
#define __logf logf
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __frcp_rn(float x) { return 1 / x; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __uint_as_float(unsigned u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static inline unsigned __float_as_uint(float f)
{
    unsigned u;
    memcpy(&u, &f, sizeof u);
    return u;
}

#endif /* STANDIN_DEVICE_CUH */
