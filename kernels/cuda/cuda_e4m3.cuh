/* cuda_e4m3.cuh - four numbers of FP8 (e4m3) in a word, to and from F32. */
#ifndef CUDA_E4M3_CUH
#define CUDA_E4M3_CUH

#include "kernels/cuda/cuda_device.cuh"

#include <cuda_fp8.h>

/* v times `by`, to nearest even; what is larger than 448 becomes that. */
static __device__ __forceinline__ unsigned four_of(const float *v, float by)
{
    unsigned all = 0;

    for (int i = 0; i < 4; i++)
        all |= (unsigned)__nv_cvt_float_to_fp8(v[i] * by, __NV_SATFINITE, __NV_E4M3) << 8 * i;
    return all;
}

static __device__ __forceinline__ void four_times(float *v, unsigned all, float by)
{
    for (int i = 0; i < 4; i++) {
        unsigned char const one = (unsigned char)(all >> 8 * i);
        v[i] = __half2float(__half(__nv_cvt_fp8_to_halfraw(one, __NV_E4M3))) * by;
    }
}

#endif /* CUDA_E4M3_CUH */
