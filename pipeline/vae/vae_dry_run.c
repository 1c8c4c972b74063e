/* vae_dry_run.c - what the operations take and have made for them, by frames that compute
 * nothing. */
#include "kernels/kern_dry_run.h"
#include "pipeline/vae/vae_internal.h"

/* A clip's first frame, or a later one. Where a frame becomes two, the pairs are alike. */
static status run_decoder(struct kern_ctx *ctx, struct vae *v, bool first)
{
    struct vae_coder *const c = &v->decoder;
    int64_t t = first || vae_has_front(c) ? 1 : v->inbox[0].dim[0];

    if (vae_has_front(c)) TRY(vae_decode_front(ctx, c));
    for (int i = vae_first_layer(c); i < vae_end_layer(c); i++) {
        struct vae_layer *const l = &c->layer[i];
        if (l->kind == VAE_UP_TIME && !first) {
            TRY(vae_run_up_time(ctx, l, 0));
            t = 2;
        } else if (l->kind == VAE_RES) TRY(vae_run_res(ctx, l, t));
        else if (l->kind == VAE_ATTN) TRY(vae_run_attn(ctx, l));
        else TRY(vae_run_up(ctx, l, t));
    }
    if (!vae_has_head(c)) return ST_OK;
    struct tensor const in = tensor_slice(&c->head_in, 0, t);
    return vae_head(ctx, c, &in);
}

/* t pictures; ends where a pair is incomplete. */
static status run_encoder(struct kern_ctx *ctx, struct vae_coder *c, bool first)
{
    int64_t t = first ? 1 : 2;

    TRY(vae_encode_front(ctx, c, t));
    for (int i = 0; i < c->layers && t; i++) {
        struct vae_layer *const l = &c->layer[i];
        if (l->kind == VAE_RES) TRY(vae_run_res(ctx, l, t));
        else if (l->kind == VAE_ATTN) TRY(vae_run_attn(ctx, l));
        else TRY(vae_run_down(ctx, l, first, &t));
    }
    return t ? vae_encode_back(ctx, c) : ST_OK;
}

/* A dry run of all frames there can be. */
static status run_all_frames(struct kern_ctx *dry, void *arg)
{
    struct vae *const v = arg;

    for (int i = 0; v->decodes && i < 2; i++) TRY(run_decoder(dry, v, i == 0));
    for (int i = 0; v->encodes && i < 1 + VAE_PICTURES / 2; i++)
        TRY(run_encoder(dry, &v->encoder, i == 0));
    return ST_OK;
}

status vae_dry_run(size_t *out, struct vae *v)
{
    return kern_dry_run_size(out, v->backend, run_all_frames, v);
}

status vae_prepare(struct vae *v) { return kern_dry_run_prepare(v->ctx, run_all_frames, v); }
