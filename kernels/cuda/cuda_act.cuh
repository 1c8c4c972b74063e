/* cuda_act.cuh - the activations of kern.h, in f32. */
#ifndef CUDA_ACT_CUH
#define CUDA_ACT_CUH

#include "kernels/cuda/cuda_device.cuh"

extern "C" {
#include "kernels/kern.h"
}

static __device__ __forceinline__ float activate(float x, enum kern_act act)
{
    switch (act) {
    case KERN_ACT_SILU: return x / (1.0f + expf(-x));
    case KERN_ACT_GELU_TANH:
        return 0.5f * x * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
    default: return x;
    }
}

#endif /* CUDA_ACT_CUH */
