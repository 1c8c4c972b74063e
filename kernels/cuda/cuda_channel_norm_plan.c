#include "kernels/cuda/fused/cuda_channel_norm.h"

enum { THREADS = 256, PIECE = 16 };

static bool aligned(const void *p) { return (uintptr_t)p % PIECE == 0; }

bool cuda_norm_plan(struct cuda_norm_plan *out, const struct kern_channel_norm *a)
{
    int64_t const cols = a->gamma->dim[0], numbers = PIECE / (int64_t)dtype_size(a->x->dtype);
    int64_t const rows = cols ? tensor_count(a->x) / cols : 0;
    int64_t pieces = cols / numbers;
    int lanes = 1;

    if (cols % numbers || !pieces) return false;
    if (!aligned(a->x->data) || !aligned(a->gamma->data) || !aligned(a->out->data)) return false;
    for (; lanes < CUDA_WARP && pieces % 2 == 0; lanes *= 2) pieces /= 2;
    int64_t const per_block = THREADS / lanes, blocks = (rows + per_block - 1) / per_block;
    *out = (struct cuda_norm_plan){
        .lanes = lanes, .pieces = (int)pieces, .blocks = (unsigned)blocks, .threads = THREADS
    };
    return pieces <= CUDA_NORM_PIECES && blocks <= CUDA_GRID_X;
}
