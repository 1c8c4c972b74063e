/*
 * torchfile.c - the dict of tensors in a torch checkpoint, and their bytes.
 *
 * The pickle's claims are checked here: dtype, row-major strides, and that offset and size stay
 * within a storage as large as its zip member. Several tensors may share a storage, so the last one
 * read is kept.
 */
#include "base/strbuf.h"
#include "pipeline/weights/weights_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The dtype's name in a safetensors file; every storage that pickle_call.c knows. */
static const char *storage_dtype(struct pickle_text storage)
{
    static const struct {
        const char *storage, *dtype;
    } known[] = {
        { "FloatStorage", "F32" },        { "BFloat16Storage", "BF16" },
        { "HalfStorage", "F16" },         { "DoubleStorage", "F64" },
        { "LongStorage", "I64" },         { "IntStorage", "I32" },
        { "ByteStorage", "U8" },          { "BoolStorage", "BOOL" },
        { "ShortStorage", "I16" },        { "CharStorage", "I8" },
        { "ComplexFloatStorage", "C64" }, { "ComplexDoubleStorage", "C128" },
    };

    for (int i = 0; i < COUNT_OF(known); i++)
        if (pickle_text_is(storage, known[i].storage)) return known[i].dtype;
    return NULL;
}

static bool is_row_major(const struct pickle_tensor *t)
{
    int64_t step = 1;

    for (int i = 0; i < t->ndim; i++)
        if (!t->dim[i]) return true;
    for (int i = t->ndim - 1; i >= 0; i--) {
        if (t->dim[i] > 1 && t->stride[i] != step) return false;
        step *= t->dim[i];
    }
    return true;
}

/* Where in the zip file a tensor lies, with everything the pickle claims checked. */
static status locate_tensor(struct torchfile *f, struct torchfile_entry *e, const struct pickle *p,
                            const struct pickle_tensor *t, const char *path)
{
    const struct pickle_storage *const s = &p->storage[t->storage];
    const char *const dtype = storage_dtype(s->dtype);
    struct weight_info *const w = &e->info;
    size_t bytes;
    char shown[NAME_SHOWN], shape[WEIGHT_SHAPE];

    if (!dtype)
        return fail(ST_FORMAT, "%s: %s: a tensor of a %.*s", path, e->name, (int)s->dtype.len,
                    s->dtype.s);
    w->name = e->name;
    TRY(weight_info_set(w, dtype, strlen(dtype), t->ndim, t->dim, path));
    if (!is_row_major(t))
        return fail(ST_FORMAT, "%s: %s: its strides are not those of a row-major tensor", path,
                    e->name);
    if (t->offset < 0 || t->offset > s->count || w->count > s->count - t->offset)
        return fail(ST_FORMAT,
                    "%s: %s: %s from element %" PRId64 " on leaves its storage of %" PRId64, path,
                    e->name, weight_shape(w, shape), t->offset, s->count);

    e->member = str_format("data/%s", name_show(shown, s->key.s, s->key.len));
    if (!e->member) return fail(ST_NOMEM, "%s: no memory for a name", path);
    TRY(torchzip_size(f->zip, e->member, &bytes));
    if (bytes / w->element != (uint64_t)s->count || bytes % w->element)
        return fail(ST_FORMAT, "%s: %s: a storage of %" PRId64 " %s in %zu bytes", path, e->name,
                    s->count, w->dtype, bytes);
    e->offset = (size_t)t->offset * w->element;
    return ST_OK;
}

static status fail_with_keys(const struct pickle *p, int dict, const char *what, const char *path)
{
    struct strbuf keys = { 0 };
    char shown[NAME_SHOWN];
    int left = 20;

    for (int i = p->value[dict].as.chain.first; i >= 0 && left-- > 0; i = p->item[i].next) {
        const struct pickle_value *const k = &p->value[p->item[i].key];
        if (k->kind != PICKLE_TEXT) continue;
        strbuf_addf(&keys, "%s%s", keys.len ? ", " : "",
                    name_show(shown, k->as.text.s, k->as.text.len));
    }
    status const st =
        fail(ST_FORMAT, "%s: %s; its keys are: %s", path, what, keys.s ? keys.s : "(none)");
    strbuf_free(&keys);
    return st;
}

/* Which dict holds the tensors. */
static status choose_dict(struct torchfile *f, const struct pickle *p, const char *want,
                          const char *path, int *dict)
{
    static const char *const usual[] = { "generator_ema", "generator" };

    if (p->value[p->root].kind != PICKLE_DICT)
        return fail(ST_FORMAT, "%s: the pickle is not a dict", path);
    *dict = p->root;
    if (want) {
        *dict = pickle_get(p, p->root, want);
        if (*dict < 0 || p->value[*dict].kind != PICKLE_DICT) {
            char *const what = str_format("has no dict under the outer key `%s`", want);
            status const st = fail_with_keys(p, p->root, what ? what : "no such outer key", path);
            free(what);
            return st;
        }
    }
    for (int i = 0; !want && i < COUNT_OF(usual); i++) {
        int const at = pickle_get(p, p->root, usual[i]);
        if (at < 0 || p->value[at].kind != PICKLE_DICT) continue;
        *dict = at;
        want = usual[i];
    }
    if (!want) return ST_OK;
    f->outer_key = str_format("%s", want);
    return f->outer_key ? ST_OK : fail(ST_NOMEM, "%s: no memory for a name", path);
}

static status list_tensors(struct torchfile *f, const struct pickle *p, int dict, const char *path)
{
    f->entry = calloc((size_t)p->value[dict].as.chain.count + 1, sizeof *f->entry);
    if (!f->entry) return fail(ST_NOMEM, "%s: no memory for its tensors", path);
    for (int i = p->value[dict].as.chain.first; i >= 0; i = p->item[i].next) {
        const struct pickle_value *const k = &p->value[p->item[i].key];
        const struct pickle_value *const v = &p->value[p->item[i].value];
        if (k->kind != PICKLE_TEXT || v->kind != PICKLE_TENSOR) continue;
        struct torchfile_entry *const e = &f->entry[f->count++];
        TRY(name_clean(&e->name, k->as.text.s, k->as.text.len, path));
        TRY(locate_tensor(f, e, p, &p->tensor[v->as.at], path));
    }
    return f->count ? ST_OK : fail_with_keys(p, dict, "holds no tensors", path);
}

status torchfile_open(struct torchfile *out, const char *path, const char *outer_key)
{
    struct pickle p = { .root = -1 };
    void *code = NULL;
    size_t len;
    int dict = -1;
    status st = ST_OK;
    char *const where = str_format("%s: data.pkl", path);

    *out = (struct torchfile){ 0 };
    TRY_OUT(torchzip_open(&out->zip, path));
    TRY_OUT(torchzip_size(out->zip, "data.pkl", &len));
    if (len > PICKLE_BYTES_MAX)
        FAIL_OUT(ST_FORMAT, "%s: data.pkl has %zu bytes; at most %d", path, len, PICKLE_BYTES_MAX);
    code = malloc(len + 1);
    if (!code || !where) FAIL_OUT(ST_NOMEM, "%s: no memory for a pickle of %zu bytes", path, len);
    TRY_OUT(torchzip_read(out->zip, "data.pkl", code, len));
    TRY_OUT(pickle_read(&p, code, len, where));
    TRY_OUT(choose_dict(out, &p, outer_key, path, &dict));
    TRY_OUT(list_tensors(out, &p, dict, path));
out:
    pickle_free(&p);
    free(code);
    free(where);
    if (st != ST_OK) torchfile_close(out);
    return st;
}

void torchfile_close(struct torchfile *f)
{
    for (int i = 0; i < f->count; i++) {
        free(f->entry[i].name);
        free(f->entry[i].member);
    }
    free(f->entry);
    free(f->outer_key);
    free(f->buf);
    torchzip_close(&f->zip);
    *f = (struct torchfile){ 0 };
}

status torchfile_fetch(struct torchfile *f, int i, const void **data)
{
    const struct torchfile_entry *const e = &f->entry[i];
    size_t bytes;

    *data = NULL;
    if (!f->held || strcmp(f->held, e->member)) {
        TRY(torchzip_size(f->zip, e->member, &bytes));
        f->held = NULL;
        if (!f->buf || bytes > f->buf_bytes) {
            free(f->buf); /* not realloc: the old bytes are not worth copying */
            f->buf_bytes = 0;
            f->buf = malloc(bytes + 1);
            if (!f->buf) return fail(ST_NOMEM, "%s: no memory for %zu bytes", e->name, bytes);
            f->buf_bytes = bytes;
        }
        TRY(torchzip_read(f->zip, e->member, f->buf, bytes));
        f->held = e->member;
    }
    *data = (const unsigned char *)f->buf + e->offset;
    return ST_OK;
}
