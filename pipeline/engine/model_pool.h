/*
 * model_pool.h - the transformer of this process: loaded once on each card that its
 * ranks compute on, whichever and however many of them want it, and kept while one batch
 * follows another.
 *
 * Any thread may call. Ranks that are threads of one process share one store.
 */
#ifndef MODEL_POOL_H
#define MODEL_POOL_H

#include "pipeline/dit/dit.h"

struct render_store;

/* threads: that load. Whoever opens, closes; nobody may borrow then. */
status render_store_open(struct render_store **out, const struct kern_backend *backend,
                         int threads) MUST_USE;
void render_store_close(struct render_store **s); /* NULL is fine; sets NULL */

enum { RENDER_STORE_DEVICES = 64 };

/* A model that is lent, where it lies. `hash` is the SHA-256 of its file, hex. */
struct render_model {
    const struct dit *dit;
    const char *hash;
    int device;
};

/* Borrow the model of this file, shape and precision on this card; give it back when done.
 * The last one stays loaded until another is wanted. ST_ARG if another one is still lent. */
status render_store_borrow(struct render_store *s, const struct dit_config *c, int device,
                           struct render_model *out) MUST_USE;
void render_store_give_back(struct render_store *s, struct render_model *m); /* zeroes it */

#endif /* MODEL_POOL_H */
