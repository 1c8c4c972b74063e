/* safetensors.c - the header read and every byte of the data accounted for. */
#include "base/json_tree.h"
#include "base/strbuf.h"
#include "pipeline/weights/weights_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8 };

static uint64_t load_le64(const unsigned char *p)
{
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | p[i];
    return n;
}

bool safetensors_looks(const unsigned char *data, size_t size)
{
    bool text = true;

    if (size <= LENGTH_BYTES || data[LENGTH_BYTES] != '{') return false;
    for (int i = 0; i < LENGTH_BYTES; i++) text = text && data[i] >= '\t' && data[i] < 0x7f;
    return !text;
}

/* A whole number; false if it is none or negative. */
static bool read_whole_number(const struct json_node *v, int64_t *n)
{
    if (!json_tree_is(v, NODE_WHOLE)) return false;
    *n = v->whole;
    return *n >= 0;
}

static status read_tensor_shape(int *ndim, int64_t dim[WEIGHT_DIMS], const struct json_node *shape,
                                const char *path, const char *name)
{
    if (!json_tree_is(shape, NODE_LIST) || shape->count > WEIGHT_DIMS)
        return fail(ST_FORMAT, "%s: %s: shape must be a list of at most %d sizes", path, name,
                    WEIGHT_DIMS);
    *ndim = (int)shape->count;
    for (int i = 0; i < *ndim; i++)
        if (!read_whole_number(json_tree_item(shape, (size_t)i), &dim[i]))
            return fail(ST_FORMAT, "%s: %s: size %d of its shape is not a whole number", path, name,
                        i);
    return ST_OK;
}

struct region {
    const unsigned char *data;
    size_t size;
};

static status read_entry(struct flat_entry *e, const struct json_node *v, struct region data,
                         const char *path)
{
    const struct json_node *const dtype = json_tree_member(v, "dtype");
    const struct json_node *const offsets = json_tree_member(v, "data_offsets");
    int64_t dim[WEIGHT_DIMS], from, to;
    int ndim = 0;
    char shape[WEIGHT_SHAPE];

    if (!json_tree_is(dtype, NODE_TEXT)) return fail(ST_FORMAT, "%s: %s: no dtype", path, e->name);
    TRY(read_tensor_shape(&ndim, dim, json_tree_member(v, "shape"), path, e->name));
    e->info.name = e->name;
    TRY(weight_info_set(&e->info, dtype->text, dtype->text_len, ndim, dim, path));
    if (!json_tree_is(offsets, NODE_LIST) || offsets->count != 2 ||
        !read_whole_number(json_tree_item(offsets, 0), &from) ||
        !read_whole_number(json_tree_item(offsets, 1), &to))
        return fail(ST_FORMAT, "%s: %s: data_offsets must be two whole numbers", path, e->name);
    if (from > to || (uint64_t)to > data.size)
        return fail(ST_FORMAT,
                    "%s: %s: lies at bytes %" PRId64 " to %" PRId64
                    " of %zu; the file is truncated or its "
                    "header is wrong",
                    path, e->name, from, to, data.size);
    if (!e->info.element) { /* of an unknown type: an element has a bit at least */
        if (e->info.count / 8 + (e->info.count % 8 > 0) > to - from)
            return fail(ST_FORMAT, "%s: %s: %s %s in %" PRId64 " bytes", path, e->name,
                        e->info.dtype, weight_shape(&e->info, shape), to - from);
        e->info.bytes = (size_t)(to - from);
    }
    if ((size_t)(to - from) != e->info.bytes)
        return fail(ST_FORMAT, "%s: %s: %s %s is %zu bytes, data_offsets say %" PRId64, path,
                    e->name, e->info.dtype, weight_shape(&e->info, shape), e->info.bytes,
                    to - from);
    e->data = data.data + from;
    return ST_OK;
}

static status check_cover(const struct flat_file *s, struct region data, const char *path)
{
    const unsigned char *at = data.data;

    for (int i = 0; i < s->count; i++) {
        const struct flat_entry *const e = &s->entry[i];
        const unsigned char *const here = e->data;
        if (here > at)
            return fail(ST_FORMAT, "%s: a hole of %zu bytes before %s", path, (size_t)(here - at),
                        e->name);
        at = here + e->info.bytes;
    }
    if (at != data.data + data.size)
        return fail(ST_FORMAT, "%s: %zu bytes behind the last tensor belong to none", path,
                    (size_t)(data.data + data.size - at));
    return ST_OK;
}

static status read_entries(struct flat_file *s, const struct json_node *header, struct region data,
                           const char *path)
{
    s->entry = calloc(header->count + 1, sizeof *s->entry);
    if (!s->entry) return fail(ST_NOMEM, "%s: no memory for %zu tensors", path, header->count);
    for (const struct json_node *v = header->first; v; v = v->next) {
        if (!strcmp(v->name, "__metadata__")) continue;
        struct flat_entry *const e = &s->entry[s->count++];
        TRY(name_copy(&e->name, v->name, strlen(v->name), path));
        if (!json_tree_is(v, NODE_OBJECT))
            return fail(ST_FORMAT, "%s: %s: not an object", path, e->name);
        TRY(read_entry(e, v, data, path));
    }
    TRY(flat_file_order(s, path));
    return check_cover(s, data, path);
}

static status read_header(struct json_node **out, const unsigned char *at, size_t len,
                          const char *path)
{
    char *const what = str_format("%s: header", path);
    status st = what ? json_tree_read(out, (const char *)at, len, what)
                     : fail(ST_NOMEM, "%s: no memory for its header", path);

    free(what);
    if (st == ST_OK && !json_tree_is(*out, NODE_OBJECT))
        st = fail(ST_FORMAT, "%s: header: not an object", path);
    return st;
}

status safetensors_open(struct flat_file *out, const char *path)
{
    struct json_node *header = NULL;
    status st = ST_OK;

    *out = (struct flat_file){ 0 };
    TRY(file_map(&out->map, path));
    const unsigned char *const at = out->map.data;
    size_t const size = out->map.size;
    if (!safetensors_looks(at, size)) FAIL_OUT(ST_FORMAT, "%s: not a safetensors file", path);
    uint64_t const len = load_le64(at);
    if (len > SAFETENSORS_HEADER_MAX || len > size - LENGTH_BYTES)
        FAIL_OUT(ST_FORMAT,
                 "%s: a header of %" PRIu64 " bytes; the file has %zu behind its length and %d "
                 "are allowed",
                 path, len, size - LENGTH_BYTES, SAFETENSORS_HEADER_MAX);
    TRY_OUT(read_header(&header, at + LENGTH_BYTES, (size_t)len, path));
    struct region const data = { at + LENGTH_BYTES + len, size - LENGTH_BYTES - (size_t)len };
    TRY_OUT(read_entries(out, header, data, path));
out:
    json_tree_free(&header);
    if (st != ST_OK) flat_file_close(out);
    return st;
}
