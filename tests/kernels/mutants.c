/* mutants.c - the oracle with one operation spoilt: each fault is done behind the real call. */
#include "tests/kernels/mutants.h"
#include "kernels/ref/kern_ref.h"

#include <math.h>
#include <stdlib.h>

struct mutant_ctx {
    struct kern_ctx base; /* first member: a kern_ctx * is a mutant_ctx * here */
    struct kern_ctx *ref;
    enum fault fault;
    enum kern_op hurt; /* the operation with the fault */
};

const char *fault_text(enum fault f)
{
#define F(name, text) [FAULT_##name] = text,
    static const char *const texts[] = { FAULTS(F) };
#undef F
    return texts[f];
}

/* Steps of F32 that are too many, as a bit of the word: 0 where the operation
 * is exact. In bf16 it is 4 steps, or 16 where three roundings may lie between. */
static const int slip_bit[KERN_OP_COUNT] = {
    [KERN_OP_linear] = 8,       [KERN_OP_layernorm] = 10, [KERN_OP_rmsnorm] = 8,
    [KERN_OP_rope] = 8,         [KERN_OP_conv3d] = 8,     [KERN_OP_attention] = 12,
    [KERN_OP_channel_norm] = 8, [KERN_OP_axpby] = 4,      [KERN_OP_merge] = 8,
    [KERN_OP_linear_norm] = 12, [KERN_OP_qkv] = 13,       [KERN_OP_score_keys] = 12,
    [KERN_OP_sum_rows] = 12,
};

static void flip_bit(const struct tensor *t, int64_t i, int bit)
{
    int const steps = bit > 12 ? 16 : bit ? 4 : 1;

    if (t->dtype == DT_U8) ((uint8_t *)t->data)[i] ^= 1;
    else if (t->dtype == DT_BF16) ((uint16_t *)t->data)[i] ^= (uint16_t)steps;
    else ((uint32_t *)t->data)[i] ^= 1u << bit;
}

/* Of bytes: another one than it is. */
static void set_element(const struct tensor *t, int64_t i, float v)
{
    struct tensor out = *t;

    if (t->dtype == DT_U8) ((uint8_t *)t->data)[i] ^= 0xff;
    else tensor_put(&out, i, v);
}

static float other_value(const struct tensor *t, int64_t i)
{
    return t->dtype == DT_U8 ? 0 : tensor_get(t, i) * 1.5f + 1;
}

static void slip_output(const struct mutant_ctx *m, const struct tensor *t)
{
    if (t && tensor_count(t)) flip_bit(t, tensor_count(t) / 2, slip_bit[m->hurt]);
}

static void damage_tensors(const struct mutant_ctx *m, const struct tensor *out,
                           const struct tensor *in)
{
    int64_t const n = tensor_count(out);
    const struct tensor *const hurt = in ? in : out;
    int64_t const beside = tensor_count(hurt);

    if (!n) return;
    switch (m->fault) {
    case FAULT_PAST_END: set_element(out, n, 1); break;
    case FAULT_BEFORE: set_element(out, -1, 1); break;
    case FAULT_SLIP: slip_output(m, out); break;
    case FAULT_LAST_ROW: set_element(out, n - 1, other_value(out, n - 1)); break;
    case FAULT_ODD_TAIL:
        if (out->dim[0] % 2) set_element(out, n - 1, (float)NAN);
        break;
    case FAULT_NOT_A_NUMBER: set_element(out, n / 3, (float)NAN); break;
    case FAULT_INFINITE: set_element(out, n / 3, (float)INFINITY); break;
    case FAULT_INPUT: flip_bit(hurt, beside / 2, 0); break;
    case FAULT_BESIDE_INPUT: set_element(hurt, beside, 1); break;
    case FAULT_THREADS:
        if (m->base.threads > 1) flip_bit(out, n - 1, 0);
        break;
    default: break;
    }
}

/* Where each operation writes, and one tensor it only reads. */
#define OUT_pack(a)            &(a)->w->t
#define IN_pack(a)             NULL
#define OUT_linear(a)          (a)->out
#define IN_linear(a)           (a)->x
#define OUT_linear_norm(a)     (a)->linear.out
#define IN_linear_norm(a)      (a)->shift
#define OUT_qkv(a)             (a)->k.out
#define IN_qkv(a)              (a)->k.norm
#define OUT_layernorm(a)       (a)->out
#define IN_layernorm(a)        (a)->shift
#define OUT_rmsnorm(a)         (a)->out
#define IN_rmsnorm(a)          (a)->weight
#define OUT_rope(a)            (a)->out
#define IN_rope(a)             (a)->time
#define OUT_attention(a)       (a)->out
#define IN_attention(a)        &(a)->segments[(a)->segment_count - 1].v
#define OUT_merge(a)           (a)->out
#define IN_merge(a)            (a)->b_lse
#define OUT_conv3d(a)          (a)->out
#define IN_conv3d(a)           &(a)->w->t
#define OUT_channel_norm(a)    (a)->out
#define IN_channel_norm(a)     (a)->gamma
#define OUT_mul(a)             (a)->out
#define IN_mul(a)              (a)->out == (a)->a ? (a)->b : (a)->a
#define OUT_patchify(a)        (a)->out
#define IN_patchify(a)         (a)->latent
#define OUT_unpatchify(a)      (a)->out
#define IN_unpatchify(a)       (a)->tokens
#define OUT_pictures(a)        (a)->out
#define IN_pictures(a)         (a)->pixels
#define OUT_axpby(a)           (a)->out
#define IN_axpby(a)            (a)->out == (a)->x ? (a)->y : (a)->x
#define OUT_quantize_e4m3(a)   (a)->out
#define IN_quantize_e4m3(a)    (a)->x
#define OUT_dequantize_e4m3(a) (a)->out
#define IN_dequantize_e4m3(a)  (a)->scale
#define OUT_permute01(a)       (a)->out
#define IN_permute01(a)        (a)->in
#define OUT_score_keys(a)      (a)->out
#define IN_score_keys(a)       (a)->w
#define OUT_sum_rows(a)        (a)->out
#define IN_sum_rows(a)         (a)->x
#define OUT_gather_rows(a)     (a)->out
#define IN_gather_rows(a)      (a)->x
#define OUT_cast(a)            (a)->out
#define IN_cast(a)             (a)->in
#define OUT_copy(a)            (a)->out
#define IN_copy(a)             (a)->in
#define OUT_zero(a)            (a)->out
#define IN_zero(a)             NULL

#define AS(type, a) ((const struct type *)(const void *)(a))
#define SECOND(a)                                                                                  \
    _Generic((a), const struct kern_attention *                                                    \
             : AS(kern_attention, a)->lse, const struct kern_linear_norm *                         \
             : AS(kern_linear_norm, a)->norm, const struct kern_quantize_e4m3 *    \
             : AS(kern_quantize_e4m3, a)->scale, const struct kern_qkv *    \
             : AS(kern_qkv, a)->v.out, default                                                     \
             : NULL)

/* A third output. */
#define THIRD(a) _Generic((a), const struct kern_qkv * : AS(kern_qkv, a)->q.out, default : NULL)

#define OP(op)                                                                                     \
    static status mutant_##op(struct kern_ctx *ctx, const struct kern_##op *a)                     \
    {                                                                                              \
        const struct mutant_ctx *const m = (const struct mutant_ctx *)ctx;                         \
        bool const mine = m->hurt == KERN_OP_##op;                                                 \
        if (mine && m->fault == FAULT_FAILS) return fail(ST_DEVICE, #op " fails");                 \
        if (mine && m->fault == FAULT_SILENT) return ST_OK;                                        \
        status const st = kern_ref_backend.ops.op(m->ref, a);                                      \
        if (mine && m->fault == FAULT_ACCEPTS) return ST_OK;                                       \
        if (mine && st == ST_OK) damage_tensors(m, OUT_##op(a), IN_##op(a));                       \
        if (mine && st == ST_OK && m->fault == FAULT_SECOND) slip_output(m, SECOND(a));            \
        if (mine && st == ST_OK && m->fault == FAULT_THIRD) slip_output(m, THIRD(a));              \
        return st;                                                                                 \
    }
KERN_OPS(OP)
#undef OP

static status mutant_open(struct kern_ctx **out, const struct kern_config *c)
{
    struct mutant_ctx *const m = calloc(1, sizeof *m);

    *out = NULL;
    if (!m) return fail(ST_NOMEM, "mutant");
    status const st = kern_ref_backend.open(&m->ref, c);
    if (st != ST_OK) {
        free(m);
        return st;
    }
    m->base = *m->ref;
    *out = &m->base;
    return ST_OK;
}

static void mutant_close(struct kern_ctx **ctx)
{
    struct mutant_ctx *const m = (struct mutant_ctx *)*ctx;

    if (!m) return;
    kern_ref_backend.close(&m->ref);
    free(m);
    *ctx = NULL;
}

void mutant_arm(struct kern_ctx *ctx, enum fault f, enum kern_op op)
{
    struct mutant_ctx *const m = (struct mutant_ctx *)ctx;
    m->fault = f;
    m->hurt = op;
}

struct kern_backend mutant_backend(enum fault f, enum kern_op missing)
{
    struct kern_backend b = kern_ref_backend;

    b.name = "mutant";
    b.open = mutant_open;
    b.close = mutant_close;
#define OP(op) b.ops.op = f == FAULT_MISSING && missing == KERN_OP_##op ? NULL : mutant_##op;
    KERN_OPS(OP)
#undef OP
    return b;
}

bool fault_fits(enum fault f, enum kern_op op)
{
    bool const two =
        op == KERN_OP_attention || op == KERN_OP_linear_norm || op == KERN_OP_quantize_e4m3;
    if (f == FAULT_SECOND) return two || op == KERN_OP_qkv;
    if (f == FAULT_THIRD) return op == KERN_OP_qkv;
    if (op == KERN_OP_zero)
        return f != FAULT_INPUT && f != FAULT_BESIDE_INPUT && f != FAULT_ACCEPTS;
    return true;
}
