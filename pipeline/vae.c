#include "pipeline/vae_net.h"

#include <stdlib.h>

enum { WEIGHTS, CACHE, SCRATCH, ARENAS };

static const char *const arena_names[ARENAS] = { "vae weights", "vae cache", "vae scratch" };

static status check_config(const struct vae_config *c)
{
    if (c->precision != DT_F32 && c->precision != DT_BF16)
        return fail(ST_ARG, "vae: computes in F32 or BF16, not in %s", dtype_name(c->precision));
    if (c->latent_h < 1 || c->latent_h > VAE_SIDE || c->latent_w < 1 || c->latent_w > VAE_SIDE)
        return fail(ST_ARG, "vae: latent of %lld x %lld; each side 1 to %d", (long long)c->latent_h,
                    (long long)c->latent_w, VAE_SIDE);
    return ST_OK;
}

/* The checkpoint's shape, and in `list` the tensors of the ways in use. All of
 * the file is checked. */
static status read_shape(struct vae *v, const struct weights *w, struct bind_list *list)
{
    struct bind_list all = { 0 };
    status st = vae_shape(v, w);

    if (st != ST_OK) return st;
    vae_want_decoder(v, &all);
    vae_want_encoder(v, &all);
    st = bind_check(&all, w);
    bind_free(&all);
    vae_want_decoder(v, list);
    if (v->encodes) vae_want_encoder(v, list);
    return st;
}

static status lay_out(struct vae *v, const struct bind_list *list, struct arena *a)
{
    TRY(bind_place(list, v->backend, &a[WEIGHTS]));
    return vae_layout(v, &a[CACHE], &a[SCRATCH]);
}

static status measure(struct vae *v, const struct bind_list *list, struct vae_bytes *out)
{
    struct arena a[ARENAS];

    for (int i = 0; i < ARENAS; i++) arena_measure(&a[i], arena_names[i]);
    TRY(lay_out(v, list, a));
    *out = (struct vae_bytes){
        .weights = a[WEIGHTS].peak,
        .cache = a[CACHE].peak,
        .scratch = a[SCRATCH].peak,
        .staging = vae_staging_bytes(v),
    };
    return ST_OK;
}

static status allocate(struct vae *v, const struct bind_list *list)
{
    struct vae_bytes need;
    struct arena a[ARENAS];

    TRY(measure(v, list, &need));
    size_t const bytes[ARENAS] = { need.weights, need.cache, need.scratch };
    for (int i = 0; i < ARENAS; i++) {
        TRY(v->backend->alloc(v->ctx, bytes[i], &v->memory[i]));
        arena_over(&a[i], arena_names[i], v->memory[i], bytes[i]);
    }
    v->staging = malloc(need.staging);
    if (!v->staging) return fail(ST_NOMEM, "vae: %zu bytes of staging", need.staging);
    return lay_out(v, list, a);
}

static struct vae *from_config(const struct vae_config *c)
{
    struct vae *const v = calloc(1, sizeof *v);

    if (!v) return NULL;
    v->backend = c->backend;
    v->precision = c->precision;
    v->h = c->latent_h;
    v->w = c->latent_w;
    v->encodes = c->encoder;
    return v;
}

/* With `bytes`, measure and stop there. */
static status open_or_measure(struct vae *v, const struct vae_config *c, struct vae_bytes *bytes)
{
    struct bind_list list = { 0 };
    struct weights *w = NULL;
    status st;

    TRY_OUT(weights_open(&w, c->path, NULL));
    TRY_OUT(read_shape(v, w, &list));
    if (bytes) {
        TRY_OUT(measure(v, &list, bytes));
        goto out;
    }
    TRY_OUT(v->backend->open(&v->ctx, c->threads));
    TRY_OUT(allocate(v, &list));
    TRY_OUT(bind_load(&list, w, v->ctx));
    TRY_OUT(vae_reset(v));
out:
    bind_free(&list);
    weights_close(&w);
    return st;
}

status vae_measure(struct vae_bytes *out, const struct vae_config *c)
{
    TRY(check_config(c));
    struct vae *v = from_config(c);
    if (!v) return fail(ST_NOMEM, "vae: no memory");
    status const st = open_or_measure(v, c, out);
    vae_close(&v);
    return st;
}

status vae_open(struct vae **out, const struct vae_config *c)
{
    *out = NULL;
    TRY(check_config(c));
    struct vae *v = from_config(c);
    if (!v) return fail(ST_NOMEM, "vae: no memory");
    status const st = open_or_measure(v, c, NULL);
    if (st != ST_OK) vae_close(&v);
    *out = v;
    return st;
}

void vae_close(struct vae **v)
{
    if (!*v) return;
    for (int i = 0; i < ARENAS; i++)
        if ((*v)->memory[i]) (*v)->backend->free((*v)->ctx, (*v)->memory[i]);
    if ((*v)->ctx) (*v)->backend->close(&(*v)->ctx);
    free((*v)->staging);
    free(*v);
    *v = NULL;
}

status vae_reset(struct vae *v)
{
    TRY(vae_forget(v, &v->decoder));
    return v->encodes ? vae_forget(v, &v->encoder) : ST_OK;
}
