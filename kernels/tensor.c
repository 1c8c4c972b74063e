/* tensor.c - shapes, dtypes and single elements; no arithmetic on tensors. */
#include "kernels/tensor.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[DT_COUNT] = {
    [DT_F32] = { "F32", 4 }, [DT_BF16] = { "BF16", 2 }, [DT_F16] = { "F16", 2 },
    [DT_F64] = { "F64", 8 }, [DT_I64] = { "I64", 8 },   [DT_I32] = { "I32", 4 },
    [DT_U8] = { "U8", 1 },
};

const char *dtype_name(enum dtype t) { return (unsigned)t < DT_COUNT ? dtypes[t].name : "?"; }

const char *dtype_precision(enum dtype t)
{
    assert(t == DT_F32 || t == DT_BF16);
    return t == DT_F32 ? "f32" : "bf16";
}

size_t dtype_size(enum dtype t) { return dtypes[t].size; }

bool dtype_from_name(enum dtype *out, const char *name, size_t len)
{
    for (int i = 0; i < DT_COUNT; i++)
        if (strlen(dtypes[i].name) == len && !memcmp(dtypes[i].name, name, len)) {
            *out = (enum dtype)i;
            return true;
        }
    return false;
}

status tensor_make(struct tensor *out, enum dtype type, int ndim, const int64_t *dim)
{
    int64_t bytes = (int64_t)dtype_size(type);

    *out = (struct tensor){ .dtype = type, .ndim = ndim };
    if (ndim < 0 || ndim > TENSOR_DIMS)
        return fail(ST_ARG, "tensor: %d dimensions; at most %d", ndim, TENSOR_DIMS);
    for (int i = 0; i < ndim; i++) {
        if (dim[i] < 0 || __builtin_mul_overflow(bytes, dim[i], &bytes))
            return fail(ST_ARG,
                        "tensor: dimension %d is %lld: negative, or the tensor is too large", i,
                        (long long)dim[i]);
        out->dim[i] = dim[i];
    }
    return ST_OK;
}

status tensor_place(struct tensor *out, struct arena *a, enum dtype type, int ndim,
                    const int64_t *dim)
{
    TRY(tensor_make(out, type, ndim, dim));
    return arena_take(a, tensor_bytes(out), &out->data);
}

int64_t tensor_count(const struct tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++) n *= t->dim[i];
    return n;
}

size_t tensor_bytes(const struct tensor *t)
{
    return (size_t)tensor_count(t) * dtype_size(t->dtype);
}

bool tensor_same_shape(const struct tensor *a, const struct tensor *b)
{
    if (a->ndim != b->ndim) return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

bool tensor_follows(const struct tensor *a, const struct tensor *b)
{
    return (uintptr_t)a->data + tensor_bytes(a) == (uintptr_t)b->data;
}

struct tensor tensor_slice(const struct tensor *t, int64_t first, int64_t count)
{
    struct tensor s = *t;

    assert(t->ndim > 0 && first >= 0 && count >= 0 && first + count <= t->dim[0]);
    s.dim[0] = 1;
    size_t const step = tensor_bytes(&s);
    s.dim[0] = count;
    if (t->data) s.data = (unsigned char *)t->data + (size_t)first * step;
    return s;
}

struct tensor tensor_as(const struct tensor *t, int ndim, const int64_t *dim)
{
    struct tensor s = { .data = t->data, .dtype = t->dtype, .ndim = ndim };

    assert(ndim <= TENSOR_DIMS);
    for (int i = 0; i < ndim; i++) s.dim[i] = dim[i];
    assert(tensor_count(&s) == tensor_count(t));
    return s;
}

const char *tensor_shape(const struct tensor *t, char buf[SHAPE_TEXT])
{
    size_t n = (size_t)snprintf(buf, SHAPE_TEXT, "[");

    for (int i = 0; i < t->ndim && n < SHAPE_TEXT; i++)
        n += (size_t)snprintf(buf + n, SHAPE_TEXT - n, i ? ", %lld" : "%lld", (long long)t->dim[i]);
    if (n < SHAPE_TEXT) snprintf(buf + n, SHAPE_TEXT - n, "]");
    return buf;
}

static float f32_from_f16(uint16_t h)
{
    uint32_t const sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t const mant = h & 0x3ffu;
    uint32_t const exp = (h >> 10) & 0x1fu;
    union {
        uint32_t u;
        float f;
    } v;

    if (exp == 31) v.u = sign | 0x7f800000u | (mant << 13);
    else if (exp) v.u = sign | ((exp + 112u) << 23) | (mant << 13);
    else {
        v.f = (float)mant * 0x1p-24f; /* zero or subnormal: exact */
        v.u |= sign;
    }
    return v.f;
}

float tensor_get(const struct tensor *t, int64_t i)
{
    switch (t->dtype) {
    case DT_F32: return ((const float *)t->data)[i];
    case DT_BF16: return f32_from_bf16(((const uint16_t *)t->data)[i]);
    case DT_F16: return f32_from_f16(((const uint16_t *)t->data)[i]);
    case DT_F64: return (float)((const double *)t->data)[i];
    case DT_U8: return (float)((const uint8_t *)t->data)[i];
    default: assert(!"tensor_get: not a dtype of numbers it knows"); return 0;
    }
}

void tensor_put(struct tensor *t, int64_t i, float value)
{
    assert(t->dtype == DT_F32 || t->dtype == DT_BF16);
    if (t->dtype == DT_F32) ((float *)t->data)[i] = value;
    else ((uint16_t *)t->data)[i] = bf16_from_f32(value);
}

status tensor_convert(void *dst, enum dtype to, const void *src, enum dtype from, int64_t count)
{
    struct tensor in = { .data = (void *)(uintptr_t)src, .dtype = from };
    struct tensor out = { .data = dst, .dtype = to };

    if ((to != DT_F32 && to != DT_BF16) || from > DT_F64)
        return fail(ST_ARG, "convert: %s to %s is not supported", dtype_name(from), dtype_name(to));
    if (from == to) memcpy(dst, src, (size_t)count * dtype_size(to));
    else
        for (int64_t i = 0; i < count; i++) tensor_put(&out, i, tensor_get(&in, i));
    return ST_OK;
}
