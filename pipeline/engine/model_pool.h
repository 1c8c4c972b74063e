/*
 * model_pool.h - the transformer of this process: loaded once on each card that its
 * ranks compute on, whichever and however many of them want it, and kept while one group
 * follows another.
 *
 * Any thread may call. Ranks that are threads of one process share one pool.
 */
#ifndef MODEL_POOL_H
#define MODEL_POOL_H

#include "pipeline/dit/dit.h"

struct model_pool;

/* threads: that load. Whoever opens, closes; nobody may borrow then. */
status model_pool_open(struct model_pool **out, int threads) MUST_USE;
void model_pool_close(struct model_pool **p); /* NULL is fine; sets NULL */

enum { MODEL_POOL_DEVICES = 64 };

/* A model that is lent, where it lies. `hash` is the SHA-256 of its file, hex. */
struct pooled_model {
    const struct dit *dit;
    const char *hash;
    int device;
};

/* Which model, where, and for which backend. */
struct model_request {
    const struct dit_config *dit; /* file, shape, precision */
    const struct kern_backend *backend;
    const char *files;      /* key of all the files that make it, as they are (model_files_key) */
    const char *hash_cache; /* file_hash.h; NULL: none */
    int device;
};

/* Borrow it; give it back when done. The last one stays loaded until another is wanted. ST_ARG if
 * another one is still lent. */
status model_pool_acquire(struct model_pool *p, const struct model_request *r,
                          struct pooled_model *out) MUST_USE;
void model_pool_release(struct model_pool *p, struct pooled_model *m); /* zeroes it */

#endif /* MODEL_POOL_H */
