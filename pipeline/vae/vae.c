/*
 * vae.c - the autoencoder opened, measured, laid out and closed.
 *
 * Memory is laid out twice over arenas, measuring and real, by the same functions. Streams beside
 * one another on a rank share weights, scratch and staging of the first and own what outlives a
 * call: the causal cache and the wire.
 */
#include "pipeline/vae/vae_internal.h"

#include <stdlib.h>
#include <string.h>

static const char *const arena_names[VAE_ARENAS] = { "vae weights", "vae scratch", "vae cache",
                                                     "vae wire" };

static status check_vae_config(const struct vae_config *c)
{
    if (c->precision != DT_F32 && c->precision != DT_BF16)
        return fail(ST_ARG, "vae: computes in F32 or BF16, not in %s", dtype_name(c->precision));
    if (c->latent_h < 1 || c->latent_h > VAE_SIDE || c->latent_w < 1 || c->latent_w > VAE_SIDE)
        return fail(ST_ARG, "vae: latent of %lld x %lld; each side 1 to %d", (long long)c->latent_h,
                    (long long)c->latent_w, VAE_SIDE);
    if (c->picture_bytes < 0)
        return fail(ST_ARG, "vae: pictures of %lld bytes", (long long)c->picture_bytes);
    if (!c->part.first && !c->part.end) return ST_OK;
    if (c->part.first < 0 || c->part.end > VAE_STEPS || c->part.first >= c->part.end)
        return fail(ST_ARG, "vae: steps %d to %d of the decoder; it has 0 to %d", c->part.first,
                    c->part.end - 1, VAE_STEPS - 1);
    if (c->alone) return fail(ST_ARG, "vae: the encoder alone has no part of the decoder");
    if (c->encoder && c->part.end - c->part.first < VAE_STEPS)
        return fail(ST_ARG, "vae: the encoder needs the whole decoder");
    return ST_OK;
}

/* The checkpoint's shape, and in `list` the tensors of the ways in use. All of
 * the file is checked. */
static status read_tensors(struct vae *v, const struct weights *w, struct bind_list *list)
{
    struct bind_list all = { 0 };
    status st = vae_shape(v, w);

    if (st != ST_OK) return st;
    vae_want_decoder(v, &all);
    vae_want_encoder(v, &all);
    st = bind_check(&all, w);
    bind_free(&all);
    if (v->decodes) vae_want_range(v, list);
    if (v->encodes) vae_want_encoder(v, list);
    return st;
}

/* Arenas that measure all but the weights. */
static status measure_layout(struct vae *v, struct arena *a)
{
    for (int i = 0; i < VAE_ARENAS; i++) arena_measure(&a[i], arena_names[i]);
    return vae_layout(v, a);
}

static status measure_bytes(struct vae *v, const struct bind_list *list, struct vae_bytes *out)
{
    struct arena a[VAE_ARENAS];
    size_t kernels;

    TRY(measure_layout(v, a));
    TRY(bind_place(list, v->backend, &a[VAE_WEIGHTS]));
    TRY(vae_dry_run(&kernels, v));
    *out = (struct vae_bytes){
        .weights = a[VAE_WEIGHTS].peak,
        .scratch = a[VAE_SCRATCH].peak,
        .cache = a[VAE_CACHE].peak,
        .wire = a[VAE_WIRE].peak,
        .kernels = kernels + v->backend->context_bytes,
        .staging = vae_staging_bytes(v),
        .pinned = vae_pinned_bytes(v),
    };
    return ST_OK;
}

static status allocate_arena(struct vae *v, int arena, struct arena *a)
{
    size_t const bytes = a[arena].peak;

    TRY(v->backend->alloc(v->ctx, bytes, &v->memory[arena]));
    arena_over(&a[arena], arena_names[arena], v->memory[arena], bytes);
    return ST_OK;
}

/* Over the memory there is, as large as the arenas say. */
static status lay_out_again(struct vae *v, const struct arena *a)
{
    struct arena over[VAE_ARENAS];

    for (int i = 0; i < VAE_ARENAS; i++)
        arena_over(&over[i], arena_names[i], v->memory[i], a[i].peak);
    return vae_layout(v, over);
}

static status place_all(struct vae *v, const struct bind_list *list)
{
    struct arena a[VAE_ARENAS], weights;
    size_t const staging = vae_staging_bytes(v);
    void *pinned = NULL;
    size_t kernels;

    TRY(measure_layout(v, a));
    TRY(bind_place(list, v->backend, &a[VAE_WEIGHTS]));
    TRY(vae_dry_run(&kernels, v));
    if (v->backend->reserve) TRY(v->backend->reserve(v->ctx, kernels));
    for (int i = 0; i < VAE_ARENAS; i++) TRY(v->backend->alloc(v->ctx, a[i].peak, &v->memory[i]));
    if (staging && !(v->staging = malloc(staging)))
        return fail(ST_NOMEM, "vae: no memory for %zu bytes of staging", staging);
    if (vae_pinned_bytes(v)) TRY(v->backend->alloc_host(v->ctx, vae_pinned_bytes(v), &pinned));
    v->pinned = pinned;
    arena_over(&weights, arena_names[VAE_WEIGHTS], v->memory[VAE_WEIGHTS], a[VAE_WEIGHTS].peak);
    TRY(bind_place(list, v->backend, &weights));
    TRY(lay_out_again(v, a));
    TRY(vae_prepare(v));
    return lay_out_again(v, a);
}

static struct vae *new_vae(const struct vae_config *c)
{
    struct vae *const v = calloc(1, sizeof *v);

    if (!v) return NULL;
    v->backend = c->backend;
    v->precision = c->precision;
    v->h = c->latent_h;
    v->w = c->latent_w;
    v->encodes = c->encoder || c->alone;
    v->decodes = !c->alone;
    v->picture_bytes = c->picture_bytes;
    v->decoder.part = c->part;
    return v;
}

/* With `bytes`, measure and stop there. */
static status open_or_measure(struct vae *v, const struct vae_config *c, struct vae_bytes *bytes)
{
    struct bind_list list = { 0 };
    struct weights *w = NULL;
    status st;

    TRY_OUT(
        weights_open_as(&w, &(struct weights_request){ .path = c->path, .family = WEIGHTS_VAE }));
    TRY_OUT(read_tensors(v, w, &list));
    if (bytes) {
        TRY_OUT(measure_bytes(v, &list, bytes));
        goto out;
    }
    TRY_OUT(v->backend->open(
        &v->ctx,
        &(struct kern_config){ .threads = c->threads, .device = c->device, .strict = c->strict }));
    TRY_OUT(place_all(v, &list));
    TRY_OUT(bind_load(&list, w, v->ctx));
    TRY_OUT(vae_reset(v));
out:
    bind_free(&list);
    weights_close(&w);
    return st;
}

status vae_check(const char *path)
{
    struct vae *v = new_vae(&(struct vae_config){ .precision = DT_F32 });
    struct bind_list list = { 0 };
    struct weights *w = NULL;
    status st = ST_OK;

    if (!v) return fail(ST_NOMEM, "vae: no memory");
    TRY_OUT(weights_open_as(&w, &(struct weights_request){ .path = path, .family = WEIGHTS_VAE }));
    TRY_OUT(read_tensors(v, w, &list));
out:
    bind_free(&list);
    weights_close(&w);
    vae_close(&v);
    return st;
}

status vae_measure(struct vae_bytes *out, const struct vae_config *c)
{
    TRY(check_vae_config(c));
    struct vae *v = new_vae(c);
    if (!v) return fail(ST_NOMEM, "vae: no memory");
    status const st = open_or_measure(v, c, out);
    vae_close(&v);
    return st;
}

status vae_open(struct vae **out, const struct vae_config *c)
{
    *out = NULL;
    TRY(check_vae_config(c));
    struct vae *v = new_vae(c);
    if (!v) return fail(ST_NOMEM, "vae: no memory");
    status const st = open_or_measure(v, c, NULL);
    if (st != ST_OK) vae_close(&v);
    *out = v;
    return st;
}

/* v is a copy of `first`, whose scratch holds what v's layout takes: it is the same. */
static status place_beside(struct vae *v, const struct vae *first)
{
    struct arena a[VAE_ARENAS];

    TRY(measure_layout(v, a));
    arena_over(&a[VAE_SCRATCH], arena_names[VAE_SCRATCH], first->memory[VAE_SCRATCH],
               a[VAE_SCRATCH].peak);
    TRY(allocate_arena(v, VAE_CACHE, a));
    TRY(allocate_arena(v, VAE_WIRE, a));
    TRY(vae_layout(v, a));
    return vae_reset(v);
}

status vae_open_beside(struct vae **out, struct vae *first)
{
    struct vae *v = malloc(sizeof *v);

    *out = NULL;
    if (!v) return fail(ST_NOMEM, "vae: no memory");
    *v = *first;
    v->beside = true;
    memset(v->memory, 0, sizeof v->memory);
    status const st = place_beside(v, first);
    if (st != ST_OK) vae_close(&v);
    *out = v;
    return st;
}

void vae_close(struct vae **vae)
{
    struct vae *const v = *vae;

    if (!v) return;
    for (int i = 0; i < VAE_ARENAS; i++)
        if (v->memory[i]) v->backend->free(v->ctx, v->memory[i]);
    if (!v->beside) {
        if (v->pinned) v->backend->free_host(v->ctx, v->pinned);
        if (v->ctx) v->backend->close(&v->ctx);
        free(v->staging);
    }
    free(v);
    *vae = NULL;
}

status vae_reset(struct vae *v)
{
    v->due.bytes = 0;
    TRY(v->backend->await(v->ctx));
    if (v->decodes) TRY(vae_forget(v, &v->decoder));
    return v->encodes ? vae_forget(v, &v->encoder) : ST_OK;
}
