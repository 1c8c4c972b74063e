/*
 * kv_cache.h - clean keys and values of the clip in work, block by block, and a policy's own rows.
 *
 * A table slot -> source block. Keys lie without RoPE: which frames a pass uses
 * and at which positions is a rule of kv_policy.h. The clip's first blocks, the bank, have slots to
 * themselves; the others share a ring of the newest ones. Behind them are, per layer, the rows that
 * a policy keeps which are no frame's.
 */
#ifndef KV_CACHE_H
#define KV_CACHE_H

#include "kernels/kern.h"

enum { KV_SLOTS = 192 };

struct kv_cache_shape {
    int layers, bank, lookback; /* bank: kv_policy_bank; lookback: kv_lookback */
    int64_t tokens, dim;        /* of a block */
    int64_t kept;               /* rows of a layer; 0: none */
    bool wide;                  /* these in F32, too */
    enum dtype act;
};

struct kv_cache {
    struct kv_cache_shape shape;
    struct tensor k, v;           /* [slots * layers * tokens, dim] act */
    struct tensor kept_k, kept_v; /* [layers * kept, dim] act */
    struct tensor wide_k, wide_v; /* the same in F32, where shape.wide */
    int64_t bank_first;           /* the block that the bank begins with: 0, or kept later */
    int64_t block[KV_SLOTS];      /* per slot: the source block, -1 while empty */
};

status kv_cache_place(struct kv_cache *out, const struct kv_cache_shape *shape,
                      struct arena *a) MUST_USE;

/* Forget everything: another clip begins. */
void kv_cache_reset(struct kv_cache *c);

/* Take over the place of a new block; what stood there is gone. */
void kv_cache_put(struct kv_cache *c, int64_t block);

/* From now on the bank is blocks first .. and on, as many as it has slots: all there, and copied.
 * What it held is gone. */
status kv_cache_keep(struct kv_cache *c, struct kern_ctx *ctx, int64_t first) MUST_USE;

/* One layer's keys or values of a block that is there: [tokens, dim]. ST_ARG if
 * it is not, which means a rule asked for more than kv_lookback promised. */
status kv_cache_get(const struct kv_cache *c, int64_t block, int layer, struct tensor *k,
                    struct tensor *v) MUST_USE;

/* A layer's own rows first .. first+rows-1, as they are attended to. */
void kv_cache_kept(const struct kv_cache *c, int layer, int64_t first, int64_t rows,
                   struct tensor *k, struct tensor *v);

#endif /* KV_CACHE_H */
