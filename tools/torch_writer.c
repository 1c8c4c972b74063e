#include "tools/torch_writer.h"
#include "base/strbuf.h"
#include "tools/zip_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the pickle ---------------------------------------------------------------- */

enum { BATCH = 1000 }; /* items per SETITEMS */

/* The pickle being made, and the memo slots of what comes again. */
struct pickler {
    struct strbuf *out;
    int memo;                                                 /* next slot */
    int rebuild, ordered_dict, storage, cpu, dtype[DT_COUNT]; /* -1: not yet */
};

static const char *const storage_class[DT_COUNT] = {
    [DT_F32] = "FloatStorage",  [DT_BF16] = "BFloat16Storage", [DT_F16] = "HalfStorage",
    [DT_F64] = "DoubleStorage", [DT_I64] = "LongStorage",      [DT_I32] = "IntStorage",
    [DT_U8] = "ByteStorage",
};

static void op(struct pickler *p, int code, uint64_t arg, int bytes)
{
    char c = (char)code;

    strbuf_add(p->out, &c, 1);
    for (int i = 0; i < bytes; i++) {
        c = (char)(arg >> (8 * i) & 0xff);
        strbuf_add(p->out, &c, 1);
    }
}

static int put(struct pickler *p)
{
    if (p->memo < 256) op(p, 'q', (uint64_t)p->memo, 1);
    else op(p, 'r', (uint64_t)p->memo, 4);
    return p->memo++;
}

static void get(struct pickler *p, int slot)
{
    if (slot < 256) op(p, 'h', (uint64_t)slot, 1);
    else op(p, 'j', (uint64_t)slot, 4);
}

static int add_text(struct pickler *p, const char *s)
{
    op(p, 'X', strlen(s), 4);
    strbuf_add(p->out, s, strlen(s));
    return put(p);
}

static void text_once(struct pickler *p, int *slot, const char *s)
{
    if (*slot < 0) *slot = add_text(p, s);
    else get(p, *slot);
}

static void global_once(struct pickler *p, int *slot, const char *module, const char *name)
{
    if (*slot < 0) {
        strbuf_addf(p->out, "c%s\n%s\n", module, name);
        *slot = put(p);
    } else {
        get(p, *slot);
    }
}

static void add_int(struct pickler *p, int64_t n)
{
    if (n < 256) op(p, 'K', (uint64_t)n, 1);
    else if (n < 65536) op(p, 'M', (uint64_t)n, 2);
    else if (n <= INT32_MAX) op(p, 'J', (uint64_t)n, 4);
    else {
        int bytes = 4;
        while (bytes < 8 && n >> (8 * bytes - 1)) bytes++;
        op(p, 0x8a, (uint64_t)bytes, 1);
        for (int i = 0; i < bytes; i++) op(p, (int)(n >> (8 * i) & 0xff), 0, 0);
    }
}

static void add_sizes(struct pickler *p, int ndim, const int64_t *n)
{
    if (ndim > 3) op(p, '(', 0, 0);
    for (int i = 0; i < ndim; i++) add_int(p, n[i]);
    if (ndim == 0) op(p, ')', 0, 0);
    else if (ndim > 3) op(p, 't', 0, 0);
    else op(p, 0x84 + ndim, 0, 0);
    if (ndim) put(p);
}

static void add_ordered_dict(struct pickler *p)
{
    global_once(p, &p->ordered_dict, "collections", "OrderedDict");
    op(p, ')', 0, 0);
    op(p, 'R', 0, 0);
    put(p);
}

/* _rebuild_tensor_v2(persistent id, 0, size, stride, False, OrderedDict()) */
static void add_tensor(struct pickler *p, const struct tensor *t, int storage)
{
    int64_t stride[TENSOR_DIMS], step = 1;
    char key[16];

    for (int i = t->ndim - 1; i >= 0; i--) {
        stride[i] = step;
        step *= t->dim[i];
    }
    snprintf(key, sizeof key, "%d", storage);
    global_once(p, &p->rebuild, "torch._utils", "_rebuild_tensor_v2");
    op(p, '(', 0, 0);
    op(p, '(', 0, 0);
    text_once(p, &p->storage, "storage");
    global_once(p, &p->dtype[t->dtype], "torch", storage_class[t->dtype]);
    add_text(p, key);
    text_once(p, &p->cpu, "cpu");
    add_int(p, tensor_count(t));
    op(p, 't', 0, 0);
    put(p);
    op(p, 'Q', 0, 0);
    add_int(p, 0);
    add_sizes(p, t->ndim, t->dim);
    add_sizes(p, t->ndim, stride);
    op(p, 0x89, 0, 0);
    add_ordered_dict(p);
    op(p, 't', 0, 0);
    put(p);
    op(p, 'R', 0, 0);
    put(p);
}

static void add_dict(struct pickler *p, const struct torch_writer_dict *d, int first_storage)
{
    if (d->ordered) {
        add_ordered_dict(p);
    } else {
        op(p, '}', 0, 0);
        put(p);
    }
    for (int i = 0; i < d->count; i++) {
        if (i % BATCH == 0) op(p, '(', 0, 0);
        add_text(p, d->name[i]);
        add_tensor(p, &d->shape[i], first_storage + i);
        if (i % BATCH == BATCH - 1 || i == d->count - 1) op(p, 'u', 0, 0);
    }
    if (!d->ordered) return;
    op(p, '}', 0, 0);
    put(p);
    add_text(p, "_metadata");
    add_ordered_dict(p);
    op(p, 's', 0, 0);
    op(p, 'b', 0, 0);
}

static status write_pickle(struct strbuf *out, const struct torch_writer_dict *dicts, int count)
{
    struct pickler p = { .out = out, .rebuild = -1, .ordered_dict = -1, .storage = -1, .cpu = -1 };
    int storage = 0;

    for (int i = 0; i < DT_COUNT; i++) p.dtype[i] = -1;
    op(&p, 0x80, 2, 1);
    if (dicts[0].key) {
        op(&p, '}', 0, 0);
        put(&p);
        op(&p, '(', 0, 0);
    }
    for (int i = 0; i < count; i++) {
        if (dicts[i].key) add_text(&p, dicts[i].key);
        add_dict(&p, &dicts[i], storage);
        storage += dicts[i].count;
    }
    if (dicts[0].key) op(&p, 'u', 0, 0);
    op(&p, '.', 0, 0);
    return out->failed ? fail(ST_NOMEM, "a pickle of %d tensors", storage) : ST_OK;
}

/* ---- the file ------------------------------------------------------------------- */

struct torch_writer {
    struct zip_writer *zip;
    char *folder; /* the file's name without its ending */
};

static char *folder_of(const char *path)
{
    const char *const slash = strrchr(path, '/'), *const base = slash ? slash + 1 : path;
    const char *const dot = strrchr(base, '.');

    return str_format("%.*s", dot ? (int)(dot - base) : (int)strlen(base), base);
}

static status member(struct torch_writer *w, const char *name, const void *bytes, size_t len)
{
    char *const full = str_format("%s/%s", w->folder, name);
    status const st =
        full ? zip_writer_member(w->zip, full, bytes, len) : fail(ST_NOMEM, "%s: a name", name);

    free(full);
    return st;
}

status torch_writer_open(struct torch_writer **out, const char *path,
                         const struct torch_writer_dict *dicts, int count)
{
    struct torch_writer *w = calloc(1, sizeof *w);
    struct strbuf pickle = { 0 };
    status st = ST_OK;

    *out = NULL;
    if (!w || !(w->folder = folder_of(path))) {
        st = fail(ST_NOMEM, "%s: a torch file", path);
        goto out;
    }
    TRY_OUT(write_pickle(&pickle, dicts, count));
    TRY_OUT(zip_writer_open(&w->zip, path));
    TRY_OUT(member(w, "data.pkl", pickle.s, pickle.len));
    TRY_OUT(member(w, "byteorder", "little", 6));
    *out = w;
    w = NULL; /* handed over */
out:
    strbuf_free(&pickle);
    torch_writer_close(&w);
    return st;
}

status torch_writer_begin(struct torch_writer *w, int i, size_t size)
{
    char *const name = str_format("%s/data/%d", w->folder, i);
    status const st =
        name ? zip_writer_begin(w->zip, name, size) : fail(ST_NOMEM, "the name of storage %d", i);

    free(name);
    return st;
}

status torch_writer_bytes(struct torch_writer *w, const void *bytes, size_t len)
{
    return zip_writer_bytes(w->zip, bytes, len);
}

status torch_writer_end(struct torch_writer *w) { return zip_writer_end(w->zip); }

status torch_writer_commit(struct torch_writer *w)
{
    TRY(member(w, "version", "3\n", 2));
    return zip_writer_commit(w->zip);
}

void torch_writer_close(struct torch_writer **w)
{
    if (!*w) return;
    zip_writer_close(&(*w)->zip);
    free((*w)->folder);
    free(*w);
    *w = NULL;
}
