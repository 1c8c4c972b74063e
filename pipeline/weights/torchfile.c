/*
 * torchfile.c - the dict of tensors in a torch checkpoint, and their bytes.
 *
 * The pickle's claims are checked here: dtype, and that offset, sizes and strides stay within a
 * storage as large as its zip member. Several tensors may share a storage, so the last one read is
 * kept. A tensor of other strides than row-major (a transposed view, a model in channels_last) is
 * gathered when it is fetched.
 */
#include "base/strbuf.h"
#include "pipeline/weights/weights_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The dtype's name in a safetensors file; every storage and dtype that pickle_call.c knows. */
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
        { "float8_e4m3fn", "F8_E4M3" },   { "float8_e5m2", "F8_E5M2" },
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

/* Elements of the storage from a tensor's first to its last, both counted; INT64_MAX: beyond any
 * file, or strides that torch does not write. Never below `count`, so that a tensor that repeats
 * its elements (stride 0) takes no more memory than its storage. */
static int64_t span_of(const struct pickle_tensor *t, int64_t count)
{
    int64_t last = 0, reach;

    if (!count) return 0;
    for (int i = 0; i < t->ndim; i++) {
        if (t->stride[i] < 0 || __builtin_mul_overflow(t->dim[i] - 1, t->stride[i], &reach) ||
            __builtin_add_overflow(last, reach, &last))
            return INT64_MAX;
    }
    if (last == INT64_MAX) return INT64_MAX;
    return last + 1 > count ? last + 1 : count;
}

/* Where in the zip file a tensor lies, with everything the pickle claims checked. */
static status locate_tensor(struct torchfile *f, struct torchfile_entry *e, const struct pickle *p,
                            const struct pickle_tensor *t, const char *path)
{
    const struct pickle_storage *const s = &p->storage[t->storage];
    struct pickle_text const kind = t->dtype.len ? t->dtype : s->dtype;
    const char *const dtype = storage_dtype(kind);
    struct weight_info *const w = &e->info;
    size_t bytes;
    char shown[NAME_SHOWN], shape[WEIGHT_SHAPE];

    if (!dtype)
        return fail(ST_FORMAT, "%s: %s: a tensor of a %.*s", path, e->name, (int)kind.len, kind.s);
    w->name = e->name;
    TRY(weight_info_set(w, dtype, strlen(dtype), t->ndim, t->dim, path));
    if (t->offset < 0 || t->offset > s->count || span_of(t, w->count) > s->count - t->offset)
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
    e->row_major = is_row_major(t);
    for (int i = 0; i < t->ndim; i++) e->stride[i] = t->dim[i] > 1 ? t->stride[i] : 0;
    return ST_OK;
}

static bool holds_tensors(const struct pickle *p, int dict)
{
    for (int i = p->value[dict].as.chain.first; i >= 0; i = p->item[i].next)
        if (p->value[p->item[i].value].kind == PICKLE_TENSOR) return true;
    return false;
}

/* With the keys of a dict: those of dicts of tensors alone, where it has such. */
static status fail_with_keys(const struct pickle *p, int dict, const char *what, const char *path)
{
    struct strbuf all = { 0 }, dicts = { 0 };
    char shown[NAME_SHOWN];
    int left = 20;

    for (int i = p->value[dict].as.chain.first; i >= 0 && left-- > 0; i = p->item[i].next) {
        const struct pickle_value *const k = &p->value[p->item[i].key];
        int const v = p->item[i].value;
        if (k->kind != PICKLE_TEXT) continue;
        name_show(shown, k->as.text.s, k->as.text.len);
        strbuf_addf(&all, "%s%s", all.len ? ", " : "", shown);
        if (p->value[v].kind == PICKLE_DICT && holds_tensors(p, v))
            strbuf_addf(&dicts, "%s%s", dicts.len ? ", " : "", shown);
    }
    status const st =
        dicts.s ? fail(ST_FORMAT, "%s: %s; allowed as outer key: %s", path, what, dicts.s)
                : fail(ST_FORMAT, "%s: %s; its keys are: %s", path, what, all.s ? all.s : "(none)");
    strbuf_free(&all);
    strbuf_free(&dicts);
    return st;
}

/* Does a name of the dict begin with this and a dot? Then the key stands for those. */
static bool has_prefix(const struct pickle *p, int dict, const char *prefix)
{
    size_t const n = strlen(prefix);

    for (int i = p->value[dict].as.chain.first; i >= 0; i = p->item[i].next) {
        const struct pickle_value *const k = &p->value[p->item[i].key];
        if (k->kind == PICKLE_TEXT && k->as.text.len > n + 1 && k->as.text.s[n] == '.' &&
            !memcmp(k->as.text.s, prefix, n))
            return true;
    }
    return false;
}

/* The dict that a file is known by, as long as nobody asks for another. *key: its own; NULL: the
 * outermost. */
static int find_usual_dict(const struct pickle *p, const char **key)
{
    static const struct {
        const char *key;
        bool outermost; /* only where no tensors stand beside it */
    } usual[] = { { "generator_ema", false }, { "generator", false }, { "generator_lora", true },
                  { "state_dict", true },     { "model", true },      { "module", true } };

    *key = NULL;
    for (int i = 0; i < COUNT_OF(usual); i++) {
        int const at = pickle_get(p, p->root, usual[i].key);
        if (at < 0 || p->value[at].kind != PICKLE_DICT) continue;
        if (usual[i].outermost && holds_tensors(p, p->root)) continue;
        *key = usual[i].key;
        return at;
    }
    return p->root;
}

/* Which dict holds the tensors. */
static status choose_dict(struct torchfile *f, const struct pickle *p, const char *want,
                          const char *path, int *dict)
{
    const struct pickle_value *const root = &p->value[p->root];
    const char *usual = NULL;
    char shown[NAME_SHOWN];

    if (root->kind == PICKLE_OBJECT)
        return fail(ST_FORMAT, "%s: holds a Python object, made with %s; save its state_dict()",
                    path, name_show(shown, root->as.text.s, root->as.text.len));
    if (root->kind != PICKLE_DICT) return fail(ST_FORMAT, "%s: the pickle is not a dict", path);
    *dict = want ? pickle_get(p, p->root, want) : -1;
    if (*dict < 0 || p->value[*dict].kind != PICKLE_DICT) {
        *dict = find_usual_dict(p, &usual);
        if (want && !has_prefix(p, *dict, want)) {
            char *const what = str_format("has no dict under the outer key `%s`", want);
            status const st = fail_with_keys(p, p->root, what ? what : "no such outer key", path);
            free(what);
            return st;
        }
        want = usual;
    }
    if (!want) return ST_OK;
    f->outer_key = str_format("%s", want);
    return f->outer_key ? ST_OK : fail(ST_NOMEM, "%s: no memory for a name", path);
}

/* A tensor that one of torch's other functions makes, as _rebuild_sparse_tensor, or an array that
 * numpy's _reconstruct does. */
static bool is_unread_tensor(const struct pickle_value *v)
{
    static const char *const makers[] = { "_rebuild", "_reconstruct" };

    for (int i = 0; v->kind == PICKLE_OBJECT && i < COUNT_OF(makers); i++) {
        size_t const len = strlen(makers[i]);
        if (v->as.text.len >= len && !memcmp(v->as.text.s, makers[i], len)) return true;
    }
    return false;
}

static status list_entry(struct torchfile *f, struct torchfile_entry *e, const struct pickle *p,
                         const struct pickle_value *v, const char *path)
{
    static const int64_t none = 0;

    if (v->kind == PICKLE_TENSOR) return locate_tensor(f, e, p, &p->tensor[v->as.at], path);
    e->info.name = e->name;
    return weight_info_set(&e->info, "UNREAD", strlen("UNREAD"), 1, &none, path);
}

static status list_entries(struct torchfile *f, const struct pickle *p, int dict, const char *path)
{
    f->entry = calloc((size_t)p->value[dict].as.chain.count + 1, sizeof *f->entry);
    if (!f->entry) return fail(ST_NOMEM, "%s: no memory for its tensors", path);
    for (int i = p->value[dict].as.chain.first; i >= 0; i = p->item[i].next) {
        const struct pickle_value *const k = &p->value[p->item[i].key];
        const struct pickle_value *const v = &p->value[p->item[i].value];
        if (k->kind != PICKLE_TEXT || (v->kind != PICKLE_TENSOR && !is_unread_tensor(v))) continue;
        struct torchfile_entry *const e = &f->entry[f->count++];
        TRY(name_copy(&e->name, k->as.text.s, k->as.text.len, path));
        TRY(list_entry(f, e, p, v, path));
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
    TRY_OUT(list_entries(out, &p, dict, path));
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
    free(f->gathered);
    torchzip_close(&f->zip);
    *f = (struct torchfile){ 0 };
}

/* At least `bytes` in *buf, whose content is lost. */
static status reserve_bytes(void **buf, size_t *room, size_t bytes, const char *name)
{
    if (*buf && bytes <= *room) return ST_OK;
    free(*buf); /* not realloc: the old bytes are not worth copying */
    *room = 0;
    *buf = malloc(bytes + 1);
    if (!*buf) return fail(ST_NOMEM, "%s: no memory for %zu bytes", name, bytes);
    *room = bytes;
    return ST_OK;
}

/* The storage of an entry, in f->buf. */
static status read_storage(struct torchfile *f, const struct torchfile_entry *e)
{
    size_t bytes;

    if (f->held && !strcmp(f->held, e->member)) return ST_OK;
    TRY(torchzip_size(f->zip, e->member, &bytes));
    f->held = NULL;
    TRY(reserve_bytes(&f->buf, &f->buf_bytes, bytes, e->name));
    TRY(torchzip_read(f->zip, e->member, f->buf, bytes));
    f->held = e->member;
    return ST_OK;
}

/* Copy elements one by one; `size` is one number where the compiler sees it. */
static inline void copy_line(unsigned char *to, const unsigned char *from, int64_t n,
                             int64_t stride, size_t size)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(to + (size_t)i * size, from + (size_t)(i * stride) * size, size);
}

/* The elements of `e` in row-major order. Its strides and storage were checked when it was listed;
 * `at` counts through all dimensions but the last, `from` is where it stands. */
static void gather_elements(unsigned char *to, const unsigned char *data,
                            const struct torchfile_entry *e)
{
    const struct weight_info *const w = &e->info;
    int const last = w->ndim - 1;
    int64_t const n = w->dim[last], stride = e->stride[last];
    int64_t at[WEIGHT_DIMS] = { 0 }, from = 0;

    for (int64_t done = 0; done < w->count; done += n, to += (size_t)n * w->element) {
        const unsigned char *const line = data + (size_t)from * w->element;
        if (w->element == 2) copy_line(to, line, n, stride, 2);
        else if (w->element == 4) copy_line(to, line, n, stride, 4);
        else copy_line(to, line, n, stride, w->element);
        for (int d = last - 1; d >= 0; d--) {
            from += e->stride[d];
            if (++at[d] < w->dim[d]) break;
            from -= at[d] * e->stride[d];
            at[d] = 0;
        }
    }
}

status torchfile_fetch(struct torchfile *f, int i, const void **data)
{
    const struct torchfile_entry *const e = &f->entry[i];

    *data = "";
    if (!e->member) return ST_OK;
    *data = NULL;
    TRY(read_storage(f, e));
    const unsigned char *const from = (const unsigned char *)f->buf + e->offset;
    *data = from;
    if (e->row_major) return ST_OK;
    *data = NULL;
    if (f->gathered_of != e) {
        f->gathered_of = NULL;
        TRY(reserve_bytes(&f->gathered, &f->gathered_bytes, e->info.bytes, e->name));
        gather_elements(f->gathered, from, e);
        f->gathered_of = e;
    }
    *data = f->gathered;
    return ST_OK;
}
