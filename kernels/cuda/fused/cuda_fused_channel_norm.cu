/* cuda_fused_channel_norm.cu - channel norm with SiLU: one read, one write, 16 bytes at a time. */
#include "kernels/cuda/cuda_pieces.cuh"

extern "C" {
#include "kernels/cuda/fused/cuda_fused_kernels.h"
}

/* A row lies in the registers of `lanes` neighbours: piece p of lane l is the row's piece
 * p * lanes + l, so that neighbours read neighbours. */
struct norm_args {
    const void *x;
    const float *gamma;
    void *out;
    int64_t rows;
    int lanes, cols;
    bool silu;
};

static __device__ __forceinline__ float silu_of(float y) { return y / (1.0f + expf(-y)); }

template <typename T, int PIECES> static __global__ void channel_norm(struct norm_args a)
{
    enum { N = piece<T>::NUMBERS };
    int64_t const row = grid_first() / a.lanes;
    int const lane = (int)(threadIdx.x % a.lanes) * N, step = a.lanes * N;
    const T *const x = (const T *)a.x + row * a.cols;
    T *const out = (T *)a.out + row * a.cols;
    float v[PIECES][N], g[N], sum = 0;

    for (int p = 0; p < PIECES && row < a.rows; p++) {
        load_piece(v[p], x + p * step + lane);
        for (int i = 0; i < N; i++) sum += v[p][i] * v[p][i];
    }
    for (int d = a.lanes / 2; d; d /= 2) sum += __shfl_xor_sync(WHOLE_WARP, sum, d);
    if (row >= a.rows) return;
    float const by = sqrtf((float)a.cols) / fmaxf(sqrtf(sum), 1e-12f);
    for (int p = 0; p < PIECES; p++) {
        const float *const gamma = a.gamma + p * step + lane;
        for (int i = 0; i < N; i += 4) load_piece(g + i, gamma + i);
        for (int i = 0; i < N; i++) {
            float const y = v[p][i] * by * g[i];
            v[p][i] = a.silu ? silu_of(y) : y;
        }
        store_piece(out + p * step + lane, v[p]);
    }
}

template <typename T>
static status launch_norm(const struct cuda_norm_plan *p, const struct norm_args *a, void *stream)
{
    dim3 const grid(p->blocks), block(p->threads);

    switch (p->pieces) {
    case 1: return CUDA_LAUNCH((channel_norm<T, 1>), grid, block, 0, stream, *a);
    case 2: return CUDA_LAUNCH((channel_norm<T, 2>), grid, block, 0, stream, *a);
    case 3: return CUDA_LAUNCH((channel_norm<T, 3>), grid, block, 0, stream, *a);
    default: return CUDA_LAUNCH((channel_norm<T, 4>), grid, block, 0, stream, *a);
    }
}

extern "C" status cuda_fused_launch_channel_norm(const struct kern_channel_norm *k,
                                                 const struct cuda_norm_plan *p, void *stream)
{
    int64_t const cols = k->gamma->dim[0];
    struct norm_args const a = {
        k->x->data,
        (const float *)k->gamma->data,
        k->out->data,
        tensor_count(k->x) / cols,
        p->lanes,
        (int)cols,
        k->act == KERN_ACT_SILU,
    };

    return k->x->dtype == DT_F32 ? launch_norm<float>(p, &a, stream)
                                 : launch_norm<bf16>(p, &a, stream);
}
