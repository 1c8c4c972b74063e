/*
 * kern_dry_run.h - a forward pass over a context that computes nothing, which finds what its
 * operations take, or has a real context made ready for them.
 *
 *   size      before anything is loaded, with weights and tensors from measuring arenas: the
 *             most scratch that an operation takes (kern_backend.scratch_bytes)
 *   prepare   over the real arenas, before they hold anything: each operation, the first time
 *             that its shapes are met, is prepared (kern_backend.prepare)
 *
 * Both are right as far as the pass asks for the operations that the real one will: it is best
 * made of the same functions. What the backend composes of others (kern_compose.c) is asked
 * for as these.
 */
#ifndef KERN_DRY_RUN_H
#define KERN_DRY_RUN_H

#include "kernels/kern.h"

/* ctx: like any other, but for memory: it has none to alloc, and moves none. */
typedef status (*kern_dry_run_pass)(struct kern_ctx *ctx, void *arg);

/* 0 where the backend does not say. */
status kern_dry_run_size(size_t *out, const struct kern_backend *backend, kern_dry_run_pass pass,
                         void *arg) MUST_USE;

/* Goes over the pass twice: the first time, it counts. That may take seconds: a line on stderr
 * says now and then how many are prepared. Scratch is reserved in ctx. Nothing, not even a pass,
 * where the backend has nothing to prepare. */
status kern_dry_run_prepare(struct kern_ctx *ctx, kern_dry_run_pass pass, void *arg) MUST_USE;

#endif /* KERN_DRY_RUN_H */
