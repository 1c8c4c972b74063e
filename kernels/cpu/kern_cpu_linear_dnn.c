/* kern_cpu_linear_dnn.c - the matrix product in oneDNN tiles of 128 rows by 128 columns. */
#include "kernels/cpu/cpu_internal.h"

enum { TILE_ROWS = 128, ROW_STEP = 16, PANEL = 128 };

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

    return s.n && s.k && dnn_packed_bytes(&s, &bytes) == ST_OK ? kern_round_up(bytes) : 0;
}

size_t linear_bytes_dnn(const struct tensor *w)
{
    int64_t const whole = w->dim[0] / PANEL;

    return (size_t)whole * panel_bytes(w, whole ? PANEL : 0) + panel_bytes(w, w->dim[0] % PANEL);
}

/* Bytes from one panel to the next; 0 if there is only one. */
static size_t panel_step(const struct dnn_plan *whole)
{
    return whole ? kern_round_up(dnn_plan_packed_bytes(whole)) : 0;
}

/* Plans of m rows by a whole panel and by the rest. */
static status plan_panels(struct cpu_ctx *c, const struct tensor *w, int64_t m,
                          const struct dnn_plan *plan[2])
{
    int64_t const widths[2] = { w->dim[0] / PANEL ? PANEL : 0, w->dim[0] % PANEL };

    for (int i = 0; i < 2; i++) {
        struct dnn_shape const s = panel_shape(w, m, widths[i]);
        if (m && s.n) TRY(dnn_plan(c->dnn, &s, &plan[i]));
    }
    return ST_OK;
}

struct packing_dnn {
    struct cpu_ctx *c;
    const struct kern_pack *a;
    size_t panel_bytes;
    const struct dnn_plan *plan[2]; /* panel: whole, rest */
};

static status pack_panel_dnn(void *arg, int64_t p, int worker)
{
    const struct packing_dnn *const j = arg;
    const struct tensor *const w = &j->a->w->t;
    enum dtype const tile = cpu_tile_dtype(w->dtype);
    int64_t const k = w->dim[1], left = w->dim[0] - p * PANEL;
    int64_t const n = left < PANEL ? left : PANEL;
    float *const dense = j->c->scratch[worker];
    const void *plain;

    TRY(linear_plain(j->a, p * PANEL, n, dense + PANEL * k, &plain));
    if (tile != w->dtype) {
        j->c->vec->convert(dense, tile, plain, w->dtype, n * k);
        plain = dense;
    }
    return dnn_pack(j->plan[n < PANEL], worker, plain,
                    (unsigned char *)w->data + (size_t)p * j->panel_bytes);
}

status linear_pack_dnn(struct cpu_ctx *c, const struct kern_pack *a)
{
    const struct tensor *const w = &a->w->t;
    struct packing_dnn j = { .c = c, .a = a };

    TRY(plan_panels(c, w, TILE_ROWS, j.plan));
    j.panel_bytes = panel_step(j.plan[0]);
    TRY(cpu_scratch(c, 2 * (size_t)(PANEL * w->dim[1]) * sizeof(float)));
    return pool_run(c->pool, (w->dim[0] + PANEL - 1) / PANEL, pack_panel_dnn, &j);
}

static status compute_tile_dnn(void *arg, int64_t task, int worker)
{
    const struct linear *const l = arg;
    struct linear_tile const t = linear_tile(l, task);
    float *const y = l->c->scratch[worker];
    const void *const x = linear_rows(l, &t, y + TILE_ROWS * PANEL);
    const void *const w = (const unsigned char *)l->a->w->t.data + (size_t)t.panel * l->panel_bytes;

    TRY(dnn_run(l->plan[t.rows < TILE_ROWS][t.cols < PANEL], worker, x, w, y));
    linear_finish(l, &(struct linear_sums){ .y = y,
                                            .y_step = t.cols,
                                            .first = t.first,
                                            .rows = t.rows,
                                            .col = t.col,
                                            .cols = t.cols });
    return ST_OK;
}

status linear_plan_dnn(struct linear *l)
{
    const struct tensor *const w = &l->a->w->t;
    int64_t const rest = (l->rows % TILE_ROWS + ROW_STEP - 1) / ROW_STEP * ROW_STEP;

    l->tile = cpu_tile_dtype(w->dtype);
    l->panel = PANEL;
    l->tile_rows = TILE_ROWS;
    l->row_step = ROW_STEP;
    l->run = compute_tile_dnn;
    l->scratch_bytes = sizeof(float) * (size_t)(TILE_ROWS * (PANEL + l->k));
    TRY(plan_panels(l->c, w, l->rows / TILE_ROWS ? TILE_ROWS : 0, l->plan[0]));
    TRY(plan_panels(l->c, w, rest, l->plan[1]));
    l->panel_bytes = panel_step(l->plan[l->rows < TILE_ROWS][0]);
    return ST_OK;
}
