/* cuda_fused_kernels.cu - level 2: rows normed, roped and added to in one pass over memory. */
#include "kernels/cuda/cuda_pieces.cuh"

extern "C" {
#include "kernels/cuda/fused/cuda_fused_kernels.h"
#include "kernels/kern.h"
}

enum { CHUNK = CUDA_FUSED_CHUNK };

/* Of all threads of the block; every thread has it. Whole warps only. */
static __device__ float block_sum(float v)
{
    __shared__ float of_warp[(int)CUDA_FUSED_THREADS / (int)WARP];
    float sum = 0;

    v = warp_sum(v);
    if (threadIdx.x % WARP == 0) of_warp[threadIdx.x / WARP] = v;
    __syncthreads();
    for (unsigned w = 0; w < blockDim.x / WARP; w++) sum += of_warp[w];
    __syncthreads();
    return sum;
}

/* First column of a thread's chunk i; chunks beyond the row are left out by the caller. */
static __device__ __forceinline__ int64_t chunk_column(int i)
{
    return ((int64_t)i * blockDim.x + threadIdx.x) * CHUNK;
}

/* ---- layernorm ------------------------------------------------------------- */

/* The row's numbers, spread over the block, to its normed row. */
template <typename T, int CHUNKS>
static __device__ void norm_row(const struct cuda_fused_norm &p, float (&v)[CHUNKS][CHUNK])
{
    int64_t const row = blockIdx.x, group = row / p.per_group * p.cols;
    float sum = 0, square = 0;

    for (int i = 0; i < CHUNKS; i++)
        for (int j = 0; j < CHUNK; j++) sum += v[i][j]; /* zeros beyond the row */
    float const mean = block_sum(sum) / (float)p.cols;
    for (int i = 0; i < CHUNKS; i++) {
        if (chunk_column(i) >= p.cols) continue;
        for (int j = 0; j < CHUNK; j++) square += (v[i][j] - mean) * (v[i][j] - mean);
    }
    float const inv = 1 / sqrtf(block_sum(square) / (float)p.cols + p.eps);
    for (int i = 0; i < CHUNKS; i++) {
        int64_t const c = chunk_column(i);
        float scale[CHUNK], shift[CHUNK];
        if (c >= p.cols) continue;
        load_eight(scale, p.scale + group + c);
        load_eight(shift, p.shift + group + c);
        for (int j = 0; j < CHUNK; j++) v[i][j] = (v[i][j] - mean) * inv * scale[j] + shift[j];
        store_eight((T *)p.out + row * p.cols + c, v[i]);
    }
}

template <typename T, int CHUNKS>
static __global__ void __launch_bounds__(CUDA_FUSED_THREADS)
    layernorm_fused(struct cuda_fused_norm p)
{
    float v[CHUNKS][CHUNK] = {};

    for (int i = 0; i < CHUNKS; i++)
        if (chunk_column(i) < p.cols)
            load_eight(v[i], p.x + (int64_t)blockIdx.x * p.cols + chunk_column(i));
    norm_row<T, CHUNKS>(p, v);
}

/* Eight numbers of the residual stream from what the product gave. */
static __device__ __forceinline__ void add_chunk(float v[CHUNK], const float *bias,
                                                 const float *gate, const float *residual, int act)
{
    float more[CHUNK];

    if (bias) {
        load_eight(more, bias);
        for (int j = 0; j < CHUNK; j++) v[j] += more[j];
    }
    for (int j = 0; j < CHUNK; j++) v[j] = activate(v[j], (enum kern_act)act);
    if (gate) {
        load_eight(more, gate);
        for (int j = 0; j < CHUNK; j++) v[j] *= more[j];
    }
    if (residual) {
        load_eight(more, residual);
        for (int j = 0; j < CHUNK; j++) v[j] += more[j];
    }
}

template <typename T, int CHUNKS>
static __global__ void __launch_bounds__(CUDA_FUSED_THREADS)
    stream_fused(struct cuda_fused_stream p)
{
    int64_t const row = blockIdx.x, cols = p.norm.cols;
    float v[CHUNKS][CHUNK] = {};

    for (int i = 0; i < CHUNKS; i++) {
        int64_t const c = chunk_column(i), at = row * cols + c;
        if (c >= cols) continue;
        load_eight(v[i], p.y + at);
        add_chunk(v[i], p.bias ? p.bias + c : NULL,
                  p.gate ? p.gate + row / p.gate_rows * cols + c : NULL, p.residual + at,
                  KERN_ACT_NONE);
        store_eight(p.stream + at, v[i]);
    }
    norm_row<T, CHUNKS>(p.norm, v);
}

/* One kernel per number of chunks. */
#define BY_CHUNKS(kernel, T, cols, rows, stream, ...)                                              \
    (cuda_fused_chunks(cols) == 1 ? CUDA_LAUNCH((kernel<T, 1>), (unsigned)(rows),                  \
                                                cuda_fused_threads(cols), 0, stream, __VA_ARGS__)  \
     : cuda_fused_chunks(cols) == 2                                                                \
         ? CUDA_LAUNCH((kernel<T, 2>), (unsigned)(rows), cuda_fused_threads(cols), 0, stream,      \
                       __VA_ARGS__)                                                                \
         : CUDA_LAUNCH((kernel<T, CUDA_FUSED_CHUNKS>), (unsigned)(rows), cuda_fused_threads(cols), \
                       0, stream, __VA_ARGS__))

status cuda_fused_launch_layernorm(const struct cuda_fused_norm *p, bool is_bf16, void *stream)
{
    if (!p->rows) return ST_OK;
    return is_bf16 ? BY_CHUNKS(layernorm_fused, bf16, p->cols, p->rows, stream, *p)
                   : BY_CHUNKS(layernorm_fused, float, p->cols, p->rows, stream, *p);
}

status cuda_fused_launch_stream_norm(const struct cuda_fused_stream *p, bool is_bf16, void *stream)
{
    if (!p->norm.rows) return ST_OK;
    return is_bf16 ? BY_CHUNKS(stream_fused, bf16, p->norm.cols, p->norm.rows, stream, *p)
                   : BY_CHUNKS(stream_fused, float, p->norm.cols, p->norm.rows, stream, *p);
}

/* ---- a product's end --------------------------------------------------------- */

template <typename Y, typename T>
static __global__ void __launch_bounds__(CUDA_FUSED_THREADS)
    finish_fused(struct cuda_fused_finish p)
{
    int64_t const at = grid_first() * CHUNK, row = at / p.cols, c = at % p.cols;
    float v[CHUNK];

    if (at >= p.rows * p.cols) return;
    load_eight(v, (const Y *)p.y + at);
    add_chunk(v, p.bias ? p.bias + c : NULL,
              p.gate ? p.gate + row / p.gate_rows * p.cols + c : NULL,
              p.residual ? p.residual + at : NULL, p.act);
    store_eight((T *)p.out + at, v);
}

template <typename Y> static status launch_finish(const struct cuda_fused_finish *p, void *stream)
{
    unsigned const blocks = cuda_fused_blocks(p->rows * p->cols), threads = CUDA_FUSED_THREADS;

    if (!blocks) return ST_OK;
    return p->out_bf16 ? CUDA_LAUNCH((finish_fused<Y, bf16>), blocks, threads, 0, stream, *p)
                       : CUDA_LAUNCH((finish_fused<Y, float>), blocks, threads, 0, stream, *p);
}

status cuda_fused_launch_finish(const struct cuda_fused_finish *p, void *stream)
{
    return p->y_bf16 ? launch_finish<bf16>(p, stream) : launch_finish<float>(p, stream);
}

/* ---- rmsnorm and rope ---------------------------------------------------------- */

/* v / rms(v) * weight, in place. */
template <int CHUNKS>
static __device__ void rms_row(float (&v)[CHUNKS][CHUNK], const float *weight, int64_t cols,
                               float eps)
{
    float square = 0;

    for (int i = 0; i < CHUNKS; i++)
        for (int j = 0; j < CHUNK; j++) square += v[i][j] * v[i][j]; /* zeros beyond the row */
    float const inv = 1 / sqrtf(block_sum(square) / (float)cols + eps);
    for (int i = 0; i < CHUNKS; i++) {
        float w[CHUNK];
        if (chunk_column(i) >= cols) continue;
        load_eight(w, weight + chunk_column(i));
        for (int j = 0; j < CHUNK; j++) v[i][j] = v[i][j] * inv * w[j];
    }
}

template <typename X, typename T, int CHUNKS>
static __global__ void __launch_bounds__(CUDA_FUSED_THREADS) rmsnorm_fused(struct cuda_fused_rms p)
{
    int64_t const row = (int64_t)blockIdx.x * p.cols;
    float v[CHUNKS][CHUNK] = {};

    for (int i = 0; i < CHUNKS; i++)
        if (chunk_column(i) < p.cols) load_eight(v[i], (const X *)p.x + row + chunk_column(i));
    rms_row<CHUNKS>(v, p.weight, p.cols, p.eps);
    for (int i = 0; i < CHUNKS; i++)
        if (chunk_column(i) < p.cols) store_eight((T *)p.out + row + chunk_column(i), v[i]);
}

template <typename X, typename T>
static status rmsnorm_as(const struct cuda_fused_rms *p, void *stream)
{
    unsigned const rows = (unsigned)p->rows, threads = cuda_fused_threads(p->cols);

    switch (cuda_fused_chunks(p->cols)) {
    case 1: return CUDA_LAUNCH((rmsnorm_fused<X, T, 1>), rows, threads, 0, stream, *p);
    case 2: return CUDA_LAUNCH((rmsnorm_fused<X, T, 2>), rows, threads, 0, stream, *p);
    default:
        return CUDA_LAUNCH((rmsnorm_fused<X, T, CUDA_FUSED_CHUNKS>), rows, threads, 0, stream, *p);
    }
}

status cuda_fused_launch_rmsnorm(const struct cuda_fused_rms *p, bool x_bf16, bool out_bf16,
                                 void *stream)
{
    if (!p->rows) return ST_OK;
    if (!out_bf16) return rmsnorm_as<float, float>(p, stream);
    return x_bf16 ? rmsnorm_as<bf16, bf16>(p, stream) : rmsnorm_as<float, bf16>(p, stream);
}

/* Pairs of eight columns from c on, rotated by their angles. */
static __device__ __forceinline__ void rope_chunk(const struct cuda_fused_angles &at, int64_t row,
                                                  int64_t c, float v[CHUNK])
{
    int64_t const pairs = at.ct + at.cr + at.cc;

    for (int j = 0; j < CHUNK; j += 2) {
        int64_t const head = (c + j) / 2 / pairs, pair = (c + j) / 2 - head * pairs;
        const float *angle;
        if (pair < at.ct)
            angle =
                at.time + (row / (at.h * at.w) * at.frame_step + head * at.head_step + pair) * 2;
        else if (pair < at.ct + at.cr)
            angle = at.row + (row / at.w % at.h * at.cr + pair - at.ct) * 2;
        else angle = at.col + (row % at.w * at.cc + pair - at.ct - at.cr) * 2;
        float const cosine = angle[0], sine = angle[1], re = v[j], im = v[j + 1];
        v[j] = re * cosine - im * sine;
        v[j + 1] = re * sine + im * cosine;
    }
}

template <typename T>
static __global__ void __launch_bounds__(CUDA_FUSED_THREADS) rope_fused(struct cuda_fused_rope p)
{
    int64_t const i = grid_first() * CHUNK;
    float v[CHUNK];

    if (i >= p.rows * p.cols) return;
    load_eight(v, (const T *)p.x + i);
    rope_chunk(p.at, i / p.cols, i % p.cols, v);
    store_eight((T *)p.out + i, v);
}

status cuda_fused_launch_rope(const struct cuda_fused_rope *p, bool is_bf16, void *stream)
{
    unsigned const blocks = cuda_fused_blocks(p->rows * p->cols);

    if (!blocks) return ST_OK;
    return is_bf16 ? CUDA_LAUNCH(rope_fused<bf16>, blocks, CUDA_FUSED_THREADS, 0, stream, *p)
                   : CUDA_LAUNCH(rope_fused<float>, blocks, CUDA_FUSED_THREADS, 0, stream, *p);
}

/* ---- queries, keys, values --------------------------------------------------- */

template <typename T, int CHUNKS>
static __global__ void __launch_bounds__(CUDA_FUSED_THREADS, CHUNKS > 2 ? 2 : 4)
    split_fused(struct cuda_fused_split p)
{
    int64_t const row = blockIdx.x, which = blockIdx.y;
    const T *const from = (const T *)p.y + (row * p.parts + which) * p.cols;
    struct cuda_fused_part const part = p.part[which];
    float v[CHUNKS][CHUNK] = {};

    for (int i = 0; i < CHUNKS; i++) {
        if (chunk_column(i) >= p.cols) continue;
        load_eight(v[i], from + chunk_column(i));
        add_chunk(v[i], part.bias ? part.bias + chunk_column(i) : NULL, NULL, NULL, KERN_ACT_NONE);
    }
    if (part.norm) rms_row<CHUNKS>(v, part.norm, p.cols, p.eps);
    for (int i = 0; i < CHUNKS; i++) {
        if (chunk_column(i) >= p.cols) continue;
        if (part.rope) rope_chunk(p.at, row, chunk_column(i), v[i]);
        store_eight((T *)part.out + row * p.cols + chunk_column(i), v[i]);
    }
}

status cuda_fused_launch_split(const struct cuda_fused_split *p, bool is_bf16, void *stream)
{
    dim3 const grid((unsigned)p->rows, (unsigned)p->parts);
    unsigned const threads = cuda_fused_threads(p->cols);

    if (!p->rows) return ST_OK;
#define SPLIT(T, chunks) CUDA_LAUNCH((split_fused<T, chunks>), grid, threads, 0, stream, *p)
    switch (cuda_fused_chunks(p->cols)) {
    case 1: return is_bf16 ? SPLIT(bf16, 1) : SPLIT(float, 1);
    case 2: return is_bf16 ? SPLIT(bf16, 2) : SPLIT(float, 2);
    default: return is_bf16 ? SPLIT(bf16, CUDA_FUSED_CHUNKS) : SPLIT(float, CUDA_FUSED_CHUNKS);
    }
#undef SPLIT
}

/* ---- merge, precisions ----------------------------------------------------------- */

/* A side of weight 0 may hold no numbers: it is not read. */
template <typename X, typename T>
static __global__ void __launch_bounds__(CUDA_FUSED_THREADS) merge_fused(struct cuda_fused_merge p)
{
    int64_t const i = grid_first() * CHUNK, head = i / p.hd;
    float a[CHUNK] = {}, b[CHUNK] = {};

    if (head >= p.heads) return;
    float const x = p.a_lse[head], y = p.b_lse[head], max = x > y ? x : y;
    float const wa = expf(x - max), wb = expf(y - max), all = wa + wb;
    if (wa > 0) load_eight(a, (const X *)p.a + i);
    if (wb > 0) load_eight(b, (const X *)p.b + i);
    for (int j = 0; j < CHUNK; j++) a[j] = (wa * a[j] + wb * b[j]) / all;
    store_eight((T *)p.out + i, a);
}

status cuda_fused_launch_merge(const struct cuda_fused_merge *p, bool in_bf16, bool out_bf16,
                               void *stream)
{
    unsigned const blocks = cuda_fused_blocks(p->heads * p->hd);

    if (!blocks) return ST_OK;
    if (in_bf16)
        return CUDA_LAUNCH((merge_fused<bf16, bf16>), blocks, CUDA_FUSED_THREADS, 0, stream, *p);
    return out_bf16
               ? CUDA_LAUNCH((merge_fused<float, bf16>), blocks, CUDA_FUSED_THREADS, 0, stream, *p)
               : CUDA_LAUNCH((merge_fused<float, float>), blocks, CUDA_FUSED_THREADS, 0, stream,
                             *p);
}

template <typename X, typename T>
static __global__ void __launch_bounds__(CUDA_FUSED_THREADS)
    convert_fused(struct cuda_fused_convert p)
{
    for (int64_t i = grid_first(); i < p.count; i += grid_step())
        store((T *)p.out + i, load((const X *)p.x + i));
}

status cuda_fused_launch_convert(const struct cuda_fused_convert *p, bool to_bf16, void *stream)
{
    unsigned const blocks = cuda_fused_blocks(p->count + CUDA_FUSED_CHUNK - 1);

    if (!blocks) return ST_OK;
    return to_bf16 ? CUDA_LAUNCH((convert_fused<float, bf16>), blocks, CUDA_FUSED_THREADS, 0,
                                 stream, *p)
                   : CUDA_LAUNCH((convert_fused<bf16, float>), blocks, CUDA_FUSED_THREADS, 0,
                                 stream, *p);
}
