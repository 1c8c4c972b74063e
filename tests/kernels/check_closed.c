/* check_closed.c - the operations once more, in long double and in other words than the oracle's:
 * products by columns, sums of squares for variances, complex numbers for rotations, scattered
 * convolutions. For small shapes; memory is the oracle's. */
#include "kernels/kern_internal.h"
#include "kernels/ref/kern_ref.h"
#include "tests/kernels/check.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Nearest even of 8 significant bits, by arithmetic. */
static float to_bf16(long double x)
{
    int e;
    long double const m = frexpl(x, &e);
    return (float)ldexpl(rintl(ldexpl(m, 8)), e - 8);
}

static void put_value(struct tensor *t, int64_t i, long double x)
{
    if (t->dtype == DT_F32) ((float *)t->data)[i] = (float)x;
    else tensor_put(t, i, to_bf16((float)x));
}

static long double get_value(const struct tensor *t, int64_t i) { return tensor_get(t, i); }

static status closed_pack(struct kern_ctx *ctx, const struct kern_pack *a)
{
    struct tensor const src = { .data = (void *)(uintptr_t)a->src, .dtype = a->src_dtype };

    (void)ctx;
    TRY(kern_check_pack(a));
    for (int64_t i = 0; i < tensor_count(&a->w->t); i++) put_value(&a->w->t, i, get_value(&src, i));
    return ST_OK;
}

static long double act_of(long double x, enum kern_act act)
{
    if (act == KERN_ACT_SILU) return x * (1 + tanhl(x / 2)) / 2;
    if (act == KERN_ACT_GELU_TANH) /* 0.5 (1 + tanh z) = 1 / (1 + e^-2z) */
        return x / (1 + expl(-2 * sqrtl(2 / acosl(-1)) * (x + 0.044715L * x * x * x)));
    return x;
}

static status closed_linear(struct kern_ctx *ctx, const struct kern_linear *a)
{
    (void)ctx;
    TRY(kern_check_linear(a));
    int64_t const rows = a->x->dim[0], k = a->x->dim[1], n = a->w->t.dim[0];

    for (int64_t c = 0; c < n; c++)
        for (int64_t r = 0; r < rows; r++) {
            long double y = a->bias ? get_value(a->bias, c) : 0;
            for (int64_t i = k; i-- > 0;)
                y += get_value(&a->w->t, c * k + i) * get_value(a->x, r * k + i);
            y = act_of(y, a->act);
            if (a->gate) y *= get_value(a->gate, r * a->gate->dim[0] / rows * n + c);
            if (a->residual) y += get_value(a->residual, r * n + c);
            put_value(a->out, r * n + c, y);
        }
    return ST_OK;
}

static status closed_layernorm(struct kern_ctx *ctx, const struct kern_layernorm *a)
{
    (void)ctx;
    TRY(kern_check_layernorm(a));
    int64_t const rows = a->x->dim[0], cols = a->x->dim[1], groups = a->scale->dim[0];

    for (int64_t r = 0; r < rows; r++) {
        long double first = 0, second = 0;
        for (int64_t c = 0; c < cols; c++) {
            first += get_value(a->x, r * cols + c);
            second += get_value(a->x, r * cols + c) * get_value(a->x, r * cols + c);
        }
        long double const mean = first / cols, var = second / cols - mean * mean;
        for (int64_t c = 0; c < cols; c++) {
            int64_t const g = r * groups / rows * cols + c;
            long double const y = (get_value(a->x, r * cols + c) - mean) / sqrtl(var + a->eps);
            put_value(a->out, r * cols + c, y * get_value(a->scale, g) + get_value(a->shift, g));
        }
    }
    return ST_OK;
}

static status closed_rmsnorm(struct kern_ctx *ctx, const struct kern_rmsnorm *a)
{
    (void)ctx;
    TRY(kern_check_rmsnorm(a));
    int64_t const cols = a->x->dim[1];

    for (int64_t r = 0; r < a->x->dim[0]; r++) {
        long double mean = a->eps;
        for (int64_t c = cols; c-- > 0;) mean += powl(get_value(a->x, r * cols + c), 2) / cols;
        for (int64_t c = 0; c < cols; c++)
            put_value(a->out, r * cols + c,
                      get_value(a->x, r * cols + c) * get_value(a->weight, c) / sqrtl(mean));
    }
    return ST_OK;
}

/* The complex number that rotates one pair of a row. */
static long double complex rotation_of(const struct kern_rope *a, int64_t row, int64_t pair)
{
    const struct tensor *const table[] = { a->time, a->row, a->col };
    int64_t const h = a->row->dim[0], w = a->col->dim[0];
    int64_t const place[] = { row / w / h, row / w % h, row % w };
    int64_t const pairs = a->x->dim[1] / 2 / a->heads, apart = kern_rope_heads(a->time);
    int64_t p = pair % pairs;
    int part = 0;

    for (; part < 2 && p >= kern_rope_pairs(table[part]); part++) p -= kern_rope_pairs(table[part]);
    int64_t const at = part ? place[part] : place[0] * apart + pair / pairs % apart;
    int64_t const angle = 2 * (at * kern_rope_pairs(table[part]) + p);
    return get_value(table[part], angle) +
           get_value(table[part], angle + 1) * (long double complex)I;
}

static status closed_rope(struct kern_ctx *ctx, const struct kern_rope *a)
{
    (void)ctx;
    TRY(kern_check_rope(a));
    int64_t const pairs = a->x->dim[1] / 2;

    for (int64_t i = 0; i < a->x->dim[0] * pairs; i++) {
        long double complex const z =
            get_value(a->x, 2 * i) + get_value(a->x, 2 * i + 1) * (long double complex)I;
        long double complex const rotated = z * rotation_of(a, i / pairs, i % pairs);
        put_value(a->out, 2 * i, creall(rotated));
        put_value(a->out, 2 * i + 1, cimagl(rotated));
    }
    return ST_OK;
}

static status closed_linear_norm(struct kern_ctx *ctx, const struct kern_linear_norm *a)
{
    TRY(kern_check_linear_norm(a));
    TRY(closed_linear(ctx, &a->linear));
    return closed_layernorm(ctx, &(struct kern_layernorm){ .x = a->linear.out,
                                                           .scale = a->scale,
                                                           .shift = a->shift,
                                                           .out = a->norm,
                                                           .eps = a->eps });
}

/* Row r of one projection, normed if it is to be; nothing is rounded on the way. */
static void closed_projection(const struct kern_qkv *a, const struct kern_projection *p, int64_t r,
                              long double *y)
{
    int64_t const k = a->x->dim[1], n = p->out->dim[1];
    long double mean = a->eps;

    for (int64_t c = 0; c < n; c++) {
        y[c] = p->bias ? get_value(p->bias, c) : 0;
        for (int64_t i = k; i-- > 0;)
            y[c] += get_value(&p->w->t, c * k + i) * get_value(a->x, r * k + i);
        mean += y[c] * y[c] / n;
    }
    for (int64_t c = 0; p->norm && c < n; c++) y[c] *= get_value(p->norm, c) / sqrtl(mean);
}

static status closed_qkv(struct kern_ctx *ctx, const struct kern_qkv *a)
{
    int64_t const rows = a->x->dim[0];

    (void)ctx;
    TRY(kern_check_qkv(a));
    int64_t const n = a->k.out->dim[1];
    struct kern_rope const rope = kern_qkv_rope(a);
    long double *const y = calloc((size_t)n + 1, sizeof *y);
    if (!y) return fail(ST_NOMEM, "%lld columns", (long long)n);
    for (int64_t r = 0; r < rows; r++) {
        closed_projection(a, &a->k, r, y);
        for (int64_t c = 0; c < n; c++) put_value(a->k.out, r * n + c, y[c]);
        closed_projection(a, &a->v, r, y);
        for (int64_t c = 0; c < n; c++) put_value(a->v.out, r * n + c, y[c]);
        if (!a->q.out) continue;
        closed_projection(a, &a->q, r, y);
        for (int64_t i = 0; i < n / 2; i++) {
            long double complex const z = y[2 * i] + y[2 * i + 1] * (long double complex)I;
            long double complex const rotated = z * rotation_of(&rope, r, i);
            put_value(a->q.out, r * n + 2 * i, creall(rotated));
            put_value(a->q.out, r * n + 2 * i + 1, cimagl(rotated));
        }
    }
    free(y);
    return ST_OK;
}

static const struct kern_segment *segment_of(const struct kern_attention *a, int64_t *key)
{
    const struct kern_segment *s = a->segments;
    while (*key >= s->k.dim[0]) *key -= s++->k.dim[0];
    return s;
}

/* Weight of one key: 1 / sum over keys of e^(their score - its score). */
static status closed_attention(struct kern_ctx *ctx, const struct kern_attention *a)
{
    (void)ctx;
    TRY(kern_check_attention(a));
    int64_t const nq = a->q->dim[0], dim = a->q->dim[1], hd = dim / a->heads;
    int64_t const keys = attention_keys(a);
    long double *const score = malloc((size_t)keys * sizeof *score);

    if (!score) return fail(ST_NOMEM, "%lld keys", (long long)keys);
    for (int64_t i = 0; i < nq * a->heads; i++) {
        int64_t const row = i / a->heads, head = i % a->heads;
        for (int64_t j = 0; j < keys; j++) {
            int64_t key = j;
            const struct kern_segment *const s = segment_of(a, &key);
            score[j] = a->bias ? get_value(a->bias, (head * nq + row) * keys + j) : 0;
            for (int64_t c = head * hd; c < (head + 1) * hd; c++)
                score[j] +=
                    a->scale * get_value(a->q, row * dim + c) * get_value(&s->k, key * dim + c);
        }
        long double all = 0;
        for (int64_t j = 0; j < keys; j++) all += expl(score[j] - score[0]);
        if (a->lse) put_value(a->lse, i, score[0] + logl(all));
        for (int64_t c = head * hd; c < (head + 1) * hd; c++) {
            long double out = 0;
            for (int64_t j = 0; j < keys; j++) {
                int64_t key = j;
                const struct kern_segment *const s = segment_of(a, &key);
                long double others = 0;
                for (int64_t o = 0; o < keys; o++) others += expl(score[o] - score[j]);
                out += get_value(&s->v, key * dim + c) / others;
            }
            put_value(a->out, row * dim + c, out);
        }
    }
    free(score);
    return ST_OK;
}

/* Weight of side b: 1 / (1 + e^(lse of a - lse of b)). */
static status closed_merge(struct kern_ctx *ctx, const struct kern_merge *a)
{
    (void)ctx;
    TRY(kern_check_merge(a));
    int64_t const heads = a->a_lse->dim[1];

    for (int64_t i = 0; i < tensor_count(a->a); i++) {
        int64_t const head = i / (a->a->dim[1] / heads);
        long double const b = 1 / (1 + expl(get_value(a->a_lse, head) - get_value(a->b_lse, head)));
        long double out = 0;
        if (b < 1) out += (1 - b) * get_value(a->a, i);
        if (b > 0) out += b * get_value(a->b, i);
        put_value(a->out, i, out);
    }
    return ST_OK;
}

/* Add what input pixel (f, y, x), upsampled, gives to every output it touches. */
static void scatter_pixel(const struct kern_conv3d *a, const struct conv_shape *s, int64_t pixel,
                          long double *sum)
{
    int64_t const uw = s->upsample * s->w, uh = s->upsample * s->h;
    int64_t const f = pixel / uw / uh, y = pixel / uw % uh, x = pixel % uw;
    const struct tensor *const from = f < s->past ? a->past : a->x;
    int64_t const frame = f < s->past ? f : f - s->past;
    int64_t const at = ((frame * s->h + y / s->upsample) * s->w + x / s->upsample) * s->cin;

    for (int64_t tap = 0; tap < s->kt * s->kh * s->kw; tap++) {
        int64_t const t = f - tap / s->kw / s->kh;
        int64_t const v = y + a->pad_lo - tap / s->kw % s->kh, h = x + a->pad_lo - tap % s->kw;
        if (t < 0 || v < 0 || h < 0) continue;
        if (t % s->stride_t || v % s->stride || h % s->stride) continue;
        int64_t const ot = t / s->stride_t, oy = v / s->stride, ox = h / s->stride;
        if (ot >= s->out_t || oy >= s->out_h || ox >= s->out_w) continue;
        for (int64_t o = 0; o < s->cout; o++)
            for (int64_t c = 0; c < s->cin; c++)
                sum[((ot * s->out_h + oy) * s->out_w + ox) * s->cout + o] +=
                    get_value(from, at + c) *
                    get_value(&a->w->t, (o * s->cin + c) * s->kt * s->kh * s->kw + tap);
    }
}

static status closed_conv3d(struct kern_ctx *ctx, const struct kern_conv3d *a)
{
    (void)ctx;
    TRY(kern_check_conv3d(a));
    struct conv_shape const s = conv_shape_of(a);
    int64_t const n = tensor_count(a->out);
    int64_t const pixels = (s.past + s.t) * s.h * s.w * s.upsample * s.upsample;
    long double *const sum = calloc((size_t)n + 1, sizeof *sum);

    if (!sum) return fail(ST_NOMEM, "%lld outputs", (long long)n);
    for (int64_t i = 0; i < pixels; i++) scatter_pixel(a, &s, i, sum);
    for (int64_t i = 0; i < n; i++) {
        if (a->bias) sum[i] += get_value(a->bias, i % s.cout);
        if (a->residual) sum[i] += get_value(a->residual, i);
        put_value(a->out, i, sum[i]);
    }
    free(sum);
    return ST_OK;
}

static status closed_channel_norm(struct kern_ctx *ctx, const struct kern_channel_norm *a)
{
    (void)ctx;
    TRY(kern_check_channel_norm(a));
    int64_t const c = a->gamma->dim[0];

    for (int64_t first = 0; first < tensor_count(a->x); first += c) {
        long double norm = 0;
        for (int64_t i = 0; i < c; i++) norm = hypotl(norm, get_value(a->x, first + i));
        long double const by = sqrtl(c) / (norm < 1e-12L ? 1e-12L : norm);
        for (int64_t i = 0; i < c; i++)
            put_value(a->out, first + i,
                      act_of(get_value(a->x, first + i) * by * get_value(a->gamma, i), a->act));
    }
    return ST_OK;
}

static status closed_mul(struct kern_ctx *ctx, const struct kern_mul *a)
{
    (void)ctx;
    TRY(kern_check_mul(a));
    for (int64_t i = tensor_count(a->out); i-- > 0;)
        put_value(a->out, i, get_value(a->a, i) * get_value(a->b, i));
    return ST_OK;
}

/* Element i of a latent [frames, c, h, w], among the tokens' patches. The patch
 * comes (c, py, px) on the way in and (py, px, c) on the way out. */
static int64_t token_place(const struct tensor *latent, int64_t i, bool channel_first)
{
    int64_t const ch = latent->dim[1], h = latent->dim[2], w = latent->dim[3];
    int64_t const x = i % w, y = i / w % h, c = i / w / h % ch, f = i / w / h / ch;
    int64_t const token = (f * (h / 2) + y / 2) * (w / 2) + x / 2, p = y % 2 * 2 + x % 2;
    return token * 4 * ch + (channel_first ? c * 4 + p : p * ch + c);
}

static status closed_patchify(struct kern_ctx *ctx, const struct kern_patchify *a)
{
    (void)ctx;
    TRY(kern_check_patchify(a));
    for (int64_t i = 0; i < tensor_count(a->latent); i++)
        put_value(a->out, token_place(a->latent, i, true), get_value(a->latent, i));
    return ST_OK;
}

static status closed_unpatchify(struct kern_ctx *ctx, const struct kern_unpatchify *a)
{
    (void)ctx;
    TRY(kern_check_unpatchify(a));
    for (int64_t i = 0; i < tensor_count(a->out); i++)
        put_value(a->out, i, get_value(a->tokens, token_place(a->out, i, false)));
    return ST_OK;
}

static status closed_axpby(struct kern_ctx *ctx, const struct kern_axpby *a)
{
    (void)ctx;
    TRY(kern_check_axpby(a));
    for (int64_t i = tensor_count(a->out); i-- > 0;)
        put_value(a->out, i, a->b * get_value(a->y, i) + a->a * get_value(a->x, i));
    return ST_OK;
}

/* e4m3 without its sign: four bits of exponent, three of what follows it. */
static long double in_8(int h)
{
    int const e = h >> 3, m = h & 7;
    return e ? ldexpl(8 + m, e - 10) : ldexpl(m, -9);
}

/* By trying all numbers of 8 bits: the nearest, of two as near the even one. */
static uint8_t nearest_in_8(long double x)
{
    int best = 0;

    if (isnan(x)) return 0x7f;
    for (int i = 1; i < 0x7f; i++) {
        long double const way = fabsl(in_8(i) - fabsl(x)), least = fabsl(in_8(best) - fabsl(x));
        if (way < least || (way == least && i % 2 == 0)) best = i;
    }
    return (uint8_t)(best | (signbit(x) ? 0x80 : 0));
}

static status closed_quantize_e4m3(struct kern_ctx *ctx, const struct kern_quantize_e4m3 *a)
{
    (void)ctx;
    TRY(kern_check_quantize_e4m3(a));
    int64_t const cols = a->x->dim[1];
    for (int64_t r = a->x->dim[0]; r-- > 0;) {
        long double most = 0;
        for (int64_t c = 0; c < cols; c++) most = fmaxl(most, fabsl(get_value(a->x, r * cols + c)));
        put_value(a->scale, r, fmaxl(most, 0x1p-100L) / 448);
        for (int64_t c = r * cols; c < (r + 1) * cols; c++)
            ((uint8_t *)a->out->data)[c] =
                nearest_in_8((float)(get_value(a->x, c) / get_value(a->scale, r)));
    }
    return ST_OK;
}

static status closed_dequantize_e4m3(struct kern_ctx *ctx, const struct kern_dequantize_e4m3 *a)
{
    (void)ctx;
    TRY(kern_check_dequantize_e4m3(a));
    for (int64_t i = tensor_count(a->out); i-- > 0;) {
        uint8_t const x = ((const uint8_t *)a->x->data)[i];
        long double const size = in_8(x & 0x7f) * get_value(a->scale, i / a->out->dim[1]);
        put_value(a->out, i, (float)(x & 0x80 ? -size : size));
    }
    return ST_OK;
}

static status closed_permute01(struct kern_ctx *ctx, const struct kern_permute01 *a)
{
    (void)ctx;
    TRY(kern_check_permute01(a));
    int64_t const size = (int64_t)dtype_size(a->in->dtype), rows = a->in->dim[0];
    int64_t const part = a->in->dim[2] * size, row = a->in->dim[1] * part;
    for (int64_t i = (int64_t)tensor_bytes(a->out); i-- > 0;) {
        int64_t const from = i / part % rows * row + i / part / rows * part + i % part;
        ((unsigned char *)a->out->data)[i] = ((const unsigned char *)a->in->data)[from];
    }
    return ST_OK;
}

static status closed_score_keys(struct kern_ctx *ctx, const struct kern_score_keys *a)
{
    (void)ctx;
    TRY(kern_check_score_keys(a));
    int64_t const cols = a->k->dim[1];
    for (int64_t r = a->k->dim[0]; r-- > 0;) {
        long double sum = 0;
        for (int64_t p = cols / 2; p-- > 0;) {
            long double complex const k =
                get_value(a->k, r * cols + 2 * p) + get_value(a->k, r * cols + 2 * p + 1) * I;
            long double complex const w = get_value(a->w, 2 * p) + get_value(a->w, 2 * p + 1) * I;
            sum += creall(w * conjl(k));
            if (a->amplitude) sum += cabsl(k) * get_value(a->amplitude, p);
        }
        put_value(a->out, r, sum * a->scale);
    }
    return ST_OK;
}

static status closed_sum_rows(struct kern_ctx *ctx, const struct kern_sum_rows *a)
{
    (void)ctx;
    TRY(kern_check_sum_rows(a));
    int64_t const cols = a->x->dim[1];
    for (int64_t c = 0; c < cols; c++) {
        long double sum = 0;
        for (int64_t r = a->x->dim[0]; r-- > 0;) sum += get_value(a->x, r * cols + c);
        put_value(a->out, c, sum);
    }
    return ST_OK;
}

static status closed_gather_rows(struct kern_ctx *ctx, const struct kern_gather_rows *a)
{
    (void)ctx;
    TRY(kern_check_gather_rows(a));
    int64_t const size = (int64_t)dtype_size(a->x->dtype) * a->x->dim[1];
    for (int64_t i = (int64_t)tensor_bytes(a->out); i-- > 0;) {
        int64_t const row = (int64_t)get_value(a->index, i / size);
        ((unsigned char *)a->out->data)[i] =
            ((const unsigned char *)a->x->data)[row * size + i % size];
    }
    return ST_OK;
}

static status closed_cast(struct kern_ctx *ctx, const struct kern_cast *a)
{
    (void)ctx;
    TRY(kern_check_cast(a));
    for (int64_t i = tensor_count(a->out); i-- > 0;) put_value(a->out, i, get_value(a->in, i));
    return ST_OK;
}

static status closed_copy(struct kern_ctx *ctx, const struct kern_copy *a)
{
    (void)ctx;
    TRY(kern_check_copy(a));
    for (size_t i = tensor_bytes(a->in); i-- > 0;)
        ((unsigned char *)a->out->data)[i] = ((const unsigned char *)a->in->data)[i];
    return ST_OK;
}

static status closed_zero(struct kern_ctx *ctx, const struct kern_zero *a)
{
    (void)ctx;
    TRY(kern_check_zero(a));
    for (int64_t i = tensor_count(a->out); i-- > 0;) put_value(a->out, i, 0);
    return ST_OK;
}

struct kern_backend closed_backend(void)
{
    struct kern_backend b = kern_ref_backend;

    b.name = "closed";
#define OP(op) b.ops.op = closed_##op;
    KERN_OPS(OP)
#undef OP
    return b;
}
