/* kern_cpu.c - the CPU backend's table, and its context opened and closed. */
#include "kernels/cpu/kern_cpu.h"
#include "kernels/cpu/cpu_internal.h"
#include "kernels/kern_internal.h"
#include "kernels/ref/kern_ref.h"

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
    if (!c->scratch)
        TRY_OUT(fail(ST_NOMEM, "cpu: no memory for the scratch of %d threads", threads));
    *out = ctx;
    ctx = NULL;
out:
    close_cpu(&ctx);
    return st;
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
        .score_keys = cpu_score_keys,
        .sum_rows = cpu_sum_rows,
        .gather_rows = ref_gather_rows,
        .cast = ref_cast,
        .copy = ref_copy,
        .zero = ref_zero,
    },
    .absent = kern_host_absent,
    .open = open_cpu,
    .close = close_cpu,
    .alloc = kern_host_alloc,
    .free = kern_host_free,
    .upload = kern_host_upload,
    .download = kern_host_download,
    .sync = kern_host_sync,
    .alloc_host = kern_host_alloc,
    .free_host = kern_host_free,
    .fetch = kern_host_download,
    .await = kern_host_sync,
    .partial_dtype = kern_partial_f32,
    .packed_bytes = packed_bytes_cpu,
};
