/* bench_pictures.c - what one rank of a line does beside it: a block decoded, and its pictures
 * encoded into every file that the job asks for. */
#include "base/clock.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "cmd/bench/bench_internal.h"
#include "pipeline/dit/noise.h"
#include "pipeline/engine/output_formats.h"
#include "pipeline/engine/workload.h"
#include "pipeline/output/av/video.h"
#include "pipeline/vae/vae.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A block's latent and its pictures, as the job's files want them. */
struct block {
    float *latent;
    int frames;
    struct pixels_layout layout;
    struct vae_out out;
};

static status open_block(struct block *k, const struct workload *m)
{
    size_t const pixels = (size_t)(m->latent_h * m->latent_w);
    int const frames = m->policy.frames_per_block;

    *k = (struct block){ .frames = frames, .out.formats = clip_pixel_formats(m->clip) };
    k->layout = pixels_layout(m->clip->width, m->clip->height, k->out.formats);
    k->latent = malloc((size_t)frames * VAE_CHANNELS * pixels * sizeof *k->latent);
    k->out.pixels = malloc((size_t)(frames * VAE_PICTURES * k->layout.bytes));
    if (!k->latent || !k->out.pixels) return fail(ST_NOMEM, "bench: a block of pictures");
    noise_fill(k->latent, (int64_t)frames * VAE_CHANNELS * (int64_t)pixels, 3, 0, 0);
    return ST_OK;
}

static void close_block(struct block *k)
{
    free(k->latent);
    free(k->out.pixels);
}

static status open_vae(struct vae **out, const struct bench_subject *b)
{
    return vae_open(out, &(struct vae_config){ .backend = b->backend,
                                               .threads = b->threads,
                                               .device = b->device,
                                               .precision = b->model->act,
                                               .latent_h = b->model->latent_h,
                                               .latent_w = b->model->latent_w,
                                               .path = b->model->model->vae,
                                               .picture_bytes = b->model->picture_bytes });
}

status bench_decode(const struct bench_subject *b, double seconds[2])
{
    struct block k;
    struct vae *vae = NULL;
    double run[BENCH_RUNS];
    status st = open_block(&k, b->model);

    TRY_OUT(st);
    TRY_OUT(open_vae(&vae, b));
    TRY_OUT(vae_decode_latents(vae, k.latent, k.frames, &k.out)); /* a clip's first */
    for (int i = 0; i < BENCH_RUNS; i++) {
        double const begin = b->clock();
        TRY_OUT(vae_decode_latents(vae, k.latent, k.frames, &k.out));
        run[i] = b->clock() - begin;
    }
    *seconds = bench_median(run, BENCH_RUNS);
out:
    vae_close(&vae);
    close_block(&k);
    return st;
}

static status encode_block(struct video *v, const struct block *k)
{
    const int64_t *const at = k->layout.plane[video_facts(v)->choice.pix];

    for (int i = 0; i < k->out.pictures; i++) {
        const unsigned char *const p = (unsigned char *)k->out.pixels + i * k->layout.bytes;
        TRY(video_push(v, (const unsigned char *[]){ p + at[0], p + at[1], p + at[2] }));
    }
    return ST_OK;
}

/* An encoder looks ahead: what several blocks and the end take, shared out. */
static status time_format(const struct bench_subject *b, int file, const char *dir,
                          const struct block *k, double *seconds)
{
    char *const path = path_join(dir, b->model->clip->format[file].file);
    struct video_config c = clip_video_config(b->model->clip, file);
    struct video *v = NULL;
    status st = path ? ST_OK : fail(ST_NOMEM, "bench: a path");

    TRY_OUT(st);
    c.path = path;
    TRY_OUT(video_open(&v, &c));
    double const begin = clock_thread_seconds();
    for (int i = 0; i < BENCH_RUNS; i++) TRY_OUT(encode_block(v, k));
    TRY_OUT(video_commit(v));
    *seconds += (clock_thread_seconds() - begin) / BENCH_RUNS;
out:
    video_close(&v);
    free(path);
    return st;
}

status bench_encode(const struct bench_subject *b, double *seconds)
{
    char dir[] = "/tmp/rollmill-bench.XXXXXX";
    struct block k;
    struct vae *vae = NULL;
    status st = open_block(&k, b->model);

    *seconds = 0;
    if (st == ST_OK && !mkdtemp(dir)) st = fail(ST_IO, "%s: %s", dir, strerror(errno));
    if (st != ST_OK) {
        close_block(&k);
        return st;
    }
    TRY_OUT(open_vae(&vae, b));
    for (int i = 0; i < 2; i++) TRY_OUT(vae_decode_latents(vae, k.latent, k.frames, &k.out));
    vae_close(&vae);
    for (int i = 0; i < b->model->clip->formats; i++) TRY_OUT(time_format(b, i, dir, &k, seconds));
out:
    vae_close(&vae);
    close_block(&k);
    if (dir_remove(dir) != ST_OK) error_clear();
    return st;
}
