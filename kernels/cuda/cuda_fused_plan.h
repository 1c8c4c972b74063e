/*
 * cuda_fused_plan.h - which rows level 2's own kernels take, and with how many threads.
 *
 * Arithmetic alone, pinned by tables in tests/unit/kernels/unit_cuda_fused.c.
 */
#ifndef CUDA_FUSED_PLAN_H
#define CUDA_FUSED_PLAN_H

#include "base/base.h"

enum {
    CUDA_FUSED_CHUNK = 8,     /* numbers a thread reads at once */
    CUDA_FUSED_THREADS = 256, /* of a block, at most: one block to a row */
    CUDA_FUSED_CHUNKS = 4,    /* of a thread, at most */
};

/* Whole chunks, and no more of them than one block holds: 8192 numbers. */
bool cuda_fused_suits(int64_t cols);

/* Threads to a row: whole warps. */
unsigned cuda_fused_threads(int64_t cols);

/* Chunks of one thread, as its kernel is compiled: 1, 2 or 4. */
int cuda_fused_chunks(int64_t cols);

/* Blocks of CUDA_FUSED_THREADS for so many chunks of eight, one to a thread. */
unsigned cuda_fused_blocks(int64_t numbers);

/* Scratch of one operation, in order: the bytes before `*used` are taken. */
size_t cuda_fused_take(size_t *used, size_t bytes);

#endif /* CUDA_FUSED_PLAN_H */
