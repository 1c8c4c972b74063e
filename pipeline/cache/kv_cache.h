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

struct kv_cache_shape {
    int layers, lookback; /* lookback: see kv_lookback */
    int64_t tokens, dim;  /* of a block */
    enum dtype act;
};

struct kv_cache {
    struct kv_cache_shape shape;
    struct tensor k, v;    /* [slots * layers * tokens, dim] act */
    int64_t block[1 + 64]; /* per slot: the source block, -1 while empty */
};

status kv_cache_place(struct kv_cache *out, const struct kv_cache_shape *shape,
                      struct arena *a) MUST_USE;

/* Forget everything: another clip begins. */
void kv_cache_reset(struct kv_cache *c);

/* Take over the place of a new block; what stood there is gone. */
void kv_cache_put(struct kv_cache *c, int64_t block);

/* One layer's keys or values of a block that is there: [tokens, dim]. ST_ARG if
 * it is not, which means a rule asked for more than kv_lookback promised. */
status kv_cache_get(const struct kv_cache *c, int64_t block, int layer, struct tensor *k,
                    struct tensor *v) MUST_USE;

#endif /* KV_CACHE_H */
