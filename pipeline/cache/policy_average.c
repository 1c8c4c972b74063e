/* policy_average.c - rows that are averages: carried in F32, attended to in the run's precision. */
#include "pipeline/cache/cache_internal.h"

struct average average_of(const struct kv_call *c, int layer, int values, int64_t first,
                          int64_t rows)
{
    struct kv_cache *const cache = c->cache;
    int64_t const row = layer * cache->shape.kept + first;

    return (struct average){
        .wide = tensor_slice(values ? &cache->wide_v : &cache->wide_k, row, rows),
        .act = tensor_slice(values ? &cache->kept_v : &cache->kept_k, row, rows),
    };
}

static status cast_rows(const struct kv_call *c, const struct tensor *in, struct tensor *out)
{
    return kern_cast(c->ctx, &(struct kern_cast){ .in = in, .out = out });
}

static status blend_rows(const struct kv_call *c, const struct tensor *x, double a,
                         const struct tensor *y, double b, struct tensor *out)
{
    return kern_axpby(c->ctx, &(struct kern_axpby){ .x = x, .y = y, .out = out, .a = a, .b = b });
}

status average_begin(const struct kv_call *c, struct average *a, const struct tensor *x)
{
    TRY(cast_rows(c, x, &a->wide));
    return cast_rows(c, &a->wide, &a->act);
}

status average_add(const struct kv_call *c, struct average *a, const struct tensor *x, double alpha)
{
    struct tensor wide = tensor_slice(&c->room.wide, 0, x->dim[0]);

    TRY(cast_rows(c, x, &wide));
    TRY(blend_rows(c, &a->wide, alpha, &wide, 1 - alpha, &a->wide));
    return cast_rows(c, &a->wide, &a->act);
}

/* Rounded to bf16 where the run is in bf16 or not: through the half of `narrow` that it needs. */
static status round_to_bf16(const struct kv_call *c, struct tensor *wide, struct tensor *narrow)
{
    TRY(cast_rows(c, wide, narrow));
    return cast_rows(c, narrow, wide);
}

/* The factors as F32, as a number is that multiplies a bf16 tensor. */
status average_add_bf16(const struct kv_call *c, struct average *a, const struct tensor *x,
                        double alpha)
{
    double const keep = (double)(float)alpha, take = (double)(float)(1 - alpha);
    struct tensor wide = tensor_slice(&c->room.wide, 0, x->dim[0]);
    struct tensor narrow = tensor_slice(&c->room.rows, 0, x->dim[0]);

    narrow.dtype = DT_BF16; /* rows of F32 hold twice as many */
    TRY(cast_rows(c, x, &wide));
    TRY(round_to_bf16(c, &wide, &narrow));
    TRY(blend_rows(c, &wide, take, &wide, 0, &wide));
    TRY(round_to_bf16(c, &wide, &narrow));
    TRY(round_to_bf16(c, &a->wide, &narrow));
    TRY(blend_rows(c, &a->wide, keep, &a->wide, 0, &a->wide));
    TRY(round_to_bf16(c, &a->wide, &narrow));
    TRY(blend_rows(c, &a->wide, 1, &wide, 1, &a->wide));
    TRY(round_to_bf16(c, &a->wide, &narrow));
    return cast_rows(c, &a->wide, &a->act);
}
