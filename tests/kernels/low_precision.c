/* low_precision.c - how far off FP8's products may be. */
#include "tests/kernels/check.h"

#include <math.h>
#include <stdlib.h>

static const double near = 0x1p-8 / 3;                 /* variance, of a number's square */
static const double low = 0x1p-20 / (448.0 * 448) / 3; /* of its row's largest square */

static bool is_low_precision(const struct check *k, enum kern_use use)
{
    return k->backend[ONE_THREAD]->low_precision && use == KERN_LINEAR_LOW_PRECISION &&
           k->act == DT_BF16;
}

struct row {
    double most, square; /* largest magnitude | sum of squares */
};

static struct row row_numbers(const float *v, int64_t n)
{
    struct row r = { 0 };

    for (int64_t i = 0; i < n; i++) {
        r.most = fmax(r.most, fabs((double)v[i]));
        r.square += (double)v[i] * (double)v[i];
    }
    return r;
}

static double row_error(const float *x, struct row of_x, const float *w, struct row of_w, int64_t k)
{
    double const x_low = low * of_x.most * of_x.most, w_low = low * of_w.most * of_w.most;
    double sum = 0, squares = 0;

    for (int64_t i = 0; i < k; i++) {
        double const term = (double)x[i] * (double)w[i];
        sum += term;
        squares += term * term;
    }
    double const one = near * squares + x_low * of_w.square;
    double const other = near * squares + w_low * of_x.square;
    double const both = near * near * squares + near * (x_low * of_w.square + w_low * of_x.square) +
                        (double)k * x_low * w_low;
    double const six = 6 * sqrt(one + other + both);
    return six + 0x1p-8 * (fabs(sum) + six);
}

double *low_precision_errors(const struct check *k, const struct operand *x_of,
                             const struct weight *w)
{
    struct tensor const x = values(x_of);
    int64_t const rows = x.dim[0], n = w->w[ORACLE].t.dim[0], cols = x.dim[1];
    double *const e = calloc((size_t)(rows * n) + 1, sizeof *e);
    bool const low_precision = is_low_precision(k, w->w[ORACLE].use);

    for (int64_t c = 0; low_precision && c < n; c++) {
        const float *const to = w->source + c * cols;
        struct row const of_w = row_numbers(to, cols);
        for (int64_t r = 0; r < rows; r++) {
            const float *const from = (const float *)x.data + r * cols;
            e[r * n + c] = row_error(from, row_numbers(from, cols), to, of_w, cols);
        }
    }
    free(x.data);
    return e;
}

double low_precision_step(const struct check *k, enum kern_use use, double w, double row_max)
{
    return is_low_precision(k, use) ? (0x1p-4 + 0x1p-8) * fabs(w) + 0x1p-10 / 448 * row_max : 0;
}
