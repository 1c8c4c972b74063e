/* standin_dnn_conv.c - the stand-in for cuDNN: convolutions and sums, naive, on host memory,
 * honouring dimensions, strides and padding. */
#include "kernels/tensor.h"
#include "tests/standin/standin_dnn.h"

#include <stdio.h>
#include <stdlib.h>

enum { N, C, T, H, W, DIMENSIONS };

static int64_t place(const struct standin_tensor *t, const int64_t at[DIMENSIONS])
{
    int64_t sum = 0;

    for (int i = 0; i < DIMENSIONS; i++) sum += at[i] * t->stride[i];
    return sum;
}

static float get(const struct standin_tensor *t, int64_t place_of)
{
    return t->bf16 ? f32_from_bf16(((const uint16_t *)t->at)[place_of])
                   : ((const float *)t->at)[place_of];
}

static void put(const struct standin_tensor *t, int64_t place_of, float v)
{
    if (t->bf16) ((uint16_t *)t->at)[place_of] = bf16_from_f32(v);
    else ((float *)t->at)[place_of] = v;
}

static int64_t count_of(const struct standin_tensor *t)
{
    int64_t n = 1;

    for (int i = 0; i < DIMENSIONS; i++) n *= t->dim[i];
    return n;
}

/* Element i, counted with the channels fastest: most layouts then walk through memory. */
static void spell(const struct standin_tensor *t, int64_t i, int64_t at[DIMENSIONS])
{
    static const int order[DIMENSIONS] = { C, W, H, T, N };

    for (int k = 0; k < DIMENSIONS; k++) {
        at[order[k]] = i % t->dim[order[k]];
        i /= t->dim[order[k]];
    }
}

static void must(bool fits, const char *what)
{
    if (fits) return;
    fprintf(stderr, "stand-in for cuDNN: %s do not fit\n", what);
    abort();
}

static void check(const struct standin_conv *c)
{
    must(c->x.dim[N] == c->y.dim[N] && c->x.dim[C] == c->w.dim[C] && c->w.dim[N] == c->y.dim[C],
         "a convolution's channels");
    for (int i = 0; i < STANDIN_SPACE; i++) {
        int64_t const padded = c->x.dim[T + i] + c->pad_lo[i] + c->pad_hi[i];
        must((padded - c->w.dim[T + i]) / c->stride[i] + 1 == c->y.dim[T + i],
             "a convolution's sizes");
    }
}

/* The channels of one pixel with those of one tap. */
static double dot(const struct standin_conv *c, int64_t x, int64_t w)
{
    double sum = 0;

    for (int64_t k = 0; k < c->x.dim[C]; k++)
        sum +=
            (double)get(&c->x, x + k * c->x.stride[C]) * (double)get(&c->w, w + k * c->w.stride[C]);
    return sum;
}

static double output(const struct standin_conv *c, const int64_t at[DIMENSIONS])
{
    int64_t const area = c->w.dim[H] * c->w.dim[W], taps = c->w.dim[T] * area;
    double sum = 0;

    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t const k[STANDIN_SPACE] = { tap / area, tap / c->w.dim[W] % c->w.dim[H],
                                           tap % c->w.dim[W] };
        int64_t from[DIMENSIONS] = { at[N] };
        bool inside = true;
        for (int i = 0; i < STANDIN_SPACE; i++) {
            from[T + i] = at[T + i] * c->stride[i] - c->pad_lo[i] + k[i];
            inside = inside && from[T + i] >= 0 && from[T + i] < c->x.dim[T + i];
        }
        int64_t const weight[DIMENSIONS] = { at[C], 0, k[0], k[1], k[2] };
        if (inside) sum += dot(c, place(&c->x, from), place(&c->w, weight));
    }
    return sum;
}

void standin_conv(const struct standin_conv *c)
{
    check(c);
    for (int64_t i = 0; i < count_of(&c->y); i++) {
        int64_t at[DIMENSIONS];
        spell(&c->y, i, at);
        put(&c->y, place(&c->y, at), (float)output(c, at));
    }
}

void standin_add(const struct standin_tensor *a, const struct standin_tensor *b,
                 const struct standin_tensor *y)
{
    for (int64_t i = 0; i < count_of(y); i++) {
        int64_t at[DIMENSIONS], other[DIMENSIONS];
        spell(y, i, at);
        for (int k = 0; k < DIMENSIONS; k++) {
            must(a->dim[k] == y->dim[k] && (b->dim[k] == 1 || b->dim[k] == y->dim[k]),
                 "a sum's sizes");
            other[k] = b->dim[k] == 1 ? 0 : at[k];
        }
        put(y, place(y, at), get(a, place(a, at)) + get(b, place(b, other)));
    }
}
