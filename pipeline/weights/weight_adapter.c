/*
 * weight_adapter.c - LoRAs: which of a model's tensors they change, and the sum.
 *
 * An adapter names layers, not tensors: NAME with two factors, A [rank, k] and B [n, rank], and
 * perhaps an alpha, or with a whole difference. They are matched with the model's tensors when the
 * adapter is added, so that all that does not fit is said before anything is read. The sum is made
 * when the tensor is read, in F32, rows of a size shared out among threads: the same bits however
 * many there are.
 */
#include "base/pool.h"
#include "base/strbuf.h"
#include "pipeline/weights/weights_internal.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 16 /* of a task */, SHOWN = 40, NAME_ROOM = 2 * NAME_MAX_BYTES + 16 };

/* What a tensor of an adapter is to its layer. */
enum part { PART_A, PART_B, PART_ALPHA, PART_DIFF, PART_DIFF_BIAS, PART_DIFF_MOD, PARTS };

static const struct {
    const char *end; /* of its name */
    enum part part;
} ends[] = {
    { ".lora_A.weight", PART_A },
    { ".lora_B.weight", PART_B }, /* peft, diffusers */
    { ".lora_A.default.weight", PART_A },
    { ".lora_B.default.weight", PART_B },
    { ".lora_down.weight", PART_A },
    { ".lora_up.weight", PART_B }, /* kohya, ComfyUI */
    { ".lora.down.weight", PART_A },
    { ".lora.up.weight", PART_B },
    { ".alpha", PART_ALPHA },
    { ".lora_alpha", PART_ALPHA },
    { ".diff", PART_DIFF },
    { ".diff_b", PART_DIFF_BIAS }, /* ComfyUI */
    { ".diff_m", PART_DIFF_MOD },  /* LightX2V: of a block's or the head's modulation */
};

/* Names of what stands in an adapter's file for a model that is no transformer. */
static const char *const others[] = { "lora_te", "text_encoder", "te1_", "text_encoders" };

/* What an adapter does to one tensor of the model. */
struct change {
    int tensor, file;
    int a, b;     /* its factors in the file; or, a alone, the difference */
    int64_t rank; /* 0: a difference */
    float factor;
};

struct adapter_set {
    struct weights **file;
    int files;
    struct change *change; /* in the order they were added */
    int changes;
    struct pool *pool;
};

/* A layer of an adapter that is being added. */
struct layer {
    const char *name; /* owned */
    int part[PARTS];  /* tensors of the file; -1: none */
};

struct adding {
    struct adapter_set *set;
    struct weights *base, *w; /* the model's, the adapter's */
    const struct weight_adapter *a;
    struct layer *layer;
    int layers;
    struct strbuf wrong;
    int wrongs, matched;
};

PRINTF_LIKE(2, 3) static void complain(struct adding *g, const char *fmt, ...)
{
    char line[512];
    va_list ap;

    if (g->wrongs++ >= SHOWN) return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    strbuf_addf(&g->wrong, "\n  %s", line);
}

/* ---- the layers of the file ------------------------------------------------------------ */

static bool is_of_another(const char *name)
{
    for (int i = 0; i < COUNT_OF(others); i++)
        if (!strncmp(name, others[i], strlen(others[i]))) return true;
    return false;
}

static int compare_layers(const void *a, const void *b)
{
    return strcmp(((const struct layer *)a)->name, ((const struct layer *)b)->name);
}

/* One entry for each tensor, then those of one layer put together. */
static status add_part(struct adding *g, int i, const char *name, size_t len, enum part part)
{
    struct layer *const l = &g->layer[g->layers++];

    l->name = str_format("%.*s", (int)len, name);
    for (int p = 0; p < PARTS; p++) l->part[p] = -1;
    l->part[part] = i;
    return l->name ? ST_OK : fail(ST_NOMEM, "%s: no memory for a name", weights_path(g->w));
}

static status list_part(struct adding *g, int i)
{
    const char *const name = weights_at(g->w, i)->name;
    size_t const len = strlen(name);

    if (is_of_another(weights_at(g->w, i)->raw)) return ST_OK;
    for (int e = 0; e < COUNT_OF(ends); e++) {
        size_t const n = strlen(ends[e].end);
        if (len <= n || strcmp(name + len - n, ends[e].end) != 0) continue;
        return add_part(g, i, name, len - n, ends[e].part);
    }
    complain(g, "unread   %s: of another kind of adapter", weights_at(g->w, i)->raw);
    return ST_OK;
}

static void merge_parts(struct adding *g)
{
    int kept = 0;

    if (g->layers) qsort(g->layer, (size_t)g->layers, sizeof *g->layer, compare_layers);
    for (int i = 0; i < g->layers; i++) {
        struct layer *const l = &g->layer[i], *const into = kept ? &g->layer[kept - 1] : NULL;
        if (!into || strcmp(into->name, l->name) != 0) {
            g->layer[kept++] = *l;
            continue;
        }
        for (int p = 0; p < PARTS; p++) {
            if (l->part[p] < 0) continue;
            if (into->part[p] >= 0) complain(g, "twice    %s", weights_at(g->w, l->part[p])->name);
            into->part[p] = l->part[p];
        }
        free((char *)(uintptr_t)l->name);
    }
    g->layers = kept;
}

/* ---- the model's tensors ---------------------------------------------------------------- */

/* Do they differ in dots and lines alone? kohya writes blocks_0_self_attn_q. */
static bool same_joined(const char *joined, const char *name, size_t len)
{
    size_t i = 0;

    for (; i < len && joined[i]; i++)
        if (joined[i] != (name[i] == '.' ? '_' : name[i])) return false;
    return i == len && !joined[i];
}

/* The model's tensor that a layer's part is added to; -1: none. */
static int find_target(const struct adding *g, const char *layer, const char *end)
{
    char name[NAME_ROOM];

    snprintf(name, sizeof name, "%s%s", layer, end);
    int const at = weights_find(g->base, name);
    if (at >= 0 || strchr(layer, '.')) return at;
    for (int i = 0; i < weights_count(g->base); i++) {
        const char *const other = weights_at(g->base, i)->name;
        size_t const len = strlen(other), n = strlen(end);
        if (len > n && !strcmp(other + len - n, end) && same_joined(layer, other, len - n))
            return i;
    }
    return -1;
}

static status keep_change(struct adding *g, const struct change *c)
{
    struct adapter_set *const s = g->set;
    struct change *const more = realloc(s->change, (size_t)(s->changes + 1) * sizeof *more);

    if (!more) return fail(ST_NOMEM, "%s: no memory for its changes", weights_path(g->w));
    s->change = more;
    more[s->changes++] = *c;
    g->matched++;
    return ST_OK;
}

/* A number that a file has as a tensor of one. */
static status read_alpha(struct adding *g, const struct layer *l, double *alpha)
{
    int const at = l->part[PART_ALPHA];
    float value = NAN;

    *alpha = g->a->alpha;
    if (at < 0) {
        if (!(*alpha > 0))
            complain(g, "alpha    %s: given neither in the file nor beside it", l->name);
        return ST_OK;
    }
    if (weights_at(g->w, at)->count == 1 && !weights_unread(g->w, at))
        TRY(weights_read(g->w, at, 0, 1, &value));
    if (!(fabsf(value) < 1e30f)) complain(g, "alpha    %s: no number", l->name);
    else if (*alpha > 0 && fabs(*alpha - (double)value) > 1e-6 * *alpha)
        complain(g, "alpha    %s is %g in the file, %g was given", l->name, (double)value, *alpha);
    *alpha = (double)value;
    return ST_OK;
}

static int64_t inner_count(const struct weight_info *w)
{
    return w->ndim && w->dim[0] ? w->count / w->dim[0] : 0;
}

static status add_factors(struct adding *g, const struct layer *l)
{
    int const a = l->part[PART_A], b = l->part[PART_B], at = find_target(g, l->name, ".weight");
    char x[WEIGHT_SHAPE], y[WEIGHT_SHAPE], z[WEIGHT_SHAPE];
    double alpha;

    if (a < 0 || b < 0) {
        complain(g, "missing  %s: the other of its two factors", l->name);
        return ST_OK;
    }
    if (at < 0) {
        complain(g, "unknown  %s: the model has no such layer", l->name);
        return ST_OK;
    }
    const struct weight_info *const wa = weights_at(g->w, a), *const wb = weights_at(g->w, b);
    const struct weight_info *const to = weights_at(g->base, at);
    int64_t const rank = wa->ndim ? wa->dim[0] : 0;
    int const before = g->wrongs;
    if (weights_unread(g->w, a)) complain(g, "dtype    %s %s", wa->name, weights_unread(g->w, a));
    if (weights_unread(g->w, b)) complain(g, "dtype    %s %s", wb->name, weights_unread(g->w, b));
    if (rank < 1 || inner_count(wb) != rank || !to->ndim || to->dim[0] != wb->dim[0] ||
        inner_count(to) != inner_count(wa))
        complain(g, "shape    %s: factors %s and %s for %s", l->name, weight_shape(wb, x),
                 weight_shape(wa, y), weight_shape(to, z));
    else if (g->a->rank && rank != g->a->rank)
        complain(g, "rank     %s is of %lld, %d was given", l->name, (long long)rank, g->a->rank);
    TRY(read_alpha(g, l, &alpha));
    if (g->wrongs > before) return ST_OK;
    double const scale = g->a->scale != 0 ? g->a->scale : 1;
    struct change const c = { .tensor = at,
                              .file = g->set->files,
                              .a = a,
                              .b = b,
                              .rank = rank,
                              .factor = (float)(scale * alpha / (double)rank) };
    return keep_change(g, &c);
}

static status add_difference(struct adding *g, const struct layer *l, enum part part,
                             const char *end)
{
    int const at = find_target(g, l->name, end), d = l->part[part];
    const struct weight_info *const from = weights_at(g->w, d);
    char x[WEIGHT_SHAPE], y[WEIGHT_SHAPE];

    if (at < 0) {
        complain(g, "unknown  %s: the model has no %s%s", from->name, l->name, end);
        return ST_OK;
    }
    const struct weight_info *const to = weights_at(g->base, at);
    if (weights_unread(g->w, d)) complain(g, "dtype    %s %s", from->name, weights_unread(g->w, d));
    else if (from->count != to->count || !to->count)
        complain(g, "shape    %s is %s for %s", from->name, weight_shape(from, x),
                 weight_shape(to, y));
    else
        return keep_change(g,
                           &(struct change){ .tensor = at,
                                             .file = g->set->files,
                                             .a = d,
                                             .factor = g->a->scale != 0 ? (float)g->a->scale : 1 });
    return ST_OK;
}

static status add_layer(struct adding *g, const struct layer *l)
{
    if (l->part[PART_A] >= 0 || l->part[PART_B] >= 0) TRY(add_factors(g, l));
    else if (l->part[PART_ALPHA] >= 0 && l->part[PART_DIFF] < 0 && l->part[PART_DIFF_BIAS] < 0 &&
             l->part[PART_DIFF_MOD] < 0)
        complain(g, "missing  %s: its factors; there is an alpha alone", l->name);
    if (l->part[PART_DIFF] >= 0) TRY(add_difference(g, l, PART_DIFF, ".weight"));
    if (l->part[PART_DIFF_BIAS] >= 0) TRY(add_difference(g, l, PART_DIFF_BIAS, ".bias"));
    if (l->part[PART_DIFF_MOD] >= 0) TRY(add_difference(g, l, PART_DIFF_MOD, ".modulation"));
    return ST_OK;
}

static status add_layers(struct adding *g)
{
    int const count = weights_count(g->w);

    g->layer = calloc((size_t)count + 1, sizeof *g->layer);
    if (!g->layer) return fail(ST_NOMEM, "%s: no memory for its layers", weights_path(g->w));
    for (int i = 0; i < count; i++) TRY(list_part(g, i));
    merge_parts(g);
    for (int i = 0; i < g->layers; i++) TRY(add_layer(g, &g->layer[i]));
    if (!g->matched && !g->wrongs) complain(g, "unknown  it changes nothing of the model");
    if (g->wrongs > SHOWN) strbuf_addf(&g->wrong, "\n  and %d more", g->wrongs - SHOWN);
    if (!g->wrongs) return ST_OK;
    return fail(ST_FORMAT, "%s: as an adapter of %s: %d things do not fit%s%s", weights_path(g->w),
                weights_path(g->base), g->wrongs,
                g->matched || g->layers ? "" : "; it seems to be no LoRA",
                g->wrong.s ? g->wrong.s : "");
}

static status check_request(const struct weight_adapter *a)
{
    if (a->rank >= 0 && a->alpha >= 0 && isfinite(a->alpha) && isfinite(a->scale)) return ST_OK;
    return fail(ST_ARG, "%s: rank %d, alpha %g, scale %g: not those of an adapter", a->path,
                a->rank, a->alpha, a->scale);
}

static bool is_changed(const void *arg, int tensor)
{
    const struct adapter_set *const s = arg;

    for (int i = 0; i < s->changes; i++)
        if (s->change[i].tensor == tensor) return true;
    return false;
}

static void close_set(void *arg)
{
    struct adapter_set *const s = arg;

    for (int i = 0; i < s->files; i++) weights_close(&s->file[i]);
    free(s->file);
    free(s->change);
    pool_close(&s->pool);
    free(s);
}

/* ---- the sum ------------------------------------------------------------------------------ */

/* Rows of B A, added. */
struct product {
    const float *a, *b; /* [rank, k], [rows, rank] */
    float *to;          /* [rows, k] */
    int64_t rows, k, rank;
    float factor;
    float *scratch; /* [threads, k] */
};

static void add_row(float *restrict to, const float *restrict b, const struct product *p,
                    float *restrict sum)
{
    for (int64_t i = 0; i < p->k; i++) sum[i] = 0;
    for (int64_t r = 0; r < p->rank; r++) {
        const float *const a = p->a + r * p->k;
        for (int64_t i = 0; i < p->k; i++) sum[i] += b[r] * a[i];
    }
    for (int64_t i = 0; i < p->k; i++) to[i] += p->factor * sum[i];
}

static status add_rows(void *arg, int64_t task, int worker)
{
    const struct product *const p = arg;
    int64_t const end = (task + 1) * ROWS < p->rows ? (task + 1) * ROWS : p->rows;

    for (int64_t row = task * ROWS; row < end; row++)
        add_row(p->to + row * p->k, p->b + row * p->rank, p, p->scratch + worker * p->k);
    return ST_OK;
}

static status add_product(struct adapter_set *s, const struct change *c, int64_t k, int64_t first,
                          int64_t count, float *to)
{
    struct weights *const w = s->file[c->file];
    int const threads = pool_cpus();
    struct product p = {
        .to = to, .rows = count / k, .k = k, .rank = c->rank, .factor = c->factor
    };
    float *const a = malloc((size_t)(c->rank * k) * sizeof *a + 1);
    float *const b = malloc((size_t)(p.rows * c->rank) * sizeof *b + 1);
    status st = ST_OK;

    p.scratch = malloc((size_t)(threads * k) * sizeof *p.scratch + 1);
    p.a = a;
    p.b = b;
    if (!a || !b || !p.scratch)
        FAIL_OUT(ST_NOMEM, "%s: no memory for its factors", weights_at(w, c->a)->name);
    TRY_OUT(weights_read(w, c->a, 0, c->rank * k, a));
    TRY_OUT(weights_read(w, c->b, first / k * c->rank, p.rows * c->rank, b));
    if (!s->pool) TRY_OUT(pool_open(&s->pool, threads));
    TRY_OUT(pool_run(s->pool, (p.rows + ROWS - 1) / ROWS, add_rows, &p));
out:
    free(a);
    free(b);
    free(p.scratch);
    return st;
}

static status add_whole(struct adapter_set *s, const struct change *c, int64_t first, int64_t count,
                        float *to)
{
    struct weights *const w = s->file[c->file];
    float *const d = malloc((size_t)count * sizeof *d + 1);
    status st = ST_OK;

    if (!d) return fail(ST_NOMEM, "%s: no memory for it", weights_at(w, c->a)->name);
    TRY_OUT(weights_read(w, c->a, first, count, d));
    for (int64_t i = 0; i < count; i++) to[i] += c->factor * d[i];
out:
    free(d);
    return st;
}

static status apply_changes(void *arg, int tensor, int64_t k, int64_t first, int64_t count,
                            float *to)
{
    struct adapter_set *const s = arg;

    for (int i = 0; i < s->changes; i++) {
        const struct change *const c = &s->change[i];
        if (c->tensor != tensor) continue;
        TRY(c->rank ? add_product(s, c, k, first, count, to) : add_whole(s, c, first, count, to));
    }
    return ST_OK;
}

/* ---- adding one ------------------------------------------------------------------------- */

/* The set of this checkpoint, made when the first adapter comes. */
static struct adapter_set *set_of(struct weights *base)
{
    struct weight_extra *const extra = weights_extra(base);

    if (!extra->arg)
        *extra = (struct weight_extra){ .arg = calloc(1, sizeof(struct adapter_set)),
                                        .has = is_changed,
                                        .add = apply_changes,
                                        .close = close_set };
    return extra->arg;
}

status weights_add_adapter(struct weights *base, const struct weight_adapter *a)
{
    struct adding g = { .base = base, .a = a };
    status st = ST_OK;

    TRY(check_request(a));
    g.set = set_of(base);
    if (!g.set) return fail(ST_NOMEM, "%s: no memory for an adapter", a->path);
    int const before = g.set->changes;
    struct weights **const more =
        realloc(g.set->file, (size_t)(g.set->files + 1) * sizeof(struct weights *));
    if (!more) return fail(ST_NOMEM, "%s: no memory for an adapter", a->path);
    g.set->file = more;
    TRY_OUT(weights_open_as(&g.w, &(struct weights_request){ .path = a->path,
                                                             .outer_key = a->outer_key,
                                                             .family = WEIGHTS_LORA }));
    TRY_OUT(add_layers(&g));
    g.set->file[g.set->files++] = g.w;
    g.w = NULL; /* handed over */
out:
    if (st != ST_OK) g.set->changes = before;
    for (int i = 0; i < g.layers; i++) free((char *)(uintptr_t)g.layer[i].name);
    free(g.layer);
    strbuf_free(&g.wrong);
    weights_close(&g.w);
    return st;
}
