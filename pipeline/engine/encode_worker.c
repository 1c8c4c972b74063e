#include "pipeline/engine/encode_worker.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/slot_queue.h"
#include "base/watchdog.h"
#include "comm/heartbeat.h"
#include "pipeline/engine/output_formats.h"
#include "pipeline/output/clip_writer.h"
#include "pipeline/vae/vae.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { STAGE_DECODE, STAGE_ENCODE, STAGES };
static const char *const stage_names[] = { "decode", "encode" };

/* What waits in a slot; its latent and its pictures stand behind it. */
struct waiting {
    struct decode_block b;
    float data[];
};

struct encode_worker {
    struct encode_worker_config c;
    struct slot_queue *queue;
    size_t latent; /* floats of a block's */
    struct track *track;

    pthread_t thread;
    bool runs;
    status st; /* of the thread, once it has ended */
    struct error error;

    /* the thread's own */
    const struct render_clip *clip; /* the one in work; NULL: none */
    struct clip_writer *sink;       /* NULL: the clip is there already, its blocks are dropped */
    struct clip_provenance about;   /* must outlive the sink */
    double begin, encoding, decoded_before; /* seconds */
    int64_t blocks, pictures;               /* encoded */
};

static double decoded(const struct encode_worker *f)
{
    return track_seconds(f->c.decode, TRACK_DECODE, -1);
}

static void leave_clip(struct encode_worker *f)
{
    clip_sink_close(&f->sink);
    clip_provenance_free(&f->about);
    f->clip = NULL;
}

static struct clip_sink_config sink_of(const struct encode_worker *f,
                                       const struct render_clip *clip,
                                       const struct video_config *formats)
{
    const struct clip_spec *const spec = clip->spec;
    struct clip_sink_config c = {
        .dir = clip->dir,
        .width = spec->width,
        .height = spec->height,
        .fps_num = (int)spec->fps_num,
        .fps_den = (int)spec->fps_den,
        .pictures = spec->pictures,
        .format = formats,
        .formats = spec->formats,
        .preview = spec->preview,
        .preview_columns = spec->preview_columns,
        .about = &f->about.about,
    };

    if (spec->latents) {
        c.latents.file = spec->latents;
        c.latents.dtype = strcmp(spec->latents_dtype, "f32") ? DT_BF16 : DT_F32;
        c.latents.frames = spec->blocks * f->c.frames_per_block;
        c.latents.height = f->c.latent_h;
        c.latents.width = f->c.latent_w;
    }
    return c;
}

static status begin_clip(struct encode_worker *f, const struct render_clip *clip)
{
    struct video_config formats[CLIP_FORMATS];
    struct clip_sink_config c;

    leave_clip(f);
    for (int i = 0; i < clip->spec->formats; i++) formats[i] = clip_video_config(clip->spec, i);
    f->clip = clip;
    if (path_exists(clip->dir)) {
        log_warn("%s: appeared in the meantime and stays; this clip is dropped", clip->dir);
        return ST_OK;
    }
    TRY(clip_provenance_make(&f->about, clip, &f->c.facts));
    f->encoding = 0;
    f->decoded_before = decoded(f);
    c = sink_of(f, clip, formats);
    return clip_sink_open(&f->sink, &c);
}

static status end_clip(struct encode_worker *f, const struct render_clip *clip)
{
    struct rusage usage;
    enum clip_outcome outcome;
    double const spent[STAGES] = { decoded(f) - f->decoded_before, f->encoding };

    getrusage(RUSAGE_SELF, &usage);
    struct sidecar_run const run = {
        .wall = clock_seconds() - f->begin,
        .stage = stage_names,
        .stage_seconds = spent,
        .stages = STAGES,
        .peak_bytes = (int64_t)usage.ru_maxrss * 1024,
    };
    TRY(clip_sink_commit(f->sink, &run, &outcome));
    if (outcome == CLIP_THERE_ALREADY)
        log_warn("%s: somebody else finished it first; theirs stays", clip->dir);
    leave_clip(f);
    f->begin = clock_seconds(); /* of the next clip's time */
    return ST_OK;
}

/* After a stop a clip ends only if all of it has left the line: no more blocks are on
 * their way than the queues between hold. */
enum { ON_THEIR_WAY = 2 * VAE_PARTS_MAX + ENCODE_WORKER_SLOTS + 2 };

static bool is_lost(const struct encode_worker *f, const struct render_clip *clip, int64_t block)
{
    struct comm *const world = f->c.world;
    return comm_stopped(world) && clip->spec->blocks - 1 - block > ON_THEIR_WAY;
}

static status encode(struct encode_worker *f, const struct decode_block *b)
{
    const struct render_clip *const clip = f->c.clip[b->clip];
    double const start = clock_seconds();

    if (b->block == 0) TRY(begin_clip(f, clip));
    if (!f->sink) return ST_OK;
    if (is_lost(f, clip, b->block)) {
        clip_sink_close(&f->sink);
        return ST_OK;
    }
    TRY(clip_sink_pictures(f->sink, &b->pictures));
    TRY(clip_sink_latents(f->sink, b->x0, f->c.frames_per_block));
    f->encoding += clock_seconds() - start;
    return b->block == clip->spec->blocks - 1 ? end_clip(f, clip) : ST_OK;
}

static status tell(const struct encode_worker *f, const struct decode_block *b)
{
    struct comm *const world = f->c.world;
    struct comm_control const note = {
        .kind = CONTROL_BLOCK, .value = { f->c.line, b->clip, b->block, b->pictures.count }
    };
    return comm_send_control(world, 0, &note);
}

static status encode_next(struct encode_worker *f, const struct decode_block *b)
{
    track_begin(f->track, TRACK_ENCODE, (struct track_at){ b->clip, -1, -1, b->block });
    status st = encode(f, b);
    track_end(f->track);
    track_lap(f->track);
    if (st != ST_OK)
        return fail(st, "clip %s, block %lld: %s", f->c.clip[b->clip]->spec->name,
                    (long long)b->block, error_last()->msg);
    f->blocks++;
    f->pictures += b->pictures.count;
    return tell(f, b);
}

static const struct waiting *next_waiting(struct encode_worker *f)
{
    track_begin(f->track, TRACK_QUEUE, TRACK_NOWHERE);
    const struct waiting *const w = slot_queue_peek(f->queue);
    track_end(f->track);
    return w;
}

static void *film_main(void *arg)
{
    struct encode_worker *const f = arg;
    const struct waiting *w;

    log_set_rank(f->c.world->rank);
    watchdog_add(f->c.watch, f->track, f->c.deadline_s, f->c.deadline_s);
    while (f->st == ST_OK && (w = next_waiting(f))) {
        trace_counter(f->c.trace, "waiting for encode", slot_queue_count(f->queue));
        f->st = encode_next(f, &w->b);
        slot_queue_pop(f->queue);
    }
    watchdog_drop(f->c.watch, f->track);
    if (f->st != ST_OK) f->error = *error_last();
    slot_queue_stop(f->queue);
    leave_clip(f);
    return NULL;
}

status encode_worker_open(struct encode_worker **out, const struct encode_worker_config *c)
{
    struct encode_worker *f = calloc(1, sizeof *f);
    size_t const pictures = (size_t)(c->frames_per_block * VAE_PICTURES * c->picture_bytes);
    char name[32];
    status st = ST_OK;

    *out = NULL;
    if (!f) return fail(ST_NOMEM, "film: no memory");
    f->c = *c;
    f->begin = clock_seconds();
    f->latent = (size_t)(c->frames_per_block * VAE_CHANNELS * c->latent_h * c->latent_w);
    TRY_OUT(slot_queue_open(&f->queue, ENCODE_WORKER_SLOTS,
                            sizeof(struct waiting) + f->latent * sizeof(float) + pictures));
    snprintf(name, sizeof name, "encode line %d", c->line);
    TRY_OUT(track_open(&f->track, c->trace, TRACK_ROW_ENCODE + 2 * c->line, name));
    if (pthread_create(&f->thread, NULL, film_main, f)) {
        st = fail(ST_NOMEM, "film: cannot start a thread");
        goto out;
    }
    f->runs = true;
    *out = f;
    f = NULL; /* handed over */
out:
    encode_worker_close(&f);
    return st;
}

/* The thread is over after this; its failure becomes this thread's. */
static status join(struct encode_worker *f)
{
    if (f->runs) {
        slot_queue_end(f->queue);
        pthread_join(f->thread, NULL);
        f->runs = false;
    }
    if (f->st != ST_OK) error_adopt(&f->error);
    return f->st;
}

void encode_worker_close(struct encode_worker **film)
{
    struct encode_worker *const f = *film;

    if (!f) return;
    if (f->runs) {
        slot_queue_end(f->queue);
        pthread_join(f->thread, NULL);
    }
    track_close(&f->track);
    slot_queue_close(&f->queue);
    free(f);
    *film = NULL;
}

/* Bytes of a block's. */
static size_t bytes_of(const struct encode_worker *f, const struct pictures *p)
{
    struct pixels_layout const layout =
        pixels_layout((int)f->c.latent_w * VAE_SCALE, (int)f->c.latent_h * VAE_SCALE, p->formats);
    return (size_t)(p->count * layout.bytes);
}

status encode_worker_block(struct encode_worker *f, const struct decode_block *b)
{
    track_begin(f->c.decode, TRACK_QUEUE, (struct track_at){ b->clip, -1, -1, b->block });
    struct waiting *const w = slot_queue_reserve(f->queue);
    track_end(f->c.decode);

    if (!w) return join(f);
    unsigned char *const pictures = (unsigned char *)(w->data + f->latent);
    w->b = *b;
    w->b.x0 = memcpy(w->data, b->x0, f->latent * sizeof *b->x0);
    w->b.pictures.at = memcpy(pictures, b->pictures.at, bytes_of(f, &b->pictures));
    slot_queue_push(f->queue);
    return ST_OK;
}

status encode_worker_end(struct encode_worker *f) { return join(f); }

const struct track *encode_worker_track(const struct encode_worker *f) { return f->track; }

int64_t encode_worker_blocks(const struct encode_worker *f) { return f->blocks; }

int64_t encode_worker_pictures(const struct encode_worker *f) { return f->pictures; }
