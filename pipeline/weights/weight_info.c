/*
 * weight_info.c - what a file says of one tensor, of types and ranks that are only listed too.
 *
 * A file may hold more than this program computes with: flags, ranks above TENSOR_DIMS, types that
 * nothing here reads. They are listed and hashed, and refused by name where a model wants them.
 */
#include "pipeline/weights/weights_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Bytes of an element; 0: a type that is not known, or has less than one. */
static size_t element_bytes(const char *dtype)
{
    static const struct {
        const char *name;
        size_t bytes;
    } known[] = {
        { "F32", 4 },     { "BF16", 2 }, { "F16", 2 },   { "F64", 8 },         { "I64", 8 },
        { "I32", 4 },     { "U8", 1 },   { "BOOL", 1 },  { "I8", 1 },          { "I16", 2 },
        { "U16", 2 },     { "U32", 4 },  { "U64", 8 },   { "F8_E4M3", 1 },     { "F8_E5M2", 1 },
        { "F8_E8M0", 1 }, { "C64", 8 },  { "C128", 16 }, { "F8_E4M3FNUZ", 1 }, { "F8_E5M2FNUZ", 1 },
    };

    for (int i = 0; i < COUNT_OF(known); i++)
        if (!strcmp(dtype, known[i].name)) return known[i].bytes;
    return 0;
}

static bool is_dtype_name(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!(name[i] >= 'A' && name[i] <= 'Z') && !(name[i] >= '0' && name[i] <= '9') &&
            name[i] != '_')
            return false;
    return len && len < WEIGHT_DTYPE;
}

status weight_info_set(struct weight_info *w, const char *dtype, size_t dtype_len, int ndim,
                       const int64_t *dim, const char *path)
{
    static const int64_t none = 0;
    enum dtype type;
    char shown[NAME_SHOWN];
    int64_t bytes;

    if (!is_dtype_name(dtype, dtype_len))
        return fail(ST_FORMAT, "%s: %s: `%s` is no dtype's name", path, w->name,
                    name_show(shown, dtype, dtype_len));
    memcpy(w->dtype, dtype, dtype_len);
    w->dtype[dtype_len] = '\0';
    w->element = element_bytes(w->dtype);
    w->ndim = ndim;
    w->count = 1;
    for (int i = 0; i < ndim; i++) {
        w->dim[i] = dim[i];
        if (dim[i] < 0 || __builtin_mul_overflow(w->count, dim[i], &w->count))
            return fail(ST_FORMAT, "%s: %s: not a shape a tensor can have", path, w->name);
    }
    if (__builtin_mul_overflow(w->count, (int64_t)w->element, &bytes))
        return fail(ST_FORMAT, "%s: %s: its shape has more bytes than a file can hold", path,
                    w->name);
    w->bytes = (size_t)bytes;
    w->usable = ndim <= TENSOR_DIMS && dtype_from_name(&type, dtype, dtype_len) &&
                tensor_make(&w->t, type, ndim, dim) == ST_OK;
    return w->usable ? ST_OK : tensor_make(&w->t, DT_U8, 1, &none);
}

const char *weight_shape(const struct weight_info *w, char buf[WEIGHT_SHAPE])
{
    size_t n = 1;

    buf[0] = '[';
    for (int i = 0; i < w->ndim; i++)
        n += (size_t)snprintf(buf + n, WEIGHT_SHAPE - n, "%s%" PRId64, i ? ", " : "", w->dim[i]);
    snprintf(buf + n, WEIGHT_SHAPE - n, "]");
    return buf;
}

/* Without the dimensions of 1 in front. */
static int inner_dims(int ndim, const int64_t **dim)
{
    while (ndim && **dim == 1) {
        ndim--;
        ++*dim;
    }
    return ndim;
}

static bool same_dims(int n, const int64_t *a, int m, const int64_t *b)
{
    return n == m && !memcmp(a, b, (size_t)n * sizeof *a);
}

bool weight_has_shape(const struct weight_info *w, int ndim, const int64_t *dim)
{
    enum { GGML_DIMS = 4 };
    const int64_t *is = w->dim, *wanted = dim;
    int64_t count = 1;

    if (same_dims(w->ndim, w->dim, ndim, dim)) return true;
    if (!w->loose) return false;
    for (int i = 0; i < ndim; i++)
        if (__builtin_mul_overflow(count, dim[i], &count)) return false;
    if (ndim > GGML_DIMS && count == w->count) return true;
    int const n = inner_dims(w->ndim, &is), m = inner_dims(ndim, &wanted);
    return same_dims(n, is, m, wanted);
}
