/* kern_cpu_util.c - a context's scratch, and what this machine's tiles compute in. */
#include "kernels/cpu/cpu_internal.h"

#include <stdlib.h>

enum dtype cpu_tile_dtype(enum dtype act)
{
    return act == DT_BF16 && dnn_bf16_is_fast() ? DT_BF16 : DT_F32;
}

bool cpu_has_amx(void) { return dnn_amx_is_allowed() && amx_available(); }

status cpu_scratch(struct cpu_ctx *c, size_t bytes)
{
    if (bytes <= c->scratch_bytes) return ST_OK;
    c->scratch_bytes = 0;
    for (int i = 0; i < c->base.threads; i++) {
        free(c->scratch[i]);
        TRY(kern_host_alloc(&c->base, bytes, &c->scratch[i]));
    }
    c->scratch_bytes = bytes;
    return ST_OK;
}

status cpu_shared(struct cpu_ctx *c, size_t bytes)
{
    if (bytes <= c->shared_bytes) return ST_OK;
    c->shared_bytes = 0;
    free(c->shared);
    c->shared = NULL;
    TRY(kern_host_alloc(&c->base, bytes, &c->shared));
    c->shared_bytes = bytes;
    return ST_OK;
}

void *cpu_cut(size_t *used, void *block, size_t bytes)
{
    void *const at = block ? (unsigned char *)block + *used : NULL;
    *used += kern_round_up(bytes);
    return at;
}
