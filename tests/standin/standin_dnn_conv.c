/* standin_dnn_conv.c - the stand-in for cuDNN: convolutions, naive, on host memory,
 * honouring dimensions, strides and padding. */
#include "tests/standin/standin_dnn.h"

enum { N, C, T, H, W, DIMENSIONS };

static int64_t element_index(const struct standin_tensor *t, const int64_t at[DIMENSIONS])
{
    int64_t sum = 0;

    for (int i = 0; i < DIMENSIONS; i++) sum += at[i] * t->stride[i];
    return sum;
}

static float get_number(const struct standin_tensor *t, int64_t place_of)
{
    return standin_get(t->at, t->type, place_of);
}

static void put_number(const struct standin_tensor *t, int64_t place_of, float v)
{
    standin_put(t->at, t->type, place_of, v);
}

static int64_t element_count(const struct standin_tensor *t)
{
    int64_t n = 1;

    for (int i = 0; i < DIMENSIONS; i++) n *= t->dim[i];
    return n;
}

/* Element i, counted with the channels fastest: most layouts then walk through memory. */
static void format_dims(const struct standin_tensor *t, int64_t i, int64_t at[DIMENSIONS])
{
    static const int order[DIMENSIONS] = { C, W, H, T, N };

    for (int k = 0; k < DIMENSIONS; k++) {
        at[order[k]] = i % t->dim[order[k]];
        i /= t->dim[order[k]];
    }
}

static void check_conv(const struct standin_conv *c)
{
    standin_must(c->x.dim[N] == c->y.dim[N] && c->x.dim[C] == c->w.dim[C] &&
                     c->w.dim[N] == c->y.dim[C],
                 "a convolution's channels");
    for (int i = 0; i < STANDIN_SPACE; i++) {
        int64_t const padded = c->x.dim[T + i] + c->pad_lo[i] + c->pad_hi[i];
        standin_must((padded - c->w.dim[T + i]) / c->stride[i] + 1 == c->y.dim[T + i],
                     "a convolution's sizes");
    }
}

/* The channels of one pixel with those of one tap. */
static double dot_taps(const struct standin_conv *c, int64_t x, int64_t w)
{
    double sum = 0;

    for (int64_t k = 0; k < c->x.dim[C]; k++)
        sum += (double)get_number(&c->x, x + k * c->x.stride[C]) *
               (double)get_number(&c->w, w + k * c->w.stride[C]);
    return sum;
}

static double conv_output(const struct standin_conv *c, const int64_t at[DIMENSIONS])
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
        if (inside) sum += dot_taps(c, element_index(&c->x, from), element_index(&c->w, weight));
    }
    return sum;
}

void standin_conv(const struct standin_conv *c)
{
    check_conv(c);
    for (int64_t i = 0; i < element_count(&c->y); i++) {
        int64_t at[DIMENSIONS];
        format_dims(&c->y, i, at);
        put_number(&c->y, element_index(&c->y, at), (float)conv_output(c, at));
    }
}
