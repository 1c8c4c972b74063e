/*
 * vae_decode.c - latents or units in, pictures or units out, frame by frame.
 *
 * Pictures reach the caller late: those of one turn are copied out while the next are computed
 * (`due` in struct vae), and the last of a call before it returns.
 */
#include "pipeline/vae/vae_internal.h"

#include <string.h>

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

status vae_decode_front(struct kern_ctx *ctx, struct vae_coder *c)
{
    struct tensor const room = vae_buffer(&c->first_stream, 1);
    struct tensor z = tensor_as(&room, DIMS(c->latent.dim[0], VAE_CHANNELS));

    TRY(kern_linear(ctx, &(struct kern_linear){
                             .x = &c->latent,
                             .w = &c->point.w,
                             .bias = &c->point.bias,
                             .out = &z,
                         }));
    TRY(vae_causal(ctx, &(struct vae_causal){
                            .conv = &c->first,
                            .stream = &c->first_stream,
                            .t = 1,
                            .pad = 1,
                            .out = &c->front_out,
                        }));
    return vae_pass(ctx, &c->first_stream, 1);
}

static status put_floats(float *to, const float *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!(from[i] == from[i]))
            return fail(ST_MISMATCH, "vae: value %lld of a frame is not a number", (long long)i);
        to[i] = from[i] < -1 ? -1 : from[i] > 1 ? 1 : from[i];
    }
    return ST_OK;
}

/* The pictures that are due, once their fetch is through. Floats are clamped. */
static status put_due(struct vae *v)
{
    size_t const bytes = v->due.bytes;

    v->due.bytes = 0;
    if (!v->picture_bytes) return put_floats(v->due.to, v->due.from, bytes / sizeof(float));
    if (bytes) memcpy(v->due.to, v->due.from, bytes);
    return ST_OK;
}

static status finish_due(struct vae *v)
{
    if (v->due.bytes) TRY(v->backend->await(v->ctx));
    return put_due(v);
}

static struct pixels_layout layout_for(const struct vae *v, unsigned formats)
{
    return pixels_layout((int)(v->w * VAE_SCALE), (int)(v->h * VAE_SCALE), formats);
}

/* Pictures as they leave: [t, bytes of one], in this turn's shots. */
static status convert_to_bytes(struct vae *v, unsigned formats, struct tensor *pictures)
{
    struct tensor shots;

    TRY(tensor_make(&shots, DT_U8, DIMS(pictures->dim[0], layout_for(v, formats).bytes)));
    shots.data = v->decoder.shots[v->turn].data;
    TRY(kern_pictures(
        v->ctx, &(struct kern_pictures){ .pixels = pictures, .formats = formats, .out = &shots }));
    *pictures = shots;
    return ST_OK;
}

/* By now all layers of these frames are queued. As floats, those before are settled while
 * they run, for these are made where those are fetched from. As bytes there are two of all
 * that is on the way: these are made while those before are fetched, and fetched while those
 * before get to where they are due. */
static status fetch_pictures(struct vae *v, int64_t t, struct vae_out *o)
{
    struct vae_coder *const c = &v->decoder;
    bool const bytes = v->picture_bytes > 0;
    struct tensor const in = tensor_slice(&c->head_in, 0, t);
    struct tensor out = tensor_slice(&c->last_out, 0, t);
    unsigned char *const pinned = v->pinned + (size_t)v->turn * tensor_bytes(&c->shots[0]);

    if (!bytes) TRY(finish_due(v));
    TRY(vae_head(v->ctx, c, &in));
    if (bytes) TRY(convert_to_bytes(v, o->formats, &out));
    TRY(v->backend->await(v->ctx));
    TRY(v->backend->fetch(v->ctx, pinned, &out));
    TRY(put_due(v));
    v->due.from = pinned;
    v->due.bytes = tensor_bytes(&out);
    v->due.to = (unsigned char *)o->pixels + (size_t)o->pictures * (v->due.bytes / (size_t)t);
    if (bytes) v->turn = !v->turn;
    o->pictures += (int)t;
    return ST_OK;
}

/* t frames to the next part; the frames behind them go to the other outbox. */
static status hand_over_unit(struct vae *v, int64_t t, struct vae_out *o)
{
    struct tensor const unit = tensor_slice(&v->outbox[v->leaving], 0, t);

    TRY(v->backend->sync(v->ctx));
    v->leaving = !v->leaving;
    vae_write_outbox(v);
    return o->unit(o->arg, &unit);
}

/* Layers i.. of the part, and what is behind them, on t frames. Where a frame becomes
 * two, each pair goes all the way before the next one is made. */
static status decode_from(struct vae *v, int i, int64_t t, struct vae_out *o)
{
    struct vae_coder *const c = &v->decoder;

    for (; i < vae_end_layer(c); i++) {
        struct vae_layer *const l = &c->layer[i];
        if (l->kind == VAE_UP_TIME && c->running) {
            for (int64_t f = 0; f < t; f++) {
                TRY(vae_run_up_time(v->ctx, l, f));
                TRY(decode_from(v, i + 1, 2, o));
            }
            return ST_OK;
        }
        if (l->kind == VAE_RES) TRY(vae_run_res(v->ctx, l, t));
        else if (l->kind == VAE_ATTN) TRY(vae_run_attn(v->ctx, l));
        else TRY(vae_run_up(v->ctx, l, t));
    }
    return o->unit ? hand_over_unit(v, t, o) : fetch_pictures(v, t, o);
}

static status decode_latent(struct vae *v, const float *latent, struct vae_out *o)
{
    TRY(upload_latent(v, latent));
    TRY(vae_decode_front(v->ctx, &v->decoder));
    TRY(decode_from(v, 0, 1, o));
    v->decoder.running = true;
    return ST_OK;
}

static status fail_part(const struct vae *v, const char *call)
{
    return fail(ST_ARG, "vae: %s, but this part has steps %d to %d of %d", call,
                v->decoder.part.first, v->decoder.part.end - 1, VAE_STEPS);
}

static status check_bytes(const struct vae *v, unsigned formats)
{
    int64_t const need = layout_for(v, formats).bytes;

    if (need <= v->picture_bytes) return ST_OK;
    return fail(ST_ARG, "vae: pictures of %lld bytes; it was opened for %lld", (long long)need,
                (long long)v->picture_bytes);
}

static status check_outputs(const struct vae *v, const struct vae_out *o)
{
    if (!vae_has_head(&v->decoder))
        return o->unit && !o->pixels ? ST_OK : fail_part(v, "out without units");
    if (!o->pixels || o->unit) return fail_part(v, "out without pixels");
    return v->picture_bytes ? check_bytes(v, o->formats) : ST_OK;
}

status vae_decode_latents(struct vae *v, const float *latents, int n, struct vae_out *out)
{
    int64_t const latent = VAE_CHANNELS * v->h * v->w;

    if (!v->decodes) return fail(ST_ARG, "vae: opened without the decoder");
    if (!vae_has_front(&v->decoder)) return fail_part(v, "a latent");
    TRY(check_outputs(v, out));
    out->pictures = 0;
    for (int i = 0; i < n; i++) TRY(decode_latent(v, latents + i * latent, out));
    return finish_due(v);
}

struct tensor vae_inbox(const struct vae *v, int which, bool first)
{
    if (vae_has_front(&v->decoder)) return (struct tensor){ 0 };
    return tensor_slice(&v->inbox[which], 0, first ? 1 : v->inbox[which].dim[0]);
}

const struct memory *vae_memory(const struct vae *v) { return v->ctx->memory; }

status vae_decode_unit(struct vae *v, int which, struct vae_out *out)
{
    struct vae_coder *const c = &v->decoder;

    if (vae_has_front(c)) return fail_part(v, "a unit");
    TRY(check_outputs(v, out));
    out->pictures = 0;
    vae_read_inbox(v, which);
    TRY(decode_from(v, vae_first_layer(c), c->running ? v->inbox[which].dim[0] : 1, out));
    c->running = true;
    return finish_due(v);
}

status vae_decode(struct vae *v, const float *latents, int n, float *pixels, int *pictures)
{
    struct vae_out out = { .pixels = pixels };

    *pictures = 0;
    if (!vae_has_front(&v->decoder) || !vae_has_head(&v->decoder))
        return fail_part(v, "all of the decoder");
    if (v->picture_bytes) return fail(ST_ARG, "vae: floats; it was opened for bytes");
    TRY(vae_decode_latents(v, latents, n, &out));
    *pictures = out.pictures;
    return ST_OK;
}
