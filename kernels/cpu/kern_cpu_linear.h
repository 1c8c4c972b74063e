/*
 * kern_cpu_linear.h - the frame both ways of the matrix product share. Private to kernels/.
 *
 * A task is a tile of rows by one panel of columns. Tasks go down the rows of one
 * panel before the next, so that the panel stays in cache while rows stream by.
 */
#ifndef KERN_CPU_LINEAR_H
#define KERN_CPU_LINEAR_H

#include "kernels/cpu/kern_cpu_ops.h"

struct linear {
    struct cpu_ctx *c;
    const struct kern_linear *a;
    int64_t rows, n, k;

    /* set by a way's plan */
    enum dtype tile;      /* dtype of tiles and packed weights */
    int64_t panel;        /* columns of a whole panel */
    int64_t tile_rows;    /* of a whole tile */
    int64_t row_step;     /* rows of the last tile are a multiple, filled up with zeros */
    size_t panel_bytes;   /* packed, of one whole panel */
    size_t scratch_bytes; /* per worker */
    pool_task run;        /* tasks of panel * row tiles + row tile */
    const struct dnn_plan *plan[2][2]; /* [rows: whole, rest][panel: whole, rest] */
};

/* A way's plan, and its packed weights. */
status linear_plan_dnn(struct linear *l) MUST_USE; /* anything */
status linear_plan_amx(struct linear *l) MUST_USE; /* linear_suits_amx */
size_t linear_bytes_dnn(const struct tensor *w);
size_t linear_bytes_amx(const struct tensor *w);
status linear_pack_dnn(struct cpu_ctx *c, const struct kern_pack *a) MUST_USE;
status linear_pack_amx(struct cpu_ctx *c, const struct kern_pack *a) MUST_USE;

/* One answer for a weight's life: by its dtype, its k and the machine (cpu_has_amx). */
bool linear_suits_amx(const struct tensor *w, bool amx);

/* One tile: its place in the result, and how high it is with its zeros. */
struct linear_tile {
    int64_t first, rows, height; /* rows */
    int64_t panel, col, cols;
};
struct linear_tile linear_tile(const struct linear *l, int64_t task);

/* The x of a tile, dense and `height` high: in place if it can be, else in `copy`. */
const void *linear_rows(const struct linear *l, const struct linear_tile *t, void *copy);

/* Bias, activation, gate and residual over a rectangle of sums; y: rows y_step apart. */
struct linear_sums {
    const float *y;
    int64_t y_step, first, rows, col, cols;
};
void linear_finish(const struct linear *l, const struct linear_sums *s);

/* Rows first..first+count-1 of a plain weight [n, k], in its compute dtype; copied
 * to `to` if they are stored in another. */
status linear_plain(const struct kern_pack *a, int64_t first, int64_t count, void *to,
                    const void **out) MUST_USE;

#endif /* KERN_CPU_LINEAR_H */
