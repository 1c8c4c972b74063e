/*
 * kern_cpu_linear.c - the matrix product, in tiles of 64 rows by one panel.
 *
 * Tasks go down the rows of one panel before the next, so that the panel stays
 * in cache while rows stream by. Rows beyond the last whole tile are a tile of
 * their own, a multiple of 16 high, filled up with zeros.
 */
#include "kernels/kern_cpu_ops.h"

#include <stdlib.h>
#include <string.h>

enum { TILE_ROWS = 64, ROW_STEP = 16 };

struct linear {
    struct cpu_ctx *c;
    const struct kern_linear *a;
    enum dtype tile; /* dtype of tiles and packed weights */
    int64_t rows, n, k;
    int64_t row_tiles, whole;          /* all | those that are TILE_ROWS high */
    size_t panel_bytes;                /* packed, of one whole panel */
    const struct dnn_plan *plan[2][2]; /* [rows: whole, rest][panel: whole, rest] */
};

static int64_t rest_height(int64_t rows)
{
    return (rows % TILE_ROWS + ROW_STEP - 1) / ROW_STEP * ROW_STEP;
}

static struct dnn_shape panel_shape(const struct tensor *w, int64_t m, int64_t n)
{
    return (struct dnn_shape){
        .kind = DNN_PRODUCT, .dtype = cpu_tile_dtype(w->dtype), .m = m, .n = n, .k = w->dim[1]
    };
}

/* Packed bytes of a panel n columns wide; 0 if the library refuses it. */
static size_t panel_bytes(const struct tensor *w, int64_t n)
{
    struct dnn_shape const s = panel_shape(w, TILE_ROWS, n);
    size_t bytes = 0;

    return s.n && s.k && dnn_packed_bytes(&s, &bytes) == ST_OK ? cpu_round_up(bytes) : 0;
}

size_t cpu_linear_bytes(const struct kern_weight *w)
{
    int64_t const n = w->t.dim[0], whole = n / CPU_PANEL;

    return (size_t)whole * panel_bytes(&w->t, whole ? CPU_PANEL : 0) +
           panel_bytes(&w->t, n % CPU_PANEL);
}

/* Bytes from one panel to the next; 0 if there is only one. */
static size_t panel_step(const struct dnn_plan *whole)
{
    return whole ? cpu_round_up(dnn_plan_packed_bytes(whole)) : 0;
}

struct packing {
    struct cpu_ctx *c;
    const struct kern_pack *a;
    size_t panel_bytes;
    const struct dnn_plan *plan[2]; /* panel: whole, rest */
};

static status pack_panel(void *arg, int64_t p, int worker)
{
    const struct packing *const j = arg;
    const struct tensor *const w = &j->a->w->t;
    enum dtype const tile = cpu_tile_dtype(w->dtype);
    int64_t const k = w->dim[1], first = p * CPU_PANEL;
    int64_t const n = w->dim[0] - first < CPU_PANEL ? w->dim[0] - first : CPU_PANEL;
    const unsigned char *const src =
        (const unsigned char *)j->a->src + (size_t)(first * k) * dtype_size(j->a->src_dtype);
    void *const to = (unsigned char *)w->data + (size_t)p * j->panel_bytes;
    void *const act = j->c->scratch[worker], *dense = act;

    TRY(tensor_convert(act, w->dtype, src, j->a->src_dtype, n * k));
    if (tile != w->dtype) {
        dense = (unsigned char *)act + (size_t)(CPU_PANEL * k) * sizeof(float);
        j->c->vec->convert(dense, tile, act, w->dtype, n * k);
    }
    return dnn_pack(j->plan[n < CPU_PANEL], worker, dense, to);
}

static status plan_panels(struct cpu_ctx *c, const struct tensor *w, int64_t m,
                          const struct dnn_plan *plan[2])
{
    int64_t const widths[2] = { w->dim[0] / CPU_PANEL ? CPU_PANEL : 0, w->dim[0] % CPU_PANEL };

    for (int i = 0; i < 2; i++) {
        struct dnn_shape const s = panel_shape(w, m, widths[i]);
        if (m && s.n) TRY(dnn_plan(c->dnn, &s, &plan[i]));
    }
    return ST_OK;
}

status cpu_linear_pack(struct cpu_ctx *c, const struct kern_pack *a)
{
    const struct tensor *const w = &a->w->t;
    struct packing j = { .c = c, .a = a };

    if (!w->dim[0] || !w->dim[1]) return ST_OK;
    TRY(plan_panels(c, w, TILE_ROWS, j.plan));
    j.panel_bytes = panel_step(j.plan[0]);
    TRY(cpu_scratch(c, 2 * (size_t)(CPU_PANEL * w->dim[1]) * sizeof(float)));
    return pool_run(c->pool, (w->dim[0] + CPU_PANEL - 1) / CPU_PANEL, pack_panel, &j);
}

/* The x of one tile, dense and as high as its plan: in place if it can be. */
static const void *tile_rows(const struct linear *l, int64_t first, int64_t rows, int64_t height,
                             void *copy)
{
    const struct tensor *const x = l->a->x;
    const void *const from =
        (const unsigned char *)x->data + (size_t)(first * l->k) * dtype_size(x->dtype);

    if (rows == height && x->dtype == l->tile) return from;
    size_t const row_bytes = (size_t)l->k * dtype_size(l->tile);
    l->c->vec->convert(copy, l->tile, from, x->dtype, rows * l->k);
    memset((unsigned char *)copy + (size_t)rows * row_bytes, 0,
           (size_t)(height - rows) * row_bytes);
    return copy;
}

static void finish_rows(const struct linear *l, const float *y, int64_t first, int64_t rows,
                        int64_t col, int64_t cols)
{
    const struct kern_linear *const a = l->a;
    struct vec_epilogue e = {
        .bias = a->bias ? (const float *)a->bias->data + col : NULL,
        .residual_dtype = DT_F32,
        .out_dtype = a->out->dtype,
        .act = a->act,
        .cols = cols,
        .y_step = cols,
        .out_step = l->n,
    };
    int64_t const per_group = a->gate ? l->rows / a->gate->dim[0] : l->rows;

    for (int64_t r = 0; r < rows; r += e.rows) {
        int64_t const at = (first + r) * l->n + col, group = (first + r) / per_group;
        int64_t const group_left = (group + 1) * per_group - (first + r);
        e.rows = rows - r < group_left ? rows - r : group_left;
        e.y = y + r * cols;
        e.gate = a->gate ? (const float *)a->gate->data + group * l->n + col : NULL;
        e.residual = a->residual ? (const float *)a->residual->data + at : NULL;
        e.out = (unsigned char *)a->out->data + (size_t)at * dtype_size(a->out->dtype);
        l->c->vec->epilogue(&e);
    }
}

static status linear_tile(void *arg, int64_t task, int worker)
{
    const struct linear *const l = arg;
    int64_t const i = task % l->row_tiles, p = task / l->row_tiles;
    bool const rest = i >= l->whole;
    int64_t const first = i * TILE_ROWS, col = p * CPU_PANEL;
    int64_t const rows = rest ? l->rows - first : TILE_ROWS;
    int64_t const height = rest ? rest_height(l->rows) : TILE_ROWS;
    int64_t const cols = l->n - col < CPU_PANEL ? l->n - col : CPU_PANEL;
    float *const y = l->c->scratch[worker];
    const void *const x = tile_rows(l, first, rows, height, y + TILE_ROWS * CPU_PANEL);
    const void *const w = (const unsigned char *)l->a->w->t.data + (size_t)p * l->panel_bytes;

    TRY(dnn_run(l->plan[rest][cols < CPU_PANEL], worker, x, w, y));
    finish_rows(l, y, first, rows, col, cols);
    return ST_OK;
}

/* Without a sum (k = 0) only the epilogue is left. */
static status linear_empty(struct linear *l)
{
    float *const y = calloc((size_t)l->n, sizeof *y);

    if (!y) return fail(ST_NOMEM, "linear: %lld columns", (long long)l->n);
    for (int64_t r = 0; r < l->rows; r++) finish_rows(l, y, r, 1, 0, l->n);
    free(y);
    return ST_OK;
}

status cpu_linear(struct kern_ctx *ctx, const struct kern_linear *a)
{
    TRY(kern_check_linear(a));
    struct linear l = {
        .c = (struct cpu_ctx *)ctx,
        .a = a,
        .tile = cpu_tile_dtype(a->x->dtype),
        .rows = a->x->dim[0],
        .n = a->w->t.dim[0],
        .k = a->x->dim[1],
    };
    if (!l.rows || !l.n) return ST_OK;
    if (!l.k) return linear_empty(&l);

    l.whole = l.rows / TILE_ROWS;
    l.row_tiles = (l.rows + TILE_ROWS - 1) / TILE_ROWS;
    TRY(plan_panels(l.c, &a->w->t, l.whole ? TILE_ROWS : 0, l.plan[0]));
    TRY(plan_panels(l.c, &a->w->t, rest_height(l.rows), l.plan[1]));
    l.panel_bytes = panel_step(l.plan[l.whole == 0][0]);
    TRY(cpu_scratch(l.c, sizeof(float) * (size_t)(TILE_ROWS * (CPU_PANEL + l.k))));
    return pool_run(l.c->pool, l.row_tiles * ((l.n + CPU_PANEL - 1) / CPU_PANEL), linear_tile, &l);
}
