/*
 * render_store.h - the transformer of this process: loaded once, whichever and however
 * many of its ranks want it, and kept while one batch follows another.
 *
 * Any thread may call. Ranks that are threads of one process share one store.
 */
#ifndef RENDER_STORE_H
#define RENDER_STORE_H

#include "pipeline/dit.h"

struct render_store;

/* threads: that load. Whoever opens, closes; nobody may borrow then. */
status render_store_open(struct render_store **out, const struct kern_backend *backend,
                         int threads) MUST_USE;
void render_store_close(struct render_store **s); /* NULL is fine; sets NULL */

/* Borrow the model of this file, shape and precision; give it back when done. The last
 * one stays loaded until another is wanted. ST_ARG if another one is still lent. */
status render_store_borrow(struct render_store *s, const struct dit_config *c,
                           const struct dit **out) MUST_USE;
void render_store_give_back(struct render_store *s, const struct dit **d); /* sets NULL */

#endif /* RENDER_STORE_H */
