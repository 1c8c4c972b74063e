/*
 * kern_dry.h - a context that computes nothing: for a dry run of a forward pass, which
 * tells what its operations take, and later has it made ready for them.
 *
 *   first run    before anything is loaded, with weights and tensors from measuring arenas:
 *                the most scratch that an operation takes (kern_backend.scratch_bytes)
 *   second run   over the real arenas, before they hold anything: each operation, the first
 *                time that its shapes are met, is prepared in the context that will run it
 *                (kern_backend.prepare)
 *
 * The code of the pass is the same each time, so what is asked for and what is used cannot
 * drift. What the backend composes of others (kern_compose.h) is given as these.
 */
#ifndef KERN_DRY_H
#define KERN_DRY_H

#include "kernels/kern.h"

enum { KERN_DRY_SHAPES = 2048 };
struct kern_dry {
    struct kern_ctx base;
    struct kern_backend table; /* of `of`, but that nothing is computed, moved or waited for */
    const struct kern_backend *of;
    size_t most;                     /* bytes of scratch, so far */
    uint64_t shape[KERN_DRY_SHAPES]; /* met so far: kern_key.h */
    int shapes;
    struct kern_ctx *into; /* in which they are prepared; NULL: they are not */
    int all;               /* shapes that are to come then */
    double told;           /* when it was last said how many are prepared */
};

/* base is then a context like any other, but for memory: it has none to alloc. No close. */
void kern_dry_init(struct kern_dry *out, const struct kern_backend *of);

/* A run went over d: what another gives is prepared in ctx, which d's backend opened. That may
 * take seconds: a line on stderr says now and then how many are prepared. */
void kern_dry_prepare(struct kern_dry *d, struct kern_ctx *ctx);

#endif /* KERN_DRY_H */
