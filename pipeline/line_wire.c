/*
 * line_wire.c - keys and values as they go over the wire.
 *
 * In 8 bits a stage's are a tensor of bytes and one of scales, keys first, then values:
 * made by the rank that owns the stage, which then has them back from there as all others
 * have. By heads line_heads.c makes them, and all that stand come.
 */
#include "pipeline/line_state.h"

status line_wire_place(struct line *l, struct arena *a)
{
    int64_t const rows = 2 * (l->levels + 1) * l->tokens;

    if (l->c.mode.wire == LINE_ACT) return ST_OK;
    TRY(tensor_place(&l->wire.bytes, a, DT_U8, DIMS(rows, l->seen.dim)));
    return tensor_place(&l->wire.scale, a, DT_F32, DIMS(rows));
}

struct narrowed {
    struct tensor bytes, scale; /* [tokens, w], [tokens] */
};

/* A stage's keys, 0, or values, 1. */
static struct narrowed narrowed_of(const struct line *l, int stage, int which)
{
    int64_t const row = (2 * stage + which) * l->tokens;
    return (struct narrowed){ tensor_slice(&l->wire.bytes, row, l->tokens),
                              tensor_slice(&l->wire.scale, row, l->tokens) };
}

static status narrow(struct line *l, int stage, int which, const struct tensor *x)
{
    struct narrowed n = narrowed_of(l, stage, which);
    return kern_narrow(l->c.ctx,
                       &(struct kern_narrow){ .x = x, .out = &n.bytes, .scale = &n.scale });
}

static status widen(struct line *l, int stage, int which, struct tensor *out)
{
    struct narrowed const n = narrowed_of(l, stage, which);
    return kern_widen(l->c.ctx,
                      &(struct kern_widen){ .x = &n.bytes, .scale = &n.scale, .out = out });
}

/* From the bytes to where the layer reads them. */
static status take(struct line *l, int stage, int layer)
{
    struct tensor k, v;

    TRY(line_kv(l, stage, layer, &k, &v));
    TRY(widen(l, stage, 0, &k));
    return widen(l, stage, 1, &v);
}

status line_wire_make(struct line *l, struct line_span s, int layer)
{
    struct tensor k, v;

    for (int i = s.first; i < s.end && l->c.mode.wire == LINE_FP8; i++) {
        TRY(line_kv(l, i, layer, &k, &v));
        TRY(narrow(l, i, 0, &k));
        TRY(narrow(l, i, 1, &v));
        TRY(take(l, i, layer));
    }
    return ST_OK;
}

status line_wire_take(struct line *l, int layer)
{
    for (int i = 0; i <= l->levels && l->c.mode.wire == LINE_FP8; i++)
        if (l->by_heads ? line_holds(l, i) : line_arrives(l, i)) TRY(take(l, i, layer));
    return ST_OK;
}

status line_wire_parts(struct line *l, int stage, int layer, struct tensor out[2])
{
    if (l->c.mode.wire == LINE_ACT) return line_kv(l, stage, layer, &out[0], &out[1]);
    out[0] = tensor_slice(&l->wire.bytes, 2 * stage * l->tokens, 2 * l->tokens);
    out[1] = tensor_slice(&l->wire.scale, 2 * stage * l->tokens, 2 * l->tokens);
    return ST_OK;
}
