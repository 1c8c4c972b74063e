/*
 * clip_start.c - on rank 0: the blocks that a clip begins with, read or encoded beside the
 * running line.
 *
 * Latents are taken as they are. Pictures go through the VAE's encoder, as a clip of their own;
 * it is opened when the first clip needs it and stays until the group ends. What comes of a file
 * is the same whatever the ranks are, since one rank makes it for all: the feed brings it to the
 * line.
 *
 * A file that is missing, another than the job's ids stand for, damaged or of a shape that does
 * not fit is its own clip's failure.
 */
#include "base/log.h"
#include "base/strbuf.h"
#include "pipeline/engine/engine_internal.h"
#include "pipeline/engine/given_latents.h"
#include "pipeline/output/av/video_pictures.h"

#include <stdlib.h>
#include <string.h>

struct clip_starts {
    struct group *t;
    struct vae *vae; /* its encoder; NULL until a clip needs it */
    struct track *track;
};

status clip_starts_open(struct clip_starts **out, struct group *t)
{
    struct clip_starts *s = calloc(1, sizeof *s);
    status st = ST_OK;

    *out = NULL;
    if (!s) return fail(ST_NOMEM, "given blocks: no memory");
    s->t = t;
    TRY_OUT(track_open(&s->track, t->rank->trace, TRACK_ROW_TEXT, "given blocks"));
    *out = s;
    s = NULL; /* handed over */
out:
    clip_starts_close(&s);
    return st;
}

void clip_starts_close(struct clip_starts **starts)
{
    struct clip_starts *const s = *starts;

    if (!s) return;
    vae_close(&s->vae);
    track_close(&s->track);
    free(s);
    *starts = NULL;
}

/* ---- latents ---- */

/* Room for so many frames, which must be whole blocks and fewer than the clip has. */
static status reserve_given(const struct clip_starts *s, struct live_clip *c, int64_t frames)
{
    const struct engine_group *const g = &s->t->g;
    int const block = g->policy.frames_per_block;
    int64_t const count = (int64_t)g->shape.channels * g->latent_h * g->latent_w;

    if (frames < 1 || frames % block || frames / block >= c->spec.blocks)
        return fail(
            ST_FORMAT,
            "%s: found %lld latent frames; allowed: whole blocks of %d, fewer than the clip's "
            "%lld blocks",
            c->spec.start.file, (long long)frames, block, (long long)c->spec.blocks);
    c->given = malloc((size_t)frames * (size_t)count * sizeof *c->given);
    if (!c->given) return fail(ST_NOMEM, "%lld given frames", (long long)frames);
    c->given_blocks = frames / block;
    return ST_OK;
}

static status read_given_latents(struct clip_starts *s, struct live_clip *c)
{
    const struct engine_group *const g = &s->t->g;
    struct given_latents file;

    TRY(given_latents_open(&file, c->spec.start.file, g->shape.channels, g->latent_h, g->latent_w));
    status st = reserve_given(s, c, file.frames);
    if (st == ST_OK) st = given_latents_read(&file, c->given);
    given_latents_close(&file);
    return st;
}

/* ---- pictures ---- */

static status open_encoder(struct clip_starts *s)
{
    struct group *const t = s->t;
    struct vae_config const c = { .backend = t->rank->o->backend,
                                  .threads = t->rank->threads,
                                  .device = t->rank->device,
                                  .strict = t->rank->o->mode.determinism == LINE_STRICT,
                                  .precision = t->g.act,
                                  .latent_h = t->g.latent_h,
                                  .latent_w = t->g.latent_w,
                                  .path = t->model.vae,
                                  .alone = true };

    if (s->vae) return vae_reset(s->vae);
    TRY(vae_open(&s->vae, &c));
    return group_check_files(s->t); /* it was opened while the line runs */
}

/* The first picture alone, then four at a time: a latent frame each. */
static status encode_pictures(struct clip_starts *s, const struct video_pictures *p, float *latents)
{
    const struct engine_group *const g = &s->t->g;
    int64_t const latent = (int64_t)g->shape.channels * g->latent_h * g->latent_w;
    size_t const picture = (size_t)p->width * (size_t)p->height * 3;
    float *const pixels = malloc(picture * VAE_PICTURES * sizeof *pixels);
    status st = ST_OK;

    if (!pixels) return fail(ST_NOMEM, "pictures of %dx%d", p->width, p->height);
    for (int64_t i = 0; i < p->count && st == ST_OK; latents += latent) {
        int const n = i ? VAE_PICTURES : 1;
        const uint16_t *const from = p->rgb + (size_t)i * picture;
        int frames;
        for (size_t k = 0; k < (size_t)n * picture; k++)
            pixels[k] = (float)from[k] / 65535.0f * 2.0f - 1.0f;
        st = vae_encode(s->vae, pixels, n, latents, &frames);
        i += n;
    }
    free(pixels);
    return st;
}

static status read_pictures(struct clip_starts *s, struct live_clip *c)
{
    const struct clip_start *const start = &c->spec.start;
    struct video_pictures p;
    status st = ST_OK;

    TRY(video_pictures_read(&p, &(struct video_pictures_config){
                                    .path = start->file,
                                    .width = c->spec.width,
                                    .height = c->spec.height,
                                    .fps_num = (int)c->spec.fps_num,
                                    .fps_den = (int)c->spec.fps_den,
                                    .count = start->pictures,
                                }));
    TRY_OUT(reserve_given(s, c, 1 + (p.count - 1) / VAE_PICTURES));
    TRY_OUT(open_encoder(s));
    TRY_OUT(encode_pictures(s, &p, c->given));
out:
    video_pictures_free(&p);
    return st;
}

/* ---- a clip ---- */

/* The ids stand for the file as it was when the job was read. */
static status check_start_file(const struct clip_start *start)
{
    char now[DIGEST_HEX];

    TRY(digest_file(start->file, now));
    if (!start->sha256[0] || !strcmp(now, start->sha256)) return ST_OK;
    return fail(ST_FORMAT, "%s: is another file than when the job was read", start->file);
}

static status read_start(struct clip_starts *s, struct live_clip *c)
{
    if (!s->t->g.outlook.starts)
        return fail(ST_FORMAT, "it begins with given blocks, and the line was opened for clips "
                               "without");
    TRY(check_start_file(&c->spec.start));
    return c->spec.start.kind == CLIP_START_LATENTS ? read_given_latents(s, c)
                                                    : read_pictures(s, c);
}

status clip_starts_give(struct clip_starts *s, struct live_clip *c)
{
    const struct engine_rank *const rank = s->t->rank;

    if (c->spec.start.kind == CLIP_START_NONE) return ST_OK;
    log_info("clip %s: begins with %s", c->spec.name, c->spec.start.file);
    watchdog_add(rank->watch, s->track, rank->o->deadline_s, rank->o->deadline_s);
    track_begin(s->track, TRACK_LOAD, TRACK_NOWHERE);
    status const st = read_start(s, c);
    track_end(s->track);
    track_lap(s->track);
    watchdog_drop(rank->watch, s->track);
    return st;
}
