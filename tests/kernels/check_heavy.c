/* check_heavy.c - matrix product, convolution, and the packing of their weights. */
#include "tests/kernels/check.h"

#include <math.h>
#include <stdlib.h>

static const double u = 0x1p-24;

/* ---- pack ---------------------------------------------------------------- */

/* Of weights that come out again: element (c, r) is w[r, c]. */
static void low_precision_tolerance(const struct check *k, struct operand *out,
                                    const struct weight *w)
{
    int64_t const rows = w->w[0].t.dim[0], cols = w->w[0].t.dim[1];
    double *const tol = tolerances(out);

    for (int64_t r = 0; r < rows; r++) {
        const float *const row = w->source + r * cols;
        double most = 0;
        for (int64_t c = 0; c < cols; c++) most = fmax(most, fabs((double)row[c]));
        for (int64_t c = 0; c < cols; c++)
            tol[c * rows + r] = low_precision_step(k, w->w[0].use, (double)row[c], most);
    }
}

/* Weights come out again where the input is one 1 among zeros: the product then
 * is the weight itself, in the run's precision and exact. */
static void read_linear(struct check *k, struct weight *w)
{
    int64_t const rows = w->w[0].t.dim[0], cols = w->w[0].t.dim[1];
    struct operand *const x = input(k, k->act, DIMS(cols, cols));
    struct operand *const out = output(k, DT_F32, DIMS(cols, rows));
    struct tensor one = values(x);

    if (w->w[0].use == KERN_LINEAR_LOW_PRECISION) low_precision_tolerance(k, out, w);
    for (int64_t i = 0; i < cols * cols; i++) tensor_put(&one, i, i % (cols + 1) ? 0 : 1);
    refill(k, x, &one);
    free(one.data);
    for (int s = 0; s < SIDES; s++) {
        struct kern_linear const args = { .x = at(x, s), .w = &w->w[s], .out = at(out, s) };
        ran(k, s, k->backend[s]->ops.linear(k->ctx[s], &args));
    }
}

static void check_pack_linear(struct check *k, enum kern_use use, int64_t rows, int64_t cols)
{
    case_begin(k, "linear %lld x %lld%s", (long long)rows, (long long)cols,
               use == KERN_LINEAR ? "" : ", low_precision");
    struct weight w = weight(k, use, DIMS(rows, cols));

    read_linear(k, &w);
    case_end(k);
    weight_free(&w);
}

/* Channel c is 1 in frame c * kt alone, in one pixel: every place of the kernel
 * sees one 1, so every output is one weight. */
static void check_pack_conv(struct check *k, const int64_t dim[5])
{
    int64_t const cin = dim[1], kt = dim[2], kh = dim[3], kw = dim[4];
    int64_t const places = cin * kt, frames = places + kt - 1, pixels = kh * kw;

    case_begin(k, "conv3d %lld x %lld x %lld x %lld x %lld", (long long)dim[0], (long long)cin,
               (long long)kt, (long long)kh, (long long)kw);
    struct weight w = weight(k, KERN_CONV, 5, dim);
    struct operand *const x = input(k, k->act, DIMS(frames, kh, kw, cin));
    struct operand *const out = output(k, DT_F32, DIMS(places, 1, 1, dim[0]));
    struct tensor one = values(x);

    for (int64_t f = 0; f < frames; f++)
        for (int64_t p = 0; p < pixels; p++)
            for (int64_t c = 0; c < cin; c++)
                tensor_put(&one, (f * pixels + p) * cin + c, c * kt == f && p == c % pixels);
    refill(k, x, &one);
    free(one.data);
    for (int s = 0; s < SIDES; s++) {
        struct kern_conv3d const args = { .x = at(x, s), .w = &w.w[s], .out = at(out, s) };
        ran(k, s, k->backend[s]->ops.conv3d(k->ctx[s], &args));
    }
    case_end(k);
    weight_free(&w);
}

/* The three dtypes a file may hold; F16 has no writer, so its bits are built:
 * a bf16 number of at most 8 bits of mantissa and a small exponent is one. */
static void check_pack_sources(struct check *k)
{
    enum { N = 5, K = 7 };
    float f32[N * K];
    uint16_t bf16[N * K], f16[N * K];
    const void *const src[] = { f32, bf16, f16 };
    enum dtype const type[] = { DT_F32, DT_BF16, DT_F16 };

    for (int i = 0; i < N * K; i++) { /* 1.mmmmmmm times +-1 */
        uint16_t const mantissa = (uint16_t)(i * 37 % 128), sign = (uint16_t)(i % 3 == 0);
        bf16[i] = (uint16_t)(sign << 15 | 127 << 7 | mantissa);
        f16[i] = (uint16_t)(sign << 15 | 15 << 10 | mantissa << 3);
        f32[i] = f32_from_bf16(bf16[i]);
    }
    for (int from = 0; from < 3; from++) {
        case_begin(k, "from %s", dtype_name(type[from]));
        struct weight w = weight(k, KERN_LINEAR, DIMS(N, K));
        for (int s = 0; s < SIDES; s++) {
            struct kern_pack const wrong = { .w = &w.w[s], .src = f32, .src_dtype = DT_I64 };
            refused(k, s, k->backend[s]->ops.pack(k->ctx[s], &wrong));
            repack(k, &w, s, src[s == ORACLE ? 0 : from], type[s == ORACLE ? 0 : from]);
        }
        read_linear(k, &w);
        case_end(k);
        weight_free(&w);
    }
}

void check_pack(struct check *k)
{
    static const int64_t convs[][5] = {
        { 1, 1, 1, 1, 1 }, { 3, 5, 3, 3, 3 }, { 17, 16, 1, 3, 3 }, { 32, 33, 3, 1, 1 }
    };

    check_pack_linear(k, KERN_LINEAR, 1, 1);
    check_pack_linear(k, KERN_LINEAR, 3, 5);
    check_pack_linear(k, KERN_LINEAR, 33, 65);
    check_pack_linear(k, KERN_LINEAR_LOW_PRECISION, 3, 5);
    check_pack_linear(k, KERN_LINEAR_LOW_PRECISION, 32, 48);
    for (int i = 0; i < COUNT_OF(convs); i++) check_pack_conv(k, convs[i]);
    check_pack_sources(k);
}

/* ---- linear -------------------------------------------------------------- */

enum linear_form { PLAIN, BIAS, OUT_F32, RESIDUAL, GATED, IN_PLACE, LINEAR_FORMS };

struct linear_case {
    int64_t rows, k, n, groups;
    enum linear_form form;
    enum kern_act act;
    bool low_precision;
};

struct linear_operands {
    struct operand *x, *bias, *residual, *gate, *out;
    struct weight w;
};

/* sum |x| |w| + |bias| per element, by the oracle itself; [rows, n] F32, free data. */
static struct tensor linear_magnitude(struct check *k, struct linear_operands *o)
{
    struct tensor const x = magnitudes(o->x);
    int64_t const rows = x.dim[0], cols = x.dim[1], n = o->w.w[0].t.dim[0];
    float *const w = malloc((size_t)(n * cols + 1) * sizeof *w);
    struct tensor bias = { 0 }, sum = { .dtype = DT_F32, .ndim = 2, .dim = { rows, n } };

    sum.data = calloc((size_t)(rows * n + 1), sizeof(float));
    for (int64_t i = 0; i < n * cols; i++) w[i] = fabsf(o->w.source[i]);
    if (o->bias) bias = magnitudes(o->bias);
    struct kern_weight const plain = {
        .use = KERN_LINEAR, .t = { .data = w, .dtype = DT_F32, .ndim = 2, .dim = { n, cols } }
    };
    ran(k, ORACLE,
        k->backend[ORACLE]->ops.linear(
            k->ctx[ORACLE],
            &(struct kern_linear){
                .x = &x, .w = &plain, .out = &sum, .bias = o->bias ? &bias : NULL }));
    free(x.data);
    free(w);
    free(bias.data);
    return sum;
}

/* With m the magnitude: the sum errs by sum_error m. An activation has a slope
 * of at most 1.13 and errs itself by 16 u m (exp or tanh in F32, a sum, a
 * quotient). Product with the gate and sum with the residual round once each. A bias
 * may be rounded to bf16 where the output is. What FP8 errs by comes beside. */
static void linear_tolerance(struct check *k, struct linear_operands *o,
                             const struct linear_case *t)
{
    struct tensor const m = linear_magnitude(k, o);
    struct tensor res = { 0 }, gate = { 0 }, bias = { 0 };
    double *const tol = tolerances(o->out), *const low_precision =
                                                low_precision_errors(k, o->x, &o->w);

    if (o->bias && at(o->out, ORACLE)->dtype == DT_BF16) bias = magnitudes(o->bias);
    if (o->residual) res = magnitudes(o->residual);
    if (o->gate) gate = magnitudes(o->gate);
    for (int64_t i = 0; i < t->rows * t->n; i++) {
        int64_t const group = i / t->n / (t->rows / t->groups);
        double const size = tensor_get(&m, i);
        double const rounded = bias.data ? 0x1p-8 * (double)tensor_get(&bias, i % t->n) : 0;
        double const e = (sum_error(t->k) + u) * size + rounded + low_precision[i];
        double const y = t->act ? 1.13 * e + 16 * u * size : e;
        double const g = o->gate ? tensor_get(&gate, group * t->n + i % t->n) : 1;
        tol[i] = g * (y + u * size);
        if (o->residual) tol[i] += u * (tensor_get(&res, i) + g * size);
    }
    free(m.data);
    free(res.data);
    free(gate.data);
    free(bias.data);
    free(low_precision);
}

static void linear_one(struct check *k, struct linear_case t)
{
    static const char *const forms[] = { "plain",    "bias",  "out F32",
                                         "residual", "gated", "gated in place" };
    case_begin(k, "rows %lld, k %lld, n %lld, %lld groups, act %d, %s%s", (long long)t.rows,
               (long long)t.k, (long long)t.n, (long long)t.groups, t.act, forms[t.form],
               t.low_precision ? ", low_precision" : "");
    enum kern_use const use = t.low_precision ? KERN_LINEAR_LOW_PRECISION : KERN_LINEAR;
    struct linear_operands o = { .w = weight(k, use, DIMS(t.n, t.k)) };

    o.x = input(k, k->act, DIMS(t.rows, t.k));
    if (t.form != PLAIN) o.bias = input(k, DT_F32, DIMS(t.n));
    if (t.form == IN_PLACE) o.out = o.residual = in_place(k, DT_F32, DIMS(t.rows, t.n));
    else o.out = output(k, t.form < OUT_F32 ? k->act : DT_F32, DIMS(t.rows, t.n));
    if (t.form == RESIDUAL || t.form == GATED) o.residual = input(k, DT_F32, DIMS(t.rows, t.n));
    if (t.form >= GATED) o.gate = input(k, DT_F32, DIMS(t.groups, t.n));

    linear_tolerance(k, &o, &t);
    for (int s = 0; s < SIDES; s++) {
        struct kern_linear const args = { .x = at(o.x, s),
                                          .w = &o.w.w[s],
                                          .bias = at(o.bias, s),
                                          .residual = at(o.residual, s),
                                          .gate = at(o.gate, s),
                                          .out = at(o.out, s),
                                          .act = t.act };
        struct tensor wrong_out = *at(o.out, s);
        struct kern_linear wrong = args;
        wrong_out.dim[1]++;
        wrong.out = &wrong_out;
        refused(k, s, k->backend[s]->ops.linear(k->ctx[s], &wrong));
        ran(k, s, k->backend[s]->ops.linear(k->ctx[s], &args));
    }
    case_end(k);
    weight_free(&o.w);
}

void check_linear(struct check *k)
{
    static const struct linear_case small[] = {
        { 1, 1, 1, 1, 0, 0, false },  { 3, 5, 7, 3, 0, 0, false },
        { 0, 8, 8, 1, 0, 0, false },  { 6, 24, 48, 2, 0, 0, false },
        { 2, 8, 8, 1, 0, 0, false },  { 33, 64, 17, 11, 0, 0, false },
        { 0, 16, 16, 1, 0, 0, true }, { 3, 24, 16, 3, 0, 0, true },
        { 9, 64, 48, 3, 0, 0, true },
    };
    static const struct linear_case model[] = {
        { 17, 129, 65, 1, BIAS, 0, false },
        { 99, 1536, 1536, 3, IN_PLACE, 0, false },
        { 39, 1536, 8960, 1, BIAS, KERN_ACT_GELU_TANH, false },
        { 39, 8960, 1536, 3, IN_PLACE, 0, false },
        { 39, 64, 1536, 1, OUT_F32, 0, false },
        { 39, 1536, 64, 1, OUT_F32, 0, false },
        { 3, 256, 1536, 1, BIAS, KERN_ACT_SILU, false },
        { 13, 4096, 1000, 1, PLAIN, KERN_ACT_GELU_TANH, false },
        { 1, 1536, 9216, 1, OUT_F32, 0, false },
        { 99, 1536, 1536, 3, IN_PLACE, 0, true },
        { 39, 1536, 8960, 1, BIAS, KERN_ACT_GELU_TANH, true },
        { 39, 8960, 1536, 3, IN_PLACE, 0, true },
        { 7, 1536, 1536, 1, BIAS, 0, true },
    };

    for (int i = 0; i < COUNT_OF(small); i++)
        for (int form = 0; form < LINEAR_FORMS; form++)
            for (int act = KERN_ACT_NONE; act <= KERN_ACT_GELU_TANH; act++) {
                struct linear_case t = small[i];
                t.form = (enum linear_form)form;
                t.act = (enum kern_act)act;
                linear_one(k, t);
            }
    for (int i = 0; !k->small && i < COUNT_OF(model); i++)
        if (within(k, model[i].rows * model[i].k * model[i].n)) linear_one(k, model[i]);
}

/* ---- conv3d -------------------------------------------------------------- */

struct conv_case {
    int64_t past, t, h, w, cin, cout, kt, kh, kw;
    int stride_t, stride, pad_lo, pad_hi, upsample;
    bool bias, residual, f32;
    bool doubled;  /* the weight is one for doubled pixels */
    bool in_place; /* out is the residual */
};

static void square_elements(struct tensor *t)
{
    float *const v = t->data;
    for (int64_t i = 0; i < tensor_count(t); i++) v[i] *= v[i];
}

/* The oracle's convolution of magnitudes with the bias', or of squares; F32, free data. */
static struct tensor conv_sum(struct check *k, const struct kern_conv3d *args,
                              const struct weight *w, struct operand *const io[4], bool squares)
{
    struct tensor x = magnitudes(io[0]), past = { 0 }, bias = { 0 }, sum = *args->out;
    struct kern_weight plain = { .use = KERN_CONV, .t = w->w[ORACLE].t };
    struct kern_conv3d a = *args;
    int64_t const n = tensor_count(&plain.t);
    float *const source = plain.t.data = malloc((size_t)n * sizeof *source);

    plain.t.dtype = sum.dtype = DT_F32;
    sum.data = calloc((size_t)tensor_count(&sum) + 1, sizeof(float));
    if (io[1]) past = magnitudes(io[1]);
    if (io[2] && !squares) bias = magnitudes(io[2]);
    for (int64_t i = 0; i < n; i++) source[i] = fabsf(w->source[i]);
    if (squares) {
        for (int64_t i = 0; i < n; i++) source[i] *= source[i];
        square_elements(&x);
        if (io[1]) square_elements(&past);
    }
    a.x = &x;
    a.past = io[1] ? &past : NULL;
    a.bias = bias.data ? &bias : NULL;
    a.residual = NULL;
    a.w = &plain;
    a.out = &sum;
    ran(k, ORACLE, k->backend[ORACLE]->ops.conv3d(k->ctx[ORACLE], &a));
    free(x.data);
    free(past.data);
    free(bias.data);
    free(source);
    return sum;
}

/* As in linear: a sum of kt kh kw cin products, a bias, a residual. In bf16 the bias may
 * have been rounded by 2^-8 of itself.
 *
 * Taps that were added for doubled pixels are rounded to bf16: a sum of m <= 4 of them by
 * at most 2^-8 of itself, evenly spread, so with deviation 2^-8 / sqrt 3. Of the products
 * with x, six deviations are 6 / sqrt 3 * 2^-8 * sqrt(sum x^2 (w1 + .. + wm)^2), and
 * (w1 + .. + wm)^2 <= 4 (w1^2 + .. + wm^2): twice the root of the convolution of squares. */
static void conv_tolerance(struct check *k, const struct conv_case *t,
                           const struct kern_conv3d *args, const struct weight *w,
                           struct operand *const io[4])
{
    bool const folds = t->doubled && k->act == DT_BF16;
    struct tensor const sum = conv_sum(k, args, w, io, false);
    struct tensor squares = { 0 };
    double *const tol = tolerances(io[3]);

    if (folds) squares = conv_sum(k, args, w, io, true);
    for (int64_t i = 0; i < tensor_count(&sum); i++) {
        double const size = tensor_get(&sum, i);
        double const r = args->residual ? fabs((double)tensor_get(args->residual, i)) : 0;
        tol[i] = (sum_error(t->kt * t->kh * t->kw * t->cin) + u) * size + u * (size + r);
        if (io[2] && k->act == DT_BF16)
            tol[i] += 0x1p-8 * fabs((double)tensor_get(at(io[2], ORACLE), i % t->cout));
        if (folds) tol[i] += 12 / sqrt(3) * 0x1p-8 * sqrt((double)tensor_get(&squares, i));
    }
    free(sum.data);
    free(squares.data);
}

static void conv_one(struct check *k, const struct conv_case *t)
{
    int64_t const up = t->upsample ? t->upsample : 1, pad = t->pad_lo + t->pad_hi;
    int64_t const stride = t->stride ? t->stride : 1, stride_t = t->stride_t ? t->stride_t : 1;
    int64_t const dim[] = { (t->past + t->t - t->kt) / stride_t + 1,
                            (up * t->h + pad - t->kh) / stride + 1,
                            (up * t->w + pad - t->kw) / stride + 1, t->cout };

    case_begin(k, "%lld+%lld x %lld x %lld x %lld to %lld, taps %lldx%lldx%lld%s%s%s%s%s",
               (long long)t->past, (long long)t->t, (long long)t->h, (long long)t->w,
               (long long)t->cin, (long long)t->cout, (long long)t->kt, (long long)t->kh,
               (long long)t->kw, stride > 1 ? ", strided" : "", up > 1 ? ", upsampled" : "",
               t->residual   ? ", residual"
               : t->in_place ? ", residual in place"
                             : "",
               t->f32 ? ", out F32" : "", t->doubled ? ", weight for it" : "");
    enum kern_use const use = t->doubled ? KERN_CONV_DOUBLED : KERN_CONV;
    struct weight w = weight(k, use, DIMS(t->cout, t->cin, t->kt, t->kh, t->kw));
    struct operand *const x = input(k, k->act, DIMS(t->t, t->h, t->w, t->cin));
    struct operand *const past =
        t->past ? input(k, k->act, DIMS(t->past, t->h, t->w, t->cin)) : NULL;
    struct operand *const bias = t->bias ? input(k, DT_F32, DIMS(t->cout)) : NULL;
    struct operand *const out =
        t->in_place ? in_place(k, k->act, 4, dim) : output(k, t->f32 ? DT_F32 : k->act, 4, dim);
    struct operand *const res = t->in_place ? out : t->residual ? input(k, k->act, 4, dim) : NULL;

    for (int s = 0; s < SIDES; s++) {
        struct kern_conv3d const args = {
            .past = at(past, s),
            .x = at(x, s),
            .bias = at(bias, s),
            .residual = at(res, s),
            .w = &w.w[s],
            .out = at(out, s),
            .stride_t = t->stride_t,
            .stride = t->stride,
            .pad_lo = t->pad_lo,
            .pad_hi = t->pad_hi,
            .upsample = t->upsample,
        };
        struct kern_conv3d wrong = args;
        wrong.pad_hi += 7 * (int)stride;
        refused(k, s, k->backend[s]->ops.conv3d(k->ctx[s], &wrong));
        if (s == ORACLE)
            conv_tolerance(k, t, &args, &w, (struct operand *const[]){ x, past, bias, out });
        ran(k, s, k->backend[s]->ops.conv3d(k->ctx[s], &args));
    }
    case_end(k);
    weight_free(&w);
}

// clang-format off
static const struct conv_case conv_cases[] = {
    { .t = 1, .h = 1, .w = 1, .cin = 1, .cout = 1, .kt = 1, .kh = 1, .kw = 1 },
    { .past = 2, .t = 3, .h = 5, .w = 7, .cin = 3, .cout = 4,
      .kt = 3, .kh = 3, .kw = 3, .pad_lo = 1, .pad_hi = 1, .bias = true },
    { .t = 3, .h = 4, .w = 3, .cin = 5, .cout = 2,
      .kt = 3, .kh = 3, .kw = 3, .pad_lo = 1, .pad_hi = 1, .residual = true },
    { .t = 2, .h = 7, .w = 9, .cin = 4, .cout = 5,
      .kt = 1, .kh = 3, .kw = 3, .stride = 2, .pad_hi = 1, .bias = true },
    { .past = 1, .t = 4, .h = 3, .w = 2, .cin = 4, .cout = 4,
      .kt = 3, .kh = 1, .kw = 1, .stride_t = 2, .bias = true },
    { .t = 3, .h = 3, .w = 5, .cin = 6, .cout = 4,
      .kt = 1, .kh = 3, .kw = 3, .pad_lo = 1, .pad_hi = 1, .upsample = 2, .bias = true,
      .f32 = true },
    { .past = 2, .t = 1, .h = 2, .w = 3, .cin = 16, .cout = 17,
      .kt = 3, .kh = 3, .kw = 3, .pad_lo = 1, .pad_hi = 1, .bias = true, .residual = true },
    { .t = 4, .h = 6, .w = 5, .cin = 8, .cout = 24, .kt = 1, .kh = 1, .kw = 1, .bias = true },
    { .past = 2, .t = 2, .h = 3, .w = 4, .cin = 8, .cout = 8,
      .kt = 3, .kh = 3, .kw = 3, .pad_lo = 1, .pad_hi = 1, .bias = true, .in_place = true },
    { .t = 2, .h = 3, .w = 4, .cin = 8, .cout = 16,
      .kt = 1, .kh = 3, .kw = 3, .pad_lo = 1, .pad_hi = 1, .upsample = 2, .bias = true,
      .doubled = true },
    { .past = 1, .t = 1, .h = 1, .w = 2, .cin = 8, .cout = 3,
      .kt = 1, .kh = 3, .kw = 3, .pad_lo = 1, .pad_hi = 1, .upsample = 2, .residual = true,
      .doubled = true },
    { .past = 1, .t = 2, .h = 2, .w = 3, .cin = 8, .cout = 8,
      .kt = 1, .kh = 3, .kw = 3, .pad_lo = 1, .pad_hi = 1, .upsample = 2, .bias = true },
    { .past = 2, .t = 3, .h = 5, .w = 5, .cin = 33, .cout = 70,
      .kt = 3, .kh = 3, .kw = 3, .pad_lo = 1, .pad_hi = 1, .bias = true, .residual = true },
    { .past = 2, .t = 4, .h = 8, .w = 13, .cin = 96, .cout = 96,
      .kt = 3, .kh = 3, .kw = 3, .pad_lo = 1, .pad_hi = 1, .bias = true, .residual = true },
    { .past = 2, .t = 3, .h = 6, .w = 9, .cin = 16, .cout = 384,
      .kt = 3, .kh = 3, .kw = 3, .pad_lo = 1, .pad_hi = 1, .bias = true },
    { .past = 2, .t = 3, .h = 6, .w = 9, .cin = 192, .cout = 384,
      .kt = 3, .kh = 1, .kw = 1, .bias = true },
    { .t = 2, .h = 5, .w = 7, .cin = 384, .cout = 192,
      .kt = 1, .kh = 3, .kw = 3, .pad_lo = 1, .pad_hi = 1, .upsample = 2, .bias = true },
    { .t = 2, .h = 5, .w = 7, .cin = 384, .cout = 192,
      .kt = 1, .kh = 3, .kw = 3, .pad_lo = 1, .pad_hi = 1, .upsample = 2, .bias = true,
      .doubled = true },
    { .t = 1, .h = 9, .w = 6, .cin = 192, .cout = 96,
      .kt = 1, .kh = 3, .kw = 3, .pad_lo = 1, .pad_hi = 1, .upsample = 2, .bias = true,
      .doubled = true },
    { .past = 2, .t = 4, .h = 12, .w = 20, .cin = 96, .cout = 3,
      .kt = 3, .kh = 3, .kw = 3, .pad_lo = 1, .pad_hi = 1, .bias = true, .f32 = true },
    { .past = 2, .t = 1, .h = 16, .w = 24, .cin = 3, .cout = 96,
      .kt = 3, .kh = 3, .kw = 3, .pad_lo = 1, .pad_hi = 1, .bias = true },
};
// clang-format on
enum { CONV_SMALL = 12 }; /* the first of them: few enough products for any oracle */

/* At least as many as there are. */
static int64_t conv_products(const struct conv_case *t)
{
    int64_t const up = t->upsample ? t->upsample : 1;
    return (t->past + t->t) * t->h * t->w * up * up * t->kt * t->kh * t->kw * t->cin * t->cout;
}

void check_conv3d(struct check *k)
{
    int const count = k->small ? CONV_SMALL : COUNT_OF(conv_cases);

    for (int i = 0; i < count; i++)
        if (within(k, conv_products(&conv_cases[i]))) conv_one(k, &conv_cases[i]);
}
