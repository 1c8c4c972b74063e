#include "kernels/cuda/cuda_fused_plan.h"
#include "base/arena.h"
#include "kernels/cuda/cuda_launch_plan.h"

bool cuda_fused_suits(int64_t cols)
{
    int64_t const most = (int64_t)CUDA_FUSED_CHUNK * CUDA_FUSED_THREADS * CUDA_FUSED_CHUNKS;
    return cols % CUDA_FUSED_CHUNK == 0 && cols > 0 && cols <= most;
}

unsigned cuda_fused_threads(int64_t cols)
{
    int64_t const chunks = cols / CUDA_FUSED_CHUNK;
    int64_t const whole = (chunks + CUDA_WARP - 1) / CUDA_WARP * CUDA_WARP;
    return (unsigned)(whole < CUDA_FUSED_THREADS ? whole : CUDA_FUSED_THREADS);
}

int cuda_fused_chunks(int64_t cols)
{
    int64_t const threads = cuda_fused_threads(cols), chunks = cols / CUDA_FUSED_CHUNK;
    return chunks <= threads ? 1 : chunks <= 2 * threads ? 2 : CUDA_FUSED_CHUNKS;
}

unsigned cuda_fused_blocks(int64_t numbers)
{
    int64_t const chunks = numbers / CUDA_FUSED_CHUNK;
    return (unsigned)((chunks + CUDA_FUSED_THREADS - 1) / CUDA_FUSED_THREADS);
}

size_t cuda_fused_take(size_t *used, size_t bytes)
{
    size_t const at = *used;
    *used += (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    return at;
}
