/*
 * cuda_plain_pictures.cu - level 1: pictures to bytes, by the arithmetic of pixels.c to the bit.
 *
 * A thread has a square of 2 x 2 pixels: of each format its luma, and the chroma of its
 * first column, for which the column before is read too. Products and sums are rounded one
 * by one: nothing is contracted.
 */
#include "kernels/cuda/cuda_device.cuh"

extern "C" {
#include "kernels/cuda/plain/cuda_plain_kernels.h"
}

enum { ROWS = 2, COLUMNS = 3 /* the one before, and the square's */, RGB = 3 };

/* Beyond an edge a pixel stands for its neighbour within; those are not written. */
struct square {
    int64_t picture;
    int x, y;                    /* of its first pixel */
    int columns, rows;           /* that are within: 1 or 2 */
    float v[ROWS][COLUMNS][RGB]; /* as they are, then 0..1 */
};

/* One sample of a format, not yet rounded, for every pixel of a square. */
struct ycc {
    float y[ROWS][COLUMNS], cb[ROWS][COLUMNS], cr[ROWS][COLUMNS];
};

static __device__ void read_square(struct square &s, const struct cuda_pictures &p, int64_t i)
{
    const struct pixels_layout &l = p.layout;

    s.picture = i / p.across / p.down;
    s.x = (int)(i % p.across) * 2;
    s.y = (int)(i / p.across % p.down) * 2;
    s.columns = min(l.width - s.x, 2);
    s.rows = min(l.height - s.y, 2);
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) {
            int const y = min(s.y + r, l.height - 1), x = min(max(s.x + c - 1, 0), l.width - 1);
            const float *const from = p.pixels + ((s.picture * l.height + y) * l.width + x) * RGB;
#pragma unroll
            for (int k = 0; k < RGB; k++) s.v[r][c][k] = from[k];
        }
}

static __device__ void note_value(const struct cuda_pictures &p, const struct square &s, int r,
                                  int c, int k)
{
    unsigned const bits = __float_as_uint(s.v[r][c][k]), exponent = 0x7f800000u;
    unsigned const kind = bits << 1 > exponent << 1 ? PIXELS_NAN
                          : bits == exponent        ? PIXELS_INF
                                                    : PIXELS_MINUS_INF;
    int64_t const index = ((int64_t)(s.y + r) * p.layout.width + s.x + c - 1) * RGB + k;
    unsigned char *const note = p.out + s.picture * p.layout.bytes;

    if ((bits & exponent) != exponent) return;
    atomicMin((unsigned long long *)note, 4 * (unsigned long long)index + kind);
}

/* Of the pixels of this square alone. */
static __device__ void note_square(const struct cuda_pictures &p, const struct square &s)
{
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int c = 1; c < COLUMNS; c++)
#pragma unroll
            for (int k = 0; k < RGB; k++)
                if (r < s.rows && c - 1 < s.columns) note_value(p, s, r, c, k);
}

/* -1..1 to 0..1; NaN to 0. */
static __device__ float to_unit(float v)
{
    v = v > -1.0f ? v : -1.0f;
    v = v < 1.0f ? v : 1.0f;
    return __fadd_rn(__fmul_rn(v, 0.5f), 0.5f);
}

static __device__ void to_units(struct square &s)
{
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int c = 0; c < COLUMNS; c++)
#pragma unroll
            for (int k = 0; k < RGB; k++) s.v[r][c][k] = to_unit(s.v[r][c][k]);
}

template <typename S> static __device__ void round_to(S *to, float v)
{
    *to = (S)(int)__fadd_rn(v, 0.5f);
}

static __device__ void put_rgb(const struct cuda_pictures &p, const struct square &s)
{
    uint8_t *const to = p.out + s.picture * p.layout.bytes + p.layout.rgb;

#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int c = 1; c < COLUMNS; c++)
#pragma unroll
            for (int k = 0; k < RGB; k++)
                if (r < s.rows && c - 1 < s.columns)
                    round_to(to + ((int64_t)(s.y + r) * p.layout.width + s.x + c - 1) * RGB + k,
                             __fmul_rn(s.v[r][c][k], 255.0f));
}

static __device__ struct ycc to_ycc(const struct square &s, const struct pixels_scale &k)
{
    struct ycc o;

#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) {
            const float *const v = s.v[r][c];
            float const luma =
                __fadd_rn(__fadd_rn(__fmul_rn(0.2126f, v[0]), __fmul_rn(0.7152f, v[1])),
                          __fmul_rn(0.0722f, v[2]));
            o.y[r][c] = __fadd_rn(__fmul_rn(luma, k.ky), k.y0);
            o.cb[r][c] = __fadd_rn(__fmul_rn(__fadd_rn(v[2], -luma), k.kb), k.c0);
            o.cr[r][c] = __fadd_rn(__fmul_rn(__fadd_rn(v[0], -luma), k.kr), k.c0);
        }
    return o;
}

/* Every pixel's sample, in a plane as wide and high as the picture. */
template <typename S>
static __device__ void put_each(const struct cuda_pictures &p, const struct square &s,
                                int64_t plane, const float v[ROWS][COLUMNS])
{
    S *const to = (S *)(p.out + s.picture * p.layout.bytes + plane);

#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int c = 1; c < COLUMNS; c++)
            if (r < s.rows && c - 1 < s.columns)
                round_to(to + (int64_t)(s.y + r) * p.layout.width + s.x + c - 1, v[r][c]);
}

/* (1 2 1)/4 across. */
static __device__ float halve(float before, float here, float after)
{
    return __fmul_rn(__fadd_rn(__fadd_rn(before, after), __fmul_rn(2.0f, here)), 0.25f);
}

/* A sample for each row of the square's. */
template <typename S>
static __device__ void put_across(const struct cuda_pictures &p, const struct square &s,
                                  int64_t plane, const float v[ROWS][COLUMNS])
{
    S *const to = (S *)(p.out + s.picture * p.layout.bytes + plane);

#pragma unroll
    for (int r = 0; r < ROWS; r++)
        if (r < s.rows)
            round_to(to + (s.y + r) * p.across + s.x / 2, halve(v[r][0], v[r][1], v[r][2]));
}

/* The mean of two rows, then across. One row's mean with itself is that row. */
template <typename S>
static __device__ void put_one(const struct cuda_pictures &p, const struct square &s, int64_t plane,
                               const float v[ROWS][COLUMNS])
{
    S *const to = (S *)(p.out + s.picture * p.layout.bytes + plane);
    float mean[COLUMNS];

#pragma unroll
    for (int c = 0; c < COLUMNS; c++) mean[c] = __fmul_rn(__fadd_rn(v[0][c], v[1][c]), 0.5f);
    round_to(to + s.y / 2 * p.across + s.x / 2, halve(mean[0], mean[1], mean[2]));
}

/* The formats of one depth, of which `first` is 4:2:0. */
template <typename S>
static __device__ void put_formats(const struct cuda_pictures &p, const struct square &s, int first,
                                   const struct pixels_scale &scale)
{
    unsigned const wanted = p.layout.formats >> first & 7;
    const int64_t(*const plane)[3] = p.layout.plane + first;

    if (!wanted) return;
    struct ycc const v = to_ycc(s, scale);
#pragma unroll
    for (int i = 0; i < 3; i++)
        if (wanted >> i & 1) put_each<S>(p, s, plane[i][0], v.y);
    if (wanted & 1) {
        put_one<S>(p, s, plane[0][1], v.cb);
        put_one<S>(p, s, plane[0][2], v.cr);
    }
    if (wanted & 2) {
        put_across<S>(p, s, plane[1][1], v.cb);
        put_across<S>(p, s, plane[1][2], v.cr);
    }
    if (wanted & 4) {
        put_each<S>(p, s, plane[2][1], v.cb);
        put_each<S>(p, s, plane[2][2], v.cr);
    }
}
static_assert(PIX_YUV422P == PIX_YUV420P + 1 && PIX_YUV444P == PIX_YUV420P + 2, "of 8 bits");
static_assert(PIX_YUV422P10 == PIX_YUV420P10 + 1 && PIX_YUV444P10 == PIX_YUV420P10 + 2, "of 10");

static __global__ void pictures_begin(struct cuda_pictures p)
{
    for (int64_t i = grid_first(); i < p.pictures; i += grid_step())
        *(uint64_t *)(p.out + i * p.layout.bytes) = PIXELS_FINITE;
}

static __global__ void pictures_squares(struct cuda_pictures p)
{
    for (int64_t i = grid_first(); i < p.pictures * p.down * p.across; i += grid_step()) {
        struct square s;
        read_square(s, p, i);
        note_square(p, s);
        to_units(s);
        put_rgb(p, s);
        put_formats<uint8_t>(p, s, PIX_YUV420P, p.scale[0]);
        put_formats<uint16_t>(p, s, PIX_YUV420P10, p.scale[1]);
    }
}

status cuda_pictures(const struct cuda_plan *plan, const struct cuda_pictures *p, void *stream)
{
    TRY(CUDA_LAUNCH(pictures_begin, 1, CUDA_EACH_THREADS, 0, stream, *p));
    return CUDA_LAUNCH(pictures_squares, plan->grid[0], plan->threads, 0, stream, *p);
}
