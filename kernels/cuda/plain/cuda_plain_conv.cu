/*
 * cuda_plain_conv.cu - level 1: convolution as a matrix product whose rows are gathered, f32.
 *
 * Rows are pixels of the output, columns its channels. The sum runs over the input's
 * channels in steps and, within a step, over the taps: neighbouring taps then find each
 * other's pixels and weights in the cache.
 */
#include "kernels/cuda/cuda_tile.cuh"

extern "C" {
#include "kernels/cuda/plain/cuda_plain_kernels.h"
}

/* Where a pixel of the output looks, before a tap's own offset. */
struct corner {
    int t, y, x; /* y, x: of the doubled picture, if it is */
    bool is;     /* of the output at all */
};

static __device__ __forceinline__ struct corner corner_of(const struct cuda_conv3d &p,
                                                          int64_t pixel)
{
    struct corner c;

    c.x = (int)(pixel % p.out_w) * p.stride - p.pad_lo;
    c.y = (int)(pixel / p.out_w % p.out_h) * p.stride - p.pad_lo;
    c.t = (int)(pixel / p.out_w / p.out_h) * p.stride_t;
    c.is = pixel < p.pixels;
    return c;
}

/* Channel c of the frame, row and column at this distance from the corner; 0 beyond the border. */
template <typename T>
static __device__ __forceinline__ float
load_input(const struct cuda_conv3d &p, const struct corner &at, int i, int j, int k, int64_t c)
{
    int const f = at.t + i, y = at.y + j, x = at.x + k;

    if (!at.is || c >= p.cin || y < 0 || x < 0) return 0;
    if (y >> p.doublings >= p.in_h || x >> p.doublings >= p.in_w) return 0;
    const T *const from = (const T *)(f < p.frames_past ? p.past : p.x);
    int64_t const frame = f < p.frames_past ? f : f - p.frames_past;
    int64_t const pixel = (frame * p.in_h + (y >> p.doublings)) * p.in_w + (x >> p.doublings);
    return load(from + pixel * p.cin + c);
}

/* One tap, STEP channels from `first` on: what the block's pixels see of it, and its weights. */
template <typename T>
static __device__ __forceinline__ void load_tap(const struct cuda_conv3d &p,
                                                const struct corner at[EACH], int i, int j, int k,
                                                int64_t first, strip in, strip w)
{
    int64_t const taps = (int64_t)p.kt * p.kh * p.kw, tap = ((int64_t)i * p.kh + j) * p.kw + k;
    int64_t const c = first + tile_x(), col = (int64_t)blockIdx.y * TILE;

#pragma unroll
    for (int a = 0; a < EACH; a++) {
        int const y = tile_y() + SIDE * a;
        bool const is = col + y < p.cout && c < p.cin;
        in[tile_x()][y] = load_input<T>(p, at[a], i, j, k, c);
        w[tile_x()][y] = is ? load((const T *)p.w + ((col + y) * p.cin + c) * taps + tap) : 0.0f;
    }
}

template <typename T, typename Out>
static __device__ __forceinline__ void store_sums(const struct cuda_conv3d &p,
                                                  const float sum[EACH][EACH])
{
#pragma unroll
    for (int a = 0; a < EACH; a++)
#pragma unroll
        for (int b = 0; b < EACH; b++) {
            int64_t const r = (int64_t)blockIdx.x * TILE + EACH * tile_y() + a;
            int64_t const c = (int64_t)blockIdx.y * TILE + tile_x() + SIDE * b;
            int64_t const to = r * p.cout + c;
            if (r >= p.pixels || c >= p.cout) continue;
            float const y = p.bias ? sum[a][b] + p.bias[c] : sum[a][b];
            store((Out *)p.out + to, p.residual ? y + load((const T *)p.residual + to) : y);
        }
}

template <typename T, typename Out>
static __global__ void __launch_bounds__(CUDA_TILE_THREADS) conv3d_plain(struct cuda_conv3d p)
{
    __shared__ strip in, w;
    float sum[EACH][EACH] = {};
    struct corner at[EACH];

#pragma unroll
    for (int a = 0; a < EACH; a++)
        at[a] = corner_of(p, (int64_t)blockIdx.x * TILE + tile_y() + SIDE * a);
    for (int64_t first = 0; first < p.cin; first += STEP)
        for (int i = 0; i < p.kt; i++)
            for (int j = 0; j < p.kh; j++)
                for (int k = 0; k < p.kw; k++) {
                    load_tap<T>(p, at, i, j, k, first, in, w);
                    __syncthreads();
                    strip_product(sum, in, w);
                    __syncthreads();
                }
    store_sums<T, Out>(p, sum);
}

status cuda_conv3d(const struct cuda_plan *plan, const struct cuda_conv3d *p, bool act_bf16,
                   bool out_bf16, void *stream)
{
    dim3 const grid(plan->grid[0], plan->grid[1]);

    if (!act_bf16)
        return CUDA_LAUNCH((conv3d_plain<float, float>), grid, plan->threads, 0, stream, *p);
    if (out_bf16)
        return CUDA_LAUNCH((conv3d_plain<bf16, bf16>), grid, plan->threads, 0, stream, *p);
    return CUDA_LAUNCH((conv3d_plain<bf16, float>), grid, plan->threads, 0, stream, *p);
}
