/* kv_cache.c - slots for clean keys and values: slot 0 is the sink's, the others are a ring of the
 * newest blocks; a table says which block a slot holds. */
#include "pipeline/cache/kv_cache.h"

static int slots(const struct kv_cache_shape *s) { return 1 + s->lookback; }

static int slot_of(const struct kv_cache *c, int64_t block)
{
    return block == 0 ? 0 : 1 + (int)((block - 1) % c->shape.lookback);
}

status kv_cache_place(struct kv_cache *out, const struct kv_cache_shape *shape, struct arena *a)
{
    out->shape = *shape;
    if (shape->lookback < 1 || slots(shape) > COUNT_OF(out->block))
        return fail(ST_ARG, "cache: %d blocks back; 1 to %d are allowed", shape->lookback,
                    COUNT_OF(out->block) - 1);
    int64_t const rows = (int64_t)slots(shape) * shape->layers * shape->tokens;
    kv_cache_reset(out);
    TRY(tensor_place(&out->k, a, shape->act, DIMS(rows, shape->dim)));
    return tensor_place(&out->v, a, shape->act, DIMS(rows, shape->dim));
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
