/* check_attention.c - attention, whole and in parts, and the merge of two parts. */
#include "tests/kernels/check.h"

#include <math.h>
#include <stdlib.h>

static const double u = 0x1p-24;

/* UNEVEN: large queries, small values; ZEROS: of both. */
enum content { EVEN, UNEVEN, ZEROS };
struct attention_case {
    int64_t nq;
    int segments;
    int64_t keys[4]; /* of segment i: keys[i % 4] */
    int heads;
    int64_t head_dim;
    bool bias;
    float scale; /* 0: 1 / sqrt(head_dim) */
    enum content content;
};

struct attention_operands {
    struct operand *q, *k[KERN_SEGMENTS], *v[KERN_SEGMENTS], *bias;
    float scale;
    int64_t keys; /* of all segments */

    /* What the oracle is given instead, where the backend rounds it; no data: the same. */
    struct tensor rounded_q, rounded_k[KERN_SEGMENTS], rounded_v[KERN_SEGMENTS];
};

/* A result: of the segments from `first` on. lse may be NULL. */
struct result {
    struct operand *out, *lse;
    int first, count;
};

static void multiply(struct check *k, struct operand *o, float by)
{
    struct tensor t = values(o);

    for (int64_t i = 0; i < tensor_count(&t); i++) tensor_put(&t, i, by * tensor_get(&t, i));
    refill(k, o, &t);
    free(t.data);
}

static void begin_attention_case(struct check *k, struct attention_operands *o,
                                 const struct attention_case *t, const char *how)
{
    static const char *const contents[] = { "", ", uneven", ", zeros" };
    int64_t const dim = t->heads * t->head_dim;

    *o = (struct attention_operands){
        .scale = t->scale != 0 ? t->scale : 1 / sqrtf((float)t->head_dim),
    };
    for (int i = 0; i < t->segments; i++) o->keys += t->keys[i % 4];
    case_begin(k, "%lld queries, %lld keys in %d segments, %d heads of %lld%s%s%s",
               (long long)t->nq, (long long)o->keys, t->segments, t->heads, (long long)t->head_dim,
               t->bias ? ", bias" : "", contents[t->content], how);
    o->q = input(k, k->act, DIMS(t->nq, dim));
    for (int i = 0; i < t->segments; i++) {
        o->k[i] = input(k, k->act, DIMS(t->keys[i % 4], dim));
        o->v[i] = input(k, k->act, DIMS(t->keys[i % 4], dim));
        if (t->content) multiply(k, o->v[i], t->content == UNEVEN ? 0x1p-6f : 0);
    }
    if (t->content) multiply(k, o->q, t->content == UNEVEN ? 8 : 0);
    if (t->bias) o->bias = input(k, DT_F32, DIMS(t->heads, t->nq, o->keys));
}

static struct tensor keys_seen(const struct tensor *rounded, struct operand *o, int side)
{
    return side == ORACLE && rounded->data ? *rounded : *at(o, side);
}

/* A side's arguments; its segments go to `segments`. */
static struct kern_attention arguments(const struct attention_operands *o, const struct result *r,
                                       const struct attention_case *t, int side,
                                       struct kern_segment segments[KERN_SEGMENTS])
{
    for (int i = 0; i < r->count; i++)
        segments[i] =
            (struct kern_segment){ keys_seen(&o->rounded_k[r->first + i], o->k[r->first + i], side),
                                   keys_seen(&o->rounded_v[r->first + i], o->v[r->first + i],
                                             side) };
    return (struct kern_attention){ .q = side == ORACLE && o->rounded_q.data ? &o->rounded_q
                                                                             : at(o->q, side),
                                    .bias = at(o->bias, side),
                                    .segments = segments,
                                    .segment_count = r->count,
                                    .out = at(r->out, side),
                                    .lse = at(r->lse, side),
                                    .heads = t->heads,
                                    .scale = o->scale,
                                    .low_precision = true };
}

static int64_t attention_products(const struct attention_case *t)
{
    int64_t keys = 0;

    for (int i = 0; i < t->segments; i++) keys += t->keys[i % 4];
    return 2 * t->nq * keys * t->heads * t->head_dim;
}

static float largest_value(const struct operand *o)
{
    struct tensor const t = magnitudes(o);
    float most = 0;

    for (int64_t i = 0; i < tensor_count(&t); i++) most = fmaxf(most, tensor_get(&t, i));
    free(t.data);
    return most;
}

/* Longest head of any row. */
static double longest(const struct operand *o, int64_t head_dim)
{
    struct tensor const t = values(o);
    double most = 0;

    for (int64_t i = 0; i < tensor_count(&t); i += head_dim) {
        double sum = 0;
        for (int64_t c = 0; c < head_dim; c++) sum += pow(tensor_get(&t, i + c), 2);
        most = fmax(most, sqrt(sum));
    }
    free(t.data);
    return most;
}

/* softmax(q k) |v| by the oracle: what a relative error of all weights costs. */
static struct tensor attention_magnitude(struct check *k, const struct kern_attention *args)
{
    struct kern_segment segments[KERN_SEGMENTS];
    struct kern_attention a = *args;
    struct tensor sum = *args->out;

    for (int i = 0; i < a.segment_count; i++) {
        struct tensor *const v = &segments[i].v;
        segments[i] = args->segments[i];
        v->data = malloc(tensor_bytes(v) + 1);
        for (int64_t j = 0; j < tensor_count(v); j++)
            tensor_put(v, j, fabsf(tensor_get(&args->segments[i].v, j)));
    }
    sum.data = calloc(1, tensor_bytes(&sum) + 1);
    a.segments = segments;
    a.out = &sum;
    a.lse = NULL;
    ran(k, ORACLE, k->backend[ORACLE]->ops.attention(k->ctx[ORACLE], &a));
    for (int i = 0; i < a.segment_count; i++) free(segments[i].v.data);
    return sum;
}

/* A score errs by d: its sum against |q| |k| (Cauchy and Schwarz), scale and
 * bias one rounding each, and one rounding of its argument by exp. A weight is
 * e^(score - max) / sum: both errors show, so it is off by 2 d relative, 8 u for
 * exp and quotient, and a sum of positive numbers. The sum over v adds its own.
 * In bf16 the weights may be rounded to bf16 for the second product: 2^-8.
 * lse errs by d and the relative error of its sum, to which exp may add 2^-18
 * where the weights are rounded anyway. */
struct bounds {
    double weight, lse; /* relative | absolute */
};
static struct bounds bounds_of(struct check *k, const struct attention_operands *o,
                               const struct attention_case *t)
{
    double longest_k = 0;

    for (int i = 0; i < t->segments; i++)
        longest_k = fmax(longest_k, longest(o->k[i], t->head_dim));
    double const score = fabs((double)o->scale) * longest(o->q, t->head_dim) * longest_k +
                         (o->bias ? (double)largest_value(o->bias) : 0);
    double const d = (sum_error(t->head_dim) + 3 * u) * score;
    bool const rounded = k->act == DT_BF16;
    return (struct bounds){
        .weight = 2 * d + 8 * u + 2 * sum_error(o->keys) + (rounded ? 0x1p-8 : 0),
        .lse = d + 8 * u + sum_error(o->keys) + (rounded ? 0x1p-18 : 0),
    };
}

/* Where the backend computes in FP8, the oracle is given what that makes of a part's operands. */
static void round_operands(struct check *k, struct attention_operands *o, const struct result *r,
                           const struct attention_case *t)
{
    const struct tensor *const q = at(o->q, ORACLE), *keys[KERN_SEGMENTS], *v[KERN_SEGMENTS];
    struct kern_segment segments[KERN_SEGMENTS];
    struct kern_attention const args = arguments(o, r, t, ORACLE, segments);

    if (!low_precision_attends(k, &args)) return;
    for (int i = 0; i < r->count; i++) {
        keys[i] = at(o->k[r->first + i], ORACLE);
        v[i] = at(o->v[r->first + i], ORACLE);
    }
    if (!o->rounded_q.data) low_precision_rounded(&o->rounded_q, &q, 1);
    low_precision_rounded(o->rounded_k + r->first, keys, r->count);
    low_precision_rounded(o->rounded_v + r->first, v, r->count);
}

static void end_attention_case(struct check *k, struct attention_operands *o)
{
    case_end(k);
    free(o->rounded_q.data);
    for (int i = 0; i < KERN_SEGMENTS; i++) {
        free(o->rounded_k[i].data);
        free(o->rounded_v[i].data);
    }
}

static void set_tolerances(struct check *k, const struct result *r, const struct bounds *b,
                           const struct kern_attention *args)
{
    struct tensor const m = attention_magnitude(k, args);
    double *const out = tolerances(r->out), *const lse = r->lse ? tolerances(r->lse) : NULL;

    for (int64_t i = 0; i < tensor_count(&m); i++) out[i] = b->weight * tensor_get(&m, i);
    for (int64_t i = 0; lse && i < tensor_count(args->lse); i++) lse[i] = b->lse;
    free(m.data);
}

static void refuse_wrong(struct check *k, int side, const struct kern_attention *args)
{
    struct kern_attention wrong = *args;
    struct tensor other;

    wrong.segment_count = 0;
    refused(k, side, k->backend[side]->ops.attention(k->ctx[side], &wrong));
    if (!args->lse) return;
    wrong = *args;
    other = *args->lse;
    other.dim[1]++;
    wrong.lse = &other;
    refused(k, side, k->backend[side]->ops.attention(k->ctx[side], &wrong));
}

static void attend_run(struct check *k, const struct attention_operands *o, const struct result *r,
                       const struct attention_case *t, const struct bounds *b)
{
    for (int s = 0; s < SIDES; s++) {
        struct kern_segment segments[KERN_SEGMENTS];
        struct kern_attention const args = arguments(o, r, t, s, segments);
        refuse_wrong(k, s, &args);
        if (s == ORACLE && low_precision_attends(k, &args))
            low_precision_attention_errors(&args, tolerances(r->out),
                                           r->lse ? tolerances(r->lse) : NULL);
        else if (s == ORACLE) set_tolerances(k, r, b, &args);
        ran(k, s, k->backend[s]->ops.attention(k->ctx[s], &args));
    }
}

static void attention_one(struct check *k, const struct attention_case *t, bool partial)
{
    struct attention_operands o;
    struct result r = { .count = t->segments };

    begin_attention_case(k, &o, t, partial ? ", partial" : "");
    r.out = output(k, partial ? DT_F32 : k->act, DIMS(t->nq, t->heads * t->head_dim));
    if (partial) r.lse = output(k, DT_F32, DIMS(t->nq, t->heads));
    struct bounds const b = bounds_of(k, &o, t);
    round_operands(k, &o, &r, t);
    attend_run(k, &o, &r, t, &b);
    end_attention_case(k, &o);
}

void check_attention(struct check *k)
{
    static const struct attention_case table[] = {
        { 1, 1, { 1 }, 1, 1, false, 0, EVEN },
        { 3, 1, { 2 }, 2, 4, true, 0, EVEN },
        { 0, 1, { 3 }, 1, 8, false, 0, EVEN },
        { 4, 2, { 3, 2 }, 2, 8, false, 1e-3f, EVEN },
        { 9, 3, { 5, 0, 9 }, 2, 64, false, 0, EVEN },
        { 5, 2, { 7, 8 }, 3, 16, true, 1, EVEN },
        { 7, 32, { 3, 1, 0, 2 }, 2, 8, false, 0, EVEN },
        { 33, 3, { 33, 7, 64 }, 3, 128, false, 0, EVEN },
        { 17, 1, { 512 }, 12, 64, false, 0, EVEN },
        { 65, 6, { 65, 65, 65, 66 }, 12, 128, false, 0, EVEN },
        { 77, 1, { 77 }, 8, 64, true, 1, EVEN },
        { 260, 1, { 260 }, 1, 384, false, 0, EVEN },
        { 70, 2, { 65, 64 }, 1, 200, true, 0, EVEN },
        { 9, 3, { 20, 3, 9 }, 2, 32, false, 0.01f, UNEVEN },
        { 7, 1, { 9 }, 2, 16, false, 0, ZEROS },
    };

    for (int i = 0; i < (k->small ? 7 : COUNT_OF(table)); i++) {
        if (!within(k, attention_products(&table[i]))) continue;
        attention_one(k, &table[i], false);
        attention_one(k, &table[i], true);
    }
}

/* ---- merge --------------------------------------------------------------- */

/* Every third head from `from` on has seen no key: its numbers are none. */
static void leave_out(struct check *k, struct operand *x, struct operand *lse, int from)
{
    struct tensor v = values(x), l = values(lse);
    int64_t const heads = tensor_count(&l), hd = heads ? tensor_count(&v) / heads : 0;

    for (int64_t i = from; i < heads; i += 3) {
        tensor_put(&l, i, -INFINITY);
        for (int64_t c = 0; c < hd; c++) tensor_put(&v, i * hd + c, NAN);
    }
    refill(k, x, &v);
    refill(k, lse, &l);
    free(v.data);
    free(l.data);
}

/* With x the distance of the two lse: its rounding and exp make each weight err by
 * u x + 4 u relative, and they are at most 1 apart from that; products and sum round
 * once each. A side may weigh little, but x is what it weighs e^-x with. */
static void merge_tolerance(struct operand *const io[5])
{
    struct tensor const a = values(io[0]), a_lse = values(io[1]);
    struct tensor const b = values(io[2]), b_lse = values(io[3]);
    double *const tol = tolerances(io[4]);
    int64_t const heads = tensor_count(&a_lse), hd = heads ? tensor_count(&a) / heads : 0;

    for (int64_t i = 0; i < tensor_count(&a); i++) {
        double const x = (double)tensor_get(&a_lse, i / hd) - (double)tensor_get(&b_lse, i / hd);
        double const wa = 1 / (1 + exp(-x)), wb = 1 / (1 + exp(x));
        double const far = isfinite(x) ? fabs(x) : 0;
        if (wa > 0) tol[i] += wa * fabs((double)tensor_get(&a, i));
        if (wb > 0) tol[i] += wb * fabs((double)tensor_get(&b, i));
        tol[i] *= u * (2 * far + 12);
    }
    free(a.data);
    free(a_lse.data);
    free(b.data);
    free(b_lse.data);
}

static void merge_one(struct check *k, const int64_t *d, enum dtype part, bool lacks)
{
    int64_t const rows = d[0], heads = d[1], dim = heads * d[2];

    case_begin(k, "%lld rows, %lld heads of %lld, %s%s", (long long)rows, (long long)heads,
               (long long)d[2], dtype_name(part), lacks ? ", some without keys" : "");
    struct operand *const io[5] = {
        input(k, part, DIMS(rows, dim)),    input(k, DT_F32, DIMS(rows, heads)),
        input(k, part, DIMS(rows, dim)),    input(k, DT_F32, DIMS(rows, heads)),
        output(k, k->act, DIMS(rows, dim)),
    };

    if (lacks) leave_out(k, io[0], io[1], 0);
    if (lacks) leave_out(k, io[2], io[3], 1);
    merge_tolerance(io);
    for (int s = 0; s < SIDES; s++) {
        struct kern_merge const args = { .a = at(io[0], s),
                                         .a_lse = at(io[1], s),
                                         .b = at(io[2], s),
                                         .b_lse = at(io[3], s),
                                         .out = at(io[4], s) };
        struct kern_merge wrong = args;
        struct tensor other = *args.b_lse;
        other.dim[1]++;
        wrong.b_lse = &other;
        refused(k, s, k->backend[s]->ops.merge(k->ctx[s], &wrong));
        ran(k, s, k->backend[s]->ops.merge(k->ctx[s], &args));
    }
    case_end(k);
}

static double worst_lse(const struct operand *o)
{
    double most = 0;

    for (int64_t i = 0; i < tensor_count(&o->view[ORACLE]); i++) most = fmax(most, o->tol[i]);
    return most;
}

/* A key's weight passes through its part's sum and both lse; a part in bf16 was rounded by half
 * a step of what it weighs. A part in FP8 brings its own error instead, and weighs at most 1. */
static void set_merged(struct check *k, const struct result part[2], const struct result *whole,
                       const struct kern_attention *all, struct bounds b)
{
    bool const low_precision = low_precision_attends(k, all);
    double const lse = low_precision ? fmax(worst_lse(part[0].lse), worst_lse(part[1].lse)) : b.lse;
    double const more = 16 * u + (part->out->view[ORACLE].dtype == DT_BF16 ? 0x1p-8 : 0);

    set_tolerances(k, whole,
                   &(struct bounds){ .weight = (low_precision ? 0 : b.weight) + 4 * lse + more },
                   all);
    for (int64_t i = 0; low_precision && i < tensor_count(all->out); i++)
        whole->out->tol[i] += part[0].out->tol[i] + part[1].out->tol[i];
}

/* The oracle attends to all keys at once, the others to the segments before `cut` and
 * those behind it. */
static void whole_equals_parts(struct check *k, const struct attention_case *t, enum dtype type)
{
    int const cut = 1;
    int64_t const dim = t->heads * t->head_dim;
    struct attention_operands o;

    begin_attention_case(k, &o, t, type == DT_F32 ? ", in two parts" : ", in two parts, BF16");
    struct result part[2] = { { .count = cut }, { .first = cut, .count = t->segments - cut } };
    struct result const whole = { .out = output(k, k->act, DIMS(t->nq, dim)),
                                  .count = t->segments };
    struct bounds const b = bounds_of(k, &o, t);
    struct kern_segment segments[KERN_SEGMENTS];

    for (int i = 0; i < 2; i++) {
        round_operands(k, &o, &part[i], t);
        part[i].out = output(k, type, DIMS(t->nq, dim));
        part[i].lse = output(k, DT_F32, DIMS(t->nq, t->heads));
        attend_run(k, &o, &part[i], t, &b);
    }
    struct kern_attention const all = arguments(&o, &whole, t, ORACLE, segments);
    set_merged(k, part, &whole, &all, b);
    ran(k, ORACLE, k->backend[ORACLE]->ops.attention(k->ctx[ORACLE], &all));
    for (int s = ONE_THREAD; s < SIDES; s++) {
        struct kern_merge const args = { .a = at(part[0].out, s),
                                         .a_lse = at(part[0].lse, s),
                                         .b = at(part[1].out, s),
                                         .b_lse = at(part[1].lse, s),
                                         .out = at(whole.out, s) };
        ran(k, s, k->backend[s]->ops.merge(k->ctx[s], &args));
    }
    end_attention_case(k, &o);
}

void check_merge(struct check *k)
{
    static const int64_t table[][3] = { { 1, 1, 1 }, { 3, 2, 5 },   { 0, 2, 4 },
                                        { 7, 3, 8 }, { 33, 2, 33 }, { 65, 12, 128 } };
    static const struct attention_case cases[] = {
        { 4, 2, { 3, 2 }, 2, 8, false, 0, EVEN },
        { 7, 4, { 3, 1, 5, 2 }, 3, 16, false, 0, EVEN },
        { 33, 3, { 33, 300, 64 }, 3, 128, false, 0, EVEN },
        { 140, 6, { 65, 65, 65, 66 }, 2, 64, false, 0, EVEN },
    };

    for (int i = 0; i < (k->small ? 4 : COUNT_OF(table)); i++)
        for (int form = 0; form < 4; form++)
            merge_one(k, table[i], form < 2 ? DT_F32 : k->act, form % 2);
    for (int i = 0; i < (k->small ? 2 : COUNT_OF(cases)); i++) {
        if (!within(k, attention_products(&cases[i]))) continue;
        whole_equals_parts(k, &cases[i], DT_F32);
        if (k->act != DT_F32) whole_equals_parts(k, &cases[i], k->act);
    }
}
