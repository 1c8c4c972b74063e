/*
 * weights.c - one interface over the forms of checkpoints, and over several files as one.
 *
 * A reader lists what its file has; here tensors get the names that models ask by, and those that
 * scale others are found. Numbers are made when they are asked for, so a checkpoint takes no more
 * memory than the files that are open.
 */
#include "pipeline/weights/weights.h"
#include "base/file_kind.h"
#include "base/file_set.h"
#include "base/file_watch.h"
#include "base/strbuf.h"
#include "pipeline/weights/weights_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One file: flat, or a torch file if that has a zip. */
struct part {
    const struct form *form;
    struct flat_file flat;
    struct torchfile torch;
};

struct place {
    int part, entry;
    bool awaited; /* of a mapped file: its bytes have been in memory */
};

struct weights {
    char *path;
    enum weights_family family;
    char *prefix; /* that names begin with, in place of an outer key; NULL: there is none */
    struct file_set set;
    struct part *part; /* one for each file */
    int parts;
    struct weight_info *info; /* `raw` is the entries', `name` is owned */
    struct place *place;
    bool *spare; /* of each: it gives way to another of its name */
    const struct weight_info **by_name;
    int count;
    void **aligned; /* of tensors that lie askew in a map, a copy */
    struct weight_extra extra;
};

/* ---- the forms ---- */

static status open_safetensors(struct part *p, const char *path, const char *outer_key)
{
    (void)outer_key;
    return safetensors_open(&p->flat, path);
}

static status open_gguf(struct part *p, const char *path, const char *outer_key)
{
    (void)outer_key;
    return gguf_open(&p->flat, path);
}

static status open_torch(struct part *p, const char *path, const char *outer_key)
{
    return torchfile_open(&p->torch, path, outer_key);
}

static const struct form {
    const char *name;
    bool (*looks)(const unsigned char *data, size_t size);
    status (*open)(struct part *p, const char *path, const char *outer_key);
} forms[] = {
    { "torch", torchzip_looks, open_torch },
    { "GGUF", gguf_looks, open_gguf },
    { "safetensors", safetensors_looks, open_safetensors },
};

static status open_part(struct part *p, const char *path, const char *outer_key)
{
    struct file_map map;

    TRY(file_map(&map, path));
    file_watch_map(path, map.data, file_watch_piece(map.size));
    const char *const kind = file_kind(map.data, map.size);
    for (int i = 0; i < COUNT_OF(forms) && !p->form; i++)
        if (forms[i].looks(map.data, map.size)) p->form = &forms[i];
    file_unmap(&map);
    if (!p->form)
        return fail(ST_FORMAT, "%s: %s", path,
                    kind ? kind : "neither a safetensors, a GGUF nor a torch zip file");
    return p->form->open(p, path, outer_key);
}

static int part_count(const struct part *p)
{
    return p->torch.zip ? p->torch.count : p->flat.count;
}

static const struct weight_info *part_info(const struct part *p, int i)
{
    return p->torch.zip ? &p->torch.entry[i].info : &p->flat.entry[i].info;
}

const char *const *weights_folders(enum weights_family family)
{
    switch (family) {
    case WEIGHTS_DIT: return file_set_transformer;
    case WEIGHTS_TEXT: return file_set_text;
    case WEIGHTS_VAE: return file_set_vae;
    case WEIGHTS_ANY:
    case WEIGHTS_LORA: break;
    }
    return NULL;
}

static status open_parts(struct weights *w, const struct weights_request *r)
{
    TRY(file_set_open(&w->set, r->path, weights_folders(r->family)));
    if (w->set.count < 1) return fail(ST_FORMAT, "%s: no files", w->path);
    w->part = calloc((size_t)w->set.count + 1, sizeof *w->part);
    if (!w->part) return fail(ST_NOMEM, "%s: no memory for its files", w->path);
    for (w->parts = 0; w->parts < w->set.count; w->parts++) {
        TRY(open_part(&w->part[w->parts], w->set.path[w->parts], r->outer_key));
        int const more = part_count(&w->part[w->parts]);
        if (__builtin_add_overflow(w->count, more, &w->count))
            return fail(ST_FORMAT, "%s: too many tensors", w->path);
    }
    return ST_OK;
}

/* ---- names ---- */

static int compare_names(const void *a, const void *b)
{
    const struct weight_info *const x = *(const struct weight_info *const *)a;
    const struct weight_info *const y = *(const struct weight_info *const *)b;
    return strcmp(x->name, y->name);
}

/* An outer key that is no dict's is what names begin with. */
static status choose_prefix(struct weights *w, const char *outer_key)
{
    const char *const dict = w->part[0].torch.outer_key;

    if (!outer_key || (dict && !strcmp(dict, outer_key))) return ST_OK;
    w->prefix = str_format("%s", outer_key);
    return w->prefix ? ST_OK : fail(ST_NOMEM, "%s: no memory for a name", w->path);
}

/* What of a name is behind the prefix; NULL: it begins otherwise. */
static const char *skip_prefix(const struct weights *w, const char *name)
{
    size_t const n = w->prefix ? strlen(w->prefix) : 0;

    if (!n) return name;
    return !strncmp(name, w->prefix, n) && name[n] == '.' && name[n + 1] ? name + n + 1 : NULL;
}

static status list_tensor(struct weights *w, const struct weight_info *from, struct place place)
{
    const char *const name = skip_prefix(w, from->name);
    struct weight_info *const info = &w->info[w->count];

    if (!name) return ST_OK;
    *info = *from;
    info->raw = info->name;
    info->scale = -1;
    info->name = name_canonical(name, w->family, &w->spare[w->count]);
    if (!info->name) return fail(ST_NOMEM, "%s: no memory for a name", w->path);
    w->place[w->count++] = place;
    return ST_OK;
}

static status list_tensors(struct weights *w)
{
    size_t const n = (size_t)w->count;

    w->info = calloc(n + 1, sizeof *w->info);
    w->place = calloc(n + 1, sizeof *w->place);
    w->spare = calloc(n + 1, sizeof *w->spare);
    w->by_name = calloc(n + 1, sizeof *w->by_name);
    w->aligned = calloc(n + 1, sizeof *w->aligned);
    if (!w->info || !w->place || !w->spare || !w->by_name || !w->aligned)
        return fail(ST_NOMEM, "%s: no memory for %d tensors", w->path, w->count);
    w->count = 0;
    for (int p = 0; p < w->parts; p++)
        for (int i = 0; i < part_count(&w->part[p]); i++)
            TRY(list_tensor(w, part_info(&w->part[p], i), (struct place){ .part = p, .entry = i }));
    if (w->count || !w->prefix) return ST_OK;
    return fail(
        ST_FORMAT,
        "%s: outer key `%s`: a %s file has no dictionaries, and no name in it begins with `%s.`",
        w->path, w->prefix, weights_form(w), w->prefix);
}

/* One of each name is found by it: the last that is not spare; a second such is its twin. */
static void index_names(struct weights *w)
{
    int kept = 0;

    for (int i = 0; i < w->count; i++) w->by_name[i] = &w->info[i];
    if (w->count) qsort(w->by_name, (size_t)w->count, sizeof *w->by_name, compare_names);
    for (int i = 0; i < w->count; i++) {
        struct weight_info *const info = &w->info[w->by_name[i] - w->info];
        struct weight_info *const before = kept ? &w->info[w->by_name[kept - 1] - w->info] : NULL;
        if (!before || strcmp(before->name, info->name) != 0) w->by_name[kept++] = info;
        else if (w->spare[before - w->info]) w->by_name[kept - 1] = info;
        else if (!w->spare[info - w->info]) before->twin = info->twin = true;
    }
    for (int i = kept; i < w->count; i++) w->by_name[i] = NULL;
}

static int names_count(const struct weights *w)
{
    int n = w->count;
    while (n && !w->by_name[n - 1]) n--;
    return n;
}

int weights_find(const struct weights *w, const char *name)
{
    struct weight_info const key = { .name = name };
    const struct weight_info *const at = &key;
    const struct weight_info **const hit =
        bsearch(&at, w->by_name, (size_t)names_count(w), sizeof *w->by_name, compare_names);

    return hit ? (int)(*hit - w->info) : -1;
}

/* ---- scales ---- */

/* The weight that tensor i scales; -1: it is no tensor of scales. */
static int scaled_by(const struct weights *w, int i, double *factor)
{
    const char *const name = w->info[i].name;
    size_t const len = strlen(name);

    for (const struct scale_rule *r = scale_rules; r->end; r++) {
        size_t const n = strlen(r->end);
        char weight[2 * NAME_MAX_BYTES + 16];
        if (len <= n || strcmp(name + len - n, r->end) != 0) continue;
        snprintf(weight, sizeof weight, "%.*s.weight", (int)(len - n), name);
        *factor = r->factor;
        return weights_find(w, weight);
    }
    return -1;
}

static void find_scales(struct weights *w)
{
    for (int i = 0; i < w->count; i++) {
        double factor;
        int const at = scaled_by(w, i, &factor);
        if (at < 0) continue;
        w->info[at].scale = i;
        w->info[at].scale_factor = factor;
    }
}

/* A weight [n, k] is scaled as a whole, by rows, or in a x b equal blocks. */
struct scaling {
    int64_t rows, cols;       /* of the weight */
    int64_t by_rows, by_cols; /* of a block */
    int64_t across;           /* blocks side by side */
};

static bool scaling_of(struct scaling *out, const struct weight_info *w,
                       const struct weight_info *scale)
{
    int64_t const n = w->ndim && w->dim[0] ? w->dim[0] : 1, k = w->count / n;
    int64_t const down = scale->ndim ? scale->dim[0] : 1;
    int64_t const across = down ? scale->count / down : 0;

    *out = (struct scaling){ n, k, 1, 1, 1 };
    if (!w->count || down < 1 || across < 1) return false;
    if (scale->count == 1) out->by_rows = n;
    else out->by_rows = n / down;
    out->by_cols = k / across;
    out->across = across;
    return scale->count == 1 || (n % down == 0 && k % across == 0);
}

/* ---- reading ---- */

static const struct weight_format *format_of(const struct weight_info *w)
{
    return w->ndim <= TENSOR_DIMS ? weight_format_find(w->dtype) : NULL;
}

static bool is_float(const struct weight_info *w) { return w->usable && w->t.dtype <= DT_F64; }

const char *weights_unread(const struct weights *w, int i)
{
    static _Thread_local char why[WEIGHT_DTYPE + 80];
    const struct weight_info *const info = &w->info[i];
    const struct weight_info *const scale = info->scale < 0 ? NULL : &w->info[info->scale];
    const struct weight_format *const f = format_of(info);
    struct scaling unused;

    if (!f && !is_float(info))
        snprintf(why, sizeof why, "is %s, wanted F32, BF16, F16 or F64", info->dtype);
    else if (!scale && f && f->scaled)
        snprintf(why, sizeof why, "is %s without a tensor of scales", info->dtype);
    else if (scale && !is_float(scale))
        snprintf(why, sizeof why, "is scaled by numbers of %s", scale->dtype);
    else if (scale && !scaling_of(&unused, info, scale))
        snprintf(why, sizeof why, "has scales that do not divide its shape");
    else return NULL;
    return why;
}

static bool has_extra(const struct weights *w, int i)
{
    return w->extra.arg && w->extra.has(w->extra.arg, i);
}

bool weights_plain(const struct weights *w, int i)
{
    return is_float(&w->info[i]) && w->info[i].scale < 0 && !has_extra(w, i);
}

/* Elements as the bytes of their own tensor say. */
static status read_own(struct weights *w, int i, int64_t first, int64_t count, float *to)
{
    const struct weight_info *const info = &w->info[i];
    const void *data;

    TRY(weights_fetch(w, i, &data));
    if (!is_float(info)) {
        weight_format_read(format_of(info), data, first, count, to);
        return ST_OK;
    }
    return tensor_convert(to, DT_F32, (const unsigned char *)data + (size_t)first * info->element,
                          info->t.dtype, count);
}

static status apply_scale(struct weights *w, int i, int64_t first, int64_t count, float *to)
{
    const struct weight_info *const info = &w->info[i], *const scale = &w->info[info->scale];
    struct scaling s;
    status st = ST_OK;

    scaling_of(&s, info, scale);
    float *const by = malloc((size_t)scale->count * sizeof *by + 1);
    if (!by) return fail(ST_NOMEM, "%s: no memory for its scales", info->name);
    TRY_OUT(read_own(w, info->scale, 0, scale->count, by));
    for (int64_t e = 0; e < scale->count; e++) by[e] *= (float)info->scale_factor;
    for (int64_t row = first / s.cols; row * s.cols < first + count; row++)
        for (int64_t c = 0; c < s.cols; c++)
            *to++ *= by[row / s.by_rows * s.across + c / s.by_cols];
out:
    free(by);
    return st;
}

status weights_read(struct weights *w, int i, int64_t first, int64_t count, float *to)
{
    const struct weight_info *const info = &w->info[i];
    int64_t const n = info->ndim && info->dim[0] ? info->dim[0] : 1, k = info->count / n;
    const char *const why = weights_unread(w, i);
    bool const by_rows = info->scale >= 0 || has_extra(w, i);

    if (why) return fail(ST_FORMAT, "%s: %s %s", w->path, info->name, why);
    if (first < 0 || count < 0 || first > info->count || count > info->count - first ||
        (by_rows && (first % k || count % k)))
        return fail(ST_ARG, "%s: %s: elements %" PRId64 " to %" PRId64 " of %" PRId64, w->path,
                    info->name, first, first + count, info->count);
    if (!count) return ST_OK;
    TRY(read_own(w, i, first, count, to));
    if (info->scale >= 0) TRY(apply_scale(w, i, first, count, to));
    if (!has_extra(w, i)) return ST_OK;
    return w->extra.add(w->extra.arg, i, k, first, count, to);
}

/* A map is only as aligned as the file's header lets it be. */
static status fetch_flat(struct weights *w, int i, const unsigned char *at, const void **data)
{
    const struct weight_info *const info = &w->info[i];
    size_t const bytes = info->bytes;

    *data = at;
    if (!info->element || (uintptr_t)at % info->element == 0) return ST_OK;
    if (!w->aligned[i]) {
        w->aligned[i] = malloc(bytes + 1);
        if (!w->aligned[i])
            return fail(ST_NOMEM, "%s: no memory for %zu bytes", w->info[i].name, bytes);
        memcpy(w->aligned[i], at, bytes);
    }
    *data = w->aligned[i];
    return ST_OK;
}

status weights_fetch(struct weights *w, int i, const void **data)
{
    struct part *const p = &w->part[w->place[i].part];
    int const entry = w->place[i].entry;

    if (p->torch.zip) return torchfile_fetch(&p->torch, entry, data);
    if (!w->place[i].awaited)
        file_watch_map(w->set.path[w->place[i].part], p->flat.entry[entry].data, w->info[i].bytes);
    w->place[i].awaited = true;
    return fetch_flat(w, i, p->flat.entry[entry].data, data);
}

/* ---- open and close ---- */

status weights_open_as(struct weights **out, const struct weights_request *r)
{
    struct weights *w = calloc(1, sizeof *w);
    status st = ST_OK;

    *out = NULL;
    if (!w || !(w->path = str_format("%s", r->path)))
        FAIL_OUT(ST_NOMEM, "%s: no memory for a weights file", r->path);
    w->family = r->family;
    TRY_OUT(open_parts(w, r));
    TRY_OUT(choose_prefix(w, r->outer_key));
    TRY_OUT(list_tensors(w));
    index_names(w);
    find_scales(w);
    *out = w;
    w = NULL; /* handed over */
out:
    weights_close(&w);
    return st;
}

status weights_open(struct weights **out, const char *path, const char *outer_key)
{
    return weights_open_as(out, &(struct weights_request){ .path = path, .outer_key = outer_key });
}

struct weight_extra *weights_extra(struct weights *w) { return &w->extra; }

void weights_close(struct weights **pw)
{
    struct weights *const w = *pw;

    if (!w) return;
    if (w->extra.arg) w->extra.close(w->extra.arg);
    for (int i = 0; w->aligned && i < w->count; i++) free(w->aligned[i]);
    for (int i = 0; w->place && w->info && i < w->count; i++)
        if (w->info[i].raw) free((char *)(uintptr_t)w->info[i].name);
    free(w->aligned);
    free(w->info);
    free(w->place);
    free(w->spare);
    free(w->by_name);
    for (int i = 0; i < w->parts; i++) {
        flat_file_close(&w->part[i].flat);
        torchfile_close(&w->part[i].torch);
    }
    free(w->part);
    file_set_close(&w->set);
    free(w->prefix);
    free(w->path);
    free(w);
    *pw = NULL;
}

const char *weights_path(const struct weights *w) { return w->path; }
const char *weights_form(const struct weights *w) { return w->part[0].form->name; }
int weights_files(const struct weights *w) { return w->parts; }
int weights_count(const struct weights *w) { return w->count; }
const struct weight_info *weights_at(const struct weights *w, int i) { return &w->info[i]; }

const char *weights_outer_key(const struct weights *w)
{
    if (w->prefix) return w->prefix;
    return w->part[0].torch.outer_key ? w->part[0].torch.outer_key : "";
}
