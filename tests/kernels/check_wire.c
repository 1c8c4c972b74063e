/* check_wire.c - rows to 8 bits and back, parts of rows to other places: the same bits
 * everywhere. */
#include "tests/kernels/check.h"

#include <stdlib.h>

#define CALL(k, s, operation, ...)                                                                 \
    (k)->backend[s]->ops.operation((k)->ctx[s], &(struct kern_##operation){ __VA_ARGS__ })

static const int64_t shapes[][2] = { { 1, 1 }, { 3, 5 },    { 4, 260 },  { 0, 4 },
                                     { 2, 0 }, { 5, 1536 }, { 67, 256 }, { 33, 1536 } };

static int cases(const struct check *k) { return k->small ? 5 : COUNT_OF(shapes); }

/* Rows that are hard to round: all numbers of 8 bits and those half way between two, under a
 * scale of 1; nothing but zeros; so small that the scale is the least; as large as there are. */
static void plant_rows(struct check *k, struct operand *o)
{
    struct tensor t = values(o);
    int64_t const rows = t.dim[0], cols = t.dim[1];

    for (int64_t c = 0; rows > 3 && c < cols; c++) {
        uint8_t const h = (uint8_t)(c / 2 % 0x7e);
        float const up = (f32_from_e4m3((uint8_t)(h + 1)) - f32_from_e4m3(h)) / 2;
        tensor_put(&t, c, c == cols - 1 ? 448 : f32_from_e4m3(h) + (c % 2 ? up : 0));
        tensor_put(&t, cols + c, 0);
        tensor_put(&t, 2 * cols + c, tensor_get(&t, 2 * cols + c) * 0x1p-110f);
        tensor_put(&t, 3 * cols + c, tensor_get(&t, 3 * cols + c) * 0x1p121f);
    }
    refill(k, o, &t);
    free(t.data);
}

void check_quantize_e4m3(struct check *k)
{
    for (int i = 0; i < cases(k); i++) {
        const int64_t *const d = shapes[i];
        case_begin(k, "%lld x %lld", (long long)d[0], (long long)d[1]);
        struct operand *const x = input(k, k->act, 2, d);
        struct operand *const out = output(k, DT_U8, 2, d);
        struct operand *const scale = output(k, DT_F32, DIMS(d[0]));

        plant_rows(k, x);
        for (int s = 0; s < SIDES; s++) {
            struct tensor wrong = *at(scale, s);
            wrong.dim[0]++;
            refused(k, s,
                    CALL(k, s, quantize_e4m3, .x = at(x, s), .out = at(out, s), .scale = &wrong));
            refused(
                k, s,
                CALL(k, s, quantize_e4m3, .x = at(x, s), .out = at(x, s), .scale = at(scale, s)));
            ran(k, s,
                CALL(k, s, quantize_e4m3, .x = at(x, s), .out = at(out, s), .scale = at(scale, s)));
        }
        case_end(k);
    }
}

void check_dequantize_e4m3(struct check *k)
{
    for (int i = 0; i < cases(k); i++) {
        const int64_t *const d = shapes[i];
        case_begin(k, "%lld x %lld", (long long)d[0], (long long)d[1]);
        struct operand *const x = input(k, DT_U8, 2, d);
        struct operand *const scale = input(k, DT_F32, DIMS(d[0]));
        struct operand *const out = output(k, k->act, 2, d);

        for (int s = 0; s < SIDES; s++) {
            struct tensor wrong = *at(scale, s);
            wrong.dim[0]++;
            refused(k, s,
                    CALL(k, s, dequantize_e4m3, .x = at(x, s), .scale = &wrong, .out = at(out, s)));
            ran(k, s,
                CALL(k, s, dequantize_e4m3, .x = at(x, s), .scale = at(scale, s),
                     .out = at(out, s)));
        }
        case_end(k);
    }
}

void check_permute01(struct check *k)
{
    static const int64_t table[][3] = { { 1, 1, 1 }, { 3, 2, 5 },  { 2, 3, 4 },    { 0, 3, 4 },
                                        { 4, 6, 8 }, { 6, 4, 16 }, { 33, 6, 256 }, { 6, 67, 128 } };
    enum dtype const types[] = { k->act, DT_U8 };

    for (int i = 0; i < 2 * (k->small ? 5 : COUNT_OF(table)); i++) {
        const int64_t *const d = table[i / 2];
        enum dtype const type = types[i % 2];
        case_begin(k, "%lld x %lld x %lld, %s", (long long)d[0], (long long)d[1], (long long)d[2],
                   dtype_name(type));
        struct operand *const in = input(k, type, 3, d);
        struct operand *const out = output(k, type, DIMS(d[1], d[0], d[2]));

        for (int s = 0; s < SIDES; s++) {
            struct tensor wrong = *at(out, s);
            wrong.dim[0]++;
            refused(k, s, CALL(k, s, permute01, .in = at(in, s), .out = &wrong));
            ran(k, s, CALL(k, s, permute01, .in = at(in, s), .out = at(out, s)));
        }
        case_end(k);
    }
}
