/*
 * cuda_fused_conv_few.cu - a 3x3x3 convolution to three channels or fewer: the pictures.
 *
 * A matrix unit's tile is 64 channels or more, so for three it would idle. Here a thread has
 * EACH pixels of one column and all their channels. Eight channels of the input at a time, in
 * F32 once they are in registers; a pixel read serves three rows of taps, a weight EACH pixels.
 */
#include "kernels/cuda/cuda_pieces.cuh"

extern "C" {
#include "kernels/cuda/fused/cuda_fused_kernels.h"
}

enum { COLS = CUDA_FEW_COLS, ROWS = CUDA_FEW_ROWS, EACH = ROWS / (CUDA_FEW_THREADS / COLS) };
enum { SIDE = 3, TAPS = SIDE * SIDE * SIDE, FEW = CUDA_FEW_CHANNELS, PIECE = 8 };

struct few_args {
    const bf16 *past, *x, *w;                              /* w: [cout.., 3, 3, 3, cin] */
    const float *bias;                                     /* or NULL */
    int64_t past_frames, height, width, cin, cout, across; /* across: tiles of a row */
};

/* The tile's pixels with a border of one, of three frames; zeros beyond the picture. */
typedef uint4 tile[SIDE][ROWS + 2][COLS + 2];
typedef float taps[TAPS][FEW][PIECE];

static __device__ void read_tile(tile to, const struct few_args &a, int64_t top, int64_t left,
                                 int64_t channel)
{
    for (int i = threadIdx.x; i < SIDE * (ROWS + 2) * (COLS + 2); i += CUDA_FEW_THREADS) {
        int const u = i % (COLS + 2), v = i / (COLS + 2) % (ROWS + 2),
                  f = i / (COLS + 2) / (ROWS + 2);
        int64_t const frame = blockIdx.y + f, y = top + v - 1, x = left + u - 1;
        const bf16 *const from = frame < a.past_frames ? a.past : a.x;
        int64_t const at = frame < a.past_frames ? frame : frame - a.past_frames;
        uint4 piece = make_uint4(0, 0, 0, 0);
        if (y >= 0 && x >= 0 && y < a.height && x < a.width)
            piece = *(const uint4 *)(from + ((at * a.height + y) * a.width + x) * a.cin + channel);
        to[f][v][u] = piece;
    }
}

static __device__ void read_taps(taps to, const struct few_args &a, int64_t channel)
{
    for (int i = threadIdx.x; i < TAPS * FEW * PIECE; i += CUDA_FEW_THREADS) {
        int const k = i % PIECE, o = i / PIECE % FEW, tap = i / PIECE / FEW;
        bool const there = o < a.cout;
        to[tap][o][k] = there ? load(a.w + (o * TAPS + tap) * a.cin + channel + k) : 0.0f;
    }
}

/* One column of taps in one frame, on this thread's pixels. */
static __device__ __forceinline__ void add_column(float sum[EACH][FEW], const tile in, const taps w,
                                                  int f, int k)
{
    int const row = (int)(threadIdx.x / COLS) * EACH, col = (int)(threadIdx.x % COLS) + k;
    float v[EACH + 2][PIECE];

    for (int i = 0; i < EACH + 2; i++) load_piece(v[i], (const bf16 *)&in[f][row + i][col]);
    for (int j = 0; j < SIDE; j++)
        for (int o = 0; o < FEW; o++) {
            const float *const tap = w[(f * SIDE + j) * SIDE + k][o];
            for (int c = 0; c < PIECE; c++)
                for (int i = 0; i < EACH; i++) sum[i][o] += v[i + j][c] * tap[c];
        }
}

template <typename T>
static __global__ void __launch_bounds__(CUDA_FEW_THREADS) conv_few(struct few_args a, T *out)
{
    __shared__ tile in;
    __shared__ taps w;
    int64_t const top = blockIdx.x / a.across * ROWS, left = blockIdx.x % a.across * COLS;
    int64_t const x = left + threadIdx.x % COLS, first = top + threadIdx.x / COLS * EACH;
    float sum[EACH][FEW] = {};

    for (int64_t channel = 0; channel < a.cin; channel += PIECE) {
        __syncthreads();
        read_tile(in, a, top, left, channel);
        read_taps(w, a, channel);
        __syncthreads();
        for (int i = 0; i < SIDE * SIDE; i++) add_column(sum, in, w, i / SIDE, i % SIDE);
    }
    for (int i = 0; i < EACH; i++)
        for (int o = 0; o < FEW; o++) {
            int64_t const y = first + i;
            if (y >= a.height || x >= a.width || o >= a.cout) continue;
            int64_t const at = ((blockIdx.y * a.height + y) * a.width + x) * a.cout + o;
            store(out + at, a.bias ? sum[i][o] + a.bias[o] : sum[i][o]);
        }
}

extern "C" status cuda_fused_launch_conv_few(const struct kern_conv3d *k,
                                             const struct cuda_few_plan *p, void *stream)
{
    struct few_args const a = {
        k->past ? (const bf16 *)k->past->data : NULL,
        (const bf16 *)k->x->data,
        (const bf16 *)k->w->t.data,
        k->bias ? (const float *)k->bias->data : NULL,
        k->past ? k->past->dim[0] : 0,
        k->x->dim[1],
        k->x->dim[2],
        k->x->dim[3],
        k->out->dim[3],
        p->across,
    };
    dim3 const grid(p->tiles, p->frames);

    if (k->out->dtype == DT_F32)
        return CUDA_LAUNCH(conv_few<float>, grid, CUDA_FEW_THREADS, 0, stream, a,
                           (float *)k->out->data);
    return CUDA_LAUNCH(conv_few<bf16>, grid, CUDA_FEW_THREADS, 0, stream, a, (bf16 *)k->out->data);
}
