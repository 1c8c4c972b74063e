/* check_fused.c - the fused operations: products whose rows are normed and roped at once. */
#include "tests/kernels/check.h"

#include <math.h>
#include <stdlib.h>

static const double u = 0x1p-24;

/* x W^T + bias, in double: the numbers, what they are made of, and how far off they may be. */
struct product {
    int64_t rows, n, k;
    double *y, *size, *err, *bias; /* bias: magnitudes */
};

static double *numbers(int64_t n) { return calloc((size_t)n + 1, sizeof(double)); }

static struct product product_of(const struct check *k, struct operand *x_of,
                                 const struct weight *w, struct operand *bias_of)
{
    struct tensor const x = values(x_of);
    struct tensor bias = { 0 };
    struct product p = { .rows = x.dim[0], .k = x.dim[1], .n = w->w[ORACLE].t.dim[0] };
    int64_t const all = p.rows * p.n;
    double *const low_precision = low_precision_errors(k, x_of, w);

    p.y = numbers(all);
    p.size = numbers(all);
    p.err = numbers(all);
    p.bias = numbers(p.n);
    if (bias_of) bias = values(bias_of);
    for (int64_t i = 0; i < all; i++) {
        double const b = bias_of ? tensor_get(&bias, i % p.n) : 0;
        double sum = b, size = p.bias[i % p.n] = fabs(b);
        for (int64_t j = 0; j < p.k; j++) {
            double const t = (double)w->source[i % p.n * p.k + j] *
                             (double)((const float *)x.data)[i / p.n * p.k + j];
            sum += t;
            size += fabs(t);
        }
        p.y[i] = sum;
        p.size[i] = size;
        p.err[i] = (sum_error(p.k) + 2 * u) * size + low_precision[i];
    }
    free(x.data);
    free(bias.data);
    free(low_precision);
    return p;
}

static void product_free(struct product *p)
{
    free(p->y);
    free(p->size);
    free(p->err);
    free(p->bias);
}

/* ---- linear_norm ---------------------------------------------------------- */

struct norm_operands {
    struct operand *x, *bias, *residual, *gate, *out, *scale, *shift, *norm;
    struct weight w;
    int64_t groups;
};

/* The residual stream: as linear's with a gate and a residual. p becomes its numbers, with
 * the step at their store in the errors: the norm takes what was stored. */
static void stream_tolerance(const struct norm_operands *o, struct product *p)
{
    struct tensor const res = values(o->residual);
    struct tensor const gate = o->gate ? values(o->gate) : (struct tensor){ 0 };
    double *const tol = tolerances(o->out);

    for (int64_t i = 0; i < p->rows * p->n; i++) {
        int64_t const group = i / p->n / (p->rows / o->groups);
        double const g = o->gate ? tensor_get(&gate, group * p->n + i % p->n) : 1;
        double const r = tensor_get(&res, i);
        tol[i] = fabs(g) * (p->err[i] + u * p->size[i]) + u * (fabs(r) + fabs(g) * p->size[i]);
        p->y[i] = r + g * p->y[i];
        p->err[i] = tol[i] + 2 * u * fabs(p->y[i]);
    }
    free(res.data);
    free(gate.data);
}

/* To first order an error e of what is normed shows as inv (e_c + mean e), and through the
 * variance as y inv^2 mean |d| (e + mean e); the norm's own errors are layernorm's. */
static void norm_tolerance(const struct norm_operands *o, const struct product *p, double eps)
{
    struct tensor const scale = magnitudes(o->scale), shift = magnitudes(o->shift);
    double *const tol = tolerances(o->norm), e = sum_error(p->n);

    for (int64_t r = 0; r < p->rows; r++) {
        const double *const y = p->y + r * p->n, *const err = p->err + r * p->n;
        int64_t const g = r / (p->rows / o->groups) * p->n;
        double mean = 0, size = 0, off = 0, var = 0, passed = 0;
        for (int64_t c = 0; c < p->n; c++) {
            mean += y[c] / (double)p->n;
            size += fabs(y[c]) / (double)p->n;
            off += err[c] / (double)p->n;
        }
        double const mean_err = (e + u) * size;
        for (int64_t c = 0; c < p->n; c++) {
            var += (y[c] - mean) * (y[c] - mean) / (double)p->n;
            passed += fabs(y[c] - mean) * (err[c] + off) / (double)p->n;
        }
        double const inv = 1 / sqrt(var + eps);
        for (int64_t c = 0; c < p->n; c++) {
            double const d = fabs(y[c] - mean), s = tensor_get(&scale, g + c);
            double const own = inv * (mean_err + u * d) + inv * d * (e + inv * mean_err + 4 * u);
            double const through = inv * (err[c] + off) + inv * d * inv * inv * passed;
            tol[r * p->n + c] = s * (own + through) + u * (inv * d * s + tensor_get(&shift, g + c));
        }
    }
    free(scale.data);
    free(shift.data);
}

enum norm_form { NORM_PLAIN, NORM_GATED, NORM_IN_PLACE, NORM_OVER_X, NORM_FORMS };

static enum kern_use use_of(bool low_precision)
{
    return low_precision ? KERN_LINEAR_LOW_PRECISION : KERN_LINEAR;
}

static struct norm_operands norm_operands(struct check *k, const int64_t d[5], enum norm_form form)
{
    int64_t const rows = d[0], n = d[2], groups = d[3];
    struct norm_operands o = { .w = weight(k, use_of(d[4]), DIMS(n, d[1])), .groups = groups };

    o.x = form == NORM_OVER_X ? in_place(k, k->act, DIMS(rows, d[1]))
                              : input(k, k->act, DIMS(rows, d[1]));
    if (form == NORM_GATED || form == NORM_OVER_X) o.bias = input(k, DT_F32, DIMS(n));
    o.out = form < NORM_IN_PLACE ? output(k, DT_F32, DIMS(rows, n))
                                 : in_place(k, DT_F32, DIMS(rows, n));
    o.residual = form < NORM_IN_PLACE ? input(k, DT_F32, DIMS(rows, n)) : o.out;
    if (form != NORM_PLAIN) o.gate = input(k, DT_F32, DIMS(groups, n));
    o.scale = input(k, DT_F32, DIMS(groups, n));
    o.shift = input(k, DT_F32, DIMS(groups, n));
    o.norm = form == NORM_OVER_X ? o.x : output(k, k->act, DIMS(rows, n));
    return o;
}

static void linear_norm_one(struct check *k, const int64_t d[5], enum norm_form form)
{
    static const char *const forms[] = { "plain", "gated", "in place", "over x" };

    case_begin(k, "rows %lld, k %lld, n %lld, %lld groups, %s%s", (long long)d[0], (long long)d[1],
               (long long)d[2], (long long)d[3], forms[form], d[4] ? ", low_precision" : "");
    struct norm_operands o = norm_operands(k, d, form);
    struct product p = product_of(k, o.x, &o.w, o.bias);
    stream_tolerance(&o, &p);
    norm_tolerance(&o, &p, 1e-6f);
    for (int s = 0; s < SIDES; s++) {
        struct kern_linear_norm const args = {
            .linear = { .x = at(o.x, s),
                        .w = &o.w.w[s],
                        .bias = at(o.bias, s),
                        .residual = at(o.residual, s),
                        .gate = at(o.gate, s),
                        .out = at(o.out, s) },
            .scale = at(o.scale, s),
            .shift = at(o.shift, s),
            .norm = at(o.norm, s),
            .eps = 1e-6f,
        };
        struct kern_linear_norm wrong = args;
        wrong.linear.residual = wrong.linear.gate = NULL;
        refused(k, s, k->backend[s]->ops.linear_norm(k->ctx[s], &wrong));
        ran(k, s, k->backend[s]->ops.linear_norm(k->ctx[s], &args));
    }
    case_end(k);
    product_free(&p);
    weight_free(&o.w);
}

static int64_t products_of(const int64_t d[5]) { return d[0] * d[1] * d[2]; }

void check_linear_norm(struct check *k)
{
    /* rows, k, n, groups, low_precision */
    static const int64_t table[][5] = {
        { 1, 8, 8, 1, 0 },        { 3, 5, 7, 3, 0 },        { 0, 8, 8, 1, 0 },
        { 6, 24, 48, 2, 0 },      { 33, 64, 64, 11, 0 },    { 9, 64, 64, 3, 1 },
        { 33, 1536, 1536, 3, 0 }, { 15, 8960, 1536, 3, 0 }, { 18, 1536, 1536, 6, 0 },
        { 6, 1536, 1536, 2, 1 },
    };

    for (int i = 0; i < (k->small ? 6 : COUNT_OF(table)); i++)
        for (int form = 0; form < NORM_FORMS && within(k, products_of(table[i])); form++)
            if (form != NORM_OVER_X || table[i][1] == table[i][2])
                linear_norm_one(k, table[i], (enum norm_form)form);
}

/* ---- qkv ------------------------------------------------------------------ */

struct qkv_case {
    int64_t frames, h, w, heads, ct, cr, cc, k;
    bool bias, queries, low_precision;
    bool apart; /* heads have angles of their own */
};

struct qkv_operands {
    struct operand *x, *bias[3], *norm[3], *out[3], *time, *row, *col; /* of q, k, v */
    struct weight w[3];
};

/* Between product and bias, bias and norm, and norm and rope, numbers may be rounded to act. */
static double rounding_between(const struct check *k) { return k->act == DT_BF16 ? 0x1p-8 : u; }

/* A product that is rounded before its bias comes, and with it. */
static void rounded(const struct check *k, struct product *p)
{
    for (int64_t i = 0; i < p->rows * p->n; i++)
        p->err[i] += rounding_between(k) * (fabs(p->y[i]) + p->bias[i % p->n] + p->err[i]);
}

/* rmsnorm of p: its numbers and errors become those of the norm. An error e of what is
 * normed shows through the root as its share mean |y| e of the mean square. */
static void rms(const struct check *k, struct product *p, struct operand *norm, double eps)
{
    struct tensor const w = values(norm);

    for (int64_t r = 0; r < p->rows; r++) {
        double *const y = p->y + r * p->n, *const err = p->err + r * p->n;
        double square = eps, off = 0;
        for (int64_t c = 0; c < p->n; c++) {
            err[c] += rounding_between(k) * (fabs(y[c]) + err[c]);
            square += y[c] * y[c] / (double)p->n;
            off += fabs(y[c]) * err[c] / (double)p->n;
        }
        double const inv = 1 / sqrt(square);
        for (int64_t c = 0; c < p->n; c++) {
            double const by = inv * fabs((double)tensor_get(&w, c));
            err[c] = by * err[c] + by * fabs(y[c]) * (off / square + sum_error(p->n) / 2 + 4 * u);
            y[c] *= by;
        }
    }
    free(w.data);
}

/* The pair (2i, 2i + 1) mixes: each takes at most the errors and the roundings of both. */
static void rope_pair_tolerance(const struct check *k, const struct product *p, double *tol)
{
    for (int64_t i = 0; i < p->rows * p->n; i++) {
        double const a = p->err[i] + rounding_between(k) * fabs(p->y[i]);
        double const b = p->err[i ^ 1] + rounding_between(k) * fabs(p->y[i ^ 1]);
        tol[i] = a + b + 3 * u * (fabs(p->y[i]) + fabs(p->y[i ^ 1]));
    }
}

static void qkv_tolerance(const struct check *k, struct qkv_operands *o, double eps)
{
    for (int i = 0; i < 3; i++) {
        if (!o->out[i]) continue;
        struct product p = product_of(k, o->x, &o->w[i], o->bias[i]);
        double *const tol = tolerances(o->out[i]);
        rounded(k, &p);
        if (o->norm[i]) rms(k, &p, o->norm[i], eps);
        if (i == 0) rope_pair_tolerance(k, &p, tol);
        for (int64_t j = 0; i > 0 && j < p.rows * p.n; j++) tol[j] = p.err[j];
        product_free(&p);
    }
}

static struct kern_projection projection_of(struct qkv_operands *o, int i, int side)
{
    return (struct kern_projection){ .w = &o->w[i].w[side],
                                     .bias = at(o->bias[i], side),
                                     .norm = at(o->norm[i], side),
                                     .out = at(o->out[i], side) };
}

static struct qkv_operands qkv_operands(struct check *k, const struct qkv_case *t)
{
    int64_t const rows = t->frames * t->h * t->w;
    int64_t const dim = t->heads * 2 * (t->ct + t->cr + t->cc);
    struct qkv_operands o = { .x = input(k, k->act, DIMS(rows, t->k)) };

    for (int i = 0; i < 3; i++) {
        o.w[i] = weight(k, use_of(t->low_precision), DIMS(dim, t->k));
        if (t->bias) o.bias[i] = input(k, DT_F32, DIMS(dim));
        if (i < 2) o.norm[i] = input(k, DT_F32, DIMS(dim));
        if (i || t->queries) o.out[i] = output(k, k->act, DIMS(rows, dim));
    }
    o.time =
        t->apart ? angles_of_heads(k, t->frames, t->heads, t->ct) : angles(k, t->frames, t->ct);
    o.row = angles(k, t->h, t->cr);
    o.col = angles(k, t->w, t->cc);
    return o;
}

static void qkv_one(struct check *k, const struct qkv_case *t)
{
    case_begin(k, "%lld x %lld x %lld, k %lld, %lld heads of %lld%s%s%s%s", (long long)t->frames,
               (long long)t->h, (long long)t->w, (long long)t->k, (long long)t->heads,
               (long long)(2 * (t->ct + t->cr + t->cc)), t->apart ? " apart" : "",
               t->bias ? ", bias" : "", t->queries ? "" : ", no queries",
               t->low_precision ? ", low_precision" : "");
    struct qkv_operands o = qkv_operands(k, t);
    qkv_tolerance(k, &o, 1e-6f);
    for (int s = 0; s < SIDES; s++) {
        struct kern_qkv const args = {
            .x = at(o.x, s),
            .q = projection_of(&o, 0, s),
            .k = projection_of(&o, 1, s),
            .v = projection_of(&o, 2, s),
            .time = at(o.time, s),
            .row = at(o.row, s),
            .col = at(o.col, s),
            .heads = (int)t->heads,
            .eps = 1e-6f,
        };
        struct kern_qkv wrong = args;
        wrong.v.norm = wrong.k.norm;
        refused(k, s, k->backend[s]->ops.qkv(k->ctx[s], &wrong));
        ran(k, s, k->backend[s]->ops.qkv(k->ctx[s], &args));
    }
    case_end(k);
    for (int i = 0; i < 3; i++) weight_free(&o.w[i]);
}

void check_qkv(struct check *k)
{
    static const struct qkv_case table[] = {
        { 1, 1, 1, 1, 1, 0, 0, 4, true, true, false, false },
        { 3, 2, 3, 2, 2, 1, 1, 16, true, true, false, false },
        { 0, 2, 2, 1, 2, 1, 1, 8, true, true, false, false },
        { 2, 1, 5, 3, 1, 1, 1, 7, false, true, false, false },
        { 1, 3, 1, 2, 0, 2, 2, 8, true, false, false, false },
        { 3, 2, 3, 2, 2, 1, 1, 32, true, true, true, false },
        { 1, 2, 3, 2, 1, 1, 1, 32, true, true, true, false },
        { 3, 2, 3, 2, 2, 1, 1, 16, true, true, false, true },
        { 3, 2, 3, 4, 2, 1, 1, 32, true, true, true, true },
        { 3, 2, 3, 12, 22, 21, 21, 1536, true, true, false, false },
        { 6, 2, 2, 12, 22, 21, 21, 1536, true, false, false, false },
        { 2, 2, 2, 12, 22, 21, 21, 1536, true, true, true, false },
        { 2, 2, 2, 12, 22, 21, 21, 1536, true, false, true, false },
        { 2, 2, 2, 12, 22, 21, 21, 1536, true, true, true, true },
    };

    for (int i = 0; i < (k->small ? 9 : COUNT_OF(table)); i++) {
        const struct qkv_case *const t = &table[i];
        int64_t const rows = t->frames * t->h * t->w;
        int64_t const dim = t->heads * 2 * (t->ct + t->cr + t->cc);
        if (within(k, 3 * rows * dim * t->k)) qkv_one(k, t);
    }
}
