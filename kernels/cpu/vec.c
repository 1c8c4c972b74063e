/*
 * vec.c - compiled once per instruction set; VEC_TABLE is the table's name.
 *
 * Written in the compiler's vectors of sixteen floats, which it splits where registers are
 * shorter. Sixteen lanes everywhere, added in one order, keep sums nearly alike between
 * instruction sets; with fused multiply-add they are not the same to the bit.
 */
#include "kernels/cpu/cpu_tile.h"

#include <math.h>
#include <string.h>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

enum { LANES = 16 };
typedef float vf __attribute__((vector_size(64)));
typedef int32_t vi __attribute__((vector_size(64)));
typedef uint32_t vu __attribute__((vector_size(64)));
typedef uint16_t vh __attribute__((vector_size(32)));

#define INLINE static inline __attribute__((always_inline))

INLINE vf all(float x) { return (vf){ x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x }; }

/* Where mask is all ones: a, where it is zero: b. */
INLINE vf pick(vi mask, vf a, vf b) { return (vf)(((vi)a & mask) | ((vi)b & ~mask)); }

INLINE vf larger(vf a, vf b) { return pick(a > b, a, b); }

INLINE vf widen_bf16(vh h) { return (vf)(__builtin_convertvector(h, vu) << 16); }

/* To nearest even; NaN stays NaN. */
#ifdef __AVX512BF16__
INLINE vh narrow_bf16(vf f) { return (vh)_mm512_cvtneps_pbh((__m512)f); }
#else
INLINE vh narrow_bf16(vf f)
{
    vu const u = (vu)f;
    vu const round = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    vu const nan = (vu)(f != f);
    return __builtin_convertvector((round & ~nan) | (((u >> 16) | 0x40u) & nan), vh);
}
#endif

/* Fewer than 16 numbers, apart so that the common case stays in registers. */
#define RARE static __attribute__((noinline, cold))

RARE void get_some(vf *to, const void *p, enum dtype t, int64_t count)
{
    vh h = { 0 };

    *to = all(0.0f);
    if (t == DT_F32) {
        memcpy(to, p, (size_t)count * sizeof(float));
        return;
    }
    memcpy(&h, p, (size_t)count * sizeof(uint16_t));
    *to = widen_bf16(h);
}

RARE void put_some(void *p, enum dtype t, int64_t count, const vf *f)
{
    vh const h = narrow_bf16(*f);

    if (t == DT_F32) memcpy(p, f, (size_t)count * sizeof(float));
    else memcpy(p, &h, (size_t)count * sizeof(uint16_t));
}

/* Numbers i.. of p, at most 16 and none from n on; zeros for the rest. */
INLINE vf get(const void *p, enum dtype t, int64_t i, int64_t n)
{
    const void *const at = (const unsigned char *)p + (size_t)i * (t == DT_F32 ? 4 : 2);

    if (__builtin_expect(n - i < LANES, 0)) {
        vf some;
        get_some(&some, at, t, n - i);
        return some;
    }
    if (t == DT_F32) {
        vf v;
        memcpy(&v, at, sizeof v);
        return v;
    }
    vh h;
    memcpy(&h, at, sizeof h);
    return widen_bf16(h);
}

INLINE void put(void *p, enum dtype t, int64_t i, int64_t n, vf f)
{
    void *const at = (unsigned char *)p + (size_t)i * (t == DT_F32 ? 4 : 2);

    if (__builtin_expect(n - i < LANES, 0)) {
        vf const some = f;
        put_some(at, t, n - i, &some);
        return;
    }
    if (t == DT_F32) {
        memcpy(at, &f, sizeof f);
        return;
    }
    vh const h = narrow_bf16(f);
    memcpy(at, &h, sizeof h);
}

/* Lanes that stand for numbers before n. */
INLINE vi inside(int64_t i, int64_t n)
{
    vi const lane = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    return lane < (int32_t)(n - i < LANES ? n - i : LANES);
}

/* Lanes i + half in place of lanes i. */
INLINE vf turned(vf v, int half)
{
    vi const lane = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    return __builtin_shuffle(v, lane ^ half);
}

INLINE float sum_of(vf v)
{
    v += turned(v, 8);
    v += turned(v, 4);
    v += turned(v, 2);
    v += turned(v, 1);
    return v[0];
}

INLINE float max_of(vf v)
{
    v = larger(turned(v, 8), v);
    v = larger(turned(v, 4), v);
    v = larger(turned(v, 2), v);
    v = larger(turned(v, 1), v);
    return v[0];
}

/* 2^x within 2e-7 relative for x up to 127; 0 below -126. Split into a whole
 * part, put into the exponent, and a rest in [-1/2, 1/2], by the polynomial of
 * degree 6 with the least relative error there. */
INLINE vf exp2_of(vf x)
{
    float const round = 0x1.8p23f; /* adding it leaves the whole part in the low bits */
    vf const low = all(-126.0f);
    vi const gone = x < low;

    x = pick(gone, low, x);
    vf const shifted = x + round;
    vf const f = x - (shifted - round);
    vf p = all(0x1.41d334p-13f);
    p = p * f + 0x1.5f456ap-10f;
    p = p * f + 0x1.3b2dbcp-7f;
    p = p * f + 0x1.c6aed4p-5f;
    p = p * f + 0x1.ebfbdap-3f;
    p = p * f + 0x1.62e430p-1f;
    p = p * f + 1.0f;
    vf const power = (vf)(((vi)shifted << 23) + 0x3f800000);
    return pick(gone, all(0.0f), p * power);
}

static const float log2_e = 0x1.715476p0f;

/* 1 / x within 2^-23 or so, for x that is neither 0 nor infinite. */
#ifdef __AVX512F__
INLINE vf inverse(vf x)
{
    vf const r = (vf)_mm512_rcp14_ps((__m512)x);
    return r * (2.0f - x * r);
}
#else
INLINE vf inverse(vf x) { return 1.0f / x; }
#endif

/* x / (1 + exp(-y)); the divisor ends at 2^64, far from where numbers lose bits. */
INLINE vf gated(vf x, vf y)
{
    vf const power = y * -log2_e, most = all(64.0f);
    return x * inverse(exp2_of(pick(power > most, most, power)) + 1.0f);
}

INLINE vf act_of(vf x, enum kern_act act)
{
    switch (act) {
    case KERN_ACT_SILU: return gated(x, x);
    /* (1 + tanh(u)) / 2 = 1 / (1 + exp(-2u)) */
    case KERN_ACT_GELU_TANH: return gated(x, 1.5957691216057308f * (x + 0.044715f * (x * x * x)));
    default: return x;
    }
}

INLINE void convert_as(void *to, enum dtype to_dtype, const void *from, enum dtype from_dtype,
                       int64_t n)
{
    for (int64_t i = 0; i < n; i += LANES) put(to, to_dtype, i, n, get(from, from_dtype, i, n));
}

static void vec_convert(void *to, enum dtype to_dtype, const void *from, enum dtype from_dtype,
                        int64_t count)
{
    if (to_dtype == from_dtype) memcpy(to, from, (size_t)count * dtype_size(to_dtype));
    else if (to_dtype == DT_F32) convert_as(to, DT_F32, from, DT_BF16, count);
    else convert_as(to, DT_BF16, from, DT_F32, count);
}

INLINE void mul_as(void *out, const void *a, const void *b, enum dtype t, int64_t n)
{
    for (int64_t i = 0; i < n; i += LANES) put(out, t, i, n, get(a, t, i, n) * get(b, t, i, n));
}

static void vec_mul(void *out, const void *a, const void *b, enum dtype dtype, int64_t count)
{
    if (dtype == DT_F32) mul_as(out, a, b, DT_F32, count);
    else mul_as(out, a, b, DT_BF16, count);
}

static void vec_axpby(float *out, const float *x, const float *y, const double ab[2], int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)(ab[0] * (double)x[i] + ab[1] * (double)y[i]);
}

INLINE void blend_as(const struct vec_blend *b, enum dtype from, enum dtype to)
{
    int64_t const n = b->count;

    for (int64_t i = 0; i < n; i += LANES)
        put(b->out, to, i, n,
            get(b->a, from, i, n) * b->a_share + get(b->b, from, i, n) * b->b_share);
}

static void vec_blend(const struct vec_blend *b)
{
    if (b->out_dtype == DT_F32) blend_as(b, DT_F32, DT_F32);
    else if (b->dtype == DT_F32) blend_as(b, DT_F32, DT_BF16);
    else blend_as(b, DT_BF16, DT_BF16);
}

static const unsigned char *row_at(const void *p, enum dtype t, int64_t numbers)
{
    return p ? (const unsigned char *)p + (size_t)numbers * dtype_size(t) : NULL;
}

INLINE void epilogue_row(const struct vec_epilogue *e, int64_t r, enum dtype out_dtype,
                         enum kern_act act)
{
    const float *const y = e->y + r * e->y_step;
    int64_t const at = r * e->out_step, n = e->cols;
    const void *const residual = row_at(e->residual, e->residual_dtype, at);
    void *const out = (unsigned char *)e->out + (size_t)at * dtype_size(out_dtype);

    for (int64_t i = 0; i < n; i += LANES) {
        vf v = get(y, DT_F32, i, n);
        if (e->bias) v += get(e->bias, DT_F32, i, n);
        v = act_of(v, act);
        if (e->gate) v *= get(e->gate, DT_F32, i, n);
        if (residual) v += get(residual, e->residual_dtype, i, n);
        put(out, out_dtype, i, n, v);
    }
}

INLINE void epilogue_as(const struct vec_epilogue *e, enum dtype out_dtype)
{
    for (int64_t r = 0; r < e->rows; r++) {
        switch (e->act) {
        case KERN_ACT_SILU: epilogue_row(e, r, out_dtype, KERN_ACT_SILU); break;
        case KERN_ACT_GELU_TANH: epilogue_row(e, r, out_dtype, KERN_ACT_GELU_TANH); break;
        default: epilogue_row(e, r, out_dtype, KERN_ACT_NONE);
        }
    }
}

static void vec_epilogue(const struct vec_epilogue *e)
{
    if (e->out_dtype == DT_F32) epilogue_as(e, DT_F32);
    else epilogue_as(e, DT_BF16);
}

/* Row r of a, with both dtypes known to the compiler in every branch. */
#define FOR_ROWS(a, row, ...)                                                                      \
    for (int64_t r = 0; r < (a)->rows; r++) {                                                      \
        const void *const x = row_at((a)->x, (a)->x_dtype, r * (a)->cols);                         \
        void *const out =                                                                          \
            (unsigned char *)(a)->out + (size_t)(r * (a)->cols) * dtype_size((a)->out_dtype);      \
        if ((a)->x_dtype == DT_F32 && (a)->out_dtype == DT_F32)                                    \
            row(x, DT_F32, out, DT_F32, (a)->cols, __VA_ARGS__);                                   \
        else if ((a)->x_dtype == DT_F32) row(x, DT_F32, out, DT_BF16, (a)->cols, __VA_ARGS__);     \
        else if ((a)->out_dtype == DT_F32) row(x, DT_BF16, out, DT_F32, (a)->cols, __VA_ARGS__);   \
        else row(x, DT_BF16, out, DT_BF16, (a)->cols, __VA_ARGS__);                                \
    }

INLINE void layernorm_row(const void *x, enum dtype xt, void *out, enum dtype ot, int64_t n,
                          const float *scale, const float *shift, float eps)
{
    vf sum = all(0.0f), square = all(0.0f);

    for (int64_t i = 0; i < n; i += LANES) sum += get(x, xt, i, n);
    float const mean = sum_of(sum) / (float)n;
    for (int64_t i = 0; i < n; i += LANES) {
        vf const d = pick(inside(i, n), get(x, xt, i, n) - mean, all(0.0f));
        square += d * d;
    }
    float const inv = 1.0f / sqrtf(sum_of(square) / (float)n + eps);
    for (int64_t i = 0; i < n; i += LANES) {
        vf const y = (get(x, xt, i, n) - mean) * inv;
        put(out, ot, i, n, y * get(scale, DT_F32, i, n) + get(shift, DT_F32, i, n));
    }
}

static void vec_layernorm(const struct vec_rows *a, const float *scale, const float *shift,
                          float eps){ FOR_ROWS(a, layernorm_row, scale, shift, eps) }

INLINE float square_sum(const void *x, enum dtype xt, int64_t n)
{
    vf sum = all(0.0f);

    for (int64_t i = 0; i < n; i += LANES) {
        vf const v = get(x, xt, i, n);
        sum += v * v;
    }
    return sum_of(sum);
}

INLINE void rmsnorm_row(const void *x, enum dtype xt, void *out, enum dtype ot, int64_t n,
                        const float *weight, float eps)
{
    float const inv = 1.0f / sqrtf(square_sum(x, xt, n) / (float)n + eps);

    for (int64_t i = 0; i < n; i += LANES)
        put(out, ot, i, n, get(x, xt, i, n) * inv * get(weight, DT_F32, i, n));
}

static void vec_rmsnorm(const struct vec_rows *a, const float *weight,
                        float eps){ FOR_ROWS(a, rmsnorm_row, weight, eps) }

INLINE void channel_norm_row(const void *x, enum dtype xt, void *out, enum dtype ot, int64_t n,
                             const float *gamma, enum kern_act act)
{
    float const norm = sqrtf(square_sum(x, xt, n));
    float const inv = sqrtf((float)n) / (norm > 1e-12f ? norm : 1e-12f);

    for (int64_t i = 0; i < n; i += LANES)
        put(out, ot, i, n, act_of(get(x, xt, i, n) * inv * get(gamma, DT_F32, i, n), act));
}

static void vec_channel_norm(const struct vec_rows *a, const float *gamma, enum kern_act act)
{
    if (act == KERN_ACT_SILU) FOR_ROWS(a, channel_norm_row, gamma, KERN_ACT_SILU)
    else FOR_ROWS(a, channel_norm_row, gamma, KERN_ACT_NONE)
}

INLINE void rope_row(const void *x, enum dtype xt, void *out, enum dtype ot, int64_t n,
                     int64_t heads, const float *cos, const float *sin)
{
    vi const swap = { 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14 };
    int64_t const head_dim = n / heads;

    for (int64_t h = 0; h < heads; h++) {
        const void *const from = row_at(x, xt, h * head_dim);
        void *const to = (unsigned char *)out + (size_t)(h * head_dim) * dtype_size(ot);
        for (int64_t i = 0; i < head_dim; i += LANES) {
            vf const v = get(from, xt, i, head_dim);
            vf const c = get(cos, DT_F32, i, head_dim), s = get(sin, DT_F32, i, head_dim);
            put(to, ot, i, head_dim, v * c + __builtin_shuffle(v, swap) * s);
        }
    }
}

static void vec_rope(const struct vec_rows *a, int64_t heads, const float *cos,
                     const float *sin){ FOR_ROWS(a, rope_row, heads, cos, sin) }

/* scale * score + bias in units of log 2, for keys i.. of one row; -inf beyond n. */
INLINE vf score_at(const float *score, const float *bias, float scale, int64_t i, int64_t n)
{
    vf s = get(score, DT_F32, i, n) * scale;

    if (bias) s += get(bias, DT_F32, i, n) * log2_e;
    return n - i >= LANES ? s : pick(inside(i, n), s, all(-INFINITY));
}

INLINE void softmax_row(const struct vec_softmax *a, int64_t r, enum dtype pt, const float *bias)
{
    const float *const score = a->score + r * a->step;
    void *const p = (unsigned char *)a->p + (size_t)(r * a->step) * dtype_size(pt);
    float *const values = a->values + r * a->value_cols;
    float const scale = a->scale * log2_e;
    int64_t const n = a->cols, whole = n / LANES * LANES, step = a->step;
    vf m = all(-INFINITY), total = all(0.0f);
    int64_t i;

    for (i = 0; i < whole; i += LANES) m = larger(score_at(score, bias, scale, i, whole), m);
    if (i < n) m = larger(score_at(score, bias, scale, i, n), m);
    float const top = max_of(m), old = a->max[r], now = top > old ? top : old;
    float const base = now == -INFINITY ? 0.0f : now;
    for (i = 0; i < whole; i += LANES) {
        vf const e = exp2_of(score_at(score, bias, scale, i, whole) - base);
        total += e;
        put(p, pt, i, whole, e);
    }
    if (i < n) {
        vf const e = exp2_of(score_at(score, bias, scale, i, n) - base);
        total += e;
        put(p, pt, i, step, e);
        i += LANES;
    }
    for (; i < step; i += LANES) put(p, pt, i, step, all(0.0f));

    float const shrink = old == now ? 1.0f : exp2f(old - base);
    a->max[r] = now;
    a->sum[r] = a->sum[r] * shrink + sum_of(total);
    if (shrink == 1.0f) return;
    for (i = 0; i < a->value_cols; i += LANES)
        put(values, DT_F32, i, a->value_cols, get(values, DT_F32, i, a->value_cols) * shrink);
}

static void vec_softmax(const struct vec_softmax *a)
{
    for (int64_t r = 0; r < a->rows; r++) {
        const float *const bias = a->bias ? a->bias + r * a->bias_step : NULL;
        if (bias && a->p_dtype == DT_F32) softmax_row(a, r, DT_F32, bias);
        else if (bias) softmax_row(a, r, DT_BF16, bias);
        else if (a->p_dtype == DT_F32) softmax_row(a, r, DT_F32, NULL);
        else softmax_row(a, r, DT_BF16, NULL);
    }
}

static void vec_divide(const struct vec_rows *a, const float *sum, int64_t out_step)
{
    for (int64_t r = 0; r < a->rows; r++) {
        const void *const x = row_at(a->x, DT_F32, r * a->cols);
        void *const out =
            (unsigned char *)a->out + (size_t)(r * out_step) * dtype_size(a->out_dtype);
        float const inv = 1.0f / sum[r];
        for (int64_t i = 0; i < a->cols; i += LANES)
            put(out, a->out_dtype, i, a->cols, get(x, DT_F32, i, a->cols) * inv);
    }
}

const struct vec_ops VEC_TABLE = {
    .name = VEC_NAME,
    .convert = vec_convert,
    .mul = vec_mul,
    .axpby = vec_axpby,
    .blend = vec_blend,
    .epilogue = vec_epilogue,
    .layernorm = vec_layernorm,
    .rmsnorm = vec_rmsnorm,
    .channel_norm = vec_channel_norm,
    .rope = vec_rope,
    .softmax = vec_softmax,
    .divide = vec_divide,
};
