#include "kernels/cuda/cuda_pixels.h"
#include "kernels/kern_check.h"

enum { WARP = 32, THREADS = 256, PIECE = 16 };

static bool aligned(const void *p) { return (uintptr_t)p % PIECE == 0; }

bool cuda_norm_plan(struct cuda_norm_plan *out, const struct kern_channel_norm *a)
{
    int64_t const cols = a->gamma->dim[0], numbers = PIECE / (int64_t)dtype_size(a->x->dtype);
    int64_t const rows = cols ? tensor_count(a->x) / cols : 0;
    int64_t pieces = cols / numbers;
    int lanes = 1;

    if (cols % numbers || !pieces) return false;
    if (!aligned(a->x->data) || !aligned(a->gamma->data) || !aligned(a->out->data)) return false;
    for (; lanes < WARP && pieces % 2 == 0; lanes *= 2) pieces /= 2;
    int64_t const per_block = THREADS / lanes, blocks = (rows + per_block - 1) / per_block;
    *out = (struct cuda_norm_plan){
        .lanes = lanes, .pieces = (int)pieces, .blocks = (unsigned)blocks, .threads = THREADS
    };
    return pieces <= CUDA_NORM_PIECES && blocks <= CUDA_GRID_X;
}

static bool is_few(const struct kern_conv3d *a, const struct conv_shape *s)
{
    return s->cout <= CUDA_FEW_CHANNELS && s->kt == 3 && s->kh == 3 && s->kw == 3 &&
           s->stride_t == 1 && s->stride == 1 && s->upsample == 1 && a->pad_lo == 1 &&
           a->pad_hi == 1 && !a->residual;
}

bool cuda_few_plan(struct cuda_few_plan *out, const struct kern_conv3d *a)
{
    struct conv_shape const s = conv_shape_of(a);
    int64_t const across = (s.out_w + CUDA_FEW_COLS - 1) / CUDA_FEW_COLS;
    int64_t const tiles = across * ((s.out_h + CUDA_FEW_ROWS - 1) / CUDA_FEW_ROWS);

    *out = (struct cuda_few_plan){ .tiles = (unsigned)tiles,
                                   .frames = (unsigned)s.out_t,
                                   .across = across };
    return is_few(a, &s) && tiles <= CUDA_GRID_X && s.out_t <= CUDA_GRID_Y && aligned(a->x->data) &&
           (!a->past || aligned(a->past->data));
}
