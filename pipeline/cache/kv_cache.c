#include "pipeline/cache/kv_cache.h"

static int slots(const struct cache_shape *s) { return 1 + s->lookback; }

static int slot_of(const struct cache *c, int64_t block)
{
    return block == 0 ? 0 : 1 + (int)((block - 1) % c->shape.lookback);
}

status cache_place(struct cache *out, const struct cache_shape *shape, struct arena *a)
{
    out->shape = *shape;
    if (shape->lookback < 1 || slots(shape) > COUNT_OF(out->block))
        return fail(ST_ARG, "cache: %d blocks back; 1 to %d are allowed", shape->lookback,
                    COUNT_OF(out->block) - 1);
    int64_t const rows = (int64_t)slots(shape) * shape->layers * shape->tokens;
    cache_reset(out);
    TRY(tensor_place(&out->k, a, shape->act, DIMS(rows, shape->dim)));
    return tensor_place(&out->v, a, shape->act, DIMS(rows, shape->dim));
}

void cache_reset(struct cache *c)
{
    for (int i = 0; i < COUNT_OF(c->block); i++) c->block[i] = -1;
}

void cache_put(struct cache *c, int64_t block) { c->block[slot_of(c, block)] = block; }

status cache_get(const struct cache *c, int64_t block, int layer, struct tensor *k,
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
