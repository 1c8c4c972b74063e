/* kern_host_memory.c - memory of the processor, for the backends ref and cpu alike. */
#include "kernels/kern_internal.h"

#include <stdlib.h>
#include <string.h>

size_t kern_round_up(size_t bytes) { return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN; }

status kern_host_alloc(struct kern_ctx *ctx, size_t bytes, void **at)
{
    (void)ctx;
    *at = aligned_alloc(ARENA_ALIGN, kern_round_up(bytes ? bytes : 1));
    return *at ? ST_OK : fail(ST_NOMEM, "no host memory for %zu bytes", bytes);
}

void kern_host_free(struct kern_ctx *ctx, void *at)
{
    (void)ctx;
    free(at);
}

status kern_host_upload(struct kern_ctx *ctx, const struct tensor *to, const void *host)
{
    (void)ctx;
    memcpy(to->data, host, tensor_bytes(to));
    return ST_OK;
}

status kern_host_download(struct kern_ctx *ctx, void *host, const struct tensor *from)
{
    (void)ctx;
    memcpy(host, from->data, tensor_bytes(from));
    return ST_OK;
}

status kern_host_sync(struct kern_ctx *ctx)
{
    (void)ctx;
    return ST_OK;
}

const char *kern_host_absent(void) { return NULL; }

enum dtype kern_partial_f32(enum dtype act)
{
    (void)act;
    return DT_F32;
}
