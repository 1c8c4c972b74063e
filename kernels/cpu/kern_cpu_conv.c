/*
 * kern_cpu_conv.c - the causal 3-D convolution as a sum of 2-D ones, in tiles.
 *
 * A task is one tile of one output frame, at most 16 by 16 pixels. For each tap
 * in time it copies the tile's part of that input frame, with halo, zero border
 * and doubled pixels, into dense scratch, and adds its 2-D convolution slab by
 * slab of output channels. So past and x need not be joined, nothing is padded
 * in memory, and the weights of one tap and slab stay in cache.
 */
#include "kernels/cpu/cpu_internal.h"

#include <string.h>

enum { TILE_PIXELS = 16 };

/* Output channels of a whole slab: one tap of them stays in cache. */
static int64_t slab_width(const struct tensor *w)
{
    return cpu_tile_dtype(w->dtype) == DT_BF16 ? 192 : 96;
}

struct conv {
    struct cpu_ctx *c;
    const struct kern_conv3d *a;
    enum dtype tile;
    struct conv_shape s;
    int64_t tile_h, tile_w, tiles_y, tiles_x; /* output pixels of a tile | tiles of a frame */
    int64_t in_h, in_w;                       /* input pixels of a tile */
    int64_t slab, slabs;                      /* channels of a whole slab | their number */
    size_t slab_bytes, tap_bytes;             /* packed weights */
    const struct dnn_plan *plan[2][2];        /* [first tap, later ones][slab: whole, rest] */
};

static struct dnn_shape slab_shape(const struct tensor *w, int64_t channels)
{
    return (struct dnn_shape){
        .kind = DNN_CONV,
        .dtype = cpu_tile_dtype(w->dtype),
        .n = channels,
        .k = w->dim[1],
        .kh = w->dim[3],
        .kw = w->dim[4],
        .stride = 1,
        .h = TILE_PIXELS - 1 + w->dim[3],
        .w = TILE_PIXELS - 1 + w->dim[4],
    };
}

static size_t slab_bytes(const struct tensor *w, int64_t channels)
{
    struct dnn_shape const s = slab_shape(w, channels);
    size_t bytes = 0;

    if (!s.n || !s.k || !s.kh || !s.kw) return 0;
    return dnn_packed_bytes(&s, &bytes) == ST_OK ? kern_round_up(bytes) : 0;
}

/* Bytes of one tap in time: whole slabs, then the rest. */
static size_t tap_bytes(const struct tensor *w, size_t whole, size_t rest)
{
    return (size_t)(w->dim[0] / slab_width(w)) * whole + rest;
}

size_t cpu_conv_bytes(const struct kern_weight *w)
{
    int64_t const width = slab_width(&w->t);
    size_t const whole = slab_bytes(&w->t, w->t.dim[0] < width ? 0 : width);
    size_t const rest = slab_bytes(&w->t, w->t.dim[0] % width);

    return (size_t)w->t.dim[2] * tap_bytes(&w->t, whole, rest);
}

/* Channels of slab number `slab`, of `width` but for the last. */
static int64_t slab_channels(int64_t cout, int64_t width, int64_t slab)
{
    return cout - slab * width < width ? cout - slab * width : width;
}

struct packing {
    struct cpu_ctx *c;
    const struct kern_pack *a;
    int64_t slab, slabs; /* channels of a whole slab | their number */
    size_t slab_bytes, tap_bytes;
    const struct dnn_plan *plan[2]; /* slab: whole, rest */
};

/* One tap of one slab: [n, cin, kt, kh, kw] -> [n, cin, kh, kw], then packed. */
static status pack_slab(void *arg, int64_t task, int worker)
{
    const struct packing *const j = arg;
    const struct tensor *const w = &j->a->w->t;
    enum dtype const tile = cpu_tile_dtype(w->dtype);
    int64_t const tap = task / j->slabs, slab = task % j->slabs;
    int64_t const n = slab_channels(w->dim[0], j->slab, slab), area = w->dim[3] * w->dim[4];
    size_t const in = (size_t)area * dtype_size(j->a->src_dtype);
    size_t const out = (size_t)area * dtype_size(w->dtype);
    const unsigned char *from = (const unsigned char *)j->a->src +
                                (size_t)(slab * j->slab * w->dim[1] * w->dim[2] + tap) * in;
    void *const act = j->c->scratch[worker], *dense = act;

    for (int64_t i = 0; i < n * w->dim[1]; i++, from += (size_t)w->dim[2] * in)
        TRY(tensor_convert((unsigned char *)act + (size_t)i * out, w->dtype, from, j->a->src_dtype,
                           area));
    if (tile != w->dtype) {
        dense = (unsigned char *)act + (size_t)(j->slab * w->dim[1] * area) * sizeof(float);
        j->c->vec->convert(dense, tile, act, w->dtype, n * w->dim[1] * area);
    }
    return dnn_pack(j->plan[n < j->slab], worker, dense,
                    (unsigned char *)w->data + (size_t)tap * j->tap_bytes +
                        (size_t)slab * j->slab_bytes);
}

/* Where packed slabs and taps stand, from the plans of a whole slab and the rest. */
static void measure_slabs(const struct tensor *w, const struct dnn_plan *const plan[2],
                          size_t *slab_step, size_t *tap_step)
{
    *slab_step = plan[0] ? kern_round_up(dnn_plan_packed_bytes(plan[0])) : 0;
    *tap_step =
        tap_bytes(w, *slab_step, plan[1] ? kern_round_up(dnn_plan_packed_bytes(plan[1])) : 0);
}

status cpu_conv_pack(struct cpu_ctx *c, const struct kern_pack *a)
{
    const struct tensor *const w = &a->w->t;
    int64_t const width = slab_width(w);
    int64_t const channels[2] = { w->dim[0] / width ? width : 0, w->dim[0] % width };
    struct packing j = { .c = c, .a = a, .slab = width, .slabs = (w->dim[0] + width - 1) / width };

    if (!tensor_count(w)) return ST_OK;
    for (int i = 0; i < 2; i++) {
        struct dnn_shape const s = slab_shape(w, channels[i]);
        if (s.n) TRY(dnn_plan(c->dnn, &s, &j.plan[i]));
    }
    measure_slabs(w, j.plan, &j.slab_bytes, &j.tap_bytes);
    TRY(cpu_scratch(c, 2 * (size_t)(width * w->dim[1] * w->dim[3] * w->dim[4]) * sizeof(float)));
    return pool_run(c->pool, w->dim[2] * j.slabs, pack_slab, &j);
}

/* Pixels [u, u + in_w) of picture row v, in doubled pixels if upsampled, into `to`. */
static void gather_row(const struct conv *v, const struct tensor *frame, int64_t y, int64_t u,
                       unsigned char *to)
{
    const struct conv_shape *const s = &v->s;
    size_t const in = (size_t)s->cin * dtype_size(frame->dtype);
    size_t const out = (size_t)s->cin * dtype_size(v->tile);
    int64_t const width = s->upsample * s->w, step = s->upsample;
    int64_t x = u < 0 ? 0 : u;
    int64_t const end = u + v->in_w < width ? u + v->in_w : width;

    if (y < 0 || y >= s->upsample * s->h || x >= end) {
        memset(to, 0, (size_t)v->in_w * out);
        return;
    }
    const unsigned char *const row =
        (const unsigned char *)frame->data + (size_t)(y / step * s->w) * in;
    memset(to, 0, (size_t)(x - u) * out);
    memset(to + (size_t)(end - u) * out, 0, (size_t)(u + v->in_w - end) * out);
    for (int64_t run; x < end; x += run) {
        run = step == 1 ? end - x : 1;
        v->c->vec->convert(to + (size_t)(x - u) * out, v->tile, row + (size_t)(x / step) * in,
                           frame->dtype, run * s->cin);
    }
}

static void gather_tile(const struct conv *v, int64_t frame, int64_t y, int64_t x, void *to)
{
    const struct conv_shape *const s = &v->s;
    struct tensor const f = frame < s->past ? tensor_slice(v->a->past, frame, 1)
                                            : tensor_slice(v->a->x, frame - s->past, 1);
    size_t const row = (size_t)(v->in_w * s->cin) * dtype_size(v->tile);

    for (int64_t i = 0; i < v->in_h; i++)
        gather_row(v, &f, y * s->stride - v->a->pad_lo + i, x * s->stride - v->a->pad_lo,
                   (unsigned char *)to + (size_t)i * row);
}

/* Rows and columns the tile at (y, x) has that no earlier tile has. */
struct tile_part {
    int64_t y, x, rows, cols; /* in the output frame */
    int64_t from_y, from_x;   /* the tile's corner */
};

static struct tile_part tile_part_of(const struct conv *v, int64_t tile)
{
    const struct conv_shape *const s = &v->s;
    struct tile_part p = { .y = tile / v->tiles_x * v->tile_h, .x = tile % v->tiles_x * v->tile_w };

    p.rows = s->out_h - p.y < v->tile_h ? s->out_h - p.y : v->tile_h;
    p.cols = s->out_w - p.x < v->tile_w ? s->out_w - p.x : v->tile_w;
    p.from_y = s->out_h > v->tile_h ? p.y + p.rows - v->tile_h : 0;
    p.from_x = s->out_w > v->tile_w ? p.x + p.cols - v->tile_w : 0;
    return p;
}

static void store_tile_part(const struct conv *v, const struct tile_part *p, int64_t t,
                            const float *y)
{
    const struct kern_conv3d *const a = v->a;
    const struct conv_shape *const s = &v->s;
    int64_t const area = v->tile_h * v->tile_w;

    for (int64_t slab = 0; slab < v->slabs; slab++) {
        int64_t const channel = slab * v->slab, n = slab_channels(s->cout, v->slab, slab);
        for (int64_t r = 0; r < p->rows; r++) {
            int64_t const from = (p->y - p->from_y + r) * v->tile_w + p->x - p->from_x;
            int64_t const at = ((t * s->out_h + p->y + r) * s->out_w + p->x) * s->cout + channel;
            v->c->vec->epilogue(&(struct vec_epilogue){
                .y = y + slab * area * v->slab + from * n,
                .bias = a->bias ? (const float *)a->bias->data + channel : NULL,
                .residual = a->residual ? (const unsigned char *)a->residual->data +
                                              (size_t)at * dtype_size(a->residual->dtype)
                                        : NULL,
                .out = (unsigned char *)a->out->data + (size_t)at * dtype_size(a->out->dtype),
                .residual_dtype = a->x->dtype,
                .out_dtype = a->out->dtype,
                .rows = p->cols,
                .cols = n,
                .y_step = n,
                .out_step = s->cout,
            });
        }
    }
}

static size_t sums_bytes(const struct conv *v)
{
    return kern_round_up((size_t)(v->slabs * v->tile_h * v->tile_w * v->slab) * sizeof(float));
}

static status compute_conv_tile(void *arg, int64_t task, int worker)
{
    const struct conv *const v = arg;
    const struct conv_shape *const s = &v->s;
    int64_t const tiles = v->tiles_y * v->tiles_x, t = task / tiles;
    struct tile_part const p = tile_part_of(v, task % tiles);
    float *const y = v->c->scratch[worker];
    unsigned char *const in = (unsigned char *)y + sums_bytes(v);

    for (int64_t tap = 0; tap < s->kt; tap++) {
        gather_tile(v, t * s->stride_t + tap, p.from_y, p.from_x, in);
        for (int64_t slab = 0; slab < v->slabs; slab++) {
            bool const rest = slab_channels(s->cout, v->slab, slab) < v->slab;
            const unsigned char *const w = (const unsigned char *)v->a->w->t.data +
                                           (size_t)tap * v->tap_bytes +
                                           (size_t)slab * v->slab_bytes;
            TRY(dnn_run(v->plan[tap > 0][rest], worker, in, w,
                        y + slab * v->tile_h * v->tile_w * v->slab));
        }
    }
    store_tile_part(v, &p, t, y);
    return ST_OK;
}

/* Plans for tiles of this size; *fast is false if the packed weights do not suit it. */
static status plan_tile(struct conv *v, int64_t h, int64_t w, bool *fast)
{
    const struct conv_shape *const s = &v->s;
    int64_t const channels[2] = { s->cout / v->slab ? v->slab : 0, s->cout % v->slab };

    *fast = true;
    v->tile_h = h;
    v->tile_w = w;
    v->in_h = (h - 1) * s->stride + s->kh;
    v->in_w = (w - 1) * s->stride + s->kw;
    for (int add = 0; add < 2; add++)
        for (int i = 0; i < 2; i++) {
            struct dnn_shape shape = slab_shape(&v->a->w->t, channels[i]);
            shape.add = add;
            shape.stride = s->stride;
            shape.h = v->in_h;
            shape.w = v->in_w;
            if (!shape.n) continue;
            TRY(dnn_plan(v->c->dnn, &shape, &v->plan[add][i]));
            *fast = *fast && dnn_plan_is_fast(v->plan[add][i]);
        }
    return ST_OK;
}

/* As few tiles as 16 pixels each way allow, all of one size. */
static int64_t even_tile_side(int64_t pixels)
{
    int64_t const tiles = (pixels + TILE_PIXELS - 1) / TILE_PIXELS;
    return (pixels + tiles - 1) / tiles;
}

status cpu_conv3d(struct kern_ctx *ctx, const struct kern_conv3d *a)
{
    TRY(kern_check_conv3d(a));
    struct conv v = {
        .c = (struct cpu_ctx *)ctx,
        .a = a,
        .tile = cpu_tile_dtype(a->x->dtype),
        .s = conv_shape_of(a),
        .slab = slab_width(&a->w->t),
    };
    const struct conv_shape *const s = &v.s;
    bool fast;

    if (!tensor_count(a->out)) return ST_OK;
    TRY(plan_tile(&v, even_tile_side(s->out_h), even_tile_side(s->out_w), &fast));
    if (!fast) TRY(plan_tile(&v, TILE_PIXELS, TILE_PIXELS, &fast));
    v.slabs = (s->cout + v.slab - 1) / v.slab;
    v.tiles_y = (s->out_h + v.tile_h - 1) / v.tile_h;
    v.tiles_x = (s->out_w + v.tile_w - 1) / v.tile_w;
    measure_slabs(&a->w->t, v.plan[0], &v.slab_bytes, &v.tap_bytes);
    size_t const in = (size_t)(v.in_h * v.in_w * s->cin) * dtype_size(v.tile);
    TRY(cpu_scratch(v.c, sums_bytes(&v) + in));
    return pool_run(v.c->pool, s->out_t * v.tiles_y * v.tiles_x, compute_conv_tile, &v);
}
