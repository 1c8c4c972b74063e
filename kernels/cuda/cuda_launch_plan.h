/*
 * cuda_launch_plan.h - how many blocks of how many threads a kernel is launched with.
 *
 * Arithmetic alone: no card is asked and no CUDA header needed, so that what a card would
 * be told is pinned by tables (tests/unit/kernels/unit_cuda_plan.c). A plan depends on shapes
 * alone, never on the card. What a grid or a kernel cannot hold is ST_ARG.
 */
#ifndef CUDA_LAUNCH_PLAN_H
#define CUDA_LAUNCH_PLAN_H

#include "base/base.h"

/* What every card since 8.0 takes. */
enum { CUDA_GRID_X = 0x7fffffff, CUDA_GRID_Y = 65535 };

struct cuda_plan {
    unsigned grid[2], threads; /* blocks | threads of one. No blocks: nothing to do */
};

/* ST_ARG unless it fits int, with room for the sum of two. */
status cuda_plan_fits(const char *what, int64_t most) MUST_USE;

/* A thread to each of `count` elements, up to so many blocks that any card is full; beyond
 * that each thread takes several. */
enum { CUDA_EACH_THREADS = 256, CUDA_EACH_BLOCKS = 1 << 16 };
struct cuda_plan cuda_plan_each(int64_t count);

/* A warp to each row, up to CUDA_EACH_BLOCKS blocks; beyond that each warp takes several. */
enum { CUDA_WARP = 32, CUDA_ROW_WARPS = 4 };
struct cuda_plan cuda_plan_rows(int64_t rows);

/* A matrix in square tiles, a block to each: rows along grid[0], columns along grid[1].
 * `what` names the operation where it does not fit. */
enum { CUDA_TILE = 64, CUDA_TILE_THREADS = 256 };
status cuda_plan_tiles(struct cuda_plan *out, const char *what, int64_t rows,
                       int64_t cols) MUST_USE;

/* CUDA_TILE queries of one head to a block: queries along grid[0], heads along grid[1].
 * A thread carries `columns` of each of its rows of the result, for heads of up to
 * CUDA_HEAD_STEP times as many; wider ones than CUDA_HEAD_MOST are ST_ARG. */
enum { CUDA_HEAD_STEP = 16, CUDA_HEAD_MOST = 512 };
struct cuda_plan_attention {
    struct cuda_plan launch;
    int columns; /* 4, 8 or 32 */
};
status cuda_plan_attention(struct cuda_plan_attention *out, int64_t queries, int64_t heads,
                           int64_t head_dim) MUST_USE;

#endif /* CUDA_LAUNCH_PLAN_H */
