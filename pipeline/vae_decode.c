#include "pipeline/vae_net.h"

/* One latent frame [16, h, w] -> decoder's latent [h*w, 16], denormalised. */
static status upload_latent(struct vae *v, const float *latent)
{
    struct tensor host = v->decoder.latent;
    int64_t const n = v->h * v->w;

    host.data = v->staging;
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < VAE_CHANNELS; c++)
            tensor_put(&host, i * VAE_CHANNELS + c, latent[c * n + i] * vae_std[c] + vae_mean[c]);
    return v->backend->upload(v->ctx, &v->decoder.latent, host.data);
}

/* conv2 and the decoder's first convolution. */
static status decode_front(struct vae *v)
{
    struct vae_coder *const c = &v->decoder;
    struct tensor const room = vae_room(&c->first_stream, 1);
    struct tensor z = tensor_as(&room, DIMS(v->h * v->w, VAE_CHANNELS));

    TRY(kern_linear(v->ctx, &(struct kern_linear){
                                .x = &c->latent,
                                .w = &c->point.w,
                                .bias = &c->point.bias,
                                .out = &z,
                            }));
    TRY(vae_causal(v->ctx, &(struct vae_causal){
                               .conv = &c->first,
                               .stream = &c->first_stream,
                               .t = 1,
                               .pad = 1,
                               .out = &c->layer[0].in,
                           }));
    return vae_pass(v->ctx, &c->first_stream, 1);
}

/* Head, download, clamp. *pixels moves on behind the t pictures. */
static status decode_back(struct vae *v, int64_t t, float **pixels)
{
    struct vae_coder *const c = &v->decoder;
    struct tensor const in = tensor_slice(&c->layer[c->layers - 1].out, 0, t);
    struct tensor const out = tensor_slice(&c->last_out, 0, t);
    float *const p = *pixels;

    TRY(vae_head(v->ctx, c, &in));
    TRY(v->backend->sync(v->ctx));
    TRY(v->backend->download(v->ctx, p, &out));
    for (int64_t i = 0; i < tensor_count(&out); i++) {
        if (!(p[i] == p[i]))
            return fail(ST_MISMATCH, "vae: value %lld of a picture is not a number", (long long)i);
        p[i] = p[i] < -1 ? -1 : p[i] > 1 ? 1 : p[i];
    }
    *pixels = p + tensor_count(&out);
    return ST_OK;
}

/* Layers i.. and the head, on t frames. Where a frame becomes two, each pair goes
 * all the way before the next one is made. */
static status decode_from(struct vae *v, int i, int64_t t, float **pixels)
{
    struct vae_coder *const c = &v->decoder;

    for (; i < c->layers; i++) {
        struct vae_layer *const l = &c->layer[i];
        if (l->kind == VAE_UP_TIME && c->running) {
            for (int64_t f = 0; f < t; f++) {
                TRY(vae_run_up_time(v->ctx, l, f));
                TRY(decode_from(v, i + 1, 2, pixels));
            }
            return ST_OK;
        }
        if (l->kind == VAE_RES) TRY(vae_run_res(v->ctx, l, t));
        else if (l->kind == VAE_ATTN) TRY(vae_run_attn(v->ctx, l));
        else TRY(vae_run_up(v->ctx, l, t));
    }
    return decode_back(v, t, pixels);
}

status vae_decode(struct vae *v, const float *latents, int n, float *pixels, int *pictures)
{
    int64_t const latent = VAE_CHANNELS * v->h * v->w;

    *pictures = 0;
    for (int i = 0; i < n; i++) {
        TRY(upload_latent(v, latents + i * latent));
        TRY(decode_front(v));
        TRY(decode_from(v, 0, 1, &pixels));
        *pictures += v->decoder.running ? VAE_PICTURES : 1;
        v->decoder.running = true;
    }
    return ST_OK;
}
