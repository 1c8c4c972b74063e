#include "pipeline/tensor_file.h"
#include "base/file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct tensor_file {
    struct file_draft draft;
    size_t left; /* bytes still to come */
};

/* The header's JSON. A failing library call shows as NULL at the end. */
static status make_header(const struct tensor_file_item *items, int count, char **text,
                          size_t *data_bytes)
{
    json_t *const root = json_object();
    status st = ST_OK;
    size_t at = 0;

    *text = NULL;
    for (int i = 0; i < count; i++) {
        size_t const end = at + tensor_bytes(&items[i].t);
        json_t *const shape = json_array();
        for (int d = 0; d < items[i].t.ndim; d++)
            json_array_append_new(shape, json_integer(items[i].t.dim[d]));
        if (json_object_get(root, items[i].name)) {
            json_decref(shape);
            st = fail(ST_ARG, "safetensors: two tensors are named %s", items[i].name);
            goto out;
        }
        json_t *const e =
            json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(items[i].t.dtype), "shape", shape,
                      "data_offsets", (json_int_t)at, (json_int_t)end);
        if (json_object_set_new(root, items[i].name, e)) {
            st = fail(ST_ARG, "safetensors: %s cannot be a tensor's name", items[i].name);
            goto out;
        }
        at = end;
    }
    *data_bytes = at;
    *text = json_dumps(root, JSON_COMPACT);
    if (!*text) st = fail(ST_NOMEM, "safetensors: a header of %d tensors", count);
out:
    json_decref(root);
    return st;
}

/* Padded with blanks so that the data begins at a multiple of eight bytes. */
static status write_header(struct tensor_file *f, const char *json)
{
    size_t const len = strlen(json), padded = (len + 7) / 8 * 8;
    unsigned char head[8];

    for (int i = 0; i < 8; i++) head[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    TRY(file_draft_add(&f->draft, head, sizeof head));
    TRY(file_draft_add(&f->draft, json, len));
    return file_draft_add(&f->draft, "       ", padded - len);
}

status tensor_file_open(struct tensor_file **out, const char *path,
                        const struct tensor_file_item *items, int count)
{
    struct tensor_file *f = calloc(1, sizeof *f);
    char *json = NULL;
    status st = ST_OK;

    *out = NULL;
    if (!f) return fail(ST_NOMEM, "%s: a file to write", path);
    TRY_OUT(make_header(items, count, &json, &f->left));
    TRY_OUT(file_draft_open(&f->draft, path));
    TRY_OUT(write_header(f, json));
    *out = f;
    f = NULL; /* handed over */
out:
    free(json);
    tensor_file_close(&f);
    return st;
}

status tensor_file_append(struct tensor_file *f, const void *bytes, size_t len)
{
    if (len > f->left)
        return fail(ST_ARG, "%s: %zu bytes more than its tensors have", f->draft.path,
                    len - f->left);
    TRY(file_draft_add(&f->draft, bytes, len));
    f->left -= len;
    return ST_OK;
}

status tensor_file_commit(struct tensor_file *f)
{
    if (f->left) return fail(ST_ARG, "%s: %zu bytes are missing", f->draft.path, f->left);
    return file_draft_commit(&f->draft);
}

void tensor_file_close(struct tensor_file **f)
{
    if (!*f) return;
    file_draft_close(&(*f)->draft);
    free(*f);
    *f = NULL;
}

status tensor_file_write(const char *path, const struct tensor_file_item *items, int count)
{
    struct tensor_file *f;
    status st = ST_OK;

    TRY(tensor_file_open(&f, path, items, count));
    for (int i = 0; i < count; i++)
        TRY_OUT(tensor_file_append(f, items[i].t.data, tensor_bytes(&items[i].t)));
    TRY_OUT(tensor_file_commit(f));
out:
    tensor_file_close(&f);
    return st;
}
