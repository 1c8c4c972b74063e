/* cuda_backend.c - the CUDA backends' memory, and which function serves what at which level. */
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/cuda_dev.h"
#include "kernels/cuda/fp8/cuda_fp8.h"
#include "kernels/cuda/fp8/cuda_fp8_attention.h"
#include "kernels/cuda/fused/cuda_fast.h"
#include "kernels/cuda/fused/cuda_fast_attention.h"
#include "kernels/cuda/fused/cuda_fast_conv.h"
#include "kernels/cuda/library/cuda_lt.h"
#include "kernels/cuda/plain/cuda_plain.h"
#include "kernels/kern_device.h"
#include "kernels/kern_internal.h"

#include <stdio.h>
#include <stdlib.h>

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

static void close_cuda(struct kern_ctx **ctx)
{
    struct cuda_ctx *c;

    if (!*ctx) return;
    if (cuda_enter(*ctx, &c) != ST_OK) error_clear(); /* what is left to do frees host memory */
    cuda_dnn_close(&c->dnn);
    cuda_lt_close(&c->lt);
    cuda_dev_free(c->scratch);
    cuda_fetch_close(c);
    cuda_stream_close(&c->stream);
    free(c);
    *ctx = NULL;
}

static status open_cuda(struct kern_ctx **out, const struct kern_config *config,
                        const struct kern_backend *backend)
{
    const char *const absent = cuda_dev_absent();
    struct cuda_ctx *const c = calloc(1, sizeof *c);
    struct kern_ctx *ctx = &c->base;
    status st = ST_OK;

    *out = NULL;
    if (!c) return fail(ST_NOMEM, "%s: no memory for a context", backend->name);
    c->base = (struct kern_ctx){ .backend = backend, .threads = config->threads };
    c->device = config->device;
    if (absent) TRY_OUT(fail(ST_DEVICE, "%s: %s", backend->name, absent));
    TRY_OUT(cuda_dev_select(c->device));
    TRY_OUT(cuda_stream_open(&c->stream, false));
    c->memory = (struct memory){ .device = c->device, .stream = c->stream };
    c->base.memory = &c->memory;
    *out = ctx;
    ctx = NULL;
out:
    close_cuda(&ctx);
    return st;
}

static status alloc_cuda(struct kern_ctx *ctx, size_t bytes, void **at)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    return cuda_dev_alloc(bytes, at);
}

static void free_cuda(struct kern_ctx *ctx, void *at)
{
    struct cuda_ctx *c;

    if (cuda_enter(ctx, &c) != ST_OK) error_clear();
    cuda_dev_free(at);
}

static status upload_cuda(struct kern_ctx *ctx, const struct tensor *to, const void *host)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    return cuda_dev_upload(to->data, host, tensor_bytes(to), c->stream);
}

static status download_cuda(struct kern_ctx *ctx, void *host, const struct tensor *from)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    return cuda_dev_download(host, from->data, tensor_bytes(from), c->stream);
}

static status sync_cuda(struct kern_ctx *ctx)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    return cuda_stream_sync(c->stream);
}

/* The kind of card stands for all its machine's. */
static const char *kernels_cuda(char buf[KERN_TEXT])
{
    struct kern_device d;
    char libraries[KERN_DEVICE_TEXT];

    if (cuda_dev_absent() || kern_device_about(&d, 0) != ST_OK) return "no card";
    snprintf(buf, KERN_TEXT, "%.40s, %.80s", d.name, kern_device_libraries(libraries));
    return buf;
}

/* What the levels have in common. */
#define CUDA_MEMBERS                                                                               \
    .on_cards = true, .batches = true, .kernels = kernels_cuda, .close = close_cuda,               \
    .alloc = alloc_cuda, .free = free_cuda, .upload = upload_cuda, .download = download_cuda,      \
    .sync = sync_cuda, .alloc_host = cuda_alloc_host, .free_host = cuda_free_host,                 \
    .fetch = cuda_fetch, .await = cuda_await

/* From level 2 on. */
#define CUDA_FAST_MEMBERS                                                                          \
    .context_bytes = CUDA_LT_WORKSPACE, .reserve = reserve_scratch, .partial_dtype = part_as_is,   \
    .joins = true, CUDA_MEMBERS

/* What bounds these is memory alone: level 1's serve all levels. */
#define CUDA_PLAIN_OPS                                                                             \
    .mul = cuda_plain_mul, .patchify = cuda_plain_patchify, .unpatchify = cuda_plain_unpatchify,   \
    .pictures = cuda_plain_pictures, .axpby = cuda_plain_axpby,                                    \
    .quantize_e4m3 = cuda_plain_quantize_e4m3, .dequantize_e4m3 = cuda_plain_dequantize_e4m3,      \
    .permute01 = cuda_plain_permute01, .copy = cuda_plain_copy, .zero = cuda_plain_zero

/* Level 2's that all above it keep. */
#define CUDA_FAST_OPS                                                                              \
    .layernorm = cuda_fast_layernorm, .rmsnorm = cuda_fast_rmsnorm, .rope = cuda_fast_rope,        \
    .merge = cuda_fast_merge, .conv3d = cuda_fast_conv3d, .channel_norm = cuda_fast_channel_norm

/* Level 3's that level 4 keeps. */
#define CUDA_FP8_OPS                                                                               \
    .pack = cuda_fp8_pack, .linear = cuda_fp8_linear, .linear_norm = cuda_fp8_linear_norm,         \
    .qkv = cuda_fp8_qkv

static enum dtype part_wide(enum dtype act)
{
    (void)act;
    return DT_F32;
}

/* cuDNN's out is BF16. */
static enum dtype part_as_is(enum dtype act) { return act; }

static status open_cuda_1(struct kern_ctx **out, const struct kern_config *config);

static const struct kern_backend cuda_1 = {
    .name = "cuda-1",
    .level = 1,
    .ops = {
        .pack = cuda_plain_pack,
        .linear = cuda_plain_linear,
        .linear_norm = kern_compose_linear_norm,
        .qkv = kern_compose_qkv,
        .layernorm = cuda_plain_layernorm,
        .rmsnorm = cuda_plain_rmsnorm,
        .rope = cuda_plain_rope,
        .attention = cuda_plain_attention,
        .merge = cuda_plain_merge,
        .conv3d = cuda_plain_conv3d,
        .channel_norm = cuda_plain_channel_norm,
        CUDA_PLAIN_OPS,
    },
    .absent = cuda_dev_absent,
    .open = open_cuda_1,
    .partial_dtype = kern_partial_f32,
    .packed_bytes = cuda_plain_bytes,
    CUDA_MEMBERS,
};

static status open_cuda_1(struct kern_ctx **out, const struct kern_config *config)
{
    return open_cuda(out, config, &cuda_1);
}

static status open_cuda_2(struct kern_ctx **out, const struct kern_config *config);

static const struct kern_linear *linear_of(const struct kern_linear_norm *a) { return &a->linear; }

/* Level 1 takes no scratch. */
static size_t scratch_fast(enum kern_op op, const void *args)
{
    switch (op) {
    case KERN_OP_linear: return cuda_fast_linear_scratch(args);
    case KERN_OP_linear_norm: return cuda_fast_linear_scratch(linear_of(args));
    case KERN_OP_qkv: return cuda_fast_qkv_scratch(args);
    case KERN_OP_attention: return cuda_fast_attention_scratch(args);
    case KERN_OP_conv3d: return cuda_fast_conv_scratch(args);
    default: return 0;
    }
}

static status reserve_scratch(struct kern_ctx *ctx, size_t bytes)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    return cuda_scratch(c, bytes);
}

static status prepare_fast(struct kern_ctx *ctx, enum kern_op op, const void *args)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    switch (op) {
    case KERN_OP_linear: return cuda_fast_linear_prepare(c, args);
    case KERN_OP_linear_norm: return cuda_fast_linear_prepare(c, linear_of(args));
    case KERN_OP_qkv: return cuda_fast_qkv_prepare(c, args);
    case KERN_OP_attention: return cuda_fast_attention_prepare(c, args);
    case KERN_OP_conv3d: return cuda_fast_conv_prepare(c, args);
    default: return ST_OK;
    }
}

static const struct kern_backend cuda_2 = {
    .name = "cuda-2",
    .level = 2,
    .ops = {
        .pack = cuda_fast_conv_pack,
        .linear = cuda_fast_linear,
        .linear_norm = cuda_fast_linear_norm,
        .qkv = cuda_fast_qkv,
        .attention = cuda_fast_attention,
        CUDA_FAST_OPS,
        CUDA_PLAIN_OPS,
    },
    .scratch_bytes = scratch_fast,
    .prepare = prepare_fast,
    .absent = cuda_dev_absent,
    .open = open_cuda_2,
    .packed_bytes = cuda_fast_conv_bytes,
    CUDA_FAST_MEMBERS,
};

/* With the libraries. */
static status open_fast(struct kern_ctx **out, const struct kern_config *config,
                        const struct kern_backend *backend)
{
    struct kern_ctx *ctx;
    status st = ST_OK;

    *out = NULL;
    TRY(open_cuda(&ctx, config, backend));
    struct cuda_ctx *const c = (struct cuda_ctx *)ctx;
    TRY_OUT(cuda_lt_open(&c->lt, &(struct cuda_lt_config){ .stream = c->stream,
                                                           .device = c->device,
                                                           .strict = config->strict }));
    TRY_OUT(cuda_dnn_open(&c->dnn,
                          &(struct cuda_dnn_config){ .stream = c->stream, .device = c->device }));
    *out = ctx;
    ctx = NULL;
out:
    close_cuda(&ctx);
    return st;
}

static status open_cuda_2(struct kern_ctx **out, const struct kern_config *config)
{
    return open_fast(out, config, &cuda_2);
}

/* The first card stands for all its machine's. */
static const char *absent_fp8(void)
{
    const char *const absent = cuda_dev_absent();
    struct cuda_dev_facts card;

    if (absent) return absent;
    if (cuda_dev_facts(0, &card) == ST_OK && card.major == 9) return NULL;
    error_clear();
    return "FP8 with a scale per row needs a card of compute capability 9";
}

static status open_cuda_3(struct kern_ctx **out, const struct kern_config *config);

static size_t scratch_fp8(enum kern_op op, const void *args)
{
    switch (op) {
    case KERN_OP_linear: return cuda_fp8_linear_scratch(args);
    case KERN_OP_linear_norm: return cuda_fp8_linear_scratch(linear_of(args));
    case KERN_OP_qkv: return cuda_fp8_qkv_scratch(args);
    default: return scratch_fast(op, args);
    }
}

static status prepare_fp8(struct kern_ctx *ctx, enum kern_op op, const void *args)
{
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    switch (op) {
    case KERN_OP_linear: return cuda_fp8_linear_prepare(c, args);
    case KERN_OP_linear_norm: return cuda_fp8_linear_prepare(c, linear_of(args));
    case KERN_OP_qkv: return cuda_fp8_qkv_prepare(c, args);
    default: return prepare_fast(ctx, op, args);
    }
}

static const struct kern_backend cuda_3 = {
    .name = "cuda-3",
    .level = 3,
    .ops = {
        .attention = cuda_fast_attention,
        CUDA_FP8_OPS,
        CUDA_FAST_OPS,
        CUDA_PLAIN_OPS,
    },
    .scratch_bytes = scratch_fp8,
    .prepare = prepare_fp8,
    .absent = absent_fp8,
    .open = open_cuda_3,
    .low_precision = true,
    .packed_bytes = cuda_fp8_bytes,
    CUDA_FAST_MEMBERS,
};

static status open_fp8(struct kern_ctx **out, const struct kern_config *config,
                       const struct kern_backend *backend)
{
    const char *const absent = absent_fp8();

    *out = NULL;
    if (absent) return fail(ST_DEVICE, "%s: %s", backend->name, absent);
    return open_fast(out, config, backend);
}

static status open_cuda_3(struct kern_ctx **out, const struct kern_config *config)
{
    return open_fp8(out, config, &cuda_3);
}

static status open_cuda_4(struct kern_ctx **out, const struct kern_config *config);

static size_t scratch_fp8_attention(enum kern_op op, const void *args)
{
    return op == KERN_OP_attention ? cuda_fp8_attention_scratch(args) : scratch_fp8(op, args);
}

static status prepare_fp8_attention(struct kern_ctx *ctx, enum kern_op op, const void *args)
{
    struct cuda_ctx *c;

    if (op != KERN_OP_attention) return prepare_fp8(ctx, op, args);
    TRY(cuda_enter(ctx, &c));
    return cuda_fp8_attention_prepare(c, args);
}

static const struct kern_backend cuda_4 = {
    .name = "cuda-4",
    .level = 4,
    .ops = {
        .attention = cuda_fp8_attention,
        CUDA_FP8_OPS,
        CUDA_FAST_OPS,
        CUDA_PLAIN_OPS,
    },
    .scratch_bytes = scratch_fp8_attention,
    .prepare = prepare_fp8_attention,
    .absent = absent_fp8,
    .open = open_cuda_4,
    .low_precision = true,
    .low_precision_attention = cuda_fp8_attention_suits,
    .packed_bytes = cuda_fp8_bytes,
    CUDA_FAST_MEMBERS,
};

static status open_cuda_4(struct kern_ctx **out, const struct kern_config *config)
{
    return open_fp8(out, config, &cuda_4);
}

static const struct kern_backend *const levels[] = { &cuda_1, &cuda_2, &cuda_3, &cuda_4 };

const struct kern_backend *cuda_backend_at(int i)
{
    return i < COUNT_OF(levels) ? levels[i] : NULL;
}
