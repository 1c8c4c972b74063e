/*
 * cuda_ctx.c - a context on a card: opened and closed, its scratch, its memory, its fetches.
 *
 * All operations queue on the context's one stream and share one block of scratch, so scratch
 * needs no lock and no event: what the next operation writes there is queued behind what this one
 * reads. That is also why growing it waits for the stream. A fetch is the one thing that runs
 * beside: on its own stream, behind an event that says that what it copies has been computed.
 *
 * cuda_enter is called before anything of the CUDA runtime, since the runtime's current device
 * belongs to the thread and a context does not. Closing goes on where it fails: what is left to
 * free is host memory.
 */
#include "kernels/cuda/cuda_ctx.h"
#include "kernels/cuda/cuda_dev.h"
#include "kernels/cuda/library/cuda_dnn_graph.h"
#include "kernels/cuda/library/cuda_lt.h"

#include <stdlib.h>

struct cuda_fetch {
    void *stream;        /* the copies' own */
    void *ready, *there; /* events: what is to be copied is computed | the copy is through */
};

status cuda_enter(struct kern_ctx *ctx, struct cuda_ctx **out)
{
    *out = (struct cuda_ctx *)ctx;
    return cuda_dev_select((*out)->device);
}

status cuda_scratch(struct cuda_ctx *c, size_t bytes)
{
    if (bytes <= c->scratch_bytes) return ST_OK;
    TRY(cuda_stream_sync(c->stream));
    cuda_dev_free(c->scratch);
    c->scratch_bytes = 0;
    TRY(cuda_dev_alloc(bytes, &c->scratch));
    c->scratch_bytes = bytes;
    return ST_OK;
}

/* ---- opening and closing --------------------------------------------------------- */

static void close_fetch(struct cuda_ctx *c)
{
    if (!c->fetch) return;
    cuda_event_close(&c->fetch->there);
    cuda_event_close(&c->fetch->ready);
    cuda_stream_close(&c->fetch->stream);
    free(c->fetch);
    c->fetch = NULL;
}

void cuda_ctx_close(struct kern_ctx **ctx)
{
    struct cuda_ctx *c;

    if (!*ctx) return;
    if (cuda_enter(*ctx, &c) != ST_OK) error_clear(); /* what is left to do frees host memory */
    cuda_dnn_close(&c->dnn);
    cuda_lt_close(&c->lt);
    cuda_dev_free(c->scratch);
    close_fetch(c);
    cuda_stream_close(&c->stream);
    free(c);
    *ctx = NULL;
}

static status open_libraries(struct cuda_ctx *c, const struct kern_config *config)
{
    TRY(cuda_lt_open(&c->lt, &(struct cuda_lt_config){ .stream = c->stream,
                                                       .device = c->device,
                                                       .strict = config->strict }));
    return cuda_dnn_open(&c->dnn,
                         &(struct cuda_dnn_config){ .stream = c->stream, .device = c->device });
}

status cuda_ctx_open(struct kern_ctx **out, const struct kern_config *config,
                     const struct kern_backend *backend, bool libraries)
{
    struct cuda_ctx *const c = calloc(1, sizeof *c);
    struct kern_ctx *ctx = &c->base;
    status st = ST_OK;

    *out = NULL;
    if (!c) return fail(ST_NOMEM, "%s: no memory for a context", backend->name);
    c->base = (struct kern_ctx){ .backend = backend, .threads = config->threads };
    c->device = config->device;
    TRY_OUT(cuda_dev_select(c->device));
    TRY_OUT(cuda_stream_open(&c->stream, false));
    c->memory = (struct memory){ .device = c->device, .stream = c->stream };
    c->base.memory = &c->memory;
    if (libraries) TRY_OUT(open_libraries(c, config));
    *out = ctx;
    ctx = NULL;
out:
    cuda_ctx_close(&ctx);
    return st;
}

/* ---- memory ------------------------------------------------------------------------ */

status cuda_ctx_alloc(struct kern_ctx *ctx, size_t bytes, void **at)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    return cuda_dev_alloc(bytes, at);
}

void cuda_ctx_free(struct kern_ctx *ctx, void *at)
{
    struct cuda_ctx *c;

    if (cuda_enter(ctx, &c) != ST_OK) error_clear();
    cuda_dev_free(at);
}

status cuda_ctx_upload(struct kern_ctx *ctx, const struct tensor *to, const void *host)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    return cuda_dev_upload(to->data, host, tensor_bytes(to), c->stream);
}

status cuda_ctx_download(struct kern_ctx *ctx, void *host, const struct tensor *from)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    return cuda_dev_download(host, from->data, tensor_bytes(from), c->stream);
}

status cuda_ctx_sync(struct kern_ctx *ctx)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    return cuda_stream_sync(c->stream);
}

status cuda_ctx_reserve(struct kern_ctx *ctx, size_t bytes)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    return cuda_scratch(c, bytes);
}

/* ---- fetches ------------------------------------------------------------------------ */

status cuda_ctx_alloc_host(struct kern_ctx *ctx, size_t bytes, void **at)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    return cuda_host_alloc(bytes, at);
}

void cuda_ctx_free_host(struct kern_ctx *ctx, void *at)
{
    struct cuda_ctx *c;

    if (cuda_enter(ctx, &c) != ST_OK) error_clear();
    cuda_host_free(at);
}

static status open_fetch(struct cuda_ctx *c)
{
    c->fetch = calloc(1, sizeof *c->fetch);
    if (!c->fetch) return fail(ST_NOMEM, "fetch: no memory for its stream and events");
    TRY(cuda_stream_open(&c->fetch->stream, false));
    TRY(cuda_event_open(&c->fetch->ready));
    return cuda_event_open(&c->fetch->there);
}

status cuda_ctx_fetch(struct kern_ctx *ctx, void *host, const struct tensor *from)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    if (!c->fetch) {
        status const st = open_fetch(c);
        if (st != ST_OK) close_fetch(c);
        TRY(st);
    }
    TRY(cuda_event_record(c->fetch->ready, c->stream));
    TRY(cuda_event_wait(c->fetch->ready, c->fetch->stream));
    TRY(cuda_dev_copy(host, from->data, tensor_bytes(from), c->fetch->stream));
    return cuda_event_record(c->fetch->there, c->fetch->stream);
}

status cuda_ctx_await(struct kern_ctx *ctx)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    return c->fetch ? cuda_event_sync(c->fetch->there) : ST_OK;
}
