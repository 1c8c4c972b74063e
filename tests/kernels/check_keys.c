/* check_keys.c - what cache policies ask of keys: scores, sums, chosen rows, another precision. */
#include "tests/kernels/check.h"

#include <math.h>
#include <stdlib.h>

#define CALL(k, s, operation, ...)                                                                 \
    (k)->backend[s]->ops.operation((k)->ctx[s], &(struct kern_##operation){ __VA_ARGS__ })

static const int64_t shapes[][2] = { { 1, 2 }, { 3, 6 },    { 4, 260 },  { 0, 4 },
                                     { 2, 0 }, { 67, 256 }, { 9, 1536 }, { 4680, 128 } };

static int cases(const struct check *k) { return k->small ? 5 : COUNT_OF(shapes); }

/* A sum's rounding at the store is the comparison's; what is left is f64's. */
static const double wide = 0x1p-40;

static void score_tolerance(struct operand *x, struct operand *w, struct operand *amplitude,
                            struct operand *out, double scale)
{
    struct tensor const k = magnitudes(x), m = magnitudes(w);
    struct tensor const a = amplitude ? magnitudes(amplitude) : (struct tensor){ 0 };
    double *const tol = tolerances(out);
    int64_t const rows = k.dim[0], cols = k.dim[1];

    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) {
            double const size =
                (double)tensor_get(&m, c) + (amplitude ? (double)tensor_get(&a, c / 2) : 0);
            tol[r] += wide * scale * (double)tensor_get(&k, r * cols + c) * size;
        }
    free(k.data);
    free(m.data);
    free(a.data);
}

void check_score_keys(struct check *k)
{
    float const scale = 0.0127f;

    for (int i = 0; i < 2 * cases(k); i++) {
        const int64_t *const d = shapes[i / 2];
        case_begin(k, "%lld x %lld%s", (long long)d[0], (long long)d[1],
                   i % 2 ? ", with amplitudes" : "");
        struct operand *const x = input(k, k->act, 2, d);
        struct operand *const w = input(k, DT_F32, DIMS(d[1]));
        struct operand *const a = i % 2 ? input(k, DT_F32, DIMS(d[1] / 2)) : NULL;
        struct operand *const out = output(k, DT_F32, DIMS(d[0]));

        score_tolerance(x, w, a, out, (double)scale);
        for (int s = 0; s < SIDES; s++) {
            struct tensor wrong = *at(w, s);
            wrong.dim[0]++;
            refused(k, s,
                    CALL(k, s, score_keys, .k = at(x, s), .w = &wrong, .amplitude = at(a, s),
                         .out = at(out, s), .scale = scale));
            ran(k, s,
                CALL(k, s, score_keys, .k = at(x, s), .w = at(w, s), .amplitude = at(a, s),
                     .out = at(out, s), .scale = scale));
        }
        case_end(k);
    }
}

void check_sum_rows(struct check *k)
{
    static const int64_t table[][2] = { { 1, 1 }, { 3, 5 },    { 4, 263 },  { 0, 4 },
                                        { 2, 0 }, { 67, 256 }, { 9, 1536 }, { 4680, 127 } };

    for (int i = 0; i < cases(k); i++) {
        const int64_t *const d = table[i];
        case_begin(k, "%lld x %lld", (long long)d[0], (long long)d[1]);
        struct operand *const x = input(k, k->act, 2, d);
        struct operand *const out = output(k, DT_F32, DIMS(d[1]));
        struct tensor const size = magnitudes(x);
        double *const tol = tolerances(out);

        for (int64_t j = 0; j < d[0] * d[1]; j++)
            tol[j % d[1]] += wide * (double)tensor_get(&size, j);
        free(size.data);
        for (int s = 0; s < SIDES; s++) {
            struct tensor wrong = *at(out, s);
            wrong.dim[0]++;
            refused(k, s, CALL(k, s, sum_rows, .x = at(x, s), .out = &wrong));
            ran(k, s, CALL(k, s, sum_rows, .x = at(x, s), .out = at(out, s)));
        }
        case_end(k);
    }
}

/* Rows forwards, backwards, and some twice. */
static void plant_index(struct check *k, struct operand *index, int64_t of)
{
    struct tensor t = values(index);

    for (int64_t i = 0; i < tensor_count(&t); i++)
        tensor_put(&t, i, (float)(i % 3 == 1 ? of - 1 - i % of : i * 5 % of));
    refill(k, index, &t);
    free(t.data);
}

void check_gather_rows(struct check *k)
{
    static const int64_t table[][3] = { { 1, 1, 1 },      { 5, 3, 5 },    { 4, 9, 4 },
                                        { 3, 0, 4 },      { 70, 33, 16 }, { 67, 67, 256 },
                                        { 700, 512, 128 } };
    enum dtype const types[] = { k->act, DT_U8 };

    for (int i = 0; i < 2 * (k->small ? 5 : COUNT_OF(table)); i++) {
        const int64_t *const d = table[i / 2];
        enum dtype const type = types[i % 2];
        case_begin(k, "%lld of %lld rows of %lld, %s", (long long)d[1], (long long)d[0],
                   (long long)d[2], dtype_name(type));
        struct operand *const x = input(k, type, DIMS(d[0], d[2]));
        struct operand *const index = input(k, DT_F32, DIMS(d[1]));
        struct operand *const out = output(k, type, DIMS(d[1], d[2]));

        plant_index(k, index, d[0]);
        for (int s = 0; s < SIDES; s++) {
            struct tensor wrong = *at(out, s);
            wrong.dim[0]++;
            refused(k, s,
                    CALL(k, s, gather_rows, .x = at(x, s), .index = at(index, s), .out = &wrong));
            ran(k, s,
                CALL(k, s, gather_rows, .x = at(x, s), .index = at(index, s), .out = at(out, s)));
        }
        case_end(k);
    }
}

void check_cast(struct check *k)
{
    static const int64_t lengths[] = { 1, 3, 0, 4099 };
    enum dtype const types[] = { DT_F32, DT_BF16 };

    for (int i = 0; i < 4 * COUNT_OF(lengths); i++) {
        int64_t const n = lengths[i / 4];
        enum dtype const from = types[i % 2], to = types[i / 2 % 2];
        case_begin(k, "%lld, %s to %s", (long long)n, dtype_name(from), dtype_name(to));
        struct operand *const in = input(k, from, DIMS(n));
        struct operand *const out = output(k, to, DIMS(n));

        for (int s = 0; s < SIDES; s++) {
            struct tensor wrong = *at(out, s);
            wrong.dim[0]++;
            refused(k, s, CALL(k, s, cast, .in = at(in, s), .out = &wrong));
            ran(k, s, CALL(k, s, cast, .in = at(in, s), .out = at(out, s)));
        }
        case_end(k);
    }
}
