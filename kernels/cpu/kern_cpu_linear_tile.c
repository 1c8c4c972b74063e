/* kern_cpu_linear_tile.c - what both ways of the matrix product do around a tile: find it, fetch
 * its rows, and turn its sums into the result. */
#include "kernels/cpu/cpu_internal.h"

#include <string.h>

struct linear_tile linear_tile(const struct linear *l, int64_t task)
{
    int64_t const tiles = (l->rows + l->tile_rows - 1) / l->tile_rows;
    struct linear_tile t = { .first = task % tiles * l->tile_rows, .panel = task / tiles };

    t.rows = l->rows - t.first < l->tile_rows ? l->rows - t.first : l->tile_rows;
    t.height = (t.rows + l->row_step - 1) / l->row_step * l->row_step;
    t.col = t.panel * l->panel;
    t.cols = l->n - t.col < l->panel ? l->n - t.col : l->panel;
    return t;
}

const void *linear_rows(const struct linear *l, const struct linear_tile *t, void *copy)
{
    const struct tensor *const x = l->a->x;
    const void *const from =
        (const unsigned char *)x->data + (size_t)(t->first * l->k) * dtype_size(x->dtype);

    if (t->rows == t->height && x->dtype == l->tile) return from;
    size_t const row_bytes = (size_t)l->k * dtype_size(l->tile);
    l->c->vec->convert(copy, l->tile, from, x->dtype, t->rows * l->k);
    memset((unsigned char *)copy + (size_t)t->rows * row_bytes, 0,
           (size_t)(t->height - t->rows) * row_bytes);
    return copy;
}

void linear_finish(const struct linear *l, const struct linear_sums *s)
{
    const struct kern_linear *const a = l->a;
    struct vec_epilogue e = {
        .bias = a->bias ? (const float *)a->bias->data + s->col : NULL,
        .residual_dtype = DT_F32,
        .out_dtype = a->out->dtype,
        .act = a->act,
        .cols = s->cols,
        .y_step = s->y_step,
        .out_step = l->n,
    };
    int64_t const per_group = a->gate ? l->rows / a->gate->dim[0] : l->rows;

    for (int64_t r = 0; r < s->rows; r += e.rows) {
        int64_t const at = (s->first + r) * l->n + s->col, group = (s->first + r) / per_group;
        int64_t const group_left = (group + 1) * per_group - (s->first + r);
        e.rows = s->rows - r < group_left ? s->rows - r : group_left;
        e.y = s->y + r * s->y_step;
        e.gate = a->gate ? (const float *)a->gate->data + group * l->n + s->col : NULL;
        e.residual = a->residual ? (const float *)a->residual->data + at : NULL;
        e.out = (unsigned char *)a->out->data + (size_t)at * dtype_size(a->out->dtype);
        l->c->vec->epilogue(&e);
    }
}

status linear_plain(const struct kern_pack *a, int64_t first, int64_t count, void *to,
                    const void **out)
{
    const struct tensor *const w = &a->w->t;
    int64_t const k = w->dim[1];
    const void *const from =
        (const unsigned char *)a->src + (size_t)(first * k) * dtype_size(a->src_dtype);

    *out = a->src_dtype == w->dtype ? from : to;
    return *out == from ? ST_OK : tensor_convert(to, w->dtype, from, a->src_dtype, count * k);
}
