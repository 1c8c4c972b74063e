/* cuda_launch_plan.c - launches and scratch as arithmetic, level by level. */
#include "kernels/cuda/cuda_launch_plan.h"
#include "kernels/kern_internal.h"

enum { LOAD = 16 /* bytes of the widest load */, NORM_THREADS = 256 };

/* What is not there is. */
static bool load_aligned(const void *p) { return (uintptr_t)p % LOAD == 0; }

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

struct cuda_plan cuda_plan_columns(int64_t cols)
{
    return (struct cuda_plan){ .grid = { (unsigned)ceil_div(cols, CUDA_WARP), 1 },
                               .threads = CUDA_SUM_WARPS * CUDA_WARP };
}

static status plan_grid(struct cuda_plan *out, const char *what, int64_t x, int64_t y)
{
    if (x > CUDA_GRID_X || y > CUDA_GRID_Y)
        return fail(ST_ARG, "%s: %lld x %lld blocks; a grid holds %d x %d", what, (long long)x,
                    (long long)y, CUDA_GRID_X, CUDA_GRID_Y);
    *out = (struct cuda_plan){ .grid = { (unsigned)x, (unsigned)y }, .threads = CUDA_TILE_THREADS };
    return ST_OK;
}

status cuda_plan_tiles(struct cuda_plan *out, const char *what, int64_t rows, int64_t cols)
{
    return plan_grid(out, what, ceil_div(rows, CUDA_TILE), ceil_div(cols, CUDA_TILE));
}

status cuda_plan_attention(struct cuda_plan_attention *out, int64_t queries, int64_t heads,
                           int64_t head_dim)
{
    static const int columns[] = { 4, 8, CUDA_HEAD_MOST / CUDA_HEAD_STEP };

    if (head_dim > CUDA_HEAD_MOST)
        return fail(ST_ARG, "attention: head size %lld; at most %d", (long long)head_dim,
                    CUDA_HEAD_MOST);
    for (int i = 0; (int64_t)(out->columns = columns[i]) * CUDA_HEAD_STEP < head_dim;) i++;
    return plan_grid(&out->launch, "attention", ceil_div(queries, CUDA_TILE), heads);
}

size_t cuda_scratch_take(size_t *used, size_t bytes)
{
    size_t const at = *used;
    *used += kern_round_up(bytes);
    return at;
}

/* ---- level 2 ------------------------------------------------------------------ */

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

bool cuda_norm_plan(struct cuda_norm_plan *out, const struct kern_channel_norm *a)
{
    int64_t const cols = a->gamma->dim[0], numbers = LOAD / (int64_t)dtype_size(a->x->dtype);
    int64_t const rows = cols ? tensor_count(a->x) / cols : 0;
    int64_t pieces = cols / numbers;
    int lanes = 1;

    if (cols % numbers || !pieces) return false;
    if (!load_aligned(a->x->data) || !load_aligned(a->gamma->data) || !load_aligned(a->out->data))
        return false;
    for (; lanes < CUDA_WARP && pieces % 2 == 0; lanes *= 2) pieces /= 2;
    int64_t const per_block = NORM_THREADS / lanes, blocks = (rows + per_block - 1) / per_block;
    *out = (struct cuda_norm_plan){
        .lanes = lanes, .pieces = (int)pieces, .blocks = (unsigned)blocks, .threads = NORM_THREADS
    };
    return pieces <= CUDA_NORM_PIECES && blocks <= CUDA_GRID_X;
}

static bool is_to_pictures(const struct kern_conv3d *a, const struct conv_shape *s)
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
    return is_to_pictures(a, &s) && tiles <= CUDA_GRID_X && s.out_t <= CUDA_GRID_Y &&
           load_aligned(a->x->data) && load_aligned(a->past ? a->past->data : NULL);
}

/* ---- levels 3 and 4 ------------------------------------------------------------ */

bool cuda_fp8_packs(const struct kern_weight *w)
{
    const int64_t *const dim = w->t.dim;

    return w->use == KERN_LINEAR_LOW_PRECISION && w->t.dtype == DT_BF16 && dim[0] > 0 &&
           dim[1] > 0 && dim[0] % CUDA_FP8_STEP == 0 && dim[1] % CUDA_FP8_STEP == 0;
}

struct cuda_fp8_rows cuda_fp8_rows(int64_t rows, int64_t k)
{
    struct cuda_fp8_rows r = { 0 };

    cuda_scratch_take(&r.bytes, (size_t)(rows * k));
    r.scales = cuda_scratch_take(&r.bytes, (size_t)rows * sizeof(float));
    return r;
}

struct cuda_fp8_scratch cuda_fp8_scratch(int64_t rows, int64_t k, int64_t sums)
{
    struct cuda_fp8_scratch s = { .x = cuda_fp8_rows(rows, k) };

    s.bytes = s.x.bytes;
    s.sums = cuda_scratch_take(&s.bytes, (size_t)(rows * sums) * sizeof(uint16_t));
    return s;
}

unsigned cuda_fp8_blocks(int64_t numbers)
{
    unsigned const all = cuda_fused_blocks(numbers);
    return all < CUDA_FP8_BLOCKS ? all : CUDA_FP8_BLOCKS;
}
