#include "cmd/bench_model.h"
#include "base/clock.h"
#include "base/text.h"
#include "pipeline/line.h"
#include "pipeline/noise.h"
#include "pipeline/umt5.h"
#include "pipeline/vae.h"

#include <stdlib.h>
#include <string.h>

enum { LATENT_H = 30, LATENT_W = 52, FRAMES = 3, CHANNELS = 16 };

/* ---- one tick of the line, in the steady state ---------------------------------- */

static status noise(void *arg, int clip, int64_t block, int level, float *out)
{
    (void)arg, (void)clip;
    noise_fill(out, (int64_t)FRAMES * CHANNELS * LATENT_H * LATENT_W, 1, block, level);
    return ST_OK;
}

static int64_t context_id(void *arg, int clip, int64_t block)
{
    (void)arg, (void)clip, (void)block;
    return 0;
}

static status context(void *arg, int clip, int64_t block, float *embeds)
{
    const struct dit_shape *const s = arg;

    (void)clip, (void)block;
    noise_fill(embeds, (int64_t)s->text_len * s->text_dim, 2, 0, 0);
    return ST_OK;
}

static status finished(void *arg, int clip, int64_t block, const float *x0)
{
    (void)arg, (void)clip, (void)block, (void)x0;
    return ST_OK;
}

static double tick_flop(const struct dit_shape *s, const struct key_policy *p)
{
    double const per_frame = LATENT_H / 2.0 * (LATENT_W / 2.0), d = s->dim;
    double const n = (p->levels + 1) * FRAMES * per_frame, k = p->attention_frames * per_frame;

    return 2 * n * 8 * CHANNELS * d +
           s->layers * (n * (12 * d * d + 4 * d * s->ffn_dim) + 4 * n * d * (k + s->text_len));
}

static status time_ticks(struct line *line, const struct key_policy *policy,
                         struct dit_shape *shape, double *seconds, int runs)
{
    int const filled = policy->levels + policy->attention_frames / FRAMES; /* ticks until steady */
    struct line_io const io = { .arg = shape,
                                .noise = noise,
                                .context_id = context_id,
                                .context = context,
                                .finished = finished };
    struct timeline t;
    status st = ST_OK;

    TRY(timeline_make(&t, policy, (int64_t[]){ filled + runs + policy->levels }, 1));
    line_begin(line, &t, &io);
    for (int i = 0; i < filled; i++) TRY_OUT(line_tick(line));
    for (int i = 0; i < runs; i++) {
        double const start = clock_seconds();
        TRY_OUT(line_tick(line));
        seconds[i] = clock_seconds() - start;
    }
out:
    timeline_free(&t);
    return st;
}

static status open_line(struct line **out, const struct dit *model, const struct schedule *schedule,
                        const struct key_policy *policy, struct comm *comm, struct kern_ctx *ctx)
{
    struct line_config c = { .model = model,
                             .schedule = schedule,
                             .policy = *policy,
                             .latent_h = LATENT_H,
                             .latent_w = LATENT_W,
                             .comm = comm,
                             .ctx = ctx };

    TRY(split_make(&c.split, schedule->levels + 1, 1));
    return line_open(out, &c);
}

static status time_tick(const struct bench_model_config *c, double *seconds, int runs, double *flop)
{
    static const double steps[] = { 1000, 800, 600, 400, 200 };
    struct key_policy const policy = { WINDOW_ROLLING, COUNT_OF(steps), FRAMES, 21, FRAMES };
    char *const weights = path_join(c->dir, "diffusion_pytorch_model.safetensors");
    char *const config = path_join(c->dir, "config.json");
    struct schedule schedule;
    struct dit_config dit = { .weights = weights, .schedule = &schedule, .act = c->precision };
    struct kern_ctx *ctx = NULL;
    struct dit *model = NULL;
    struct comm *comm[1] = { NULL };
    struct line *line = NULL;
    status st = weights && config ? ST_OK : fail(ST_NOMEM, "bench: a path");

    TRY_OUT(st);
    TRY_OUT(schedule_make(&schedule, steps, COUNT_OF(steps), true, 5));
    TRY_OUT(dit_shape_read(&dit.shape, config));
    TRY_OUT(c->backend->open(&ctx, &(struct kern_config){ .threads = c->threads }));
    TRY_OUT(dit_open(&model, &dit, ctx));
    TRY_OUT(comm_thread_open(comm, 1, 60));
    TRY_OUT(open_line(&line, model, &schedule, &policy, comm[0], ctx));
    TRY_OUT(time_ticks(line, &policy, &dit.shape, seconds, runs));
    *flop = tick_flop(&dit.shape, &policy);
out:
    line_close(&line);
    if (comm[0]) comm[0]->ops->close(&comm[0]);
    dit_close(&model);
    if (ctx) c->backend->close(&ctx);
    free(weights);
    free(config);
    return st;
}

/* ---- one block through the decoder, in the middle of a clip ----------------------- */

static status time_vae(const struct bench_model_config *c, double *seconds, int runs, double *flop)
{
    int64_t const count = (int64_t)FRAMES * CHANNELS * LATENT_H * LATENT_W;
    int64_t const pixels = (int64_t)FRAMES * VAE_PICTURES * 64 * LATENT_H * LATENT_W * 3;
    char *const path = path_join(c->dir, "Wan2.1_VAE.pth");
    float *const latents = malloc((size_t)count * sizeof *latents);
    float *const rgb = malloc((size_t)pixels * sizeof *rgb);
    struct vae_config const config = { .backend = c->backend,
                                       .threads = c->threads,
                                       .precision = c->precision,
                                       .path = path,
                                       .latent_h = LATENT_H,
                                       .latent_w = LATENT_W };
    struct vae *vae = NULL;
    int pictures;
    status st = path && latents && rgb ? ST_OK : fail(ST_NOMEM, "bench: a block's pictures");

    *flop = 0; /* the file's width is the decoder's business: milliseconds only */
    TRY_OUT(st);
    noise_fill(latents, count, 3, 0, 0);
    TRY_OUT(vae_open(&vae, &config));
    TRY_OUT(vae_decode(vae, latents, FRAMES, rgb, &pictures));
    for (int i = 0; i < runs; i++) {
        double const start = clock_seconds();
        TRY_OUT(vae_decode(vae, latents, FRAMES, rgb, &pictures));
        seconds[i] = clock_seconds() - start;
    }
out:
    vae_close(&vae);
    free(path);
    free(latents);
    free(rgb);
    return st;
}

/* ---- one prompt through the text encoder -------------------------------------------- */

enum { PROMPTS = 9, WORDS_SMALL = 64, WORDS = 128 };

static status encode(struct umt5 *encoder, int prompts, int words, const int32_t *ids,
                     float *embeds, double *seconds)
{
    struct umt5_prompt list[PROMPTS];
    double const start = clock_seconds();

    for (int i = 0; i < prompts; i++)
        list[i] = (struct umt5_prompt){ ids, words, embeds + i * words * umt5_shape(encoder)->dim };
    TRY(umt5_encode(encoder, list, prompts));
    *seconds = clock_seconds() - start;
    return ST_OK;
}

/* A prompt's share when the weights are at hand: what eight more prompts cost. */
static status time_text(const struct bench_model_config *c, double *seconds, int runs, double *flop)
{
    char *const path = path_join(c->dir, "models_t5_umt5-xxl-enc-bf16.pth");
    struct umt5_config config = { .backend = c->backend,
                                  .threads = c->threads,
                                  .precision = c->precision };
    struct umt5 *encoder = NULL;
    float *embeds = NULL;
    int32_t ids[WORDS];
    status st = path ? ST_OK : fail(ST_NOMEM, "bench: a path");

    TRY_OUT(st);
    TRY_OUT(weights_open(&config.weights, path, NULL));
    TRY_OUT(umt5_open(&encoder, &config));
    const struct umt5_shape *const s = umt5_shape(encoder);
    int const words = s->dim < 1024 ? WORDS_SMALL : WORDS;
    double const n = words;
    *flop =
        s->layers *
        (n * (8.0 * (double)s->dim * (double)s->dim_attn + 6.0 * (double)s->dim * (double)s->ffn) +
         4 * n * n * (double)s->dim_attn);
    embeds = malloc((size_t)PROMPTS * WORDS * (size_t)s->dim * sizeof *embeds);
    if (!embeds) {
        st = fail(ST_NOMEM, "bench: embeddings");
        goto out;
    }
    for (int i = 0; i < words; i++) ids[i] = (int32_t)(3 + i * 7 % (s->vocab - 3));
    for (int i = 0; i < runs; i++) {
        double one, many;
        TRY_OUT(encode(encoder, 1, words, ids, embeds, &one));
        TRY_OUT(encode(encoder, PROMPTS, words, ids, embeds, &many));
        seconds[i] = (many - one) / (PROMPTS - 1);
    }
out:
    umt5_close(&encoder);
    weights_close(&config.weights);
    free(embeds);
    free(path);
    return st;
}

const struct bench_row bench_rows[] = {
    { "tick", "five noise stages and the clean one", time_tick },
    { "vae-block", "3 latent frames to 12 pictures", time_vae },
    { "text", "a prompt, weights at hand", time_text },
};
const int bench_row_count = COUNT_OF(bench_rows);
