/* verify_vae.c - recorded latents to pictures, recorded pictures to latents, block by block. */
#include "cmd/verify/verify_internal.h"
#include "pipeline/vae/vae.h"

#include <math.h>
#include <stdlib.h>

enum { BLOCK = 3 }; /* latent frames per call, as the line hands them over */

/* [n, h, w, 3] <-> [n, 3, h, w] */
static void planes_from_pixels(float *planes, const float *pixels, int64_t n, int64_t area)
{
    for (int64_t f = 0; f < n; f++)
        for (int64_t c = 0; c < 3; c++)
            for (int64_t i = 0; i < area; i++)
                planes[(f * 3 + c) * area + i] = pixels[(f * area + i) * 3 + c];
}

static void pixels_from_planes(float *pixels, const float *planes, int64_t n, int64_t area)
{
    for (int64_t f = 0; f < n; f++)
        for (int64_t c = 0; c < 3; c++)
            for (int64_t i = 0; i < area; i++)
                pixels[(f * area + i) * 3 + c] = planes[(f * 3 + c) * area + i];
}

static status decode_latents(struct verify_case *c, struct vae *v, int frames, int h, int w)
{
    int64_t const area = (int64_t)64 * h * w, latent = (int64_t)VAE_CHANNELS * h * w;
    int64_t const all = 1 + (int64_t)VAE_PICTURES * (frames - 1);
    float *latents = NULL, *planes;
    float *const pixels = malloc((size_t)(VAE_PICTURES * BLOCK * area) * 3 * sizeof *pixels);
    int64_t done = 0;
    status st = ST_OK;

    if (!pixels) return fail(ST_NOMEM, "pictures of a block");
    TRY_OUT(verify_input(c, "latents", DIMS(frames, VAE_CHANNELS, h, w), &latents));
    TRY_OUT(verify_add(c, "decoded", DIMS(all, 3, (int64_t)8 * h, (int64_t)8 * w), &planes));
    for (int at = 0; at < frames; at += BLOCK) {
        int const n = frames - at < BLOCK ? frames - at : BLOCK;
        int pictures;
        for (int64_t i = 0; i < VAE_PICTURES * BLOCK * area * 3; i++) pixels[i] = NAN;
        TRY_OUT(vae_decode(v, latents + at * latent, n, pixels, &pictures));
        planes_from_pixels(planes + done * 3 * area, pixels, pictures, area);
        done += pictures;
    }
out:
    free(pixels);
    free(latents);
    return st;
}

static status encode_pixels(struct verify_case *c, struct vae *v, int frames, int h, int w)
{
    int64_t const area = (int64_t)64 * h * w, n = 1 + (int64_t)VAE_PICTURES * (frames - 1);
    float *planes = NULL, *latents;
    float *const pixels = malloc((size_t)(n * area) * 3 * sizeof *pixels);
    int got;
    status st = ST_OK;

    if (!pixels) return fail(ST_NOMEM, "%lld pictures", (long long)n);
    TRY_OUT(verify_input(c, "pixels", DIMS(n, 3, (int64_t)8 * h, (int64_t)8 * w), &planes));
    TRY_OUT(verify_add(c, "encoded", DIMS(frames, VAE_CHANNELS, h, w), &latents));
    pixels_from_planes(pixels, planes, n, area);
    TRY_OUT(vae_encode(v, pixels, (int)n, latents, &got));
out:
    free(pixels);
    free(planes);
    return st;
}

status verify_vae(struct verify_case *c)
{
    char *const path = verify_model(c, "Wan2.1_VAE.pth");
    bool const encoder = c->inputs && weights_find(c->inputs, "pixels") >= 0;
    struct vae_config config = { .backend = c->o.backend,
                                 .threads = c->o.threads,
                                 .device = c->o.device,
                                 .strict = c->o.mode.determinism == LINE_STRICT,
                                 .precision = c->o.precision,
                                 .path = path,
                                 .encoder = encoder };
    struct vae *v = NULL;
    int frames, h, w;
    status st = ST_OK;

    if (!path) return fail(ST_NOMEM, "%s: no memory for its name", c->dir);
    TRY_OUT(verify_int(c, "latent_frames", 1, 1 << 16, &frames));
    TRY_OUT(verify_int(c, "latent_height", 1, VAE_SIDE, &h));
    TRY_OUT(verify_int(c, "latent_width", 1, VAE_SIDE, &w));
    config.latent_h = h;
    config.latent_w = w;
    TRY_OUT(vae_open(&v, &config));
    TRY_OUT(decode_latents(c, v, frames, h, w));
    TRY_OUT(vae_reset(v));
    if (encoder) TRY_OUT(encode_pixels(c, v, frames, h, w));
out:
    vae_close(&v);
    free(path);
    return st;
}
