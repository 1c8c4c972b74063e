/* vae_encode.c - pictures to latents, frames in pairs behind a clip's first. */
#include "pipeline/vae/vae_internal.h"

/* t pictures [t, 8h, 8w, 3] into the first convolution. */
static status upload_pictures(struct vae *v, const float *pixels, int64_t t)
{
    struct tensor const room = vae_buffer(&v->encoder.first_stream, t);

    TRY(tensor_convert(v->staging, v->precision, pixels, DT_F32, tensor_count(&room)));
    return v->backend->upload(v->ctx, &room, v->staging);
}

status vae_encode_front(struct kern_ctx *ctx, struct vae_coder *c, int64_t t)
{
    struct tensor out = tensor_slice(&c->front_out, 0, t);

    TRY(vae_causal(ctx, &(struct vae_causal){
                            .conv = &c->first,
                            .stream = &c->first_stream,
                            .t = t,
                            .pad = 1,
                            .out = &out,
                        }));
    return vae_pass(ctx, &c->first_stream, t);
}

status vae_encode_back(struct kern_ctx *ctx, struct vae_coder *c)
{
    struct tensor const in = tensor_slice(&c->head_in, 0, 1);
    struct tensor const x = tensor_as(&c->last_out, DIMS(c->latent.dim[0], 2 * VAE_CHANNELS));

    TRY(vae_head(ctx, c, &in));
    return kern_linear(ctx, &(struct kern_linear){
                                .x = &x,
                                .w = &c->point.w,
                                .bias = &c->point.bias,
                                .out = &c->latent,
                            });
}

/* The latent to the host, normalised into [16, h, w]. */
static status download_latent(struct vae *v, float *latent)
{
    const struct vae_coder *const c = &v->encoder;
    const float *const mu = v->staging;
    int64_t const n = v->h * v->w;

    TRY(v->backend->sync(v->ctx));
    TRY(v->backend->download(v->ctx, v->staging, &c->latent));
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < VAE_CHANNELS; k++)
            latent[k * n + i] = (mu[i * VAE_CHANNELS + k] - vae_mean[k]) / vae_std[k];
    return ST_OK;
}

/* t pictures through all layers. *done: they completed a latent frame. */
static status encode_frames(struct vae *v, const float *pixels, int64_t t, float *latent,
                            bool *done)
{
    struct vae_coder *const c = &v->encoder;

    *done = false;
    TRY(upload_pictures(v, pixels, t));
    TRY(vae_encode_front(v->ctx, c, t));
    for (int i = 0; i < c->layers; i++) {
        struct vae_layer *const l = &c->layer[i];
        if (l->kind == VAE_RES) TRY(vae_run_res(v->ctx, l, t));
        else if (l->kind == VAE_ATTN) TRY(vae_run_attn(v->ctx, l));
        else TRY(vae_run_down(v->ctx, l, !c->running, &t));
        if (!t) return ST_OK;
    }
    *done = true;
    TRY(vae_encode_back(v->ctx, c));
    return download_latent(v, latent);
}

status vae_encode(struct vae *v, const float *pixels, int n, float *latents, int *frames)
{
    int64_t const picture = v->h * v->w * VAE_SCALE * VAE_SCALE * 3;
    bool const starts = !v->encoder.running;

    *frames = 0;
    if (!v->encodes) return fail(ST_ARG, "vae: opened without the encoder");
    if (n < 1 || (n - starts) % VAE_PICTURES)
        return fail(ST_ARG, "vae: %d pictures; needs %s", n,
                    starts ? "1 + 4k at the start of a clip" : "4k within a clip");
    for (int i = 0; i < n;) {
        int const t = v->encoder.running ? 2 : 1;
        bool done;
        TRY(encode_frames(v, pixels + i * picture, t, latents, &done));
        v->encoder.running = true;
        i += t;
        if (!done) continue;
        latents += VAE_CHANNELS * v->h * v->w;
        ++*frames;
    }
    return ST_OK;
}
