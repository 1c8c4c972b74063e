/*
 * cuda_launch_plan.h - how many blocks of how many threads a kernel is launched with, which
 * operands a level's own kernels take, and how an operation's scratch is laid out.
 *
 * Arithmetic alone: no card is asked and no CUDA header needed, so that what a card would
 * be told is pinned by tables (tests/unit/kernels/unit_cuda_plan.c, unit_cuda_fused.c,
 * unit_cuda_conv.c), in a build without CUDA too. A plan depends on shapes and on where operands
 * begin, never on the card. What a grid or a kernel of level 1 cannot hold is ST_ARG; what one of
 * a higher level cannot is left to the level below.
 */
#ifndef CUDA_LAUNCH_PLAN_H
#define CUDA_LAUNCH_PLAN_H

#include "kernels/kern.h"

/* ---- level 1 ------------------------------------------------------------------ */

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

/* A block to each 32 columns of a matrix, CUDA_SUM_WARPS warps that share out its rows. */
enum { CUDA_SUM_WARPS = 8 };
struct cuda_plan cuda_plan_columns(int64_t cols);

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

/* ---- scratch of one operation ------------------------------------------------- */

/* Its pieces, in order: the next `bytes`, aligned; those before `*used` are taken. */
size_t cuda_scratch_take(size_t *used, size_t bytes);

/* ---- level 2: rows -------------------------------------------------------------- */

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

/* ---- level 2: channel_norm ------------------------------------------------------ */

/* Rows of `lanes * pieces` pieces of 16 bytes; lanes is a power of two up to 32, so a
 * warp holds whole rows. */
enum { CUDA_NORM_PIECES = 4 };
struct cuda_norm_plan {
    int lanes, pieces;
    unsigned blocks, threads;
};

/* False: the rows are not made of pieces in such a way, or lie at odd addresses, or there
 * are too many for one launch; they are the plain level's. */
bool cuda_norm_plan(struct cuda_norm_plan *out, const struct kern_channel_norm *a);

/* ---- level 2: the convolution to pictures ---------------------------------------- */

/* The convolution to pictures, of weights that cuda_conv_packs: taps 3x3x3, strides 1, pads 1,
 * no residual, at most CUDA_FEW_CHANNELS channels out. A block has a tile of one frame. */
enum { CUDA_FEW_CHANNELS = 3, CUDA_FEW_COLS = 32, CUDA_FEW_ROWS = 16, CUDA_FEW_THREADS = 128 };
struct cuda_few_plan {
    unsigned tiles, frames; /* blocks: of a frame | frames */
    int64_t across;         /* tiles in a row */
};

/* False: another shape, or frames at odd addresses. */
bool cuda_few_plan(struct cuda_few_plan *out, const struct kern_conv3d *a);

/* ---- levels 3 and 4: FP8 -------------------------------------------------------- */

enum { CUDA_FP8_STEP = 16 }; /* what cuBLASLt asks of n and k */

/* For KERN_LINEAR_LOW_PRECISION, BF16, n and k multiples of CUDA_FP8_STEP. All products with them
 * are FP8's, those with other weights level 2's. */
bool cuda_fp8_packs(const struct kern_weight *w);

/* Rows of e4m3 with a scale each: bytes from their common start. A packed weight is one,
 * and so is what x becomes in scratch. */
struct cuda_fp8_rows {
    size_t scales, bytes; /* the numbers are first | of all */
};
struct cuda_fp8_rows cuda_fp8_rows(int64_t rows, int64_t k);

/* Scratch of a product: x in FP8, then the sums, [rows, sums] BF16; sums 0: they have another
 * place. */
struct cuda_fp8_scratch {
    struct cuda_fp8_rows x;
    size_t sums, bytes;
};
struct cuda_fp8_scratch cuda_fp8_scratch(int64_t rows, int64_t k, int64_t sums);

/* Blocks for a tensor of so many numbers, a chunk of eight to a thread, up to so many that
 * any card is full; beyond that each thread takes several. */
enum { CUDA_FP8_BLOCKS = 1024 };
unsigned cuda_fp8_blocks(int64_t numbers);

#endif /* CUDA_LAUNCH_PLAN_H */
