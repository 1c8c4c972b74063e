/* tensor_file.c - a safetensors file, its header first and its data as it comes. */
#include "pipeline/weights/tensor_file.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

struct tensor_file {
    struct file_draft draft;
    const struct tensor_file_witness *witness; /* NULL: none */
    size_t left;                               /* bytes still to come */
};

/* A name as JSON has it. */
static void add_name(struct strbuf *t, const char *name)
{
    strbuf_add(t, "\"", 1);
    for (const char *p = name; *p; p++)
        if (*p == '"' || *p == '\\') strbuf_addf(t, "\\%c", *p);
        else if ((unsigned char)*p < ' ') strbuf_addf(t, "\\u%04x", (unsigned)*p);
        else strbuf_add(t, p, 1);
    strbuf_add(t, "\"", 1);
}

static int compare_item_names(const void *a, const void *b)
{
    return strcmp((*(const struct tensor_file_item *const *)a)->name,
                  (*(const struct tensor_file_item *const *)b)->name);
}

static status check_item_names(const struct tensor_file_item *items, int count)
{
    const struct tensor_file_item **const item = calloc((size_t)count + 1, sizeof *item);
    status st = ST_OK;

    if (!item) return fail(ST_NOMEM, "safetensors: no memory for %d tensors", count);
    for (int i = 0; i < count; i++) item[i] = &items[i];
    qsort(item, (size_t)count, sizeof *item, compare_item_names);
    for (int i = 0; st == ST_OK && i < count; i++) {
        if (!utf8_valid(item[i]->name, strlen(item[i]->name)))
            st = fail(ST_ARG, "safetensors: %s cannot be a tensor's name", item[i]->name);
        else if (i && !compare_item_names(&item[i - 1], &item[i]))
            st = fail(ST_ARG, "safetensors: two tensors are named %s", item[i]->name);
    }
    free(item);
    return st;
}

/* The header's JSON. */
static status make_header(const struct tensor_file_item *items, int count, struct strbuf *out,
                          size_t *data_bytes)
{
    size_t at = 0;

    TRY(check_item_names(items, count));
    for (int i = 0; i < count; i++) {
        const struct tensor *const t = &items[i].t;
        size_t const end = at + tensor_bytes(t);
        strbuf_addf(out, "%c", i ? ',' : '{');
        add_name(out, items[i].name);
        strbuf_addf(out, ":{\"dtype\":\"%s\",\"shape\":[", dtype_name(t->dtype));
        for (int d = 0; d < t->ndim; d++)
            strbuf_addf(out, "%s%lld", d ? "," : "", (long long)t->dim[d]);
        strbuf_addf(out, "],\"data_offsets\":[%zu,%zu]}", at, end);
        at = end;
    }
    strbuf_addf(out, "%s", count ? "}" : "{}");
    *data_bytes = at;
    return out->failed ? fail(ST_NOMEM, "safetensors: no memory for a header of %d tensors", count)
                       : ST_OK;
}

static status add_bytes(struct tensor_file *f, const void *bytes, size_t len)
{
    if (f->witness) TRY(f->witness->add(f->witness->arg, bytes, len));
    return file_draft_add(&f->draft, bytes, len);
}

/* Padded with blanks so that the data begins at a multiple of eight bytes. */
static status write_header(struct tensor_file *f, const char *json)
{
    size_t const len = strlen(json), padded = (len + 7) / 8 * 8;
    unsigned char head[8];

    for (int i = 0; i < 8; i++) head[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    TRY(add_bytes(f, head, sizeof head));
    TRY(add_bytes(f, json, len));
    return add_bytes(f, "       ", padded - len);
}

status tensor_file_open(struct tensor_file **out, const char *path,
                        const struct tensor_file_item *items, int count,
                        const struct tensor_file_witness *witness)
{
    struct tensor_file *f = calloc(1, sizeof *f);
    struct strbuf json = { 0 };
    status st = ST_OK;

    *out = NULL;
    if (!f) return fail(ST_NOMEM, "%s: no memory to write it", path);
    f->witness = witness;
    TRY_OUT(make_header(items, count, &json, &f->left));
    TRY_OUT(file_draft_open(&f->draft, path));
    TRY_OUT(write_header(f, json.s));
    *out = f;
    f = NULL; /* handed over */
out:
    strbuf_free(&json);
    tensor_file_close(&f);
    return st;
}

status tensor_file_append(struct tensor_file *f, const void *bytes, size_t len)
{
    if (len > f->left)
        return fail(ST_ARG, "%s: %zu bytes more than its tensors have", f->draft.path,
                    len - f->left);
    TRY(add_bytes(f, bytes, len));
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

    TRY(tensor_file_open(&f, path, items, count, NULL));
    for (int i = 0; i < count; i++)
        TRY_OUT(tensor_file_append(f, items[i].t.data, tensor_bytes(&items[i].t)));
    TRY_OUT(tensor_file_commit(f));
out:
    tensor_file_close(&f);
    return st;
}
