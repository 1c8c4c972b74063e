/* dit.c - the transformer's tensors: named, measured, placed, loaded. */
#include "pipeline/dit/dit_internal.h"

#include <stdio.h>
#include <stdlib.h>

static void bind_vector(struct bind_list *l, struct tensor *to, int64_t n, const char *name)
{
    bind_add(l, &(struct bind_slot){ .ndim = 1, .dim = { n }, .vector = to }, "%s", name);
}

static void bind_weight(struct bind_list *l, struct dit_linear *to, enum kern_use use,
                        enum dtype act, int64_t n, int64_t k, const char *name)
{
    struct bind_slot const w = {
        .ndim = 2, .dim = { n, k }, .weight = &to->w, .use = use, .dtype = act
    };
    bind_add(l, &w, "%s.weight", name);
}

static void bind_bias(struct bind_list *l, struct dit_linear *to, int64_t n, const char *name)
{
    bind_add(l, &(struct bind_slot){ .ndim = 1, .dim = { n }, .vector = &to->bias }, "%s.bias",
             name);
}

static void bind_linear(struct bind_list *l, struct dit_linear *to, enum dtype act, int64_t n,
                        int64_t k, const char *name)
{
    bind_weight(l, to, KERN_LINEAR, act, n, k, name);
    bind_bias(l, to, n, name);
}

/* Of the layers, which are nearly all the work. */
static void bind_low_precision(struct bind_list *l, struct dit_linear *to, enum dtype act,
                               int64_t n, int64_t k, const char *name)
{
    bind_weight(l, to, KERN_LINEAR_LOW_PRECISION, act, n, k, name);
    bind_bias(l, to, n, name);
}

/* Weights q, k, v lie right behind one another, as kern_qkv likes it best. */
static void bind_attention(struct bind_list *l, struct dit_attention *to, enum dtype act, int64_t d,
                           int layer, const char *which)
{
    struct {
        struct dit_linear *to;
        const char *name;
    } const linears[] = { { &to->q, "q" }, { &to->k, "k" }, { &to->v, "v" }, { &to->o, "o" } };
    struct {
        struct tensor *to;
        const char *name;
    } const norms[] = { { &to->norm_q, "norm_q" }, { &to->norm_k, "norm_k" } };
    char name[BIND_NAME];

    for (int i = 0; i < COUNT_OF(linears); i++) {
        snprintf(name, sizeof name, "blocks.%d.%s.%s", layer, which, linears[i].name);
        bind_weight(l, linears[i].to, KERN_LINEAR_LOW_PRECISION, act, d, d, name);
    }
    for (int i = 0; i < COUNT_OF(linears); i++) {
        snprintf(name, sizeof name, "blocks.%d.%s.%s", layer, which, linears[i].name);
        bind_bias(l, linears[i].to, d, name);
    }
    for (int i = 0; i < COUNT_OF(norms); i++) {
        snprintf(name, sizeof name, "blocks.%d.%s.%s.weight", layer, which, norms[i].name);
        bind_vector(l, norms[i].to, d, name);
    }
}

static void bind_layer(struct bind_list *l, struct dit_layer *to, const struct dit *d, int layer)
{
    int64_t const dim = d->shape.dim, ffn = d->shape.ffn_dim;
    char name[BIND_NAME];

    bind_attention(l, &to->self, d->act, dim, layer, "self_attn");
    bind_attention(l, &to->cross, d->act, dim, layer, "cross_attn");
    snprintf(name, sizeof name, "blocks.%d.norm3.weight", layer);
    bind_vector(l, &to->norm3_w, dim, name);
    snprintf(name, sizeof name, "blocks.%d.norm3.bias", layer);
    bind_vector(l, &to->norm3_b, dim, name);
    snprintf(name, sizeof name, "blocks.%d.ffn.0", layer);
    bind_low_precision(l, &to->up, d->act, ffn, dim, name);
    snprintf(name, sizeof name, "blocks.%d.ffn.2", layer);
    bind_low_precision(l, &to->down, d->act, dim, ffn, name);
    bind_add(
        l, &(struct bind_slot){ .ndim = 3, .dim = { 1, DIT_MODS, dim }, .vector = &to->modulation },
        "blocks.%d.modulation", layer);
}

/* Every tensor that stays. */
static void bind_model(struct bind_list *l, struct dit *d)
{
    const struct dit_shape *const s = &d->shape;
    struct bind_slot const patch = {
        .ndim = 5,
        .dim = { s->dim, s->channels, 1, 2, 2 },
        .weight = &d->patch.w,
        .use = KERN_LINEAR,
        .dtype = d->act,
    };

    bind_add(l, &patch, "patch_embedding.weight");
    bind_vector(l, &d->patch.bias, s->dim, "patch_embedding.bias");
    bind_linear(l, &d->text_in, d->act, s->dim, s->text_dim, "text_embedding.0");
    bind_linear(l, &d->text_out, d->act, s->dim, s->dim, "text_embedding.2");
    for (int i = 0; i < s->layers; i++) bind_layer(l, &d->layer[i], d, i);
    bind_linear(l, &d->head, d->act, 4 * s->channels, s->dim, "head.head");
    bind_add(
        l, &(struct bind_slot){ .ndim = 3, .dim = { 1, 2, s->dim }, .vector = &d->head_modulation },
        "head.modulation");
}

static void bind_time(struct bind_list *l, struct dit_time *t, const struct dit_shape *s)
{
    bind_linear(l, &t->in, DT_F32, s->dim, s->freq_dim, "time_embedding.0");
    bind_linear(l, &t->out, DT_F32, s->dim, s->dim, "time_embedding.2");
    bind_linear(l, &t->project, DT_F32, (int64_t)DIT_MODS * s->dim, s->dim, "time_projection.1");
}

static status place_model(struct dit *d, const struct bind_list *l,
                          const struct kern_backend *backend, struct arena *a)
{
    int64_t const rows = (int64_t)d->shape.layers * d->levels * DIT_MODS;

    TRY(bind_place(l, backend, a));
    TRY(tensor_place(&d->layer_mod, a, DT_F32, DIMS(rows, d->shape.dim)));
    return tensor_place(&d->head_mod, a, DT_F32, DIMS((int64_t)d->levels * 2, d->shape.dim));
}

static status new_dit(struct dit **out, const struct dit_config *c)
{
    struct dit *const d = calloc(1, sizeof *d);

    *out = NULL;
    if (!d) return fail(ST_NOMEM, "transformer: no memory");
    d->shape = c->shape;
    d->act = c->act;
    d->levels = c->schedule->entries + 1;
    d->layer = calloc((size_t)c->shape.layers, sizeof *d->layer);
    if (!d->layer) {
        free(d);
        return fail(ST_NOMEM, "transformer: no memory for %d layers", c->shape.layers);
    }
    *out = d;
    return ST_OK;
}

/* Place over measured memory of the backend, then read from the file. */
static status load_weights(struct dit *d, const struct bind_list *l, struct weights *w)
{
    const struct kern_backend *const backend = d->ctx->backend;
    struct arena a;

    arena_measure(&a, "weights");
    TRY(place_model(d, l, backend, &a));
    TRY(backend->alloc(d->ctx, a.used, &d->memory));
    arena_over(&a, "weights", d->memory, a.used);
    TRY(place_model(d, l, backend, &a));
    return bind_load(l, w, d->ctx);
}

static status load_time(struct dit *d, const struct dit_config *c, struct weights *w)
{
    const struct kern_backend *const backend = d->ctx->backend;
    struct bind_list l = { 0 };
    struct dit_time t = { 0 };
    struct arena a;
    void *memory = NULL;
    status st = ST_OK;

    bind_time(&l, &t, &d->shape);
    arena_measure(&a, "time network");
    TRY_OUT(bind_place(&l, backend, &a));
    TRY_OUT(backend->alloc(d->ctx, a.used, &memory));
    arena_over(&a, "time network", memory, a.used);
    TRY_OUT(bind_place(&l, backend, &a));
    TRY_OUT(bind_load(&l, w, d->ctx));
    TRY_OUT(dit_modulate(d, &t, c->schedule));
out:
    if (memory) backend->free(d->ctx, memory);
    bind_free(&l);
    return st;
}

/* More layers than the shape has would be left out without a word. */
static status check_layers(const struct weights *w, const struct dit_shape *s)
{
    char name[BIND_NAME];

    snprintf(name, sizeof name, "blocks.%d.modulation", s->layers);
    if (weights_find(w, name) < 0) return ST_OK;
    return fail(ST_FORMAT, "%s: has more than the %d layers of config.json: %s", weights_path(w),
                s->layers, name);
}

/* The files, with all that is wanted of them there. */
static status open_weights(struct weights **w, struct dit *d, const struct dit_config *c)
{
    struct bind_list all = { 0 };
    struct dit_time time = { 0 };
    status st = ST_OK;

    TRY(weights_open_as(w, &(struct weights_request){ .path = c->weights,
                                                      .outer_key = c->outer_key,
                                                      .family = WEIGHTS_DIT }));
    bind_model(&all, d);
    bind_time(&all, &time, &d->shape);
    TRY_OUT(bind_check(&all, *w));
    TRY_OUT(check_layers(*w, &d->shape));
    for (int i = 0; i < c->adapters; i++) TRY_OUT(weights_add_adapter(*w, &c->adapter[i]));
out:
    bind_free(&all);
    return st;
}

status dit_open(struct dit **out, const struct dit_config *c, struct kern_ctx *ctx)
{
    struct bind_list l = { 0 };
    struct weights *w = NULL;
    struct dit *d = NULL;
    status st = ST_OK;

    *out = NULL;
    TRY(new_dit(&d, c));
    d->ctx = ctx;
    TRY_OUT(open_weights(&w, d, c));
    bind_model(&l, d);
    TRY_OUT(load_weights(d, &l, w));
    TRY_OUT(load_time(d, c, w));
    *out = d;
    d = NULL; /* handed over */
out:
    bind_free(&l);
    weights_close(&w);
    dit_close(&d);
    return st;
}

status dit_check(const struct dit_config *c)
{
    struct weights *w = NULL;
    struct dit *d = NULL;
    status st = ST_OK;

    TRY(new_dit(&d, c));
    TRY_OUT(open_weights(&w, d, c));
out:
    weights_close(&w);
    dit_close(&d);
    return st;
}

status dit_measure(size_t *bytes, struct dit **hollow, const struct dit_config *c,
                   const struct kern_backend *backend)
{
    struct bind_list l = { 0 };
    struct dit *d = NULL;
    struct arena a;
    status st = ST_OK;

    if (hollow) *hollow = NULL;
    TRY(new_dit(&d, c));
    bind_model(&l, d);
    arena_measure(&a, "weights");
    TRY_OUT(place_model(d, &l, backend, &a));
    *bytes = a.used;
    if (!hollow) goto out;
    *hollow = d;
    d = NULL; /* handed over */
out:
    bind_free(&l);
    dit_close(&d);
    return st;
}

void dit_close(struct dit **dit)
{
    struct dit *const d = *dit;

    if (!d) return;
    if (d->memory) d->ctx->backend->free(d->ctx, d->memory);
    free(d->layer);
    free(d);
    *dit = NULL;
}

const struct dit_shape *dit_shape_of(const struct dit *d) { return &d->shape; }
enum dtype dit_act(const struct dit *d) { return d->act; }
