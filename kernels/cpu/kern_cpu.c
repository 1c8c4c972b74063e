/* kern_cpu.c - the CPU backend's memory and its table. */
#include "kernels/cpu/kern_cpu.h"
#include "kernels/cpu/amx.h"
#include "kernels/cpu/kern_cpu_ops.h"
#include "kernels/kern_compose.h"
#include "kernels/ref/kern_ref_ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void close_cpu(struct kern_ctx **ctx)
{
    if (!*ctx) return;
    struct cpu_ctx *const c = (struct cpu_ctx *)*ctx;
    pool_close(&c->pool);
    dnn_close(&c->dnn);
    for (int i = 0; c->scratch && i < c->base.threads; i++) free(c->scratch[i]);
    free(c->scratch);
    free(c->shared);
    free(c);
    *ctx = NULL;
}

static const char *absent_cpu(void) { return NULL; }

static status open_cpu(struct kern_ctx **out, const struct kern_config *config)
{
    struct cpu_ctx *const c = calloc(1, sizeof *c);
    int const threads = config->threads;
    struct kern_ctx *ctx = &c->base;
    status st = ST_OK;

    *out = NULL;
    if (!c) return fail(ST_NOMEM, "cpu: no memory for a context");
    c->base = (struct kern_ctx){ .backend = &kern_cpu_backend, .threads = threads };
    c->vec = vec_best();
    c->amx = cpu_has_amx();
    TRY_OUT(pool_open(&c->pool, threads));
    TRY_OUT(dnn_open(&c->dnn, threads));
    c->scratch = calloc((size_t)threads, sizeof *c->scratch);
    if (!c->scratch) TRY_OUT(fail(ST_NOMEM, "cpu: %d threads", threads));
    *out = ctx;
    ctx = NULL;
out:
    close_cpu(&ctx);
    return st;
}

size_t cpu_round_up(size_t bytes) { return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN; }

static status alloc_cpu(struct kern_ctx *ctx, size_t bytes, void **at)
{
    (void)ctx;
    *at = aligned_alloc(ARENA_ALIGN, cpu_round_up(bytes ? bytes : 1));
    return *at ? ST_OK : fail(ST_NOMEM, "host memory: %zu bytes", bytes);
}

static void free_cpu(struct kern_ctx *ctx, void *at)
{
    (void)ctx;
    free(at);
}

static status upload_cpu(struct kern_ctx *ctx, const struct tensor *to, const void *host)
{
    (void)ctx;
    memcpy(to->data, host, tensor_bytes(to));
    return ST_OK;
}

static status download_cpu(struct kern_ctx *ctx, void *host, const struct tensor *from)
{
    (void)ctx;
    memcpy(host, from->data, tensor_bytes(from));
    return ST_OK;
}

static status sync_cpu(struct kern_ctx *ctx)
{
    (void)ctx;
    return ST_OK;
}

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
        TRY(alloc_cpu(&c->base, bytes, &c->scratch[i]));
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
    TRY(alloc_cpu(&c->base, bytes, &c->shared));
    c->shared_bytes = bytes;
    return ST_OK;
}

void *cpu_cut(size_t *used, void *block, size_t bytes)
{
    void *const at = block ? (unsigned char *)block + *used : NULL;
    *used += cpu_round_up(bytes);
    return at;
}

static enum dtype part_cpu(enum dtype act)
{
    (void)act;
    return DT_F32;
}

static size_t packed_bytes_cpu(const struct kern_weight *w)
{
    return kern_is_linear(w->use) ? cpu_linear_bytes(w) : cpu_conv_bytes(w);
}

static status pack_cpu(struct kern_ctx *ctx, const struct kern_pack *a)
{
    struct cpu_ctx *const c = (struct cpu_ctx *)ctx;

    TRY(kern_check_pack(a));
    return kern_is_linear(a->w->use) ? cpu_linear_pack(c, a) : cpu_conv_pack(c, a);
}

static const char *kernels_cpu(char buf[KERN_TEXT])
{
    int version[3];
    unsigned const isa = dnn_version(version);

    snprintf(buf, KERN_TEXT, "oneDNN %d.%d.%d with instructions %#x, rows %s%s", version[0],
             version[1], version[2], isa, vec_best()->name, cpu_has_amx() ? ", amx" : "");
    return buf;
}

const struct kern_backend kern_cpu_backend = {
    .name = "cpu",
    .kernels = kernels_cpu,
    .ops = {
        .pack = pack_cpu,
        .linear = cpu_linear,
        .linear_norm = kern_compose_linear_norm,
        .qkv = kern_compose_qkv,
        .layernorm = cpu_layernorm,
        .rmsnorm = cpu_rmsnorm,
        .rope = cpu_rope,
        .attention = cpu_attention,
        .merge = cpu_merge,
        .conv3d = cpu_conv3d,
        .channel_norm = cpu_channel_norm,
        .mul = cpu_mul,
        .patchify = ref_patchify,
        .unpatchify = ref_unpatchify,
        .pictures = cpu_pictures,
        .axpby = cpu_axpby,
        .quantize_e4m3 = cpu_quantize_e4m3,
        .dequantize_e4m3 = cpu_dequantize_e4m3,
        .permute01 = ref_permute01,
        .copy = ref_copy,
        .zero = ref_zero,
    },
    .absent = absent_cpu,
    .open = open_cpu,
    .close = close_cpu,
    .alloc = alloc_cpu,
    .free = free_cpu,
    .upload = upload_cpu,
    .download = download_cpu,
    .sync = sync_cpu,
    .alloc_host = alloc_cpu,
    .free_host = free_cpu,
    .fetch = download_cpu,
    .await = sync_cpu,
    .part = part_cpu,
    .packed_bytes = packed_bytes_cpu,
};
