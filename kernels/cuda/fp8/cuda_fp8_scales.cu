/* cuda_fp8_scales.cu - level 4: largest magnitudes, their scales, e4m3 there and back. */
#include "kernels/cuda/cuda_e4m3.cuh"
#include "kernels/cuda/cuda_pieces.cuh"

extern "C" {
#include "kernels/cuda/cuda_dev.h"
#include "kernels/cuda/cuda_launch_plan.h"
#include "kernels/cuda/fp8/cuda_fp8_kernels.h"
}

enum { CHUNK = CUDA_FUSED_CHUNK };
static constexpr unsigned INFINITE = 0x7f80; /* magnitudes from here on, as bits of BF16 */

/* Which tensor a part is of: 0 q, 1 k, 2 v. */
static __device__ __forceinline__ int tensor_of_part(const struct cuda_fp8_parts &p)
{
    return blockIdx.y == 0 ? 0 : blockIdx.y <= (unsigned)p.segments ? 1 : 2;
}

static __device__ __forceinline__ unsigned larger_of(unsigned most, unsigned pair)
{
    return max(most, max(pair & 0x7fffu, pair >> 16 & 0x7fffu));
}

static __global__ void __launch_bounds__(CUDA_FUSED_THREADS) find_most(struct cuda_fp8_parts p)
{
    const struct cuda_fp8_part &part = p.part[blockIdx.y];
    unsigned most = 0;

    for (int64_t i = grid_first() * CHUNK; i < part.count; i += grid_step() * CHUNK) {
        uint4 const u = *(const uint4 *)((const bf16 *)part.x + i);
        most = larger_of(larger_of(larger_of(larger_of(most, u.x), u.y), u.z), u.w);
    }
    most = warp_max(most);
    if (threadIdx.x % WARP == 0) atomicMax(&p.scales->most[tensor_of_part(p)], most);
}

/* The least power of two that brings a magnitude of these bits to E4M3_MAX or below, from 2^-100
 * on: its inverse is finite then. */
static __device__ float descale_of(unsigned bits)
{
    enum { TO_MAX = 8, LEAST = 27, QUARTERS = 0x60, WIDTH = 7 };
    static_assert(E4M3_MAX == (0x80 + QUARTERS) * (1 << (TO_MAX - WIDTH)), "1.75 * 2^8");
    int const exponent = (int)(bits >> WIDTH) - TO_MAX + ((bits & 0x7f) > QUARTERS);

    if (bits >= INFINITE) return __uint_as_float(0x7fc00000u);
    return bits ? __uint_as_float((unsigned)max(exponent, (int)LEAST) << 23) : 1;
}

static __global__ void settle_scales(struct cuda_fp8_scales *s)
{
    for (int i = 0; i < 3; i++) s->descale[i] = descale_of(s->most[i]);
    s->scale_softmax = CUDA_FP8_SOFTMAX_SCALE;
    s->descale_softmax = 1 / s->scale_softmax;
    s->scale_out = 1 / s->descale[2];
}

static __global__ void __launch_bounds__(CUDA_FUSED_THREADS) quantize_parts(struct cuda_fp8_parts p)
{
    const struct cuda_fp8_part &part = p.part[blockIdx.y];
    float const by = 1 / p.scales->descale[tensor_of_part(p)];
    float v[CHUNK];

    for (int64_t i = grid_first() * CHUNK; i < part.count; i += grid_step() * CHUNK) {
        load_piece(v, (const bf16 *)part.x + i);
        *(uint2 *)(part.out + i) = make_uint2(four_of(v, by), four_of(v + 4, by));
    }
}

status cuda_fp8_quantize_parts(const struct cuda_fp8_parts *p, void *stream)
{
    unsigned const parts = 1 + 2 * (unsigned)p->segments;
    int64_t most = 0;

    for (unsigned i = 0; i < parts; i++)
        if (p->part[i].count > most) most = p->part[i].count;
    dim3 const grid(cuda_fp8_blocks(most), parts);
    TRY(cuda_dev_zero(p->scales, sizeof *p->scales, stream));
    TRY(CUDA_LAUNCH(find_most, grid, CUDA_FUSED_THREADS, 0, stream, *p));
    TRY(CUDA_LAUNCH(settle_scales, 1, 1, 0, stream, p->scales));
    return CUDA_LAUNCH(quantize_parts, grid, CUDA_FUSED_THREADS, 0, stream, *p);
}

template <typename T>
static __global__ void __launch_bounds__(CUDA_FUSED_THREADS)
    dequantize_out(struct cuda_fp8_dequantize_out p)
{
    int64_t const i = grid_first() * CHUNK;
    float const by = p.scales->descale[2];
    float v[CHUNK];

    if (i >= p.count) return;
    uint2 const u = *(const uint2 *)(p.x + i);
    four_times(v, u.x, by);
    four_times(v + 4, u.y, by);
    store_eight((T *)p.out + i, v);
}

status cuda_fp8_dequantize_out(const struct cuda_fp8_dequantize_out *p, bool out_bf16, void *stream)
{
    unsigned const blocks = cuda_fused_blocks(p->count);

    return out_bf16 ? CUDA_LAUNCH(dequantize_out<bf16>, blocks, CUDA_FUSED_THREADS, 0, stream, *p)
                    : CUDA_LAUNCH(dequantize_out<float>, blocks, CUDA_FUSED_THREADS, 0, stream, *p);
}
