/* standin_dnn_chain.c - the stand-in for cuDNN: products, element by element, and over
 * dimensions; on host memory, honouring dimensions and strides. */
#include "tests/standin/standin_dnn.h"

enum { ROWS = 2, COLS, PLANES }; /* dimensions of a product */

static float get_number(const struct standin_tensor *t, int64_t i)
{
    return standin_get(t->at, t->type, i);
}

static void put_number(const struct standin_tensor *t, int64_t i, float v)
{
    standin_put(t->at, t->type, i, v);
}

static int64_t element_count(const struct standin_tensor *t)
{
    int64_t n = 1;

    for (int i = 0; i < t->ndim; i++) n *= t->dim[i];
    return n;
}

/* The place of element i of `like` in t; dimensions of t that are 1 are repeated. */
static int64_t repeated_index(const struct standin_tensor *t, const struct standin_tensor *like,
                              int64_t i)
{
    int64_t sum = 0;

    for (int k = like->ndim - 1; k >= 0; k--) {
        sum += t->dim[k] == 1 ? 0 : i % like->dim[k] * t->stride[k];
        i /= like->dim[k];
    }
    return sum;
}

static void check_repeated(const struct standin_tensor *t, const struct standin_tensor *like,
                           const char *what)
{
    standin_must(t->ndim == like->ndim, what);
    for (int i = 0; i < t->ndim; i++)
        standin_must(t->dim[i] == 1 || t->dim[i] == like->dim[i], what);
}

static float apply_pointwise(enum standin_each how, float a, float b)
{
    switch (how) {
    case STANDIN_ADD: return a + b;
    case STANDIN_SUB: return a - b;
    case STANDIN_MUL: return a * b;
    case STANDIN_DIV: return a / b;
    case STANDIN_EXP: return expf(a);
    default: return logf(a);
    }
}

void standin_each(enum standin_each how, const struct standin_tensor *a,
                  const struct standin_tensor *b, const struct standin_tensor *y)
{
    standin_must(element_count(a) == element_count(y), "sizes");
    check_repeated(a, y, "sizes");
    if (b->at) check_repeated(b, y, "sizes");
    for (int64_t i = 0; i < element_count(y); i++) {
        float const other = b->at ? get_number(b, repeated_index(b, y, i)) : 0;
        put_number(y, repeated_index(y, y, i),
                   apply_pointwise(how, get_number(a, repeated_index(a, y, i)), other));
    }
}

/* Once no number, for good. */
static double fold_value(enum standin_fold how, double all, double v)
{
    if (how == STANDIN_SUM) return all + v;
    if (how == STANDIN_AMAX) v = fabs(v);
    return isnan(v) || v > all ? v : all;
}

void standin_fold(enum standin_fold how, const struct standin_tensor *x,
                  const struct standin_tensor *y)
{
    struct standin_tensor over = *x; /* what becomes one number: x's dimensions that y lacks */

    check_repeated(y, x, "what is folded");
    for (int k = 0; k < x->ndim; k++)
        if (y->dim[k] != 1) over.dim[k] = 1;
    for (int64_t i = 0; i < element_count(y); i++) {
        int64_t const from = repeated_index(x, y, i);
        double all = how == STANDIN_MAX ? -INFINITY : 0;
        for (int64_t j = 0; j < element_count(&over); j++)
            all = fold_value(how, all, (double)get_number(x, from + repeated_index(x, &over, j)));
        put_number(y, repeated_index(y, y, i), (float)all);
    }
}

void standin_matmul(const struct standin_tensor *a, const struct standin_tensor *b,
                    const struct standin_tensor *y)
{
    standin_must(a->ndim == PLANES && b->ndim == PLANES && y->ndim == PLANES &&
                     a->dim[ROWS] == y->dim[ROWS] && b->dim[COLS] == y->dim[COLS] &&
                     a->dim[COLS] == b->dim[ROWS],
                 "shapes of a product");
    for (int k = 0; k < ROWS; k++)
        standin_must(a->dim[k] == y->dim[k] && b->dim[k] == y->dim[k], "batches of a product");
    for (int64_t i = 0; i < element_count(y); i++) {
        int64_t const row = i / y->dim[COLS], plane = row / y->dim[ROWS];
        int64_t const high = plane / y->dim[1], head = plane % y->dim[1];
        int64_t const from_a =
            high * a->stride[0] + head * a->stride[1] + row % y->dim[ROWS] * a->stride[ROWS];
        int64_t const from_b =
            high * b->stride[0] + head * b->stride[1] + i % y->dim[COLS] * b->stride[COLS];
        double sum = 0;
        for (int64_t k = 0; k < a->dim[COLS]; k++)
            sum += (double)get_number(a, from_a + k * a->stride[COLS]) *
                   (double)get_number(b, from_b + k * b->stride[ROWS]);
        put_number(y, repeated_index(y, y, i), (float)sum);
    }
}
