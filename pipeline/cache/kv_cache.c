/* kv_cache.c - slots for clean keys and values: the first are the bank's, the others are a ring of
 * the newest blocks; a table says which block a slot holds. */
#include "pipeline/cache/kv_cache.h"

static int count_slots(const struct kv_cache_shape *s) { return s->bank + s->lookback; }

static int slot_of(const struct kv_cache *c, int64_t block)
{
    int const bank = c->shape.bank;
    bool const kept = block >= c->bank_first && block < c->bank_first + bank;

    return kept ? (int)(block - c->bank_first) : bank + (int)((block - bank) % c->shape.lookback);
}

static status place_kept(struct kv_cache *out, struct arena *a)
{
    const struct kv_cache_shape *const s = &out->shape;
    int64_t const rows = s->kept * s->layers;

    TRY(tensor_place(&out->kept_k, a, s->act, DIMS(rows, s->dim)));
    TRY(tensor_place(&out->kept_v, a, s->act, DIMS(rows, s->dim)));
    if (!s->wide) return ST_OK;
    TRY(tensor_place(&out->wide_k, a, DT_F32, DIMS(rows, s->dim)));
    return tensor_place(&out->wide_v, a, DT_F32, DIMS(rows, s->dim));
}

status kv_cache_place(struct kv_cache *out, const struct kv_cache_shape *shape, struct arena *a)
{
    out->shape = *shape;
    if (shape->bank < 1 || shape->lookback < 1 || count_slots(shape) > KV_SLOTS)
        return fail(ST_ARG,
                    "cache: %d first blocks and %d newest; 1 of each, %d in all are allowed",
                    shape->bank, shape->lookback, KV_SLOTS);
    int64_t const rows = (int64_t)count_slots(shape) * shape->layers * shape->tokens;
    kv_cache_reset(out);
    TRY(tensor_place(&out->k, a, shape->act, DIMS(rows, shape->dim)));
    TRY(tensor_place(&out->v, a, shape->act, DIMS(rows, shape->dim)));
    return shape->kept ? place_kept(out, a) : ST_OK;
}

void kv_cache_reset(struct kv_cache *c)
{
    c->bank_first = 0;
    for (int i = 0; i < COUNT_OF(c->block); i++) c->block[i] = -1;
}

void kv_cache_put(struct kv_cache *c, int64_t block) { c->block[slot_of(c, block)] = block; }

/* A slot's rows of all layers. */
static struct tensor slot_rows(const struct kv_cache *c, const struct tensor *of, int slot)
{
    int64_t const rows = c->shape.layers * c->shape.tokens;
    return tensor_slice(of, slot * rows, rows);
}

status kv_cache_keep(struct kv_cache *c, struct kern_ctx *ctx, int64_t first)
{
    const struct tensor *const all[] = { &c->k, &c->v };

    if (first == c->bank_first) return ST_OK;
    for (int i = 0; i < c->shape.bank; i++) {
        int const from = slot_of(c, first + i);
        if (c->block[from] != first + i)
            return fail(ST_ARG, "cache: block %lld is to be kept, and not there",
                        (long long)(first + i));
        for (int k = 0; k < COUNT_OF(all); k++) {
            struct tensor const in = slot_rows(c, all[k], from);
            struct tensor out = slot_rows(c, all[k], i);
            TRY(kern_copy(ctx, &(struct kern_copy){ .in = &in, .out = &out }));
        }
        c->block[i] = first + i;
    }
    c->bank_first = first;
    return ST_OK;
}

status kv_cache_get(const struct kv_cache *c, int64_t block, int layer, struct tensor *k,
                    struct tensor *v)
{
    int const slot = slot_of(c, block);
    int64_t const row = ((int64_t)slot * c->shape.layers + layer) * c->shape.tokens;

    if (c->block[slot] != block)
        return fail(ST_ARG, "cache: block %lld is not there; its slot holds %lld", (long long)block,
                    (long long)c->block[slot]);
    *k = tensor_slice(&c->k, row, c->shape.tokens);
    *v = tensor_slice(&c->v, row, c->shape.tokens);
    return ST_OK;
}

void kv_cache_kept(const struct kv_cache *c, int layer, int64_t first, int64_t rows,
                   struct tensor *k, struct tensor *v)
{
    int64_t const row = layer * c->shape.kept + first;

    *k = tensor_slice(&c->kept_k, row, rows);
    *v = tensor_slice(&c->kept_v, row, rows);
}
