#include "kernels/cuda/cuda_launch_plan.h"

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static unsigned at_most(int64_t a, int64_t most) { return (unsigned)(a < most ? a : most); }

status cuda_plan_fits(const char *what, int64_t most)
{
    if (most <= CUDA_GRID_X / 2) return ST_OK;
    return fail(ST_ARG, "%s: a dimension of %lld; at most %d", what, (long long)most,
                CUDA_GRID_X / 2);
}

struct cuda_plan cuda_plan_each(int64_t count)
{
    int64_t const blocks = ceil_div(count, CUDA_EACH_THREADS);
    return (struct cuda_plan){ .grid = { at_most(blocks, CUDA_EACH_BLOCKS), 1 },
                               .threads = CUDA_EACH_THREADS };
}

struct cuda_plan cuda_plan_rows(int64_t rows)
{
    int64_t const blocks = ceil_div(rows, CUDA_ROW_WARPS);
    return (struct cuda_plan){ .grid = { at_most(blocks, CUDA_EACH_BLOCKS), 1 },
                               .threads = CUDA_ROW_WARPS * CUDA_WARP };
}

static status grid_of(struct cuda_plan *out, const char *what, int64_t x, int64_t y)
{
    if (x > CUDA_GRID_X || y > CUDA_GRID_Y)
        return fail(ST_ARG, "%s: %lld x %lld blocks; a grid holds %d x %d", what, (long long)x,
                    (long long)y, CUDA_GRID_X, CUDA_GRID_Y);
    *out = (struct cuda_plan){ .grid = { (unsigned)x, (unsigned)y }, .threads = CUDA_TILE_THREADS };
    return ST_OK;
}

status cuda_plan_tiles(struct cuda_plan *out, const char *what, int64_t rows, int64_t cols)
{
    return grid_of(out, what, ceil_div(rows, CUDA_TILE), ceil_div(cols, CUDA_TILE));
}

status cuda_plan_attention(struct cuda_plan_attention *out, int64_t queries, int64_t heads,
                           int64_t head_dim)
{
    static const int columns[] = { 4, 8, CUDA_HEAD_MOST / CUDA_HEAD_STEP };

    if (head_dim > CUDA_HEAD_MOST)
        return fail(ST_ARG, "attention: heads of %lld; at most %d", (long long)head_dim,
                    CUDA_HEAD_MOST);
    for (int i = 0; (int64_t)(out->columns = columns[i]) * CUDA_HEAD_STEP < head_dim;) i++;
    return grid_of(&out->launch, "attention", ceil_div(queries, CUDA_TILE), heads);
}
