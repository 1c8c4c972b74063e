/* cuda_fetch.c - copies to the host beside the work that follows. */
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/cuda_dev.h"

#include <stdlib.h>

struct cuda_fetch {
    void *stream;        /* the copies' own */
    void *ready, *there; /* events: what is to be copied is computed | the copy is through */
};

status cuda_alloc_host(struct kern_ctx *ctx, size_t bytes, void **at)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    return cuda_host_alloc(bytes, at);
}

void cuda_free_host(struct kern_ctx *ctx, void *at)
{
    struct cuda_ctx *c;

    if (cuda_enter(ctx, &c) != ST_OK) error_clear();
    cuda_host_free(at);
}

void cuda_fetch_close(struct cuda_ctx *c)
{
    if (!c->fetch) return;
    cuda_event_close(&c->fetch->there);
    cuda_event_close(&c->fetch->ready);
    cuda_stream_close(&c->fetch->stream);
    free(c->fetch);
    c->fetch = NULL;
}

static status fetch_open(struct cuda_ctx *c)
{
    c->fetch = calloc(1, sizeof *c->fetch);
    if (!c->fetch) return fail(ST_NOMEM, "fetch: no memory for its stream");
    TRY(cuda_stream_open(&c->fetch->stream, false));
    TRY(cuda_event_open(&c->fetch->ready));
    return cuda_event_open(&c->fetch->there);
}

status cuda_fetch(struct kern_ctx *ctx, void *host, const struct tensor *from)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    if (!c->fetch) {
        status const st = fetch_open(c);
        if (st != ST_OK) cuda_fetch_close(c);
        TRY(st);
    }
    TRY(cuda_event_record(c->fetch->ready, c->stream));
    TRY(cuda_event_wait(c->fetch->ready, c->fetch->stream));
    TRY(cuda_dev_copy(host, from->data, tensor_bytes(from), c->fetch->stream));
    return cuda_event_record(c->fetch->there, c->fetch->stream);
}

status cuda_await(struct kern_ctx *ctx)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    return c->fetch ? cuda_event_sync(c->fetch->there) : ST_OK;
}
