/* kv_cache.c - slots for clean keys and values: the first are the bank's, the others are a ring of
 * the newest blocks; a table says which block a slot holds. */
#include "pipeline/cache/kv_cache.h"

static int count_slots(const struct kv_cache_shape *s) { return s->bank + s->lookback; }

static int slot_of(const struct kv_cache *c, int64_t block)
{
    int const bank = c->shape.bank;
    return block < bank ? (int)block : bank + (int)((block - bank) % c->shape.lookback);
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
    for (int i = 0; i < COUNT_OF(c->block); i++) c->block[i] = -1;
}

void kv_cache_put(struct kv_cache *c, int64_t block) { c->block[slot_of(c, block)] = block; }

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
