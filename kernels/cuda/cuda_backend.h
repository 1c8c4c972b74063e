/*
 * cuda_backend.h - the CUDA backends, one per level, and what their files share.
 *
 *   cuda-1   own kernels in plain CUDA C, for every operation; needs no library beside
 *            the runtime, and is the oracle where the oracle in C is too slow
 *   cuda-2   products by cuBLASLt, attention and convolution by cuDNN, rows by own kernels
 *            that do several operations in one pass; what those do not take stays with
 *            level 1 (cuda_fast.h, cuda_fast_conv.h)
 *   cuda-3   products with low_precision weights in FP8 by cuBLASLt (cuda_fp8.h), all else as
 *            level 2; needs a card of compute capability 9
 *   cuda-4   as level 3, and attention in FP8 by cuDNN (cuda_fp8_attention.h)
 *
 * Each level is a table of its own; cuda_backend.c is the page that says which function
 * serves which operation at which level. Built without CUDA there are none
 * (cuda_stub.c).
 *
 * A context belongs to the device it was opened on and queues all its work on one
 * stream. It may pass from thread to thread: every operation selects the device for
 * the calling thread first (cuda_enter).
 *
 * upload and download wait for their stream: on return the host memory may be used
 * again. pack converts on the host.
 */
#ifndef CUDA_BACKEND_H
#define CUDA_BACKEND_H

#include "kernels/kern.h"

/* The CUDA backends of this build by level, the plain one first; NULL behind the last. */
const struct kern_backend *cuda_backend_at(int i);

/* Private to kernels/. */
struct cuda_ctx {
    struct kern_ctx base; /* first member: a kern_ctx * is a cuda_ctx * here */
    int device;
    void *stream;
    struct memory memory; /* those two, for whoever sends tensors from here */
    void *scratch;        /* contents of no operation outlive it */
    size_t scratch_bytes;
    struct cuda_lt *lt;       /* from level 2 on */
    struct cuda_dnn *dnn;     /* likewise */
    struct cuda_fetch *fetch; /* NULL until the first one */
};

/* The context behind ctx, with its device selected for this thread. Every operation and
 * every member of the table begins with it. */
status cuda_enter(struct kern_ctx *ctx, struct cuda_ctx **out) MUST_USE;

/* At least `bytes` of scratch. Where it must grow, queued work is waited for first;
 * whoever cares reserves beforehand, which calls this. */
status cuda_scratch(struct cuda_ctx *c, size_t bytes) MUST_USE;

/* cuda_fetch.c: the members of that name, on a stream of their own. */
status cuda_alloc_host(struct kern_ctx *ctx, size_t bytes, void **at) MUST_USE;
void cuda_free_host(struct kern_ctx *ctx, void *at);
status cuda_fetch(struct kern_ctx *ctx, void *host, const struct tensor *from) MUST_USE;
status cuda_await(struct kern_ctx *ctx) MUST_USE;
void cuda_fetch_close(struct cuda_ctx *c); /* before the context's stream */

#endif /* CUDA_BACKEND_H */
