/*
 * cuda_backend.c - which function serves which operation at which level.
 *
 * A level is the level below it with some rows replaced, so each list of rows is written once
 * and levels are put together of lists. A row is all that a level needs to know of an operation:
 *
 *   run       the operation, checked, queued on the context's stream
 *   scratch   bytes that run takes of the context's scratch, from shapes alone
 *   prepare   makes what the libraries under run make when they first meet a shape
 *
 * scratch and prepare stand beside run because they must follow it: where run leaves a call to
 * the level below, by its operands' shapes or places, so do they, and a level that takes over run
 * takes over all three. tests/standin/standin_ready.c counts what is allocated and compiled once
 * all has been reserved and prepared: nothing.
 *
 * What run gives is decided before anything is queued: a row either serves a call or hands it to
 * the level below. There is no falling back from an error of the device.
 */
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/cuda_ctx.h"
#include "kernels/cuda/cuda_dev.h"
#include "kernels/cuda/fp8/cuda_fp8.h"
#include "kernels/cuda/fp8/cuda_fp8_attention.h"
#include "kernels/cuda/fused/cuda_fused.h"
#include "kernels/cuda/fused/cuda_fused_attention.h"
#include "kernels/cuda/library/cuda_lt.h"
#include "kernels/cuda/plain/cuda_plain.h"
#include "kernels/kern_device.h"
#include "kernels/kern_internal.h"

#include <stdio.h>

/* ---- rows: ROW(operation, run, scratch, prepare); NULL: none | nothing ------------- */

/* Memory alone bounds these: level 1's serve all levels. */
#define PLAIN_ROWS(ROW)                                                                            \
    ROW(mul, cuda_plain_mul, NULL, NULL)                                                           \
    ROW(patchify, cuda_plain_patchify, NULL, NULL)                                                 \
    ROW(unpatchify, cuda_plain_unpatchify, NULL, NULL)                                             \
    ROW(pictures, cuda_plain_pictures, NULL, NULL)                                                 \
    ROW(axpby, cuda_plain_axpby, NULL, NULL)                                                       \
    ROW(quantize_e4m3, cuda_plain_quantize_e4m3, NULL, NULL)                                       \
    ROW(dequantize_e4m3, cuda_plain_dequantize_e4m3, NULL, NULL)                                   \
    ROW(permute01, cuda_plain_permute01, NULL, NULL)                                               \
    ROW(score_keys, cuda_plain_score_keys, NULL, NULL)                                             \
    ROW(sum_rows, cuda_plain_sum_rows, NULL, NULL)                                                 \
    ROW(gather_rows, cuda_plain_gather_rows, NULL, NULL)                                           \
    ROW(cast, cuda_plain_cast, NULL, NULL)                                                         \
    ROW(copy, cuda_plain_copy, NULL, NULL)                                                         \
    ROW(zero, cuda_plain_zero, NULL, NULL)

/* Level 2's that all above it keep. */
#define FUSED_ROWS(ROW)                                                                            \
    ROW(layernorm, cuda_fused_layernorm, NULL, NULL)                                               \
    ROW(rmsnorm, cuda_fused_rmsnorm, NULL, NULL)                                                   \
    ROW(rope, cuda_fused_rope, NULL, NULL)                                                         \
    ROW(merge, cuda_fused_merge, NULL, NULL)                                                       \
    ROW(channel_norm, cuda_fused_channel_norm, NULL, NULL)                                         \
    ROW(conv3d, cuda_fused_conv3d, cuda_fused_conv3d_scratch, cuda_fused_conv3d_prepare)           \
    PLAIN_ROWS(ROW)

#define FUSED_ATTENTION(ROW)                                                                       \
    ROW(attention, cuda_fused_attention, cuda_fused_attention_scratch, cuda_fused_attention_prepare)

/* Level 3's that level 4 keeps. */
#define FP8_ROWS(ROW)                                                                              \
    ROW(pack, cuda_fp8_pack, NULL, NULL)                                                           \
    ROW(linear, cuda_fp8_linear, cuda_fp8_linear_scratch, cuda_fp8_linear_prepare)                 \
    ROW(linear_norm, cuda_fp8_linear_norm, cuda_fp8_linear_norm_scratch,                           \
        cuda_fp8_linear_norm_prepare)                                                              \
    ROW(qkv, cuda_fp8_qkv, cuda_fp8_qkv_scratch, cuda_fp8_qkv_prepare)                             \
    FUSED_ROWS(ROW)

#define ROWS_1(ROW)                                                                                \
    ROW(pack, cuda_plain_pack, NULL, NULL)                                                         \
    ROW(linear, cuda_plain_linear, NULL, NULL)                                                     \
    ROW(linear_norm, kern_compose_linear_norm, NULL, NULL)                                         \
    ROW(qkv, kern_compose_qkv, NULL, NULL)                                                         \
    ROW(layernorm, cuda_plain_layernorm, NULL, NULL)                                               \
    ROW(rmsnorm, cuda_plain_rmsnorm, NULL, NULL)                                                   \
    ROW(rope, cuda_plain_rope, NULL, NULL)                                                         \
    ROW(attention, cuda_plain_attention, NULL, NULL)                                               \
    ROW(merge, cuda_plain_merge, NULL, NULL)                                                       \
    ROW(conv3d, cuda_plain_conv3d, NULL, NULL)                                                     \
    ROW(channel_norm, cuda_plain_channel_norm, NULL, NULL)                                         \
    PLAIN_ROWS(ROW)

#define ROWS_2(ROW)                                                                                \
    ROW(pack, cuda_fused_conv_pack, NULL, NULL)                                                    \
    ROW(linear, cuda_fused_linear, cuda_fused_linear_scratch, cuda_fused_linear_prepare)           \
    ROW(linear_norm, cuda_fused_linear_norm, cuda_fused_linear_norm_scratch,                       \
        cuda_fused_linear_norm_prepare)                                                            \
    ROW(qkv, cuda_fused_qkv, cuda_fused_qkv_scratch, cuda_fused_qkv_prepare)                       \
    FUSED_ATTENTION(ROW)                                                                           \
    FUSED_ROWS(ROW)

#define ROWS_3(ROW)                                                                                \
    FUSED_ATTENTION(ROW)                                                                           \
    FP8_ROWS(ROW)

#define ROWS_4(ROW)                                                                                \
    ROW(attention, cuda_fp8_attention, cuda_fp8_attention_scratch, cuda_fp8_attention_prepare)     \
    FP8_ROWS(ROW)

#define LIBRARY_LEVELS(LEVEL) LEVEL(2) LEVEL(3) LEVEL(4)
#define LEVELS(LEVEL)         LEVEL(1) LIBRARY_LEVELS(LEVEL)

enum {
#define LEVEL(n) LEVEL_##n,
    LEVELS(LEVEL)
#undef LEVEL
        LEVEL_COUNT
};

/* ---- what is made of the rows -------------------------------------------------------- */

#define RUN(op, run, scratch, prepare)  .op = (run),
#define NEED(op, run, scratch, prepare) .op = { (scratch), (prepare) },

static const struct needs {
#define OP(op)                                                                                     \
    struct {                                                                                       \
        size_t (*scratch)(const struct kern_##op *);                                               \
        status (*prepare)(struct cuda_ctx *, const struct kern_##op *);                            \
    } op;
    KERN_OPS(OP)
#undef OP
} needs[LEVEL_COUNT] = {
#define LEVEL(n) [LEVEL_##n] = { ROWS_##n(NEED) },
    LEVELS(LEVEL)
#undef LEVEL
};

static size_t scratch_of(const struct needs *n, enum kern_op op, const void *args)
{
    switch (op) {
#define OP(op)                                                                                     \
    case KERN_OP_##op: return n->op.scratch ? n->op.scratch(args) : 0;
        KERN_OPS(OP)
#undef OP
    default: return 0;
    }
}

static status prepare_op(struct kern_ctx *ctx, enum kern_op op, const void *args)
{
    const struct needs *const n = &needs[ctx->backend->level - 1];
    struct cuda_ctx *c;

    TRY(cuda_enter(ctx, &c));
    switch (op) {
#define OP(op)                                                                                     \
    case KERN_OP_##op: return n->op.prepare ? n->op.prepare(c, args) : ST_OK;
        KERN_OPS(OP)
#undef OP
    default: return ST_OK;
    }
}

static const struct kern_backend levels[LEVEL_COUNT];

static status open_level(struct kern_ctx **out, const struct kern_config *config,
                         const struct kern_backend *backend)
{
    const char *const why = backend->absent();

    *out = NULL;
    if (why) return fail(ST_DEVICE, "%s: %s", backend->name, why);
    return cuda_ctx_open(out, config, backend, backend->level > 1);
}

/* Members that are not told their backend: one of each level. */
#define LEVEL(n)                                                                                   \
    static status open_##n(struct kern_ctx **out, const struct kern_config *config)                \
    {                                                                                              \
        return open_level(out, config, &levels[LEVEL_##n]);                                        \
    }
LEVELS(LEVEL)
#undef LEVEL

#define LEVEL(n)                                                                                   \
    static size_t scratch_bytes_##n(enum kern_op op, const void *args)                             \
    {                                                                                              \
        return scratch_of(&needs[LEVEL_##n], op, args);                                            \
    }
LIBRARY_LEVELS(LEVEL)
#undef LEVEL

/* ---- the rest of a backend ----------------------------------------------------------- */

/* The first card stands for all its machine's. */
static const char *name_kernels(char buf[KERN_TEXT])
{
    struct kern_device d;
    char libraries[KERN_DEVICE_TEXT];

    if (cuda_dev_absent() || kern_device_about(&d, 0) != ST_OK) return "no card";
    snprintf(buf, KERN_TEXT, "%.40s, %.80s", d.name, kern_device_libraries(libraries));
    return buf;
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

/* cuDNN's out is BF16. */
static enum dtype partial_as_act(enum dtype act) { return act; }

#define CUDA_MEMBERS                                                                               \
    .on_cards = true, .batches = true, .kernels = name_kernels, .close = cuda_ctx_close,           \
    .alloc = cuda_ctx_alloc, .free = cuda_ctx_free, .upload = cuda_ctx_upload,                     \
    .download = cuda_ctx_download, .sync = cuda_ctx_sync, .alloc_host = cuda_ctx_alloc_host,       \
    .free_host = cuda_ctx_free_host, .fetch = cuda_ctx_fetch, .await = cuda_ctx_await

/* With the libraries, from level 2 on. */
#define LIBRARY_MEMBERS                                                                            \
    .context_bytes = CUDA_LT_WORKSPACE, .reserve = cuda_ctx_reserve, .prepare = prepare_op,        \
    .partial_dtype = partial_as_act, .joins = true, CUDA_MEMBERS

static const struct kern_backend levels[LEVEL_COUNT] = {
    [LEVEL_1] = {
        .name = "cuda-1",
        .level = 1,
        .ops = { ROWS_1(RUN) },
        .absent = cuda_dev_absent,
        .open = open_1,
        .partial_dtype = kern_partial_f32,
        .packed_bytes = cuda_plain_bytes,
        CUDA_MEMBERS,
    },
    [LEVEL_2] = {
        .name = "cuda-2",
        .level = 2,
        .ops = { ROWS_2(RUN) },
        .absent = cuda_dev_absent,
        .open = open_2,
        .scratch_bytes = scratch_bytes_2,
        .packed_bytes = cuda_fused_conv_bytes,
        LIBRARY_MEMBERS,
    },
    [LEVEL_3] = {
        .name = "cuda-3",
        .level = 3,
        .ops = { ROWS_3(RUN) },
        .absent = absent_fp8,
        .open = open_3,
        .scratch_bytes = scratch_bytes_3,
        .packed_bytes = cuda_fp8_bytes,
        .low_precision = true,
        LIBRARY_MEMBERS,
    },
    [LEVEL_4] = {
        .name = "cuda-4",
        .level = 4,
        .ops = { ROWS_4(RUN) },
        .absent = absent_fp8,
        .open = open_4,
        .scratch_bytes = scratch_bytes_4,
        .packed_bytes = cuda_fp8_bytes,
        .low_precision = true,
        .low_precision_attention = cuda_fp8_attention_suits,
        LIBRARY_MEMBERS,
    },
};

const struct kern_backend *cuda_backend_at(int i) { return i < LEVEL_COUNT ? &levels[i] : NULL; }
