/*
 * gguf.c - the header of a GGUF file: what it says of itself, its tensors, where they lie.
 *
 *   "GGUF", u32 version (2 or 3), u64 tensors, u64 keys          little-endian
 *   keys      text name, u32 type, value; a text is u64 bytes and the bytes
 *   tensors   text name, u32 dimensions, u64 each (the fastest first), u32 type, u64 place
 *   data      from the next multiple of `general.alignment` (32) on; places count from there
 *
 * Of the keys only the alignment matters, and `comfy.gguf.orig_shape.NAME`, the shape of a tensor
 * that was folded so that its rows fill whole blocks. All others are stepped over.
 */
#include "base/strbuf.h"
#include "pipeline/weights/weights_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { GGUF_ALIGN = 32, GGUF_ALIGN_MAX = 1 << 20 };

/* Types of a key's value. */
enum { VALUE_TEXT = 8, VALUE_LIST = 9, VALUE_U32 = 4, VALUE_I32 = 5, VALUE_I64 = 11, VALUES = 13 };

static const unsigned char value_bytes[VALUES] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

/* Types of tensors: of how many elements a block is, and of how many bytes (0: as safetensors
 * has the type). Those that weight_format.c does not know are listed and not read. */
static const struct tensor_type {
    uint32_t number;
    const char *dtype;
    int elements, bytes;
} types[] = {
    { 0, "F32", 0, 0 },         { 1, "F16", 0, 0 },         { 2, "Q4_0", 32, 18 },
    { 3, "Q4_1", 32, 20 },      { 6, "Q5_0", 32, 22 },      { 7, "Q5_1", 32, 24 },
    { 8, "Q8_0", 32, 34 },      { 9, "Q8_1", 32, 36 },      { 10, "Q2_K", 256, 84 },
    { 11, "Q3_K", 256, 110 },   { 12, "Q4_K", 256, 144 },   { 13, "Q5_K", 256, 176 },
    { 14, "Q6_K", 256, 210 },   { 15, "Q8_K", 256, 292 },   { 16, "IQ2_XXS", 256, 66 },
    { 17, "IQ2_XS", 256, 74 },  { 18, "IQ3_XXS", 256, 98 }, { 19, "IQ1_S", 256, 50 },
    { 20, "IQ4_NL", 32, 18 },   { 21, "IQ3_S", 256, 110 },  { 22, "IQ2_S", 256, 82 },
    { 23, "IQ4_XS", 256, 136 }, { 24, "I8", 0, 0 },         { 25, "I16", 0, 0 },
    { 26, "I32", 0, 0 },        { 27, "I64", 0, 0 },        { 28, "F64", 0, 0 },
    { 29, "IQ1_M", 256, 56 },   { 30, "BF16", 0, 0 },
};

/* Where the reading stands. */
struct cursor {
    const char *path;
    const unsigned char *data;
    size_t size, at;
};

struct text {
    const char *s;
    size_t len;
};

/* A tensor's shape before it was folded. */
struct unfolded {
    struct text name;
    int ndim;
    int64_t dim[WEIGHT_DIMS];
};

struct gguf {
    struct cursor c;
    uint64_t align;
    struct unfolded *unfolded;
    int unfolds;
};

static status read_span(struct cursor *c, uint64_t n, const unsigned char **at)
{
    if (n > c->size - c->at)
        return fail(ST_FORMAT,
                    "%s: its header is truncated or wrong: %" PRIu64 " bytes from %zu of %zu on",
                    c->path, n, c->at, c->size);
    *at = c->data + c->at;
    c->at += (size_t)n;
    return ST_OK;
}

static uint64_t load_le(const unsigned char *at, int bytes)
{
    uint64_t n = 0;

    for (int i = bytes - 1; i >= 0; i--) n = n << 8 | at[i];
    return n;
}

static status take_number(struct cursor *c, int bytes, uint64_t *n)
{
    const unsigned char *at;

    TRY(read_span(c, (uint64_t)bytes, &at));
    *n = load_le(at, bytes);
    return ST_OK;
}

static status take_text(struct cursor *c, struct text *t)
{
    const unsigned char *at;
    uint64_t len;

    TRY(take_number(c, 8, &len));
    TRY(read_span(c, len, &at));
    *t = (struct text){ (const char *)at, (size_t)len };
    return ST_OK;
}

/* ---- keys ---- */

static bool key_is(struct text key, const char *name)
{
    return key.len == strlen(name) && !memcmp(key.s, name, key.len);
}

/* The items of a list, which are no lists themselves. *at: the first, where all have one size. */
static status take_items(struct cursor *c, uint64_t type, uint64_t count, const unsigned char **at)
{
    struct text skipped;

    if (type >= VALUES || type == VALUE_LIST)
        return fail(ST_FORMAT,
                    "%s: a list of values of type %" PRIu64 "; it cannot be stepped over", c->path,
                    type);
    if (type != VALUE_TEXT) {
        if (count > c->size)
            return fail(ST_FORMAT, "%s: a list of %" PRIu64 " values", c->path, count);
        return read_span(c, count * value_bytes[type], at);
    }
    for (; count; count--) TRY(take_text(c, &skipped));
    return ST_OK;
}

static status keep_shape(struct gguf *g, struct text name, uint64_t type, uint64_t count,
                         const unsigned char *at)
{
    if (!count || count > WEIGHT_DIMS || (type != VALUE_I32 && type != VALUE_I64)) return ST_OK;
    struct unfolded *const more = realloc(g->unfolded, (size_t)(g->unfolds + 1) * sizeof *more);
    if (!more) return fail(ST_NOMEM, "%s: no memory for a shape", g->c.path);
    g->unfolded = more;
    struct unfolded *const u = &more[g->unfolds++];
    *u = (struct unfolded){ .name = name, .ndim = (int)count };
    for (int i = 0; i < u->ndim; i++)
        u->dim[i] = type == VALUE_I32 ? (int32_t)(uint32_t)load_le(at + 4 * i, 4)
                                      : (int64_t)load_le(at + 8 * i, 8);
    return ST_OK;
}

static status read_list(struct gguf *g, struct text key)
{
    static const char folded[] = "comfy.gguf.orig_shape.";
    size_t const n = sizeof folded - 1;
    const unsigned char *at = NULL;
    uint64_t type, count;

    TRY(take_number(&g->c, 4, &type));
    TRY(take_number(&g->c, 8, &count));
    TRY(take_items(&g->c, type, count, &at));
    if (key.len <= n || memcmp(key.s, folded, n) != 0) return ST_OK;
    return keep_shape(g, (struct text){ key.s + n, key.len - n }, type, count, at);
}

static status read_key(struct gguf *g)
{
    struct cursor *const c = &g->c;
    char shown[NAME_SHOWN];
    struct text key, skipped;
    uint64_t type, number;

    TRY(take_text(c, &key));
    TRY(take_number(c, 4, &type));
    if (type >= VALUES)
        return fail(ST_FORMAT, "%s: %s: a value of type %" PRIu64 "; 0 to %d are known", c->path,
                    name_show(shown, key.s, key.len), type, VALUES - 1);
    if (type == VALUE_TEXT) return take_text(c, &skipped);
    if (type == VALUE_LIST) return read_list(g, key);
    TRY(take_number(c, value_bytes[type], &number));
    if (!key_is(key, "general.alignment")) return ST_OK;
    if (type != VALUE_U32 || !number || number > GGUF_ALIGN_MAX || number & (number - 1))
        return fail(ST_FORMAT, "%s: general.alignment: a power of two up to %d is allowed", c->path,
                    GGUF_ALIGN_MAX);
    g->align = number;
    return ST_OK;
}

/* ---- tensors ---- */

static status take_shape(struct cursor *c, const char *name, int *ndim, int64_t dim[WEIGHT_DIMS])
{
    uint64_t n, d;

    TRY(take_number(c, 4, &n));
    if (n > WEIGHT_DIMS)
        return fail(ST_FORMAT, "%s: %s: %" PRIu64 " dimensions; at most %d", c->path, name, n,
                    WEIGHT_DIMS);
    *ndim = (int)n;
    for (int i = *ndim - 1; i >= 0; i--) {
        TRY(take_number(c, 8, &d));
        dim[i] = d > INT64_MAX ? -1 : (int64_t)d; /* refused as a shape */
    }
    return ST_OK;
}

static const struct tensor_type *find_type(uint64_t number)
{
    static const struct tensor_type unknown = { 0, "UNKNOWN", 0, 0 };

    for (int i = 0; i < COUNT_OF(types); i++)
        if (types[i].number == number) return &types[i];
    return &unknown;
}

/* The shape it had, if that has as many elements. */
static void unfold_shape(const struct gguf *g, const char *name, int *ndim,
                         int64_t dim[WEIGHT_DIMS])
{
    for (int i = 0; i < g->unfolds; i++) {
        const struct unfolded *const u = &g->unfolded[i];
        int64_t is = 1, was = 1;
        bool sound = true;
        if (!key_is(u->name, name)) continue;
        for (int d = 0; d < *ndim; d++) sound &= !__builtin_mul_overflow(is, dim[d], &is);
        for (int d = 0; d < u->ndim; d++)
            sound &= u->dim[d] >= 0 && !__builtin_mul_overflow(was, u->dim[d], &was);
        if (!sound || is != was) return;
        *ndim = u->ndim;
        memcpy(dim, u->dim, sizeof u->dim);
        return;
    }
}

/* Bytes of a tensor of packed numbers, whose rows are whole blocks. */
static status packed_bytes(struct weight_info *w, const struct tensor_type *t, const char *path)
{
    int64_t bytes;

    if (!t->elements) return ST_OK;
    if (w->count % t->elements ||
        __builtin_mul_overflow(w->count / t->elements, (int64_t)t->bytes, &bytes))
        return fail(ST_FORMAT, "%s: %s: %" PRId64 " elements are no whole blocks of %s", path,
                    w->name, w->count, w->dtype);
    w->bytes = (size_t)bytes;
    return ST_OK;
}

static status read_tensor(struct gguf *g, struct flat_entry *e, uint64_t *place)
{
    struct cursor *const c = &g->c;
    int64_t dim[WEIGHT_DIMS] = { 0 };
    struct text name;
    uint64_t type;
    int ndim;

    TRY(take_text(c, &name));
    TRY(name_copy(&e->name, name.s, name.len, c->path));
    e->info.name = e->name;
    TRY(take_shape(c, e->name, &ndim, dim));
    TRY(take_number(c, 4, &type));
    TRY(take_number(c, 8, place));
    unfold_shape(g, e->name, &ndim, dim);
    const struct tensor_type *const t = find_type(type);
    TRY(weight_info_set(&e->info, t->dtype, strlen(t->dtype), ndim, dim, c->path));
    e->info.loose = true;
    return packed_bytes(&e->info, t, c->path);
}

static status place_tensor(const struct gguf *g, struct flat_entry *e, uint64_t place, size_t data)
{
    size_t const room = g->c.size - data;

    if (place % g->align)
        return fail(ST_FORMAT, "%s: %s: lies at %" PRIu64 ", no multiple of %" PRIu64, g->c.path,
                    e->name, place, g->align);
    if (place > room || e->info.bytes > room - place)
        return fail(ST_FORMAT,
                    "%s: %s: %zu bytes from %" PRIu64 " of %zu on; the file is truncated or its "
                    "header is wrong",
                    g->c.path, e->name, e->info.bytes, place, room);
    e->data = g->c.data + data + place;
    return ST_OK;
}

static status read_tensors(struct gguf *g, struct flat_file *out, uint64_t tensors)
{
    enum { LEAST = 8 + 1 + 4 + 4 + 8 }; /* bytes that say of a tensor */
    uint64_t *place = NULL;
    status st = ST_OK;

    if (tensors > (g->c.size - g->c.at) / LEAST)
        return fail(ST_FORMAT, "%s: %" PRIu64 " tensors in %zu bytes", g->c.path, tensors,
                    g->c.size);
    place = calloc((size_t)tensors + 1, sizeof *place);
    out->entry = calloc((size_t)tensors + 1, sizeof *out->entry);
    if (!place || !out->entry)
        FAIL_OUT(ST_NOMEM, "%s: no memory for %" PRIu64 " tensors", g->c.path, tensors);
    for (uint64_t i = 0; i < tensors; i++)
        TRY_OUT(read_tensor(g, &out->entry[out->count++], &place[i]));
    size_t const over = g->c.at % g->align;
    size_t const data = g->c.at + (over ? g->align - over : 0);
    if (tensors && data > g->c.size)
        FAIL_OUT(ST_FORMAT, "%s: no data behind its header", g->c.path);
    for (uint64_t i = 0; i < tensors; i++) TRY_OUT(place_tensor(g, &out->entry[i], place[i], data));
    TRY_OUT(flat_file_order(out, g->c.path));
out:
    free(place);
    return st;
}

bool gguf_looks(const unsigned char *data, size_t size)
{
    return size >= 4 && !memcmp(data, "GGUF", 4);
}

static status read_gguf(struct gguf *g, struct flat_file *out)
{
    uint64_t magic, version, tensors, keys;

    TRY(take_number(&g->c, 4, &magic));
    TRY(take_number(&g->c, 4, &version));
    if (version != 2 && version != 3)
        return fail(ST_FORMAT, "%s: GGUF of version %" PRIu64 "%s; 2 and 3 are read", g->c.path,
                    version, version & 0xffff ? "" : ", of a big-endian machine");
    TRY(take_number(&g->c, 8, &tensors));
    TRY(take_number(&g->c, 8, &keys));
    for (; keys; keys--) TRY(read_key(g));
    return read_tensors(g, out, tensors);
}

status gguf_open(struct flat_file *out, const char *path)
{
    struct gguf g = { .align = GGUF_ALIGN };

    *out = (struct flat_file){ 0 };
    TRY(file_map(&out->map, path));
    g.c = (struct cursor){ .path = path, .data = out->map.data, .size = out->map.size };
    status const st = read_gguf(&g, out);
    free(g.unfolded);
    if (st != ST_OK) flat_file_close(out);
    return st;
}
