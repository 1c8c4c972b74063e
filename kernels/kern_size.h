/*
 * kern_size.h - a context that computes nothing and notes how much scratch the
 * operations it is given would take: kern_backend.scratch_bytes, the most of all. What
 * the backend composes of others (kern_compose.h) takes what these take.
 *
 * The code of a forward pass is run once over it, with weights and tensors from
 * measuring arenas, before anything is loaded; then over a real context with that much
 * reserved. So what is asked for and what is used cannot drift.
 */
#ifndef KERN_SIZE_H
#define KERN_SIZE_H

#include "kernels/kern.h"

struct kern_size {
    struct kern_ctx base;
    struct kern_backend table; /* of `of`, but that nothing is computed, moved or waited for */
    const struct kern_backend *of;
    size_t most; /* bytes, so far */
};

/* base is then a context like any other, but for memory: it has none to alloc. No close. */
void kern_size_init(struct kern_size *out, const struct kern_backend *of);

#endif /* KERN_SIZE_H */
