/*
 * cuda_ctx.h - what the CUDA backends compute in: a device, a stream, scratch, the libraries.
 *
 * A context belongs to the device it was opened on and queues all its work on one
 * stream. It may pass from thread to thread: every operation selects the device for
 * the calling thread first (cuda_enter).
 *
 * Private to kernels/cuda/. The level tables (cuda_backend.c) call what is here, and so do all
 * operations; nothing here knows of either.
 */
#ifndef CUDA_CTX_H
#define CUDA_CTX_H

#include "kernels/kern.h"

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
 * whoever cares reserves beforehand (cuda_ctx_reserve). */
status cuda_scratch(struct cuda_ctx *c, size_t bytes) MUST_USE;

/* On config's device. `libraries`: with cuBLASLt and cuDNN; they take CUDA_LT_WORKSPACE bytes. */
status cuda_ctx_open(struct kern_ctx **out, const struct kern_config *config,
                     const struct kern_backend *backend, bool libraries) MUST_USE;

/* Members of a kern_backend: kern.h says what each does. upload and download wait for their
 * stream: on return the host memory may be used again. Fetches have a stream of their own. */
void cuda_ctx_close(struct kern_ctx **ctx);
status cuda_ctx_alloc(struct kern_ctx *ctx, size_t bytes, void **at) MUST_USE;
void cuda_ctx_free(struct kern_ctx *ctx, void *at);
status cuda_ctx_upload(struct kern_ctx *ctx, const struct tensor *to, const void *host) MUST_USE;
status cuda_ctx_download(struct kern_ctx *ctx, void *host, const struct tensor *from) MUST_USE;
status cuda_ctx_sync(struct kern_ctx *ctx) MUST_USE;
status cuda_ctx_reserve(struct kern_ctx *ctx, size_t bytes) MUST_USE;
status cuda_ctx_alloc_host(struct kern_ctx *ctx, size_t bytes, void **at) MUST_USE;
void cuda_ctx_free_host(struct kern_ctx *ctx, void *at);
status cuda_ctx_fetch(struct kern_ctx *ctx, void *host, const struct tensor *from) MUST_USE;
status cuda_ctx_await(struct kern_ctx *ctx) MUST_USE;

#endif /* CUDA_CTX_H */
