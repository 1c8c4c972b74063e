/* vae_net.c - the network of the release: its layers, and the names of their tensors. */
#include "pipeline/vae/vae_internal.h"

#include <stdio.h>

const float vae_mean[VAE_CHANNELS] = {
    -0.7571f, -0.7089f, -0.9113f, 0.1075f,  -0.1745f, 0.9653f,  -0.1517f, 1.5508f,
    0.4134f,  -0.0715f, 0.5517f,  -0.3632f, -0.1922f, -0.9497f, 0.2503f,  -0.2921f,
};
const float vae_std[VAE_CHANNELS] = {
    2.8184f, 1.4541f, 2.3275f, 2.6558f, 1.2196f, 1.7708f, 2.6052f, 2.0743f,
    3.2687f, 2.1526f, 2.8652f, 1.5579f, 1.6382f, 1.1253f, 2.8251f, 1.9160f,
};

static const struct vae_row encoder_rows[] = {
    { "encoder.downsamples.0", VAE_RES, 1, 1 },
    { "encoder.downsamples.1", VAE_RES, 1, 1 },
    { "encoder.downsamples.2", VAE_DOWN, 1, 1 },
    { "encoder.downsamples.3", VAE_RES, 1, 2 },
    { "encoder.downsamples.4", VAE_RES, 2, 2 },
    { "encoder.downsamples.5", VAE_DOWN_TIME, 2, 2 },
    { "encoder.downsamples.6", VAE_RES, 2, 4 },
    { "encoder.downsamples.7", VAE_RES, 4, 4 },
    { "encoder.downsamples.8", VAE_DOWN_TIME, 4, 4 },
    { "encoder.downsamples.9", VAE_RES, 4, 4 },
    { "encoder.downsamples.10", VAE_RES, 4, 4 },
    { "encoder.middle.0", VAE_RES, 4, 4 },
    { "encoder.middle.1", VAE_ATTN, 4, 4 },
    { "encoder.middle.2", VAE_RES, 4, 4 },
};

_Static_assert(COUNT_OF(encoder_rows) <= VAE_LAYERS, "encoder layers");

static void set_layers(struct vae_coder *c, const struct vae_row *row, int count, int64_t base)
{
    for (int i = 0; i < count; i++) {
        c->layer[i].name = row[i].name;
        c->layer[i].kind = row[i].kind;
        c->layer[i].cin = row[i].in * base;
        c->layer[i].cout = row[i].out * base;
    }
    c->layers = count;
    if (!c->part.end) c->part.end = count + 2;
}

static status read_base(int64_t *base, const struct weights *w)
{
    static const char name[] = "decoder.conv1.weight";
    int const i = weights_find(w, name);

    if (i < 0)
        return fail(ST_FORMAT, "%s: no %s, which a Wan2.1 VAE has; %s", weights_path(w), name,
                    bind_guess(w));
    const struct weight_info *const t = weights_at(w, i);
    if (t->ndim != 5 || t->dim[0] < 4 || t->dim[0] % 4) {
        char shape[WEIGHT_SHAPE];
        return fail(ST_FORMAT, "%s: %s is %s; needs [4 * base width, %d, 3, 3, 3]", weights_path(w),
                    name, weight_shape(t, shape), VAE_CHANNELS);
    }
    *base = t->dim[0] / 4;
    return ST_OK;
}

status vae_base(int64_t *base, const char *path)
{
    struct weights *w = NULL;
    status st;

    TRY_OUT(weights_open_as(&w, &(struct weights_request){ .path = path, .family = WEIGHTS_VAE }));
    TRY_OUT(read_base(base, w));
out:
    weights_close(&w);
    return st;
}

status vae_shape(struct vae *v, const struct weights *w)
{
    TRY(read_base(&v->base, w));
    set_layers(&v->decoder, vae_decoder_rows, VAE_LAYERS, v->base);
    set_layers(&v->encoder, encoder_rows, COUNT_OF(encoder_rows), v->base);
    return ST_OK;
}

/* NAME.weight and NAME.bias, or some rows of both. `like` has the weight's shape
 * in the file and the rows. */
static void want_conv(struct bind_list *l, struct vae_conv *c, struct bind_slot like,
                      enum kern_use use, const char *name)
{
    struct bind_slot bias = {
        .ndim = 1,
        .dim = { like.dim[0] },
        .first_row = like.first_row,
        .rows = like.rows,
        .vector = &c->bias,
    };

    like.weight = &c->w;
    like.use = use;
    bind_add(l, &like, "%s.weight", name);
    bind_add(l, &bias, "%s.bias", name);
}

static void want_gamma(struct bind_list *l, struct tensor *gamma, int64_t channels, int ndim,
                       const char *name)
{
    bind_add(l, &(struct bind_slot){ .ndim = ndim, .dim = { channels, 1, 1, 1 }, .vector = gamma },
             "%s.gamma", name);
}

static const char *name_under(char out[BIND_NAME], const char *name, const char *part)
{
    snprintf(out, BIND_NAME, "%s.%s", name, part);
    return out;
}

static void want_res(struct bind_list *l, struct vae_layer *y, enum dtype dt)
{
    int64_t const in = y->cin, out = y->cout;
    struct bind_slot const conv[2] = {
        { .ndim = 5, .dim = { out, in, 3, 3, 3 }, .dtype = dt },
        { .ndim = 5, .dim = { out, out, 3, 3, 3 }, .dtype = dt },
    };
    struct bind_slot const shortcut = { .ndim = 5, .dim = { out, in, 1, 1, 1 }, .dtype = dt };
    char n[BIND_NAME];

    want_gamma(l, &y->res.gamma[0], in, 4, name_under(n, y->name, "residual.0"));
    want_conv(l, &y->res.conv[0], conv[0], KERN_CONV, name_under(n, y->name, "residual.2"));
    want_gamma(l, &y->res.gamma[1], out, 4, name_under(n, y->name, "residual.3"));
    want_conv(l, &y->res.conv[1], conv[1], KERN_CONV, name_under(n, y->name, "residual.6"));
    if (in != out)
        want_conv(l, &y->res.shortcut, shortcut, KERN_LINEAR, name_under(n, y->name, "shortcut"));
}

static void want_attn(struct bind_list *l, struct vae_layer *y, enum dtype dt)
{
    int64_t const c = y->cin;
    struct vae_conv *const part[3] = { &y->attn.q, &y->attn.k, &y->attn.v };
    struct bind_slot const proj = { .ndim = 4, .dim = { c, c, 1, 1 }, .dtype = dt };
    char n[BIND_NAME];

    want_gamma(l, &y->attn.gamma, c, 3, name_under(n, y->name, "norm"));
    for (int i = 0; i < 3; i++) {
        struct bind_slot const qkv = {
            .ndim = 4,
            .dim = { 3 * c, c, 1, 1 },
            .first_row = i * c,
            .rows = c,
            .dtype = dt,
        };
        want_conv(l, part[i], qkv, KERN_LINEAR, name_under(n, y->name, "to_qkv"));
    }
    want_conv(l, &y->attn.proj, proj, KERN_CONV, name_under(n, y->name, "proj"));
}

static void want_scale(struct bind_list *l, struct vae_layer *y, enum dtype dt)
{
    struct bind_slot const space = {
        .ndim = 4,
        .dim = { y->cout, y->cin, 3, 3 },
        .dtype = dt,
    };
    bool const doubles = y->kind == VAE_UP || y->kind == VAE_UP_TIME;
    char n[BIND_NAME];

    want_conv(l, &y->scale.space, space, doubles ? KERN_CONV_DOUBLED : KERN_CONV,
              name_under(n, y->name, "resample.1"));
    if (y->kind == VAE_UP || y->kind == VAE_DOWN) return;

    int const halves = y->kind == VAE_UP_TIME ? 2 : 1;
    int64_t const c = y->kind == VAE_UP_TIME ? y->cin : y->cout;
    for (int i = 0; i < halves; i++) {
        struct bind_slot const time = {
            .ndim = 5,
            .dim = { halves * c, c, 3, 1, 1 },
            .first_row = i * c,
            .rows = c,
            .dtype = dt,
        };
        want_conv(l, &y->scale.time[i], time, KERN_CONV, name_under(n, y->name, "time_conv"));
    }
}

static void want_layers(struct bind_list *l, struct vae_coder *c, int i, int end, enum dtype dt)
{
    for (; i < end; i++) {
        struct vae_layer *const y = &c->layer[i];
        if (y->kind == VAE_RES) want_res(l, y, dt);
        else if (y->kind == VAE_ATTN) want_attn(l, y, dt);
        else want_scale(l, y, dt);
    }
}

static void want_front(struct vae *v, struct bind_list *l)
{
    enum dtype const dt = v->precision;
    int64_t const b = v->base, z = VAE_CHANNELS;
    struct bind_slot const point = { .ndim = 5, .dim = { z, z, 1, 1, 1 }, .dtype = dt };
    struct bind_slot const first = { .ndim = 5, .dim = { 4 * b, z, 3, 3, 3 }, .dtype = dt };

    want_conv(l, &v->decoder.point, point, KERN_LINEAR, "conv2");
    want_conv(l, &v->decoder.first, first, KERN_CONV, "decoder.conv1");
}

static void want_head(struct vae *v, struct bind_list *l)
{
    int64_t const b = v->base;
    struct bind_slot const last = { .ndim = 5, .dim = { 3, b, 3, 3, 3 }, .dtype = v->precision };

    want_gamma(l, &v->decoder.last_gamma, b, 4, "decoder.head.0");
    want_conv(l, &v->decoder.last, last, KERN_CONV, "decoder.head.2");
}

void vae_want_decoder(struct vae *v, struct bind_list *l)
{
    want_front(v, l);
    want_layers(l, &v->decoder, 0, VAE_LAYERS, v->precision);
    want_head(v, l);
}

void vae_want_range(struct vae *v, struct bind_list *l)
{
    struct vae_coder *const c = &v->decoder;

    if (vae_has_front(c)) want_front(v, l);
    want_layers(l, c, vae_first_layer(c), vae_end_layer(c), v->precision);
    if (vae_has_head(c)) want_head(v, l);
}

void vae_want_encoder(struct vae *v, struct bind_list *l)
{
    enum dtype const dt = v->precision;
    int64_t const b = v->base, z = VAE_CHANNELS;
    struct vae_coder *const c = &v->encoder;
    struct bind_slot const first = { .ndim = 5, .dim = { b, 3, 3, 3, 3 }, .dtype = dt };
    struct bind_slot const last = { .ndim = 5, .dim = { 2 * z, 4 * b, 3, 3, 3 }, .dtype = dt };
    struct bind_slot const means = {
        .ndim = 5,
        .dim = { 2 * z, 2 * z, 1, 1, 1 },
        .rows = z,
        .dtype = dt,
    };

    want_conv(l, &c->first, first, KERN_CONV, "encoder.conv1");
    want_layers(l, c, 0, c->layers, dt);
    want_gamma(l, &c->last_gamma, 4 * b, 4, "encoder.head.0");
    want_conv(l, &c->last, last, KERN_CONV, "encoder.head.2");
    want_conv(l, &c->point, means, KERN_LINEAR, "conv1");
}
