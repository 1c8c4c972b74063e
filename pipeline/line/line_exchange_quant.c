/*
 * line_exchange_quant.c - keys and values as they go over the wire.
 *
 * In 8 bits a stage's are a tensor of bytes and one of scales, keys first, then values:
 * made by the rank that owns the stage, which then has them back from there as all others
 * have, so that it does not show where ranks are. By heads line_exchange_heads.c makes them.
 */
#include "pipeline/line/line_internal.h"

status line_quant_place(struct line *l, struct arena *a)
{
    int64_t const rows = 2 * (l->levels + 1) * l->tokens;

    if (l->c.mode.wire == LINE_ACT) return ST_OK;
    TRY(tensor_place(&l->wire.bytes, a, DT_U8, DIMS(rows, l->attn_shape.dim)));
    return tensor_place(&l->wire.scale, a, DT_F32, DIMS(rows));
}

struct tensor line_quant_scales(const struct line *l, int stage)
{
    return tensor_slice(&l->wire.scale, 2 * stage * l->tokens, 2 * l->tokens);
}

static struct tensor bytes_of(const struct line *l, int stage)
{
    return tensor_slice(&l->wire.bytes, 2 * stage * l->tokens, 2 * l->tokens);
}

/* Keys', 0, or values'. */
static struct tensor half_of(const struct line *l, const struct tensor *both, int which)
{
    return tensor_slice(both, which * l->tokens, l->tokens);
}

status line_quantize_stage(struct line *l, int stage, const struct tensor kv[2],
                           const struct tensor *bytes)
{
    struct tensor const scales = line_quant_scales(l, stage);

    for (int i = 0; i < 2; i++) {
        struct tensor out = half_of(l, bytes, i), scale = half_of(l, &scales, i);
        TRY(kern_quantize_e4m3(
            l->c.ctx, &(struct kern_quantize_e4m3){ .x = &kv[i], .out = &out, .scale = &scale }));
    }
    return ST_OK;
}

/* From the bytes to where the layer reads them. */
static status restore_stage(struct line *l, int stage, int layer)
{
    struct tensor const bytes = bytes_of(l, stage), scales = line_quant_scales(l, stage);
    struct tensor kv[2];

    TRY(line_kv(l, stage, layer, &kv[0], &kv[1]));
    for (int i = 0; i < 2; i++) {
        struct tensor const x = half_of(l, &bytes, i), scale = half_of(l, &scales, i);
        TRY(kern_dequantize_e4m3(
            l->c.ctx, &(struct kern_dequantize_e4m3){ .x = &x, .scale = &scale, .out = &kv[i] }));
    }
    return ST_OK;
}

status line_quantize_kv(struct line *l, struct line_span s, int layer)
{
    struct tensor kv[2];

    if (l->c.mode.wire == LINE_ACT) return ST_OK;
    for (int i = s.first; i < s.end; i++) {
        struct tensor const bytes = bytes_of(l, i);
        TRY(line_kv(l, i, layer, &kv[0], &kv[1]));
        TRY(line_quantize_stage(l, i, kv, &bytes));
        TRY(restore_stage(l, i, layer));
    }
    return ST_OK;
}

status line_dequantize_kv(struct line *l, int layer)
{
    if (l->c.mode.wire == LINE_ACT) return ST_OK;
    for (int i = 0; i <= l->levels; i++)
        if (l->exchange->arrives(l, i)) TRY(restore_stage(l, i, layer));
    return ST_OK;
}

status line_kv_parts(struct line *l, int stage, int layer, struct tensor out[2])
{
    if (l->c.mode.wire == LINE_ACT) return line_kv(l, stage, layer, &out[0], &out[1]);
    out[0] = bytes_of(l, stage);
    out[1] = line_quant_scales(l, stage);
    return ST_OK;
}
