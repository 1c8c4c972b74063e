/* check_rows.c - operations on rows and on single elements. */
#include "tests/kernels/check.h"

#include <math.h>
#include <stdlib.h>

#define CALL(k, s, operation, ...)                                                                 \
    (k)->backend[s]->ops.operation((k)->ctx[s], &(struct kern_##operation){ __VA_ARGS__ })

static const double u = 0x1p-24;

static int cases(const struct check *k, int small, int all) { return k->small ? small : all; }

/* One row of zeros, one of tiny numbers: what a norm must survive. */
static void plant_rows(struct check *k, struct operand *o)
{
    struct tensor t = values(o);
    int64_t const cols = t.dim[t.ndim - 1], rows = cols ? tensor_count(&t) / cols : 0;

    for (int64_t c = 0; rows > 2 && c < cols; c++) {
        tensor_put(&t, cols + c, 0);
        tensor_put(&t, 2 * cols + c, tensor_get(&t, 2 * cols + c) * 1e-13f);
    }
    refill(k, o, &t);
    free(t.data);
}

/* Two passes: the mean errs by a rounded sum over c numbers; x - mean passes
 * that on and rounds once; the variance, a sum of squares, errs by half its
 * sum's error once its root is taken. A variance made of E[x^2] - mean^2 does
 * not keep this where the mean is large, and must not pass. */
static void layernorm_tolerance(struct operand *x, struct operand *scale, struct operand *shift,
                                struct operand *out, double eps)
{
    struct tensor const v = values(x), sc = magnitudes(scale), sh = magnitudes(shift);
    int64_t const rows = v.dim[0], cols = v.dim[1], groups = sc.dim[0];
    double *const tol = tolerances(out), e = sum_error(cols);

    for (int64_t r = 0; r < rows; r++) {
        int64_t const g = r / (rows / groups) * cols;
        double sum = 0, size = 0, var = 0;
        for (int64_t c = 0; c < cols; c++) {
            sum += tensor_get(&v, r * cols + c);
            size += fabs((double)tensor_get(&v, r * cols + c));
        }
        double const mean = sum / (double)cols, mean_err = (e + u) * size / (double)cols;
        for (int64_t c = 0; c < cols; c++) var += pow(tensor_get(&v, r * cols + c) - mean, 2);
        double const inv = 1 / sqrt(var / (double)cols + eps);
        for (int64_t c = 0; c < cols; c++) {
            double const d = fabs(tensor_get(&v, r * cols + c) - mean);
            double const y_err = inv * (mean_err + u * d) + inv * d * (e + inv * mean_err + 4 * u);
            double const y = inv * d * tensor_get(&sc, g + c);
            tol[r * cols + c] = tensor_get(&sc, g + c) * y_err + u * (y + tensor_get(&sh, g + c));
        }
    }
    free(v.data);
    free(sc.data);
    free(sh.data);
}

static void offset(struct check *k, struct operand *o, float by)
{
    struct tensor t = values(o);
    for (int64_t i = 0; i < tensor_count(&t); i++) tensor_put(&t, i, tensor_get(&t, i) + by);
    refill(k, o, &t);
    free(t.data);
}

void check_layernorm(struct check *k)
{
    static const struct {
        int64_t rows, cols, groups;
        float offset;
    } table[] = {
        { 1, 8, 1, 0 },    { 3, 17, 3, 0 },     { 0, 8, 1, 0 },     { 6, 33, 2, 100 },
        { 4, 1, 2, 0 },    { 5, 64, 1, -3000 }, { 9, 1536, 3, 0 },  { 33, 1536, 3, 10 },
        { 7, 5120, 7, 0 }, { 2, 4096, 1, 100 }, { 65, 129, 13, 0 },
    };

    for (int i = 0; i < cases(k, 6, COUNT_OF(table)); i++) {
        int64_t const rows = table[i].rows, cols = table[i].cols, groups = table[i].groups;
        case_begin(k, "%lld x %lld, %lld groups, mean %g", (long long)rows, (long long)cols,
                   (long long)groups, (double)table[i].offset);
        struct operand *const x = input(k, DT_F32, DIMS(rows, cols));
        struct operand *const scale = input(k, DT_F32, DIMS(groups, cols));
        struct operand *const shift = input(k, DT_F32, DIMS(groups, cols));
        struct operand *const out = output(k, k->act, DIMS(rows, cols));

        offset(k, x, table[i].offset);
        for (int s = 0; s < SIDES; s++) {
            struct tensor wrong = *at(shift, s);
            wrong.dim[1]--;
            refused(k, s,
                    CALL(k, s, layernorm, .x = at(x, s), .scale = at(scale, s), .shift = &wrong,
                         .out = at(out, s), .eps = 1e-6f));
            ran(k, s,
                CALL(k, s, layernorm, .x = at(x, s), .scale = at(scale, s), .shift = at(shift, s),
                     .out = at(out, s), .eps = 1e-6f));
        }
        layernorm_tolerance(x, scale, shift, out, 1e-6f);
        case_end(k);
    }
}

/* A sum of squares has no cancellation: relative sum_error, halved by the root;
 * then root, quotient and two products round. */
static void rmsnorm_tolerance(struct operand *x, struct operand *weight, struct operand *out,
                              double eps)
{
    struct tensor const v = magnitudes(x), w = magnitudes(weight);
    int64_t const rows = v.dim[0], cols = v.dim[1];
    double *const tol = tolerances(out);

    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t c = 0; c < cols; c++) sum += pow(tensor_get(&v, r * cols + c), 2);
        double const inv = 1 / sqrt(sum / (double)cols + eps);
        for (int64_t c = 0; c < cols; c++) {
            double const y = tensor_get(&v, r * cols + c) * inv * tensor_get(&w, c);
            tol[r * cols + c] = y * (sum_error(cols) / 2 + 4 * u);
        }
    }
    free(v.data);
    free(w.data);
}

void check_rmsnorm(struct check *k)
{
    static const int64_t table[][2] = { { 1, 8 },    { 3, 17 },    { 0, 8 },    { 5, 64 },
                                        { 9, 1536 }, { 33, 1536 }, { 5, 4096 }, { 7, 5120 } };

    for (int i = 0; i < cases(k, 4, COUNT_OF(table)); i++)
        for (int form = 0; form < 3; form++) { /* x in F32, x in the run's precision, in place */
            int64_t const rows = table[i][0], cols = table[i][1];
            case_begin(k, "%lld x %lld, %s", (long long)rows, (long long)cols,
                       (const char *[]){ "x F32", "x act", "in place" }[form]);
            enum dtype const type = form ? k->act : DT_F32;
            struct operand *const out = form == 2 ? in_place(k, type, DIMS(rows, cols))
                                                  : output(k, k->act, DIMS(rows, cols));
            struct operand *const x = form == 2 ? out : input(k, type, DIMS(rows, cols));
            struct operand *const w = input(k, DT_F32, DIMS(cols));

            plant_rows(k, x);
            rmsnorm_tolerance(x, w, out, 1e-6f);
            for (int s = 0; s < SIDES; s++) {
                struct tensor wrong = *at(w, s);
                wrong.dim[0]--;
                refused(k, s,
                        CALL(k, s, rmsnorm, .x = at(x, s), .weight = &wrong, .out = at(out, s)));
                ran(k, s,
                    CALL(k, s, rmsnorm, .x = at(x, s), .weight = at(w, s), .out = at(out, s),
                         .eps = 1e-6f));
            }
            case_end(k);
        }
}

/* Numbers made into cosines and sines. */
static struct operand *turned(struct check *k, struct operand *o)
{
    struct tensor t = values(o);

    for (int64_t i = 0; i + 1 < tensor_count(&t); i += 2) {
        double const a = 3 * (double)tensor_get(&t, i);
        tensor_put(&t, i, (float)cos(a));
        tensor_put(&t, i + 1, (float)sin(a));
    }
    refill(k, o, &t);
    free(t.data);
    return o;
}

struct operand *angles(struct check *k, int64_t rows, int64_t pairs)
{
    return turned(k, input(k, DT_F32, DIMS(rows, pairs, 2)));
}

struct operand *angles_of_heads(struct check *k, int64_t frames, int64_t heads, int64_t pairs)
{
    return turned(k, input(k, DT_F32, DIMS(frames, heads, pairs, 2)));
}

/* Two products and a sum: three roundings, none larger than u of the products. */
static void rope_tolerance(struct operand *x, struct operand *out)
{
    struct tensor const v = magnitudes(x);
    double *const tol = tolerances(out);

    for (int64_t i = 0; i < tensor_count(&v); i++)
        tol[i] = 3 * u * (tensor_get(&v, i) + tensor_get(&v, i ^ 1));
    free(v.data);
}

void check_rope(struct check *k)
{
    static const struct {
        int64_t frames, h, w, heads, ct, cr, cc;
        bool apart; /* heads have angles of their own */
    } table[] = {
        { 1, 1, 1, 1, 1, 0, 0, false },     { 3, 2, 3, 2, 12, 10, 10, false },
        { 0, 2, 2, 1, 2, 1, 1, false },     { 2, 1, 5, 3, 1, 1, 1, false },
        { 1, 3, 1, 2, 0, 2, 1, false },     { 3, 2, 3, 3, 12, 10, 10, true },
        { 2, 1, 5, 3, 1, 1, 1, true },      { 1, 2, 2, 2, 0, 2, 2, true },
        { 3, 5, 7, 12, 22, 21, 21, false }, { 3, 4, 6, 2, 12, 10, 10, false },
        { 3, 5, 7, 12, 22, 21, 21, true },
    };

    for (int i = 0; i < 2 * cases(k, 8, COUNT_OF(table)); i++) {
        int64_t const frames = table[i / 2].frames, h = table[i / 2].h, w = table[i / 2].w;
        int const heads = (int)table[i / 2].heads;
        int64_t const ct = table[i / 2].ct, cr = table[i / 2].cr, cc = table[i / 2].cc;
        int64_t const rows = frames * h * w, dim = heads * 2 * (ct + cr + cc);
        bool const same = i % 2, apart = table[i / 2].apart;

        case_begin(k, "%lld x %lld x %lld, %d heads of %lld%s%s", (long long)frames, (long long)h,
                   (long long)w, heads, (long long)(dim / heads), apart ? " apart" : "",
                   same ? ", in place" : "");
        struct operand *const out =
            same ? in_place(k, k->act, DIMS(rows, dim)) : output(k, k->act, DIMS(rows, dim));
        struct operand *const x = same ? out : input(k, k->act, DIMS(rows, dim));
        struct operand *const time =
            apart ? angles_of_heads(k, frames, heads, ct) : angles(k, frames, ct);
        struct operand *const row = angles(k, h, cr), *const col = angles(k, w, cc);

        rope_tolerance(x, out);
        for (int s = 0; s < SIDES; s++) {
            struct kern_rope const args = { .x = at(x, s),
                                            .time = at(time, s),
                                            .row = at(row, s),
                                            .col = at(col, s),
                                            .out = at(out, s),
                                            .heads = heads };
            struct kern_rope wrong = args;
            wrong.heads = heads + 1;
            refused(k, s, k->backend[s]->ops.rope(k->ctx[s], &wrong));
            ran(k, s, k->backend[s]->ops.rope(k->ctx[s], &args));
        }
        case_end(k);
    }
}

/* y as in rmsnorm; SiLU has a slope of at most 1.1 and rounds its exp, sum and
 * quotient: 8 u of y, as |y| e^y <= |y|. */
static void channel_norm_tolerance(struct operand *x, struct operand *gamma, struct operand *out,
                                   enum kern_act act)
{
    struct tensor const v = magnitudes(x), g = magnitudes(gamma);
    int64_t const cols = g.dim[0], rows = tensor_count(&v) / cols;
    double *const tol = tolerances(out);

    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t c = 0; c < cols; c++) sum += pow(tensor_get(&v, r * cols + c), 2);
        double const norm = fmax(sqrt(sum), 1e-12);
        for (int64_t c = 0; c < cols; c++) {
            double const y =
                tensor_get(&v, r * cols + c) / norm * sqrt((double)cols) * tensor_get(&g, c);
            double const err = y * (sum_error(cols) / 2 + 5 * u);
            tol[r * cols + c] = act == KERN_ACT_SILU ? 1.1 * err + 8 * u * y : err;
        }
    }
    free(v.data);
    free(g.data);
}

void check_channel_norm(struct check *k)
{
    static const int64_t table[][4] = { { 1, 1, 1, 1 },   { 2, 3, 1, 3 },  { 1, 4, 5, 17 },
                                        { 0, 2, 2, 8 },   { 1, 5, 7, 96 }, { 3, 4, 6, 384 },
                                        { 2, 30, 5, 192 } };

    for (int i = 0; i < cases(k, 4, COUNT_OF(table)); i++)
        for (int form = 0; form < 4; form++) {
            const int64_t *const d = table[i];
            enum kern_act const act = form & 1 ? KERN_ACT_SILU : KERN_ACT_NONE;
            bool const same = form & 2;

            case_begin(k, "%lld pixels of %lld, %s%s", (long long)(d[0] * d[1] * d[2]),
                       (long long)d[3], act ? "SiLU" : "no act", same ? ", in place" : "");
            struct operand *const out = same ? in_place(k, k->act, 4, d) : output(k, k->act, 4, d);
            struct operand *const x = same ? out : input(k, k->act, 4, d);
            struct operand *const gamma = input(k, DT_F32, DIMS(d[3]));

            plant_rows(k, x);
            channel_norm_tolerance(x, gamma, out, act);
            for (int s = 0; s < SIDES; s++) {
                refused(k, s,
                        CALL(k, s, channel_norm, .x = at(x, s), .gamma = at(gamma, s),
                             .out = at(out, s), .act = KERN_ACT_GELU_TANH));
                ran(k, s,
                    CALL(k, s, channel_norm, .x = at(x, s), .gamma = at(gamma, s),
                         .out = at(out, s), .act = act));
            }
            case_end(k);
        }
}

/* One product, rounded once: the same bits everywhere. (bf16: 16 bits of
 * product fit F32, so still one rounding.) */
void check_mul(struct check *k)
{
    static const int64_t table[][2] = { { 1, 1 }, { 3, 5 }, { 0, 4 }, { 7, 33 }, { 33, 1536 } };

    for (int i = 0; i < cases(k, 4, COUNT_OF(table)); i++)
        for (int form = 0; form < 3; form++) {
            const int64_t *const d = table[i];
            case_begin(k, "%lld x %lld, %s", (long long)d[0], (long long)d[1],
                       (const char *[]){ "apart", "out is a", "out is b" }[form]);
            struct operand *const out = form ? in_place(k, k->act, 2, d) : output(k, k->act, 2, d);
            struct operand *const a = form == 1 ? out : input(k, k->act, 2, d);
            struct operand *const b = form == 2 ? out : input(k, k->act, 2, d);

            for (int s = 0; s < SIDES; s++) {
                struct tensor wrong = *at(b, s);
                wrong.dim[1]++;
                refused(k, s, CALL(k, s, mul, .a = at(a, s), .b = &wrong, .out = at(out, s)));
                ran(k, s, CALL(k, s, mul, .a = at(a, s), .b = at(b, s), .out = at(out, s)));
            }
            case_end(k);
        }
}

/* [frames, c, h, w] latents; moves of elements, and one rounding to bf16 */
static const int64_t latents[][4] = {
    { 1, 1, 2, 2 }, { 2, 3, 4, 6 }, { 0, 2, 2, 2 }, { 3, 16, 2, 10 }, { 3, 16, 30, 52 },
};

void check_patchify(struct check *k)
{
    for (int i = 0; i < cases(k, 4, COUNT_OF(latents)); i++) {
        const int64_t *const d = latents[i];
        case_begin(k, "%lld x %lld x %lld x %lld", (long long)d[0], (long long)d[1],
                   (long long)d[2], (long long)d[3]);
        struct operand *const latent = input(k, DT_F32, 4, d);
        struct operand *const out = output(k, k->act, DIMS(d[0] * d[2] / 2 * d[3] / 2, 4 * d[1]));

        for (int s = 0; s < SIDES; s++) {
            struct tensor wrong = *at(out, s);
            wrong.dim[0]++;
            refused(k, s, CALL(k, s, patchify, .latent = at(latent, s), .out = &wrong));
            ran(k, s, CALL(k, s, patchify, .latent = at(latent, s), .out = at(out, s)));
        }
        case_end(k);
    }
}

void check_unpatchify(struct check *k)
{
    for (int i = 0; i < cases(k, 4, COUNT_OF(latents)); i++) {
        const int64_t *const d = latents[i];
        case_begin(k, "%lld x %lld x %lld x %lld", (long long)d[0], (long long)d[1],
                   (long long)d[2], (long long)d[3]);
        struct operand *const tokens = input(k, DT_F32, DIMS(d[0] * d[2] / 2 * d[3] / 2, 4 * d[1]));
        struct operand *const out = output(k, DT_F32, 4, d);

        for (int s = 0; s < SIDES; s++) {
            struct tensor wrong = *at(tokens, s);
            wrong.dim[0]++;
            refused(k, s, CALL(k, s, unpatchify, .tokens = &wrong, .out = at(out, s)));
            ran(k, s, CALL(k, s, unpatchify, .tokens = at(tokens, s), .out = at(out, s)));
        }
        case_end(k);
    }
}

/* In f64 and rounded once at the store: numbers below 64 err by 2^-51 of that at most. */
void check_axpby(struct check *k)
{
    static const int64_t lengths[] = { 1, 7, 0, 1000, 74880 };

    for (int i = 0; i < cases(k, 4, COUNT_OF(lengths)); i++)
        for (int form = 0; form < 3; form++) {
            case_begin(k, "%lld, %s", (long long)lengths[i],
                       (const char *[]){ "apart", "out is x", "out is y" }[form]);
            struct operand *const out =
                form ? in_place(k, DT_F32, DIMS(lengths[i])) : output(k, DT_F32, DIMS(lengths[i]));
            struct operand *const x = form == 1 ? out : input(k, DT_F32, DIMS(lengths[i]));
            struct operand *const y = form == 2 ? out : input(k, DT_F32, DIMS(lengths[i]));
            double const a = 1 - 0.9523809523809523, b = -0.9375371;

            double *const tol = tolerances(out);
            for (int64_t j = 0; j < lengths[i]; j++) tol[j] = 64 * 0x1p-51;
            for (int s = 0; s < SIDES; s++) {
                struct tensor wrong = *at(y, s);
                wrong.dim[0]++;
                refused(k, s,
                        CALL(k, s, axpby, .x = at(x, s), .y = &wrong, .out = at(out, s), .a = a,
                             .b = b));
                ran(k, s,
                    CALL(k, s, axpby, .x = at(x, s), .y = at(y, s), .out = at(out, s), .a = a,
                         .b = b));
            }
            case_end(k);
        }
}

void check_copy(struct check *k)
{
    static const int64_t lengths[] = { 1, 3, 0, 4099 };

    for (int i = 0; i < COUNT_OF(lengths); i++) {
        case_begin(k, "%lld", (long long)lengths[i]);
        struct operand *const in = input(k, k->act, DIMS(lengths[i]));
        struct operand *const out = output(k, k->act, DIMS(lengths[i]));

        for (int s = 0; s < SIDES; s++) {
            struct tensor wrong = *at(out, s);
            wrong.dim[0]++;
            refused(k, s, CALL(k, s, copy, .in = at(in, s), .out = &wrong));
            ran(k, s, CALL(k, s, copy, .in = at(in, s), .out = at(out, s)));
        }
        case_end(k);
    }
}

void check_zero(struct check *k)
{
    static const int64_t lengths[] = { 1, 3, 0, 4099 };

    for (int i = 0; i < COUNT_OF(lengths); i++) {
        case_begin(k, "%lld", (long long)lengths[i]);
        struct operand *const out = output(k, k->act, DIMS(lengths[i]));
        for (int s = 0; s < SIDES; s++) ran(k, s, CALL(k, s, zero, .out = at(out, s)));
        case_end(k);
    }
}
