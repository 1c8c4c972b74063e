/* tensor.h - a typed, shaped view of memory it does not own. */
#ifndef TENSOR_H
#define TENSOR_H

#include "base/arena.h"
#include "base/base.h"

/* Operations compute in F32 and BF16 and quantize to U8 and back; the rest are for files alone. */
enum dtype { DT_F32, DT_BF16, DT_F16, DT_F64, DT_I64, DT_I32, DT_U8, DT_COUNT };

enum { TENSOR_DIMS = 5 };

/*
 * Row-major and contiguous; dim[ndim - 1] moves fastest. `data` points to host
 * or device memory, as the arena it came from says. A tensor is a view: copy it
 * freely, never free it. Zeroed = no tensor (data NULL, ndim 0).
 */
struct tensor {
    void *data;
    enum dtype dtype;
    int ndim;
    int64_t dim[TENSOR_DIMS];
};

/* The one place where a shape is set; data becomes NULL. ST_ARG if a dimension
 * is negative or the byte count leaves int64: shapes come from files. */
status tensor_make(struct tensor *out, enum dtype type, int ndim, const int64_t *dim) MUST_USE;

/* tensor_make, then give it its place. data stays NULL in a measuring arena. */
status tensor_place(struct tensor *out, struct arena *a, enum dtype type, int ndim,
                    const int64_t *dim) MUST_USE;
#define DIMS(...)                                                                                  \
    (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), (const int64_t[]) { __VA_ARGS__ }

const char *dtype_name(enum dtype t);      /* "F32", "BF16", ... as safetensors writes them */
const char *dtype_precision(enum dtype t); /* of these two: "f32", "bf16", as jobs spell them */
bool dtype_from_name(enum dtype *out, const char *name, size_t len);
size_t dtype_size(enum dtype t);              /* bytes */
int64_t tensor_count(const struct tensor *t); /* elements */
size_t tensor_bytes(const struct tensor *t);
bool tensor_same_shape(const struct tensor *a, const struct tensor *b);

/* Does b lie right behind a in memory? */
bool tensor_follows(const struct tensor *a, const struct tensor *b);

/* View of `count` entries of the first dimension, from `first` on. The caller
 * keeps within the shape. */
struct tensor tensor_slice(const struct tensor *t, int64_t first, int64_t count);

/* The same memory under another shape with as many elements (asserted). */
struct tensor tensor_as(const struct tensor *t, int ndim, const int64_t *dim);

/* "[3, 16, 8]" into buf; returns buf. */
enum { SHAPE_TEXT = 128 };
const char *tensor_shape(const struct tensor *t, char buf[SHAPE_TEXT]);

/* bf16 <-> f32, rounding to nearest even; NaN stays NaN. */
static inline float f32_from_bf16(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v = { .u = (uint32_t)h << 16 };
    return v.f;
}
static inline uint16_t bf16_from_f32(float f)
{
    union {
        float f;
        uint32_t u;
    } v = { .f = f };
    if ((v.u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((v.u >> 16) | 0x40u);
    v.u += 0x7fffu + ((v.u >> 16) & 1u);
    return (uint16_t)(v.u >> 16);
}

/* e4m3 <-> f32: 8 bits, rounding to nearest even, at most E4M3_MAX either way; NaN stays NaN. */
#define E4M3_MAX 448.0f
static inline float f32_from_e4m3(uint8_t h)
{
    uint32_t const mag = h & 0x7fu;
    union {
        uint32_t u;
        float f;
    } v = { .u = (mag + (120u << 3)) << 20 };
    if (mag < 8) v.f = (float)mag * 0x1p-9f;
    if (mag == 0x7f) v.u = 0x7fc00000u;
    v.u |= (uint32_t)(h & 0x80u) << 24;
    return v.f;
}
static inline uint8_t e4m3_from_f32(float f)
{
    union {
        float f;
        uint32_t u;
    } v = { .f = f }, low;
    uint32_t const sign = v.u >> 24 & 0x80u;
    v.u &= 0x7fffffffu;
    low.f = v.f * 512 + 0x1p23f; /* what is below 2^-6 comes in steps of 2^-9 */
    uint32_t const steps = low.u & 0xffu;
    uint32_t const round = (v.u + 0x7ffffu + (v.u >> 20 & 1u)) >> 20;
    if (v.u > 0x7f800000u) return 0x7f;
    if (v.u < 121u << 23) return (uint8_t)(sign | steps);
    return (uint8_t)(sign | (round < (120u << 3) + 0x7e ? round - (120u << 3) : 0x7e));
}

/* What numbers of which `most` is the largest magnitude are divided by to become e4m3: it
 * becomes E4M3_MAX. One below E4M3_LEAST counts as that, so that no scale is 0. */
#define E4M3_LEAST 0x1p-100f
static inline float e4m3_scale(float most)
{
    return (most > E4M3_LEAST ? most : E4M3_LEAST) / E4M3_MAX;
}

/* Element i of a host tensor as a number (any floating dtype, U8), and back (F32, BF16). */
float tensor_get(const struct tensor *t, int64_t i);
void tensor_put(struct tensor *t, int64_t i, float value);

/* Convert `count` elements between host arrays: from F32, BF16, F16 or F64 to
 * F32 or BF16. ST_ARG for other pairs. src and dst do not overlap. */
status tensor_convert(void *dst, enum dtype to, const void *src, enum dtype from,
                      int64_t count) MUST_USE;

#endif /* TENSOR_H */
