/* bench_model_vae.c - one block through the decoder, in the middle of a clip. */
#include "base/clock.h"
#include "base/strbuf.h"
#include "cmd/bench/bench_internal.h"
#include "pipeline/dit/noise.h"
#include "pipeline/vae/vae.h"

#include <stdlib.h>

struct bench_decoder {
    struct vae *vae;
    struct vae_size size;
    float *latents;
    unsigned char *pictures; /* of a block, as a render takes them */
};
enum { FORMATS = 1u << PIX_YUV420P };

status bench_decoder_open(struct bench_decoder **out, const struct bench_model_config *c)
{
    int64_t const area = c->latent_h * c->latent_w, count = BENCH_FRAMES * VAE_CHANNELS * area;
    struct pixels_layout const picture =
        pixels_layout(8 * (int)c->latent_w, 8 * (int)c->latent_h, FORMATS);
    struct bench_decoder *d = calloc(1, sizeof *d);
    char *const path = path_join(c->dir, "Wan2.1_VAE.pth");
    struct vae_config const config = { .backend = c->backend->kern,
                                       .threads = c->threads,
                                       .precision = c->precision,
                                       .path = path,
                                       .latent_h = c->latent_h,
                                       .latent_w = c->latent_w,
                                       .picture_bytes = picture.bytes };
    status st = ST_OK;

    *out = NULL;
    if (d) d->latents = malloc((size_t)count * sizeof *d->latents);
    if (d) d->pictures = malloc((size_t)(BENCH_FRAMES * VAE_PICTURES * picture.bytes));
    if (!d || !path || !d->latents || !d->pictures) FAIL_OUT(ST_NOMEM, "bench: a block's pictures");
    noise_fill(d->latents, count, 3, 0, 0);
    d->size = (struct vae_size){ .latent_h = c->latent_h, .latent_w = c->latent_w };
    TRY_OUT(vae_base(&d->size.base, path));
    TRY_OUT(vae_open(&d->vae, &config));
    *out = d;
    d = NULL; /* handed over */
out:
    bench_decoder_close(&d);
    free(path);
    return st;
}

status bench_decoder_run(struct bench_decoder *d)
{
    struct vae_out out = { .pixels = d->pictures, .formats = FORMATS };

    return vae_decode_latents(d->vae, d->latents, BENCH_FRAMES, &out);
}

double bench_decoder_flop(const struct bench_decoder *d)
{
    return vae_flops((struct vae_range){ 0 }, &d->size) * BENCH_FRAMES;
}

void bench_decoder_close(struct bench_decoder **decoder)
{
    struct bench_decoder *const d = *decoder;

    if (!d) return;
    vae_close(&d->vae);
    free(d->latents);
    free(d->pictures);
    free(d);
    *decoder = NULL;
}

status bench_time_vae(const struct bench_model_config *c, struct bench_result *out)
{
    struct bench_decoder *d = NULL;
    status st = ST_OK;

    TRY_OUT(bench_decoder_open(&d, c));
    out->flop = bench_decoder_flop(d);
    TRY_OUT(bench_decoder_run(d)); /* the first frame of a clip is another thing */
    TRY_OUT(bench_decoder_run(d));
    for (int i = 0; i < BENCH_ROW_RUNS; i++) {
        double const start = clock_seconds();
        TRY_OUT(bench_decoder_run(d));
        out->seconds[i] = clock_seconds() - start;
    }
    TRY_OUT(bench_card_bytes(c->backend, &out->card));
out:
    bench_decoder_close(&d);
    return st;
}
