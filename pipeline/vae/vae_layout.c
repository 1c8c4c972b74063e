/*
 * vae_layout.c - where every tensor of the autoencoder lies.
 *
 * Layers of one resolution work in place in one piece of scratch as wide as the widest of them;
 * what a layer needs only while it runs shares one piece too. What crosses to another part lies in
 * the wire arena, which peers may write into; what outlives a call, in the cache arena.
 */
#include "pipeline/vae/vae_internal.h"

/* Frames and pixels where the layout stands. */
struct place {
    struct vae *v;
    struct arena *cache, *scratch, *wire;
    int64_t t, h, w;
};

static bool changes_size(enum vae_kind k) { return k != VAE_RES && k != VAE_ATTN; }

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
    *s = (struct vae_stream){ 0 };
    if (p->v->backend->joins) {
        TRY(tensor_place(&s->run, p->cache, p->v->precision, DIMS(VAE_RUN, p->h, p->w, channels)));
        s->past = tensor_slice(&s->run, 0, VAE_PAST);
        return ST_OK;
    }
    TRY(tensor_place(&s->past, p->cache, p->v->precision, DIMS(VAE_PAST, p->h, p->w, channels)));
    return find_spare(p, &s->past, &s->spare);
}

/* From the size in front of a scaling layer to the one behind it. */
static void step_size(struct place *p, enum vae_kind k)
{
    bool const up = k == VAE_UP || k == VAE_UP_TIME;

    p->h = up ? p->h * 2 : p->h / 2;
    p->w = up ? p->w * 2 : p->w / 2;
    if (k == VAE_UP_TIME) p->t = 2;
    if (k == VAE_DOWN_TIME) p->t = 1;
}

/* Edge e: the frames between steps e and e + 1, which front and layers count from 0. */
static int64_t edge_channels(const struct vae_coder *c, int e)
{
    return e < c->layers ? c->layer[e].cin : c->layer[e - 1].cout;
}

static bool is_part_input(const struct vae_coder *c, int e) { return e == c->part.first - 1; }
static bool is_part_output(const struct vae_coder *c, int e)
{
    return e == c->part.end - 1 && !vae_has_head(c);
}
static bool is_inside(const struct vae_coder *c, int e)
{
    return e >= c->part.first && e < c->part.end - 1;
}

/* Memory for the edges inside from e up to the next change of size: the layers between
 * them work in place. */
static status place_level(struct place *p, const struct vae_coder *c, int e, struct tensor *out)
{
    int64_t widest = edge_channels(c, e);

    for (; is_inside(c, e + 1) && !changes_size(c->layer[e].kind); e++)
        if (edge_channels(c, e + 1) > widest) widest = edge_channels(c, e + 1);
    return tensor_place(out, p->scratch, p->v->precision, DIMS(p->t, p->h, p->w, widest));
}

static status place_units(struct place *p, const struct tensor *like, struct tensor unit[2])
{
    for (int i = 0; i < 2; i++)
        TRY(tensor_place(&unit[i], p->wire, like->dtype, like->ndim, like->dim));
    return ST_OK;
}

/* *level: of the edges of this size that are already placed, or no tensor. */
static status place_edge(struct place *p, const struct vae_coder *c, int e, struct tensor *level,
                         struct tensor *out)
{
    TRY(tensor_make(out, p->v->precision, DIMS(p->t, p->h, p->w, edge_channels(c, e))));
    if (is_part_input(c, e)) TRY(place_units(p, out, p->v->inbox));
    if (is_part_output(c, e)) TRY(place_units(p, out, p->v->outbox));
    if (!is_inside(c, e)) return ST_OK;
    if (!level->ndim) TRY(place_level(p, c, e, level));
    out->data = level->data;
    return ST_OK;
}

static void set_edge(struct vae_coder *c, int e, const struct tensor *frames)
{
    *(e ? &c->layer[e - 1].out : &c->front_out) = *frames;
    *(e < c->layers ? &c->layer[e].in : &c->head_in) = *frames;
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

static status place_streams(struct place *p, struct vae_layer *l)
{
    if (l->kind == VAE_ATTN) return ST_OK;
    if (l->kind != VAE_RES) return place_scale(p, l);
    TRY(place_stream(p, &l->res.stream[0], l->cin));
    return place_stream(p, &l->res.stream[1], l->cout);
}

/* What outlives a layer: its frames and its streams. */
static status place_layers(struct place *p, struct vae_coder *c)
{
    struct tensor level = { 0 }, frames;

    for (int e = 0; e <= c->layers; e++) {
        TRY(place_edge(p, c, e, &level, &frames));
        set_edge(c, e, &frames);
        if (e == c->layers) break;
        if (e >= vae_first_layer(c) && e < vae_end_layer(c)) TRY(place_streams(p, &c->layer[e]));
        if (!changes_size(c->layer[e].kind)) continue;
        step_size(p, c->layer[e].kind);
        level = (struct tensor){ 0 };
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

    for (int i = vae_first_layer(c); i < vae_end_layer(c); i++) {
        TRY(place_temporary(&c->layer[i], p->v->precision, p->scratch));
        arena_rewind(p->scratch, mark);
    }
    return ST_OK;
}

static status layout_decoder(struct vae *v, struct place p)
{
    struct vae_coder *const c = &v->decoder;
    struct arena *const a = p.scratch;

    if (vae_has_front(c)) TRY(place_stream(&p, &c->first_stream, VAE_CHANNELS));
    TRY(place_layers(&p, c));
    if (vae_has_head(c)) TRY(place_stream(&p, &c->last_stream, v->base));

    /* Not shared with what runs while they are fetched. */
    if (vae_has_head(c)) TRY(tensor_place(&c->last_out, a, DT_F32, DIMS(p.t, p.h, p.w, 3)));
    for (int i = 0; i < 2 && vae_has_head(c) && v->picture_bytes; i++)
        TRY(tensor_place(&c->shots[i], a, DT_U8, DIMS(p.t, v->picture_bytes)));

    size_t const mark = arena_mark(a);
    if (vae_has_front(c))
        TRY(tensor_place(&c->latent, a, v->precision, DIMS(v->h * v->w, VAE_CHANNELS)));
    arena_rewind(a, mark);
    return place_temporaries(&p, c);
}

static status layout_encoder(struct vae *v, struct place p)
{
    struct vae_coder *const c = &v->encoder;
    struct arena *const a = p.scratch;

    TRY(place_stream(&p, &c->first_stream, 3));
    TRY(place_layers(&p, c));
    TRY(place_stream(&p, &c->last_stream, 4 * v->base));

    size_t const mark = arena_mark(a);
    TRY(tensor_place(&c->last_out, a, v->precision, DIMS(1, v->h, v->w, 2 * VAE_CHANNELS)));
    TRY(tensor_place(&c->latent, a, DT_F32, DIMS(v->h * v->w, VAE_CHANNELS)));
    arena_rewind(a, mark);
    return place_temporaries(&p, c);
}

status vae_layout(struct vae *v, struct arena *a)
{
    struct place p = {
        .v = v,
        .cache = &a[VAE_CACHE],
        .scratch = &a[VAE_SCRATCH],
        .wire = &a[VAE_WIRE],
        .t = 1,
        .h = v->h,
        .w = v->w,
    };

    v->spares = 0;
    if (v->decodes) TRY(layout_decoder(v, p));
    if (!vae_has_head(&v->decoder)) vae_write_outbox(v);
    if (!v->encodes) return ST_OK;
    arena_rewind(p.scratch, 0);
    p.t = 2;
    p.h *= VAE_SCALE;
    p.w *= VAE_SCALE;
    return layout_encoder(v, p);
}

size_t vae_staging_bytes(const struct vae *v)
{
    size_t const pixels = (size_t)(v->h * v->w);
    size_t const latent = vae_has_front(&v->decoder) ? pixels * VAE_CHANNELS * sizeof(float) : 0;
    size_t const pictures = pixels * VAE_SCALE * VAE_SCALE * 2 * 3 * dtype_size(v->precision);

    return v->encodes && pictures > latent ? pictures : latent;
}

size_t vae_pinned_bytes(const struct vae *v)
{
    const struct vae_coder *const c = &v->decoder;

    if (!v->decodes || !vae_has_head(c)) return 0;
    return v->picture_bytes ? 2 * tensor_bytes(&c->shots[0]) : tensor_bytes(&c->last_out);
}

void vae_read_inbox(struct vae *v, int which)
{
    struct vae_coder *const c = &v->decoder;
    int const i = c->part.first - 1;

    *(i < c->layers ? &c->layer[i].in : &c->head_in) = v->inbox[which];
}

void vae_write_outbox(struct vae *v)
{
    struct vae_coder *const c = &v->decoder;
    int const i = c->part.end - 2;

    *(i >= 0 ? &c->layer[i].out : &c->front_out) = v->outbox[v->leaving];
}

static status forget_stream(struct vae *v, struct vae_stream *s)
{
    return kern_zero(v->ctx, &(struct kern_zero){ .out = &s->past });
}

status vae_forget(struct vae *v, struct vae_coder *c)
{
    if (vae_has_front(c)) TRY(forget_stream(v, &c->first_stream));
    if (vae_has_head(c)) TRY(forget_stream(v, &c->last_stream));
    for (int i = vae_first_layer(c); i < vae_end_layer(c); i++) {
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
