/* low_precision_attention.c - what FP8 makes of attention's operands, and how far off it may be. */
#include "tests/kernels/check.h"

#include <math.h>
#include <stdlib.h>

static const double u = 0x1p-24;
static const double half_step = 0x1p-4; /* of a number */
static const double low = 0x1p-10;      /* the same of the lowest numbers, at scale 1 */
static const double weights = 256;      /* the scale of weights */
static const double kept = 0x1p-13;     /* of Hopper's sums, for every 32 products */

bool low_precision_attends(const struct check *k, const struct kern_attention *a)
{
    const struct kern_backend *const b = k->backend[ONE_THREAD];
    return b->low_precision_attention && b->low_precision_attention(a);
}

static double largest_magnitude(const struct tensor *const *v, int count)
{
    double most = 0;

    for (int i = 0; i < count; i++)
        for (int64_t j = 0; j < tensor_count(v[i]); j++)
            most = fmax(most, fabs((double)tensor_get(v[i], j)));
    return most;
}

static double scale_of(double most)
{
    if (most == 0) return 1;
    int const exponent = ilogb(most) - 8;
    return ldexp(1, most > ldexp(448, exponent) ? exponent + 1 : exponent);
}

static double e4m3(double v)
{
    int exponent;

    frexp(v, &exponent);
    double const step = ldexp(1, exponent - 4 > -9 ? exponent - 4 : -9);
    return nearbyint(v / step) * step;
}

void low_precision_rounded(struct tensor *out, const struct tensor *const *v, int count)
{
    double const scale = scale_of(largest_magnitude(v, count));

    for (int i = 0; i < count; i++) {
        out[i] = *v[i];
        out[i].data = malloc(tensor_bytes(v[i]) + 1);
        for (int64_t j = 0; j < tensor_count(v[i]); j++)
            tensor_put(&out[i], j, (float)(scale * e4m3((double)tensor_get(v[i], j) / scale)));
    }
}

/* One row of one head; keys counted over all segments. */
struct row {
    const struct kern_attention *a;
    int64_t row, head, head_dim, keys;
    double *weight; /* [keys] */
    double size;    /* of the largest score: what it sums, in magnitude */
};

static double e4m3_steps(int64_t n) { return (double)((n + 31) / 32) * kept; }

static double score_of_key(struct row *r, const struct tensor *k, int64_t key)
{
    int64_t const dim = k->dim[1], first = r->head * r->head_dim;
    double sum = 0, size = 0;

    for (int64_t c = first; c < first + r->head_dim; c++) {
        double const term = (double)tensor_get(r->a->q, r->row * dim + c) *
                            (double)tensor_get(k, key * dim + c) * (double)r->a->scale;
        sum += term;
        size += fabs(term);
    }
    r->size = fmax(r->size, size);
    return sum;
}

static void weigh_row(struct row *r)
{
    double most = -INFINITY, sum = 0;
    int64_t n = 0;

    r->size = 0;
    for (int i = 0; i < r->a->segment_count; i++) {
        const struct tensor *const k = &r->a->segments[i].k;
        for (int64_t key = 0; key < k->dim[0]; key++) {
            r->weight[n] = score_of_key(r, k, key);
            most = fmax(most, r->weight[n++]);
        }
    }
    for (int64_t i = 0; i < n; i++) sum += r->weight[i] = exp(r->weight[i] - most);
    for (int64_t i = 0; i < n; i++) r->weight[i] /= sum;
}

static double score_error(const struct row *r)
{
    return r->size * (sum_error(r->head_dim) + 3 * u + e4m3_steps(r->head_dim));
}

/* Column c of the row; v_scale: of all values. */
static double column_error(const struct row *r, int64_t c, double v_scale)
{
    double const a = low / weights;
    double out = 0, most = 0, squares = 0, plain = 0, plain_most = 0, plain_squares = 0;
    int64_t n = 0;

    for (int i = 0; i < r->a->segment_count; i++) {
        const struct tensor *const t = &r->a->segments[i].v;
        for (int64_t key = 0; key < t->dim[0]; key++) {
            double const v = (double)tensor_get(t, key * t->dim[1] + c), w = r->weight[n++];
            out += w * v, most += w * fabs(v), squares += w * v * w * v;
            plain += v, plain_most += fabs(v), plain_squares += v * v;
        }
    }
    double const likely = 6 * sqrt((half_step * half_step * squares + a * a * plain_squares) / 3) +
                          half_step * fabs(out) + a * fabs(plain);
    double const rounded = fmin(likely, half_step * most + a * plain_most);
    double const summed =
        most * (expm1(2 * score_error(r)) + 8 * u + 2 * sum_error(r->keys) + e4m3_steps(r->keys));
    return rounded + summed + half_step * (fabs(out) + rounded + summed) + low * v_scale;
}

void low_precision_attention_errors(const struct kern_attention *a, double *out, double *lse)
{
    const struct tensor *v[KERN_SEGMENTS];
    int64_t const dim = a->q->dim[1];
    struct row r = { .a = a, .head_dim = dim / a->heads };

    for (int i = 0; i < a->segment_count; i++) {
        v[i] = &a->segments[i].v;
        r.keys += v[i]->dim[0];
    }
    double const v_scale = scale_of(largest_magnitude(v, a->segment_count));
    r.weight = malloc((size_t)(r.keys + 1) * sizeof *r.weight);
    for (int64_t i = 0; i < a->q->dim[0] * a->heads; i++) {
        r.row = i / a->heads;
        r.head = i % a->heads;
        weigh_row(&r);
        for (int64_t c = r.head * r.head_dim; c < (r.head + 1) * r.head_dim; c++)
            out[r.row * dim + c] = column_error(&r, c, v_scale);
        if (lse) lse[i] = score_error(&r) + 8 * u + sum_error(r.keys) + 0x1p-18;
    }
    free(r.weight);
}
