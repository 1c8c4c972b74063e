#include "pipeline/vae_net.h"

/* Frames and pixels where the layout stands. */
struct place {
    struct vae *v;
    struct arena *cache, *scratch;
    int64_t t, h, w;
};

static bool scales(enum vae_kind k) { return k != VAE_RES && k != VAE_ATTN; }

/* The spare buffer of streams of this shape; placed when the shape is new. */
static status find_spare(struct place *p, const struct tensor *like, struct tensor **out)
{
    struct vae *const v = p->v;

    for (int i = 0; i < v->spares; i++)
        if (tensor_same_shape(&v->spare[i], like)) {
            *out = &v->spare[i];
            return ST_OK;
        }
    if (v->spares == VAE_SPARES) return fail(ST_ARG, "vae: over %d stream shapes", VAE_SPARES);
    *out = &v->spare[v->spares++];
    return tensor_place(*out, p->cache, like->dtype, like->ndim, like->dim);
}

static status place_stream(struct place *p, struct vae_stream *s, int64_t channels)
{
    TRY(tensor_place(&s->past, p->cache, p->v->precision, DIMS(VAE_PAST, p->h, p->w, channels)));
    return find_spare(p, &s->past, &s->spare);
}

/* t frames of `channels` that begin where `at` does. */
static status frames_over(const struct place *p, struct tensor *out, const struct tensor *at,
                          int64_t channels)
{
    TRY(tensor_make(out, p->v->precision, DIMS(p->t, p->h, p->w, channels)));
    out->data = at->data;
    return ST_OK;
}

/* Memory for the layers from i up to the next change of size, which work in place. */
static status place_level(struct place *p, const struct vae_coder *c, int i, struct tensor *out)
{
    int64_t widest = c->layer[i].cin;

    for (; i < c->layers && !scales(c->layer[i].kind); i++)
        if (c->layer[i].cout > widest) widest = c->layer[i].cout;
    return tensor_place(out, p->scratch, p->v->precision, DIMS(p->t, p->h, p->w, widest));
}

/* From the size in front of a scaling layer to the one behind it. */
static void step(struct place *p, enum vae_kind k)
{
    bool const up = k == VAE_UP || k == VAE_UP_TIME;

    p->h = up ? p->h * 2 : p->h / 2;
    p->w = up ? p->w * 2 : p->w / 2;
    if (k == VAE_UP_TIME) p->t = 2;
    if (k == VAE_DOWN_TIME) p->t = 1;
}

static status place_scale(struct place *p, struct vae_layer *l)
{
    int64_t const h = p->h, w = p->w;

    if (l->kind == VAE_UP_TIME) TRY(place_stream(p, &l->scale.stream, l->cin));
    if (l->kind == VAE_DOWN_TIME)
        TRY(tensor_place(&l->scale.held, p->cache, p->v->precision,
                         DIMS(3, h / 2, w / 2, l->cout)));
    return ST_OK;
}

/* What outlives a layer: its frames and its streams. */
static status place_layers(struct place *p, struct vae_coder *c)
{
    struct tensor level;

    TRY(place_level(p, c, 0, &level));
    for (int i = 0; i < c->layers; i++) {
        struct vae_layer *const l = &c->layer[i];
        TRY(frames_over(p, &l->in, &level, l->cin));
        if (l->kind == VAE_RES) {
            TRY(place_stream(p, &l->res.stream[0], l->cin));
            TRY(place_stream(p, &l->res.stream[1], l->cout));
        } else if (scales(l->kind)) {
            TRY(place_scale(p, l));
            step(p, l->kind);
            TRY(place_level(p, c, i + 1, &level));
        }
        TRY(frames_over(p, &l->out, &level, l->cout));
    }
    return ST_OK;
}

/* What a layer needs only while it runs; all layers use the same memory. */
static status place_temporary(struct vae_layer *l, enum dtype dt, struct arena *a)
{
    const int64_t *const d = l->in.dim;
    struct tensor *const rows[4] = { &l->attn.tq, &l->attn.tk, &l->attn.tv, &l->attn.tmp };

    switch (l->kind) {
    case VAE_RES: return tensor_place(&l->res.mid, a, dt, l->out.ndim, l->out.dim);
    case VAE_UP_TIME: return tensor_place(&l->scale.pair, a, dt, DIMS(2, d[1], d[2], d[3]));
    case VAE_ATTN:
        for (int i = 0; i < COUNT_OF(rows); i++)
            TRY(tensor_place(rows[i], a, dt, DIMS(d[1] * d[2], d[3])));
        return ST_OK;
    default: return ST_OK;
    }
}

static status place_temporaries(struct place *p, struct vae_coder *c)
{
    size_t const mark = arena_mark(p->scratch);

    for (int i = 0; i < c->layers; i++) {
        TRY(place_temporary(&c->layer[i], p->v->precision, p->scratch));
        arena_rewind(p->scratch, mark);
    }
    return ST_OK;
}

static status layout_decoder(struct vae *v, struct arena *cache, struct arena *scratch)
{
    struct vae_coder *const c = &v->decoder;
    struct place p = { .v = v, .cache = cache, .scratch = scratch, .t = 1, .h = v->h, .w = v->w };

    TRY(place_stream(&p, &c->first_stream, VAE_CHANNELS));
    TRY(place_layers(&p, c));
    TRY(place_stream(&p, &c->last_stream, v->base));

    size_t const mark = arena_mark(scratch);
    TRY(tensor_place(&c->latent, scratch, v->precision, DIMS(v->h * v->w, VAE_CHANNELS)));
    arena_rewind(scratch, mark);
    TRY(tensor_place(&c->last_out, scratch, DT_F32, DIMS(p.t, p.h, p.w, 3)));
    arena_rewind(scratch, mark);
    return place_temporaries(&p, c);
}

static status layout_encoder(struct vae *v, struct arena *cache, struct arena *scratch)
{
    struct vae_coder *const c = &v->encoder;
    struct place p = {
        .v = v,
        .cache = cache,
        .scratch = scratch,
        .t = 2,
        .h = v->h * VAE_SCALE,
        .w = v->w * VAE_SCALE,
    };

    TRY(place_stream(&p, &c->first_stream, 3));
    TRY(place_layers(&p, c));
    TRY(place_stream(&p, &c->last_stream, 4 * v->base));

    size_t const mark = arena_mark(scratch);
    TRY(tensor_place(&c->last_out, scratch, v->precision, DIMS(1, v->h, v->w, 2 * VAE_CHANNELS)));
    TRY(tensor_place(&c->latent, scratch, DT_F32, DIMS(v->h * v->w, VAE_CHANNELS)));
    arena_rewind(scratch, mark);
    return place_temporaries(&p, c);
}

status vae_layout(struct vae *v, struct arena *cache, struct arena *scratch)
{
    v->spares = 0;
    TRY(layout_decoder(v, cache, scratch));
    if (!v->encodes) return ST_OK;
    arena_rewind(scratch, 0);
    return layout_encoder(v, cache, scratch);
}

size_t vae_staging_bytes(const struct vae *v)
{
    size_t const pixels = (size_t)(v->h * v->w);
    size_t const latent = pixels * VAE_CHANNELS * sizeof(float);
    size_t const pictures = pixels * VAE_SCALE * VAE_SCALE * 2 * 3 * dtype_size(v->precision);

    return v->encodes && pictures > latent ? pictures : latent;
}

static status forget_stream(struct vae *v, struct vae_stream *s)
{
    return kern_zero(v->ctx, &(struct kern_zero){ .out = &s->past });
}

status vae_forget(struct vae *v, struct vae_coder *c)
{
    TRY(forget_stream(v, &c->first_stream));
    TRY(forget_stream(v, &c->last_stream));
    for (int i = 0; i < c->layers; i++) {
        struct vae_layer *const l = &c->layer[i];
        if (l->kind == VAE_UP_TIME) TRY(forget_stream(v, &l->scale.stream));
        if (l->kind == VAE_DOWN_TIME) l->scale.filled = 0;
        if (l->kind != VAE_RES) continue;
        TRY(forget_stream(v, &l->res.stream[0]));
        TRY(forget_stream(v, &l->res.stream[1]));
    }
    c->running = false;
    return ST_OK;
}
