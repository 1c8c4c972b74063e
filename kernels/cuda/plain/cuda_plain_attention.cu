/*
 * cuda_plain_attention.cu - level 1: attention over tiles of keys, with a running softmax, f32.
 *
 * A block has TILE queries of one head and walks through all keys in tiles: scores as a
 * product of strips, weights against the largest score so far, and the weighted sum of
 * values, scaled down whenever a larger score turns up. Tiles count keys through all
 * segments, so where a segment ends changes no bit.
 */
#include "kernels/cuda/cuda_tile.cuh"

extern "C" {
#include "kernels/cuda/plain/cuda_plain_kernels.h"
}

/* A tile's rows of keys and values, this head's columns; NULL behind the last key. */
template <typename T> struct tile_rows {
    const T *k[TILE], *v[TILE];
};

/* A thread's EACH rows: the largest score so far, and the weights' sum against it. */
struct running {
    float most[EACH], sum[EACH];
};

/* Over the SIDE threads that share rows: half a warp. */
static __device__ __forceinline__ float side_max(float v)
{
    for (int d = SIDE / 2; d; d /= 2) v = fmaxf(v, __shfl_xor_sync(WHOLE_WARP, v, d));
    return v;
}

static __device__ __forceinline__ float side_sum(float v)
{
    for (int d = SIDE / 2; d; d /= 2) v += __shfl_xor_sync(WHOLE_WARP, v, d);
    return v;
}

template <typename T>
static __device__ __forceinline__ void find_rows(const struct cuda_attention &p,
                                                 struct tile_rows<T> &to, int64_t first)
{
    int const i = (int)threadIdx.x;
    int64_t const key = first + i, head = blockIdx.y * p.head_dim;
    int s = 0;

    if (i >= TILE) return;
    while (s + 1 < p.segments && p.begin[s + 1] <= key) s++;
    int64_t const at = (key - p.begin[s]) * p.row + head;
    to.k[i] = key < p.keys ? (const T *)p.k[s] + at : NULL;
    to.v[i] = key < p.keys ? (const T *)p.v[s] + at : NULL;
}

template <typename T>
static __device__ __forceinline__ void score_tile(const struct cuda_attention &p,
                                                  float s[EACH][EACH], strip q, strip k,
                                                  const T *const *rows)
{
    const T *const head = (const T *)p.q + blockIdx.y * p.head_dim;

    for (int64_t i = 0; i < p.head_dim; i += STEP) {
        int64_t const c = i + tile_x();
        strip_load(q, head, (int64_t)blockIdx.x * TILE, p.nq, i, p.head_dim, p.row);
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            const T *const row = rows[tile_y() + SIDE * j];
            k[tile_x()][tile_y() + SIDE * j] = row && c < p.head_dim ? load(row + c) : 0.0f;
        }
        __syncthreads();
        strip_product(s, q, k);
        __syncthreads();
    }
}

/* Row a of this thread: scores become weights, in `to`. What older sums must be multiplied
 * with is returned. */
static __device__ __forceinline__ float soften(const struct cuda_attention &p, struct running &now,
                                               int a, float s[EACH], int64_t first, float *to)
{
    int64_t const q = (int64_t)blockIdx.x * TILE + EACH * tile_y() + a;
    float most = -INFINITY, sum = 0;

#pragma unroll
    for (int b = 0; b < EACH; b++) {
        int64_t const key = first + tile_x() + SIDE * b;
        s[b] = key < p.keys ? p.scale * s[b] : -INFINITY;
        if (p.bias && key < p.keys && q < p.nq)
            s[b] += p.bias[(blockIdx.y * p.nq + q) * p.keys + key];
        most = fmaxf(most, s[b]);
    }
    most = fmaxf(now.most[a], side_max(most));
    float const against = most == -INFINITY ? 0 : most; /* a bias has left out every key */
    float const shrink = expf(now.most[a] - against);
#pragma unroll
    for (int b = 0; b < EACH; b++) {
        float const w = expf(s[b] - against);
        to[tile_x() + SIDE * b] = w;
        sum += w;
    }
    now.sum[a] = now.sum[a] * shrink + side_sum(sum);
    now.most[a] = most;
    return shrink;
}

template <typename Out, int COLUMNS>
static __device__ __forceinline__ void
finish(const struct cuda_attention &p, const struct running &now, const float acc[EACH][COLUMNS])
{
#pragma unroll
    for (int a = 0; a < EACH; a++) {
        int64_t const q = (int64_t)blockIdx.x * TILE + EACH * tile_y() + a;
        Out *const out = (Out *)p.out + q * p.row + blockIdx.y * p.head_dim;
        if (q >= p.nq) continue;
#pragma unroll
        for (int c = 0; c < COLUMNS; c++)
            if (tile_x() + SIDE * c < p.head_dim)
                store(out + tile_x() + SIDE * c, acc[a][c] / now.sum[a]);
        float const against = now.most[a] == -INFINITY ? 0 : now.most[a];
        if (p.lse && !tile_x()) p.lse[q * gridDim.y + blockIdx.y] = against + logf(now.sum[a]);
    }
}

/* COLUMNS * SIDE >= head_dim */
template <typename T, typename Out, int COLUMNS>
static __global__ void __launch_bounds__(CUDA_TILE_THREADS, COLUMNS > 8 ? 1 : 2)
    attention_plain(const __grid_constant__ struct cuda_attention p)
{
    enum { WIDTH = COLUMNS * SIDE, KEYS = COLUMNS > 8 ? 8 : 16 };
    __shared__ strip q, k;
    __shared__ struct tile_rows<T> rows;
    __shared__ float weights[TILE][TILE + 1], values[KEYS][WIDTH];
    struct running now;
    float acc[EACH][COLUMNS] = {};

#pragma unroll
    for (int a = 0; a < EACH; a++) now.most[a] = -INFINITY, now.sum[a] = 0;
    for (int64_t first = 0; first < p.keys; first += TILE) {
        float s[EACH][EACH] = {};

        find_rows(p, rows, first);
        __syncthreads();
        score_tile<T>(p, s, q, k, rows.k);
#pragma unroll
        for (int a = 0; a < EACH; a++) {
            float const shrink = soften(p, now, a, s[a], first, weights[EACH * tile_y() + a]);
#pragma unroll
            for (int c = 0; c < COLUMNS; c++) acc[a][c] *= shrink;
        }
        for (int key = 0; key < TILE; key += KEYS) {
            for (int i = (int)threadIdx.x; i < KEYS * WIDTH; i += CUDA_TILE_THREADS) {
                const T *const row = rows.v[key + i / WIDTH];
                values[i / WIDTH][i % WIDTH] =
                    row && i % WIDTH < p.head_dim ? load(row + i % WIDTH) : 0.0f;
            }
            __syncthreads();
#pragma unroll
            for (int i = 0; i < KEYS; i++)
#pragma unroll
                for (int a = 0; a < EACH; a++)
#pragma unroll
                    for (int c = 0; c < COLUMNS; c++)
                        acc[a][c] = fmaf(weights[EACH * tile_y() + a][key + i],
                                         values[i][tile_x() + SIDE * c], acc[a][c]);
            __syncthreads();
        }
    }
    finish<Out, COLUMNS>(p, now, acc);
}

template <typename T, typename Out>
static status launch_attention(const struct cuda_plan_attention *plan,
                               const struct cuda_attention *p, void *stream)
{
    dim3 const grid(plan->launch.grid[0], plan->launch.grid[1]);
    unsigned const threads = plan->launch.threads;

    switch (plan->columns) {
    case 4: return CUDA_LAUNCH((attention_plain<T, Out, 4>), grid, threads, 0, stream, *p);
    case 8: return CUDA_LAUNCH((attention_plain<T, Out, 8>), grid, threads, 0, stream, *p);
    default: return CUDA_LAUNCH((attention_plain<T, Out, 32>), grid, threads, 0, stream, *p);
    }
}

status cuda_attention(const struct cuda_plan_attention *plan, const struct cuda_attention *p,
                      bool act_bf16, bool out_bf16, void *stream)
{
    if (!act_bf16) return launch_attention<float, float>(plan, p, stream);
    if (out_bf16) return launch_attention<bf16, bf16>(plan, p, stream);
    return launch_attention<bf16, float>(plan, p, stream);
}
