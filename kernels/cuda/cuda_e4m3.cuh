/* cuda_e4m3.cuh - FP8 (e4m3) to and from F32: a number in a byte, four in a word. */
#ifndef CUDA_E4M3_CUH
#define CUDA_E4M3_CUH

#include "kernels/cuda/cuda_device.cuh"

#include <cuda_fp8.h>

extern "C" {
#include "kernels/tensor.h"
}

/* To nearest even; what is larger than E4M3_MAX becomes that. */
static __device__ __forceinline__ unsigned char e4m3_of(float v)
{
    return __nv_cvt_float_to_fp8(v, __NV_SATFINITE, __NV_E4M3);
}

static __device__ __forceinline__ float of_e4m3(unsigned char byte)
{
    return __half2float(__half(__nv_cvt_fp8_to_halfraw(byte, __NV_E4M3)));
}

/* v times `by`. */
static __device__ __forceinline__ unsigned four_of(const float *v, float by)
{
    unsigned all = 0;

    for (int i = 0; i < 4; i++) all |= (unsigned)e4m3_of(v[i] * by) << 8 * i;
    return all;
}

static __device__ __forceinline__ void four_times(float *v, unsigned all, float by)
{
    for (int i = 0; i < 4; i++) v[i] = of_e4m3((unsigned char)(all >> 8 * i)) * by;
}

#endif /* CUDA_E4M3_CUH */
