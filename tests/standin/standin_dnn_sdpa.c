/* standin_dnn_sdpa.c - cuDNN's single-node attention, row by row in f64. */
#include "tests/standin/standin.h"
#include "tests/standin/standin_dnn.h"

#include <math.h>
#include <stdlib.h>

static int64_t row_index(const struct standin_tensor *t, int64_t b, int64_t h, int64_t row)
{
    return b * t->stride[0] + h * t->stride[1] + row * t->stride[2];
}

static float get_number(const struct standin_tensor *t, int64_t i)
{
    return standin_get(t->at, t->type, i);
}

static void put_number(const struct standin_tensor *t, int64_t i, float v)
{
    standin_put(t->at, t->type, i, v);
}

static void check_sdpa(const struct standin_sdpa *a)
{
    for (int i = 0; i < 2; i++)
        if (a->q.dim[i] != a->k.dim[i] || a->q.dim[i] != a->v.dim[i] || a->q.dim[i] != a->o.dim[i])
            standin_stop("cuDNN: heads of attention that do not fit");
    if (a->q.dim[3] != a->k.dim[3] || a->v.dim[3] != a->o.dim[3] || a->k.dim[2] != a->v.dim[2] ||
        a->q.dim[2] != a->o.dim[2])
        standin_stop("cuDNN: shapes of attention that do not fit");
    if (a->q.type != STANDIN_BF16 || a->k.type != STANDIN_BF16 || a->v.type != STANDIN_BF16 ||
        a->o.type != STANDIN_BF16 || (a->stats.at && a->stats.type != STANDIN_F32))
        standin_stop("cuDNN: dtypes of attention that its kernel has not");
}

/* Scores of one query in `s`; their largest. */
static double score_keys(const struct standin_sdpa *a, int64_t b, int64_t h, int64_t row, double *s)
{
    int64_t const q = row_index(&a->q, b, h, row);
    double max = -INFINITY;

    for (int64_t j = 0; j < a->k.dim[2]; j++) {
        int64_t const k = row_index(&a->k, b, h, j);
        double sum = 0;
        for (int64_t i = 0; i < a->q.dim[3]; i++)
            sum += (double)get_number(&a->q, q + i * a->q.stride[3]) *
                   (double)get_number(&a->k, k + i * a->k.stride[3]);
        s[j] = (double)a->scale * sum;
        max = s[j] > max ? s[j] : max;
    }
    return max;
}

static void attend_row(const struct standin_sdpa *a, int64_t b, int64_t h, int64_t row, double *s)
{
    double const max = score_keys(a, b, h, row, s);
    double all = 0;

    for (int64_t j = 0; j < a->k.dim[2]; j++) {
        double const weight = exp(s[j] - max);
        all += weight;
        s[j] = (double)f32_from_bf16(bf16_from_f32((float)weight));
    }
    for (int64_t i = 0; i < a->o.dim[3]; i++) {
        double sum = 0;
        for (int64_t j = 0; j < a->k.dim[2]; j++)
            sum += s[j] * (double)get_number(&a->v, row_index(&a->v, b, h, j) + i * a->v.stride[3]);
        put_number(&a->o, row_index(&a->o, b, h, row) + i * a->o.stride[3], (float)(sum / all));
    }
    if (a->stats.at)
        put_number(&a->stats, row_index(&a->stats, b, h, row), (float)(max + log(all)));
}

void standin_sdpa(const struct standin_sdpa *a)
{
    double *const s = malloc((size_t)(a->k.dim[2] + 1) * sizeof *s);

    check_sdpa(a);
    if (!s) standin_stop("cuDNN: out of memory");
    for (int64_t b = 0; b < a->q.dim[0]; b++)
        for (int64_t h = 0; h < a->q.dim[1]; h++)
            for (int64_t row = 0; row < a->q.dim[2]; row++) attend_row(a, b, h, row, s);
    free(s);
}
