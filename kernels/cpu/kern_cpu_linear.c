/*
 * kern_cpu_linear.c - the matrix product: which way a weight goes, and the loop over tiles.
 *
 * The way is a property of the weight (its dtype, its k, the machine), never of a call, since the
 * packed form is the way's own. Both ways cut rows and columns by the shapes alone, so a row's
 * bits depend neither on the threads nor on the other rows.
 */
#include "kernels/cpu/cpu_internal.h"

#include <stdlib.h>

size_t cpu_linear_bytes(const struct kern_weight *w)
{
    return linear_suits_amx(&w->t, cpu_has_amx()) ? linear_bytes_amx(&w->t)
                                                  : linear_bytes_dnn(&w->t);
}

status cpu_linear_pack(struct cpu_ctx *c, const struct kern_pack *a)
{
    if (!tensor_count(&a->w->t)) return ST_OK;
    return linear_suits_amx(&a->w->t, c->amx) ? linear_pack_amx(c, a) : linear_pack_dnn(c, a);
}

/* Without a sum (k = 0) only the epilogue is left. */
static status apply_epilogue_alone(struct linear *l)
{
    float *const y = calloc((size_t)l->n, sizeof *y);

    if (!y) return fail(ST_NOMEM, "linear: no memory for %lld columns", (long long)l->n);
    for (int64_t r = 0; r < l->rows; r++)
        linear_finish(l, &(struct linear_sums){ .y = y, .first = r, .rows = 1, .cols = l->n });
    free(y);
    return ST_OK;
}

status cpu_linear(struct kern_ctx *ctx, const struct kern_linear *a)
{
    TRY(kern_check_linear(a));
    struct linear l = {
        .c = (struct cpu_ctx *)ctx,
        .a = a,
        .rows = a->x->dim[0],
        .n = a->w->t.dim[0],
        .k = a->x->dim[1],
    };
    if (!l.rows || !l.n) return ST_OK;
    if (!l.k) return apply_epilogue_alone(&l);
    TRY(linear_suits_amx(&a->w->t, l.c->amx) ? linear_plan_amx(&l) : linear_plan_dnn(&l));
    TRY(cpu_scratch(l.c, l.scratch_bytes));

    int64_t const panels = (l.n + l.panel - 1) / l.panel;
    return pool_run(l.c->pool, panels * ((l.rows + l.tile_rows - 1) / l.tile_rows), l.run, &l);
}
