#include "kernels/cuda/fused/cuda_conv_few.h"
#include "kernels/kern_internal.h"

enum { PIECE = 16 }; /* bytes of a load */

static bool aligned(const struct tensor *t) { return !t || (uintptr_t)t->data % PIECE == 0; }

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
    return is_few(a, &s) && tiles <= CUDA_GRID_X && s.out_t <= CUDA_GRID_Y && aligned(a->x) &&
           aligned(a->past);
}
