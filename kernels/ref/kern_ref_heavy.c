/*
 * kern_ref_heavy.c - the oracle's matrix product, attention and convolution.
 *
 * A task is one output row (of a convolution: one row of pixels) from beginning to end. Inputs
 * are turned into f64 once per row and then multiplied in full: attention keeps all scores of a
 * row and takes the softmax of them as the formula says, not chunk by chunk.
 */
#include "kernels/kern_internal.h"
#include "kernels/ref/kern_ref.h"

#include <math.h>
#include <stdlib.h>

/* sum a[i] * b[i] in f64, in eight lanes that are added in a fixed order: the one concession to
 * speed, which the compiler makes vectors of without reordering anything. */
static double dot_f64(const double *a, const struct tensor *t, int64_t at, int64_t n)
{
    double lane[8] = { 0 };
    int64_t i = 0;

    if (t->dtype == DT_F32) {
        const float *const b = (const float *)t->data + at;
        for (; i + 8 <= n; i += 8)
            for (int j = 0; j < 8; j++) lane[j] += a[i + j] * (double)b[i + j];
    } else {
        const uint16_t *const b = (const uint16_t *)t->data + at;
        for (; i + 8 <= n; i += 8)
            for (int j = 0; j < 8; j++) lane[j] += a[i + j] * (double)f32_from_bf16(b[i + j]);
    }
    for (; i < n; i++) lane[0] += a[i] * (double)tensor_get(t, at + i);
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) +
           ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

/* SiLU, or GELU in its tanh form. */
double ref_act(double x, enum kern_act act)
{
    switch (act) {
    case KERN_ACT_SILU: return x / (1.0 + exp(-x));
    case KERN_ACT_GELU_TANH:
        return 0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    default: return x;
    }
}

static double *copy_row(const struct tensor *t, int64_t at, int64_t n)
{
    double *const row = malloc((size_t)(n ? n : 1) * sizeof *row);

    if (row)
        for (int64_t i = 0; i < n; i++) row[i] = tensor_get(t, at + i);
    return row;
}

static status linear_row(void *arg, int64_t r, int worker)
{
    const struct kern_linear *const a = arg;
    int64_t const k = a->x->dim[1], n = a->w->t.dim[0];
    int64_t const per_group = a->gate ? a->x->dim[0] / a->gate->dim[0] : 1;
    double *const x = copy_row(a->x, r * k, k);

    (void)worker;
    if (!x) return fail(ST_NOMEM, "linear: no memory for a row of %lld", (long long)k);
    for (int64_t c = 0; c < n; c++) {
        double y = dot_f64(x, &a->w->t, c * k, k);
        if (a->bias) y += tensor_get(a->bias, c);
        y = ref_act(y, a->act);
        if (a->gate) y *= tensor_get(a->gate, r / per_group * n + c);
        if (a->residual) y += tensor_get(a->residual, r * n + c);
        tensor_put(a->out, r * n + c, (float)y);
    }
    free(x);
    return ST_OK;
}

status ref_linear(struct kern_ctx *ctx, const struct kern_linear *a)
{
    struct kern_linear args = *a;

    TRY(kern_check_linear(a));
    return pool_run(((struct ref_ctx *)ctx)->pool, a->x->dim[0], linear_row, &args);
}

/* One query row, all heads: scores of all keys first, then softmax, then values. */
static status attention_row(void *arg, int64_t r, int worker)
{
    const struct kern_attention *const a = arg;
    int64_t const dim = a->q->dim[1], hd = dim / a->heads, keys = attention_keys(a);
    double *const q = copy_row(a->q, r * dim, dim);
    double *const s = malloc((size_t)keys * sizeof *s);
    double *const o = calloc((size_t)dim, sizeof *o);
    status st = ST_OK;

    (void)worker;
    if (!q || !s || !o)
        TRY_OUT(fail(ST_NOMEM, "attention: no memory for %lld scores", (long long)keys));
    for (int64_t h = 0; h < a->heads; h++) {
        double max = -INFINITY, sum = 0;
        int64_t n = 0;
        for (int i = 0; i < a->segment_count; i++)
            for (int64_t j = 0; j < a->segments[i].k.dim[0]; j++, n++) {
                s[n] =
                    (double)a->scale * dot_f64(q + h * hd, &a->segments[i].k, j * dim + h * hd, hd);
                if (a->bias) s[n] += tensor_get(a->bias, (h * a->q->dim[0] + r) * keys + n);
                if (!(s[n] <= max)) max = s[n];
            }
        if (max == -INFINITY) max = 0; /* a bias has left out every key */
        for (n = 0; n < keys; n++) sum += s[n] = exp(s[n] - max);
        if (a->lse) tensor_put(a->lse, r * a->heads + h, (float)(max + log(sum)));
        n = 0;
        for (int i = 0; i < a->segment_count; i++)
            for (int64_t j = 0; j < a->segments[i].k.dim[0]; j++, n++)
                for (int64_t c = h * hd; c < (h + 1) * hd; c++)
                    o[c] += s[n] / sum * (double)tensor_get(&a->segments[i].v, j * dim + c);
    }
    for (int64_t c = 0; c < dim; c++) tensor_put(a->out, r * dim + c, (float)o[c]);
out:
    free(q);
    free(s);
    free(o);
    return st;
}

status ref_attention(struct kern_ctx *ctx, const struct kern_attention *a)
{
    struct kern_attention args = *a;

    TRY(kern_check_attention(a));
    return pool_run(((struct ref_ctx *)ctx)->pool, a->q->dim[0], attention_row, &args);
}

/* Input frame f of [past | x]. */
static struct tensor input_frame(const struct kern_conv3d *a, const struct conv_shape *s, int64_t f)
{
    return f < s->past ? tensor_slice(a->past, f, 1) : tensor_slice(a->x, f - s->past, 1);
}

/* The inputs one output pixel sees, as [kt, kh, kw, cin], zeros beyond the border. */
static void gather_inputs(const struct kern_conv3d *a, const struct conv_shape *s, int64_t t,
                          int64_t y, int64_t x, double *to)
{
    for (int64_t i = 0; i < s->kt; i++) {
        struct tensor const frame = input_frame(a, s, t * s->stride_t + i);
        for (int64_t j = 0; j < s->kh; j++)
            for (int64_t k = 0; k < s->kw; k++) {
                int64_t const v = y * s->stride + j - a->pad_lo, u = x * s->stride + k - a->pad_lo;
                bool const inside =
                    v >= 0 && u >= 0 && v < s->upsample * s->h && u < s->upsample * s->w;
                int64_t const at = (v / s->upsample * s->w + u / s->upsample) * s->cin;
                for (int64_t c = 0; c < s->cin; c++)
                    *to++ = inside ? tensor_get(&frame, at + c) : 0.0;
            }
    }
}

struct conv_args {
    const struct kern_conv3d *a;
    struct conv_shape s;
    struct tensor taps; /* [cout, kt*kh*kw*cin] in the order gather_inputs gives, F32 */
};

static status conv_row(void *arg, int64_t task, int worker)
{
    const struct conv_args *const p = arg;
    const struct kern_conv3d *const a = p->a;
    const struct conv_shape *const s = &p->s;
    int64_t const n = s->kt * s->kh * s->kw * s->cin;
    double *const in = malloc((size_t)n * sizeof *in);

    (void)worker;
    if (!in) return fail(ST_NOMEM, "conv3d: no memory for %lld inputs", (long long)n);
    for (int64_t x = 0; x < s->out_w; x++) {
        gather_inputs(a, s, task / s->out_h, task % s->out_h, x, in);
        for (int64_t c = 0; c < s->cout; c++) {
            int64_t const at = (task * s->out_w + x) * s->cout + c;
            double y = dot_f64(in, &p->taps, c * n, n);
            if (a->bias) y += tensor_get(a->bias, c);
            if (a->residual) y += tensor_get(a->residual, at);
            tensor_put(a->out, at, (float)y);
        }
    }
    free(in);
    return ST_OK;
}

status ref_conv3d(struct kern_ctx *ctx, const struct kern_conv3d *a)
{
    TRY(kern_check_conv3d(a));
    struct conv_args p = { .a = a, .s = conv_shape_of(a) };
    int64_t const area = p.s.kt * p.s.kh * p.s.kw, n = area * p.s.cin;
    float *const taps = malloc((size_t)(p.s.cout * n) * sizeof *taps);

    if (!taps)
        return fail(ST_NOMEM, "conv3d: no memory for %lld weights", (long long)(p.s.cout * n));
    for (int64_t o = 0; o < p.s.cout; o++)
        for (int64_t c = 0; c < p.s.cin; c++)
            for (int64_t i = 0; i < area; i++)
                taps[o * n + i * p.s.cin + c] = tensor_get(&a->w->t, (o * p.s.cin + c) * area + i);
    p.taps = (struct tensor){ .data = taps, .dtype = DT_F32, .ndim = 2, .dim = { p.s.cout, n } };

    status const st = pool_run(((struct ref_ctx *)ctx)->pool, p.s.out_t * p.s.out_h, conv_row, &p);
    free(taps);
    return st;
}
