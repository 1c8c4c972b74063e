/* kern_cpu_linear_amx.c - the matrix product in BF16 on the matrix unit. */
#include "kernels/cpu/cpu_internal.h"

enum {
    TILE_ROWS = 128,
    PANEL = 256,
    PIECE = AMX_STEP * AMX_STEP, /* sums of one block */
};

bool linear_suits_amx(const struct tensor *w, bool amx)
{
    return amx && w->dtype == DT_BF16 && w->dim[1] % AMX_STEP == 0;
}

static int64_t whole_steps(int64_t n) { return (n + AMX_STEP - 1) / AMX_STEP * AMX_STEP; }

size_t linear_bytes_amx(const struct tensor *w)
{
    return (size_t)(whole_steps(w->dim[0]) * w->dim[1]) * sizeof(uint16_t);
}

struct packing_amx {
    struct cpu_ctx *c;
    const struct kern_pack *a;
};

static status pack_panel_amx(void *arg, int64_t p, int worker)
{
    const struct packing_amx *const j = arg;
    const struct tensor *const w = &j->a->w->t;
    int64_t const k = w->dim[1], first = p * PANEL;
    uint16_t *to = (uint16_t *)w->data + first * k;
    const void *plain;

    int64_t const rows = w->dim[0] - first < PANEL ? w->dim[0] - first : PANEL;
    TRY(linear_plain(j->a, first, rows, j->c->scratch[worker], &plain));
    for (int64_t i = 0; i < rows; i += AMX_STEP) {
        int64_t const left = rows - i;
        amx_pack(to + i * k, (const uint16_t *)plain + i * k, k, left < AMX_STEP ? left : AMX_STEP,
                 k);
    }
    return ST_OK;
}

status linear_pack_amx(struct cpu_ctx *c, const struct kern_pack *a)
{
    const struct tensor *const w = &a->w->t;
    struct packing_amx j = { .c = c, .a = a };

    TRY(cpu_scratch(c, (size_t)(PANEL * w->dim[1]) * sizeof(uint16_t)));
    return pool_run(c->pool, (w->dim[0] + PANEL - 1) / PANEL, pack_panel_amx, &j);
}

static void finish_blocks(const struct linear *l, const struct linear_tile *t, const float *y)
{
    for (int64_t i = 0; i < t->rows; i += AMX_STEP)
        for (int64_t j = 0; j < t->cols; j += AMX_STEP, y += PIECE)
            linear_finish(l, &(struct linear_sums){
                                 .y = y,
                                 .y_step = AMX_STEP,
                                 .first = t->first + i,
                                 .rows = t->rows - i < AMX_STEP ? t->rows - i : AMX_STEP,
                                 .col = t->col + j,
                                 .cols = t->cols - j < AMX_STEP ? t->cols - j : AMX_STEP,
                             });
}

static status compute_tile_amx(void *arg, int64_t task, int worker)
{
    const struct linear *const l = arg;
    struct linear_tile const t = linear_tile(l, task);
    float *const y = l->c->scratch[worker];
    const uint16_t *const x = linear_rows(l, &t, y + TILE_ROWS * PANEL);
    const uint16_t *const w = (const uint16_t *)l->a->w->t.data + t.col * l->k;

    amx_begin();
    amx_product(y, x, w, t.height, whole_steps(t.cols), l->k);
    amx_end();
    finish_blocks(l, &t, y);
    return ST_OK;
}

status linear_plan_amx(struct linear *l)
{
    l->tile = DT_BF16;
    l->panel = PANEL;
    l->tile_rows = TILE_ROWS;
    l->row_step = AMX_STEP;
    l->run = compute_tile_amx;
    l->scratch_bytes =
        sizeof(float) * TILE_ROWS * PANEL + sizeof(uint16_t) * (size_t)(TILE_ROWS * l->k);
    return ST_OK;
}
