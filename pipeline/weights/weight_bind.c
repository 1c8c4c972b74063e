/* weight_bind.c - a list of tensors checked, placed and loaded. */
#include "pipeline/weights/weight_bind.h"
#include "base/array.h"
#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 40 /* differences told in full */, PREFIXES = 8 };

void bind_add(struct bind_list *l, const struct bind_slot *like, const char *fmt, ...)
{
    struct bind_slot *const more = array_grow(l->slot, l->count, &l->room, sizeof *more);

    l->failed = l->failed || !more;
    if (l->failed) return;
    l->slot = more;

    struct bind_slot *const s = &l->slot[l->count++];
    va_list ap;
    *s = *like;
    va_start(ap, fmt);
    vsnprintf(s->name, sizeof s->name, fmt, ap);
    va_end(ap);
}

void bind_free(struct bind_list *l)
{
    free(l->slot);
    *l = (struct bind_list){ 0 };
}

static status check_list(const struct bind_list *l)
{
    if (l->failed) return fail(ST_NOMEM, "bind: no memory for the list of tensors");
    for (int i = 0; i < l->count; i++) {
        const struct bind_slot *const s = &l->slot[i];
        int64_t const all = s->ndim ? s->dim[0] : 0;
        if (!s->weight == !s->vector)
            return fail(ST_ARG, "bind: %s: exactly one of weight and vector is set", s->name);
        if (s->rows < 0 || s->first_row < 0 || s->rows > all || s->first_row > all - s->rows)
            return fail(ST_ARG, "bind: %s: %lld rows from %lld on; it has %lld", s->name,
                        (long long)s->rows, (long long)s->first_row, (long long)all);
    }
    return ST_OK;
}

/* ---- check ------------------------------------------------------------------- */

struct differences {
    struct strbuf lines;
    int missing, misfit, twice;
};

/* Add a line, if there are not too many already. */
PRINTF_LIKE(2, 3) static void add_difference(struct differences *d, const char *fmt, ...)
{
    char line[512];
    va_list ap;

    if (d->missing + d->misfit + d->twice > SHOWN) return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    strbuf_addf(&d->lines, "\n  %s", line);
}

static bool named_before(const struct bind_list *l, int i)
{
    for (int k = 0; k < i; k++)
        if (!strcmp(l->slot[k].name, l->slot[i].name)) return true;
    return false;
}

/* at: the slot's tensor in the file, -1 if it has none. */
static void check_slot(const struct bind_list *l, int i, const struct weights *w, int at,
                       struct differences *d)
{
    const struct bind_slot *const s = &l->slot[i];
    const struct weight_info *const info = at < 0 ? NULL : weights_at(w, at);
    struct tensor want = { .ndim = s->ndim };
    char a[WEIGHT_SHAPE], b[SHAPE_TEXT];

    if (named_before(l, i)) return;
    memcpy(want.dim, s->dim, sizeof want.dim);
    if (!info) {
        d->missing++;
        add_difference(d, "missing  %s %s", s->name, tensor_shape(&want, a));
    } else if (!weight_has_shape(info, s->ndim, s->dim)) {
        d->misfit++;
        add_difference(d, "shape    %s is %s, wanted %s", s->name, weight_shape(info, a),
                       tensor_shape(&want, b));
    } else if (weights_unread(w, at)) {
        d->misfit++;
        add_difference(d, "dtype    %s %s", s->name, weights_unread(w, at));
    } else if (info->twin) {
        d->twice++;
        add_difference(d, "twice    %s, as %s and by another name", s->name, info->raw);
    }
}

/* By names that only one kind has. */
const char *bind_guess(const struct weights *w)
{
    static const struct {
        const char *part, *what; /* of a name */
    } known[] = {
        { "lora_", "it seems to be a LoRA, which is added to a model's weights" },
        { "lora.down", "it seems to be a LoRA, which is added to a model's weights" },
        { "condition_embedder", "it seems to be a video transformer" },
        { "SelfAttention", "it seems to be a text encoder" },
        { "enc.blk.0", "it seems to be a text encoder" },
        { "decoder.conv_in", "it seems to be a VAE" },
        { "token_embedding", "it seems to be a text encoder" },
        { "decoder.conv1", "it seems to be a VAE" },
        { "patch_embedding", "it seems to be a video transformer" },
    };

    for (int k = 0; k < COUNT_OF(known); k++)
        for (int i = 0; i < weights_count(w); i++)
            if (strstr(weights_at(w, i)->name, known[k].part)) return known[k].what;
    return "it seems to be of another model";
}

/* Is it the end of `raw`, behind a dot? */
static size_t prefix_before(const char *raw, const char *name)
{
    size_t const n = strlen(raw), m = strlen(name);

    return n > m + 1 && raw[n - m - 1] == '.' && !strcmp(raw + n - m, name) ? n - m - 1 : 0;
}

bool bind_prefix(const struct weights *w, const char *name, int which, char out[BIND_PREFIX])
{
    for (int i = 0; i < weights_count(w); i++) {
        const char *const raw = weights_at(w, i)->raw;
        size_t const n = prefix_before(raw, name);
        if (!n || n >= BIND_PREFIX || which--) continue;
        memcpy(out, raw, n);
        out[n] = '\0';
        return true;
    }
    return false;
}

/* Where all that is wanted stands behind something: what that is, an outer key each. */
static void add_prefixes(struct strbuf *t, const struct bind_list *l, const struct weights *w)
{
    char prefix[BIND_PREFIX];

    for (int i = 0; i < l->count; i++) {
        if (!bind_prefix(w, l->slot[i].name, 0, prefix)) continue;
        strbuf_addf(t, ", its names behind `%s.`", prefix);
        for (int n = 1; n < PREFIXES && bind_prefix(w, l->slot[i].name, n, prefix); n++)
            strbuf_addf(t, ", `%s.`", prefix);
        strbuf_addf(t, ": an outer key");
        return;
    }
}

/* The headline of what is wrong; `beside`: tensors of the file that nobody asked for. */
static status fail_with_differences(const struct differences *d, const struct bind_list *l,
                                    const struct weights *w, bool any, int beside)
{
    struct strbuf t = { 0 };

    strbuf_addf(&t, "tensors: %d missing, %d of another shape or dtype", d->missing, d->misfit);
    if (d->twice) strbuf_addf(&t, ", %d twice", d->twice);
    if (beside) strbuf_addf(&t, "; %d others are there", beside);
    if (!any) strbuf_addf(&t, "; %s", bind_guess(w));
    if (!any) add_prefixes(&t, l, w);
    status const st = fail(ST_FORMAT, "%s: %s%s", weights_path(w), t.s ? t.s : "no memory",
                           d->lines.s ? d->lines.s : "");
    strbuf_free(&t);
    return st;
}

status bind_check(const struct bind_list *l, const struct weights *w)
{
    struct differences d = { 0 };
    status st = ST_OK;
    int found = 0;

    TRY_OUT(check_list(l));
    for (int i = 0; i < l->count; i++) {
        int const at = weights_find(w, l->slot[i].name);
        found += at >= 0 && !named_before(l, i);
        check_slot(l, i, w, at, &d);
    }
    int const all = d.missing + d.misfit + d.twice;
    if (all > SHOWN) strbuf_addf(&d.lines, "\n  and %d more", all - SHOWN);
    if (all) st = fail_with_differences(&d, l, w, found > 0, weights_count(w) - found);
out:
    strbuf_free(&d.lines);
    return st;
}

/* ---- place ------------------------------------------------------------------- */

/* The part of the file's shape that a slot stands for, in the form its target
 * has: [n, k] for a linear weight, five dimensions for a convolution. */
static int target_dims(const struct bind_slot *s, int64_t dim[TENSOR_DIMS])
{
    int n = s->ndim;

    memcpy(dim, s->dim, TENSOR_DIMS * sizeof *dim);
    if (s->rows) dim[0] = s->rows;
    if (s->weight && kern_is_linear(s->use)) {
        while (n > 2) {
            if (__builtin_mul_overflow(dim[1], dim[n - 1], &dim[1])) dim[1] = INT64_MAX;
            n--;
        }
    } else if (s->weight && !kern_is_linear(s->use) && n == 4) { /* Conv2d: one frame */
        memmove(&dim[3], &dim[2], 2 * sizeof *dim);
        dim[2] = 1;
        n = 5;
    }
    return n;
}

status bind_place(const struct bind_list *l, const struct kern_backend *backend, struct arena *a)
{
    TRY(check_list(l));
    for (int i = 0; i < l->count; i++) {
        const struct bind_slot *const s = &l->slot[i];
        int64_t dim[TENSOR_DIMS];
        int const ndim = target_dims(s, dim);
        if (s->vector) TRY(tensor_place(s->vector, a, DT_F32, ndim, dim));
        else TRY(kern_weight_place(s->weight, backend, a, s->use, s->dtype, ndim, dim));
    }
    return ST_OK;
}

/* ---- load -------------------------------------------------------------------- */

/* All ones in the exponent means no number. */
static bool finite_words(const void *data, enum dtype dtype, int64_t n)
{
    uint32_t bad = 0;

    switch (dtype) {
    case DT_F32:
        for (int64_t i = 0; i < n; i++)
            bad |= (((const uint32_t *)data)[i] & 0x7f800000u) == 0x7f800000u;
        break;
    case DT_BF16:
        for (int64_t i = 0; i < n; i++) bad |= (((const uint16_t *)data)[i] & 0x7f80u) == 0x7f80u;
        break;
    case DT_F16:
        for (int64_t i = 0; i < n; i++) bad |= (((const uint16_t *)data)[i] & 0x7c00u) == 0x7c00u;
        break;
    default: /* F64: what F32 cannot hold is not finite either */
        for (int64_t i = 0; i < n; i++) {
            double const v = ((const double *)data)[i];
            bad |= !(v >= -0x1.fffffep127 && v <= 0x1.fffffep127);
        }
    }
    return !bad;
}

static status check_finite(const struct tensor *t, const char *name, const char *path)
{
    int64_t const n = tensor_count(t);

    if (finite_words(t->data, t->dtype, n)) return ST_OK;
    for (int64_t i = 0; i < n; i++) {
        const unsigned char *const at =
            (const unsigned char *)t->data + (size_t)i * dtype_size(t->dtype);
        if (!finite_words(at, t->dtype, 1))
            return fail(ST_FORMAT, "%s: %s: element %lld is %g; weights must be finite", path, name,
                        (long long)i, (double)tensor_get(t, i));
    }
    return ST_OK;
}

/* The rows a slot means, in the file's memory. */
static struct tensor slot_rows(const struct bind_slot *s, enum dtype dtype, const void *data)
{
    struct tensor t = { .data = (void *)(uintptr_t)data, .dtype = dtype, .ndim = s->ndim };

    memcpy(t.dim, s->dim, sizeof t.dim);
    return s->rows ? tensor_slice(&t, s->first_row, s->rows) : t;
}

/* Into the slot's place, by way of a host copy in F32 where the target needs it. */
static status upload_slot(const struct bind_slot *s, const struct tensor *from,
                          struct kern_ctx *ctx)
{
    status st = ST_OK;
    const void *src = from->data;
    enum dtype dtype = from->dtype;
    void *copy = NULL;

    if (dtype == DT_F64 || (s->vector && dtype != DT_F32)) {
        int64_t const n = tensor_count(from);
        copy = malloc((size_t)n * sizeof(float) + 1);
        if (!copy) return fail(ST_NOMEM, "%s: no memory for a copy in F32", s->name);
        TRY_OUT(tensor_convert(copy, DT_F32, src, dtype, n));
        src = copy;
        dtype = DT_F32;
    }
    if (s->vector) TRY_OUT(ctx->backend->upload(ctx, s->vector, src));
    else
        TRY_OUT(
            kern_pack(ctx, &(struct kern_pack){ .w = s->weight, .src = src, .src_dtype = dtype }));
    TRY_OUT(ctx->backend->sync(ctx));
out:
    free(copy);
    return st;
}

/* Of a tensor whose bytes are its numbers. */
static status load_plain(const struct bind_slot *s, struct weights *w, int at, struct kern_ctx *ctx)
{
    const void *data;

    TRY(weights_fetch(w, at, &data));
    struct tensor const part = slot_rows(s, weights_at(w, at)->t.dtype, data);
    TRY(check_finite(&part, s->name, weights_path(w)));
    return upload_slot(s, &part, ctx);
}

/* Of any other: its numbers are made in F32, and rounded once, to what the slot is in. */
static status load_made(const struct bind_slot *s, struct weights *w, int at, struct kern_ctx *ctx)
{
    struct tensor part = slot_rows(s, DT_F32, NULL);
    int64_t const n = tensor_count(&part), row = s->rows ? n / s->rows : 0;
    float *const made = malloc((size_t)n * sizeof *made + 1);
    status st = ST_OK;

    if (!made) return fail(ST_NOMEM, "%s: no memory for %lld numbers", s->name, (long long)n);
    TRY_OUT(weights_read(w, at, s->first_row * row, n, made));
    part.data = made;
    TRY_OUT(check_finite(&part, s->name, weights_path(w)));
    TRY_OUT(upload_slot(s, &part, ctx));
out:
    free(made);
    return st;
}

status bind_load(const struct bind_list *l, struct weights *w, struct kern_ctx *ctx)
{
    TRY(check_list(l));
    for (int i = 0; i < l->count; i++) {
        const struct bind_slot *const s = &l->slot[i];
        int const at = weights_find(w, s->name);
        if (at < 0) return fail(ST_FORMAT, "%s: %s is not there", weights_path(w), s->name);
        TRY(weights_plain(w, at) ? load_plain(s, w, at, ctx) : load_made(s, w, at, ctx));
    }
    return ST_OK;
}
