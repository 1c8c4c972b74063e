/*
 * kv_cache.h - clean keys and values of the clip in work, block by block.
 *
 * A table slot -> source block. Keys lie without RoPE: which frames a pass uses
 * and at which positions is a rule of kv_policy.h. Block 0, the sink, has slot 0 to
 * itself; the others share a ring of the newest ones.
 */
#ifndef KV_CACHE_H
#define KV_CACHE_H

#include "kernels/tensor.h"

struct cache_shape {
    int layers, lookback; /* lookback: see keys_lookback */
    int64_t tokens, dim;  /* of a block */
    enum dtype act;
};

struct cache {
    struct cache_shape shape;
    struct tensor k, v;    /* [slots * layers * tokens, dim] act */
    int64_t block[1 + 64]; /* per slot: the source block, -1 while empty */
};

status cache_place(struct cache *out, const struct cache_shape *shape, struct arena *a) MUST_USE;

/* Forget everything: another clip begins. */
void cache_reset(struct cache *c);

/* Take over the place of a new block; what stood there is gone. */
void cache_put(struct cache *c, int64_t block);

/* One layer's keys or values of a block that is there: [tokens, dim]. ST_ARG if
 * it is not, which means a rule asked for more than keys_lookback promised. */
status cache_get(const struct cache *c, int64_t block, int layer, struct tensor *k,
                 struct tensor *v) MUST_USE;

#endif /* KV_CACHE_H */
