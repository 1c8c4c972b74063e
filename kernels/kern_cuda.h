/*
 * kern_cuda.h - the CUDA backends, one per level, and what their files share.
 *
 *   cuda-1   own kernels in plain CUDA C, for every operation; needs no library beside
 *            the runtime, and is the oracle where the oracle in C is too slow
 *
 * Each level is a table of its own; kern_cuda.c is the page that says which function
 * serves which operation at which level. Built without CUDA there are none
 * (kern_cuda_none.c).
 *
 * A context belongs to the device it was opened on and queues all its work on one
 * stream. It may pass from thread to thread: every operation selects the device for
 * the calling thread first (cuda_enter).
 *
 * upload and download wait for their stream: on return the host memory may be used
 * again. pack converts on the host.
 */
#ifndef KERN_CUDA_H
#define KERN_CUDA_H

#include "kernels/kern.h"

/* The CUDA backends of this build by level, the plain one first; NULL behind the last. */
const struct kern_backend *kern_cuda_at(int i);

/* Private to kernels/. */
struct cuda_ctx {
    struct kern_ctx base; /* first member: a kern_ctx * is a cuda_ctx * here */
    int device;
    void *stream;
    void *scratch; /* contents of no operation outlive it */
    size_t scratch_bytes;
};

/* The context behind ctx, with its device selected for this thread. Every operation and
 * every member of the table begins with it. */
status cuda_enter(struct kern_ctx *ctx, struct cuda_ctx **out) MUST_USE;

/* At least `bytes` of scratch. Where it must grow, queued work is waited for first; so the
 * first tick brings it to its size. */
status cuda_scratch(struct cuda_ctx *c, size_t bytes) MUST_USE;

#endif /* KERN_CUDA_H */
