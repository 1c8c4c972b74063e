/*
 * clip_start.c - on rank 0: the blocks that a clip begins with, read or encoded.
 *
 * Latents are taken as they are. Pictures go through the VAE's encoder, as a clip of their own;
 * it is opened when the first clip needs it and stays until the group ends. What comes of a file
 * is the same whatever the ranks are, since one rank makes it for all: the feed brings it to the
 * line.
 *
 * Of a finished clip the first of its last pictures is encoded, as a first frame, which its own
 * latents do not have there; behind it come its last latents as they are. So CausVid goes on.
 *
 * A file that is missing, another than the job's ids stand for, damaged or of a shape that does
 * not fit is its own clip's failure, and so are pictures that come to no number and memory that is
 * short. What the encoder fails at otherwise - a file that changed, a card - is the group's.
 */
#include "base/clip_media.h"
#include "base/log.h"
#include "pipeline/engine/dispatch/dispatch_internal.h"
#include "pipeline/output/av/video_pictures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct start_reader {
    struct group *t;
    struct vae *vae; /* its encoder; NULL until a clip needs it */
    struct track *track;
    bool (*stop)(void *arg);
    void *stop_arg;
    bool at_fault; /* the encoder failed, not the clip */
};

status start_reader_open(struct start_reader **out, struct group *t, bool (*stop)(void *arg),
                         void *arg)
{
    struct start_reader *r = calloc(1, sizeof *r);
    status st = ST_OK;

    *out = NULL;
    if (!r) return fail(ST_NOMEM, "given blocks: no memory");
    r->t = t;
    r->stop = stop;
    r->stop_arg = arg;
    TRY_OUT(track_open(&r->track, t->rank->trace, TRACK_ROW_TEXT, "given blocks"));
    *out = r;
    r = NULL; /* handed over */
out:
    start_reader_close(&r);
    return st;
}

void start_reader_close(struct start_reader **reader)
{
    struct start_reader *const r = *reader;

    if (!r) return;
    vae_close(&r->vae);
    track_close(&r->track);
    free(r);
    *reader = NULL;
}

/* A video_pictures_config's and a digest's `stop`: asked between pieces of a file and between
 * pictures, each of which is progress, however slow the disk. */
static bool count_progress(void *arg)
{
    const struct start_reader *const r = arg;

    track_lap(r->track);
    return r->stop(r->stop_arg);
}

/* ---- latents ---- */

/* Room for so many frames, which must be whole blocks and fewer than the clip has. */
static status reserve_given(const struct start_reader *r, struct live_clip *c, int64_t frames)
{
    const struct engine_group *const g = &r->t->g;
    int const block = g->policy.frames_per_block;
    int64_t const count = (int64_t)g->shape.channels * g->latent_h * g->latent_w;

    if (frames < 1 || frames % block || frames / block >= c->spec.blocks)
        return fail(
            ST_FORMAT,
            "%s: found %lld latent frames; allowed: whole blocks of %d, fewer than the clip's "
            "%lld blocks",
            c->spec.start.file, (long long)frames, block, (long long)c->spec.blocks);
    if (frames / block > kv_policy_most_given(&g->policy))
        return fail(
            ST_FORMAT,
            "%s: found %lld blocks; allowed: up to %lld, for the policy %s chooses as later "
            "ones are made",
            c->spec.start.file, (long long)(frames / block),
            (long long)kv_policy_most_given(&g->policy), kv_rule_name(g->policy.rule));
    c->given = malloc((size_t)frames * (size_t)count * sizeof *c->given);
    if (!c->given) return fail(ST_NOMEM, "%lld given frames", (long long)frames);
    c->given_blocks = frames / block;
    return ST_OK;
}

static status read_given_latents(struct start_reader *r, struct live_clip *c)
{
    const struct engine_group *const g = &r->t->g;
    struct given_latents file;

    TRY(given_latents_open(&file, c->spec.start.file, g->shape.channels, g->latent_h, g->latent_w));
    status st = reserve_given(r, c, file.frames);
    if (st == ST_OK) st = given_latents_read(&file, file.frames, c->given);
    given_latents_close(&file);
    return st;
}

/* ---- pictures ---- */

static status open_encoder(struct start_reader *r)
{
    struct group *const t = r->t;
    struct vae_config const c = { .backend = t->g.o.backend,
                                  .threads = t->rank->threads,
                                  .device = t->rank->device,
                                  .strict = t->g.o.mode.determinism == LINE_STRICT,
                                  .precision = t->g.act,
                                  .latent_h = t->g.latent_h,
                                  .latent_w = t->g.latent_w,
                                  .path = t->model.vae,
                                  .alone = true };

    if (r->vae) return vae_reset(r->vae);
    TRY(vae_open(&r->vae, &c));
    return group_check_files(t); /* it was opened while the line runs */
}

/* What fails while the encoder is in use is its fault, but for memory. */
static status note_fault(struct start_reader *r, status st)
{
    r->at_fault = st != ST_OK && st != ST_NOMEM;
    return st;
}

static status check_finite(const struct live_clip *c, const float *latent, int64_t count,
                           int64_t frame)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(latent[i]))
            return fail(ST_MISMATCH,
                        "%s: encoded, its latent frame %lld is not finite: %g at element %lld",
                        c->spec.start.file, (long long)frame, (double)latent[i], (long long)i);
    return ST_OK;
}

/* The first picture alone, then four at a time: a latent frame each. */
static status encode_given(struct start_reader *r, const struct video_pictures *p, int64_t count,
                           struct live_clip *c)
{
    const struct engine_group *const g = &r->t->g;
    int64_t const latent = (int64_t)g->shape.channels * g->latent_h * g->latent_w;
    size_t const picture = (size_t)p->width * (size_t)p->height * 3;
    float *const pixels = malloc(picture * VAE_PICTURES * sizeof *pixels);
    status st = ST_OK;

    if (!pixels) return fail(ST_NOMEM, "pictures of %dx%d", p->width, p->height);
    for (int64_t i = 0, frame = 0; i < count; frame++) {
        int const n = i ? VAE_PICTURES : 1;
        const uint16_t *const from = p->rgb + (size_t)i * picture;
        float *const to = c->given + frame * latent;
        int frames;
        if (count_progress(r)) FAIL_OUT(ST_CANCELED, "stopped");
        for (size_t k = 0; k < (size_t)n * picture; k++)
            pixels[k] = (float)from[k] / 65535.0f * 2.0f - 1.0f;
        TRY_OUT(note_fault(r, vae_encode(r->vae, pixels, n, to, &frames)));
        TRY_OUT(check_finite(c, to, latent, frame));
        i += n;
    }
out:
    free(pixels);
    return st;
}

/* Of a video the pictures that are given: all are encoded, or the first alone. */
static status read_pictures(struct start_reader *r, struct live_clip *c, const char *path,
                            bool first)
{
    struct video_pictures p;
    status st = ST_OK;

    TRY(video_pictures_read(&p, &(struct video_pictures_config){
                                    .path = path,
                                    .width = c->spec.width,
                                    .height = c->spec.height,
                                    .fps_num = (int)c->spec.fps_num,
                                    .fps_den = (int)c->spec.fps_den,
                                    .count = c->spec.start.pictures,
                                    .stop = count_progress,
                                    .stop_arg = r,
                                }));
    TRY_OUT(reserve_given(r, c, 1 + (p.count - 1) / VAE_PICTURES));
    TRY_OUT(note_fault(r, open_encoder(r)));
    TRY_OUT(encode_given(r, &p, first ? 1 : p.count, c));
out:
    video_pictures_free(&p);
    return st;
}

/* ---- a finished clip ---- */

/* Behind the first given frame. */
static status read_last_latents(const struct start_reader *r, struct live_clip *c, const char *path)
{
    const struct engine_group *const g = &r->t->g;
    int64_t const frames = c->given_blocks * g->policy.frames_per_block - 1;
    int64_t const latent = (int64_t)g->shape.channels * g->latent_h * g->latent_w;
    struct given_latents file;
    status st = ST_OK;

    TRY(given_latents_open(&file, path, g->shape.channels, g->latent_h, g->latent_w));
    if (file.frames < frames)
        st = fail(ST_FORMAT, "%s: found %lld latent frames; allowed: at least %lld", path,
                  (long long)file.frames, (long long)frames);
    else st = given_latents_read(&file, frames, c->given + latent);
    given_latents_close(&file);
    return st;
}

/* The last pictures of a video are those of its last latents only where none was cut off at the
 * end. */
static status check_media(const struct clip_media *m, const char *dir)
{
    TRY(clip_media_check(m, dir));
    if (m->latent_frames > 0 && m->pictures == 1 + VAE_PICTURES * (m->latent_frames - 1))
        return ST_OK;
    return fail(ST_FORMAT,
                "%s/clip.json: found %lld pictures of %lld latent frames; allowed: all of them, "
                "1 and %d for each frame behind the first",
                dir, (long long)m->pictures, (long long)m->latent_frames, VAE_PICTURES);
}

static status read_clip(struct start_reader *r, struct live_clip *c)
{
    const char *const dir = c->spec.start.file;
    struct clip_media from;
    status st = ST_OK;

    TRY(clip_media_read(&from, dir));
    TRY_OUT(check_media(&from, dir));
    TRY_OUT(read_pictures(r, c, from.video, true));
    TRY_OUT(read_last_latents(r, c, from.latents));
out:
    clip_media_free(&from);
    return st;
}

/* ---- a clip ---- */

/* The ids stand for the file as it was when the job was read. */
static status check_start_file(struct start_reader *r, const struct clip_start *start)
{
    char now[DIGEST_HEX];

    TRY(clip_start_hash(start, count_progress, r, now));
    if (!start->sha256[0] || !strcmp(now, start->sha256)) return ST_OK;
    return fail(ST_FORMAT, "%s: is another file than when the job was read", start->file);
}

static status read_start(struct start_reader *r, struct live_clip *c)
{
    if (!r->t->g.outlook.starts)
        return fail(ST_FORMAT, "it begins with given blocks, and the line was opened for clips "
                               "without");
    TRY(check_start_file(r, &c->spec.start));
    switch (c->spec.start.kind) {
    case CLIP_START_LATENTS: return read_given_latents(r, c);
    case CLIP_START_CLIP: return read_clip(r, c);
    default: return read_pictures(r, c, c->spec.start.file, false);
    }
}

status start_reader_read(struct start_reader *r, struct live_clip *c, bool *at_fault)
{
    const struct engine_rank *const rank = r->t->rank;

    r->at_fault = *at_fault = false;
    if (c->spec.start.kind == CLIP_START_NONE) return ST_OK;
    log_info("clip %s: begins with %s", c->spec.name, c->spec.start.file);
    track_begin(r->track, TRACK_LOAD, TRACK_NOWHERE); /* first: the track has long been still */
    watchdog_add(rank->watch, r->track, rank->o->deadline_s, rank->o->deadline_s);
    status const st = read_start(r, c);
    track_end(r->track);
    track_lap(r->track);
    watchdog_drop(rank->watch, r->track);
    if (st == ST_OK) return ST_OK;
    struct error const why = *error_last();
    *at_fault = r->at_fault;
    return fail(st, "start: %s", why.msg);
}
