/*
 * cuda_pieces.cuh - rows read and written 16 bytes at a time, as F32.
 *
 * A piece is 4 numbers of F32 or 8 of bf16, aligned to its size.
 */
#ifndef CUDA_PIECES_CUH
#define CUDA_PIECES_CUH

#include "kernels/cuda/cuda_device.cuh"

template <typename T> struct piece {
    enum { NUMBERS = 16 / sizeof(T) };
};

static __device__ __forceinline__ void load_piece(float *v, const float *p)
{
    float4 const f = *(const float4 *)p;
    v[0] = f.x, v[1] = f.y, v[2] = f.z, v[3] = f.w;
}

static __device__ __forceinline__ void store_piece(float *p, const float *v)
{
    *(float4 *)p = make_float4(v[0], v[1], v[2], v[3]);
}

static __device__ __forceinline__ void halves(float *v, unsigned pair)
{
    v[0] = __uint_as_float(pair << 16);
    v[1] = __uint_as_float(pair & 0xffff0000u);
}

static __device__ __forceinline__ void load_piece(float *v, const bf16 *p)
{
    uint4 const u = *(const uint4 *)p;
    halves(v, u.x), halves(v + 2, u.y), halves(v + 4, u.z), halves(v + 6, u.w);
}

static __device__ __forceinline__ unsigned pair_of(const float *v)
{
    return (unsigned)__bfloat16_as_ushort(__float2bfloat16_rn(v[0])) |
           (unsigned)__bfloat16_as_ushort(__float2bfloat16_rn(v[1])) << 16;
}

static __device__ __forceinline__ void store_piece(bf16 *p, const float *v)
{
    *(uint4 *)p = make_uint4(pair_of(v), pair_of(v + 2), pair_of(v + 4), pair_of(v + 6));
}

/* Eight numbers, aligned to 16 bytes. */
static __device__ __forceinline__ void load_eight(float v[8], const float *p)
{
    load_piece(v, p), load_piece(v + 4, p + 4);
}
static __device__ __forceinline__ void load_eight(float v[8], const bf16 *p) { load_piece(v, p); }

static __device__ __forceinline__ void store_eight(float *p, const float v[8])
{
    store_piece(p, v), store_piece(p + 4, v + 4);
}
static __device__ __forceinline__ void store_eight(bf16 *p, const float v[8]) { store_piece(p, v); }

#endif /* CUDA_PIECES_CUH */
