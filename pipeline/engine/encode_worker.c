/*
 * encode_worker.c - where a line's pictures go: encoded, committed, reported.
 *
 * A thread of its own takes blocks from a queue of a few slots; whoever brings the next one waits
 * while all are full, so a slow encoder holds the line back instead of filling memory.
 *
 * A failure belongs to the clip it happens to: a disk that is full, an encoder that refuses, a
 * value that is not finite. The clip's attempt is removed, the reason is reported to rank 0, and
 * the rest of its blocks is dropped; the next clip is begun as if nothing had happened.
 * A clip that was cut is dropped alike: the line's tail says so among the blocks it sends
 * (encode_worker_cut), wherever its blocks are and whether or not the line works on. Only a
 * failure to report to rank 0 ends the thread.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/slot_queue.h"
#include "base/strbuf.h"
#include "base/thread.h"
#include "pipeline/engine/engine_internal.h"
#include "pipeline/engine/output_formats.h"
#include "pipeline/output/clip_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { STAGE_DECODE, STAGE_ENCODE, STAGES };
static const char *const stage_names[] = { "decode", "encode" };

enum waiting_kind {
    WAITING_BLOCK,
    WAITING_WINDOW, /* behind a block, a latent of the window at a checkpoint */
    WAITING_CUT,    /* b.block: so many of the clip come */
};

/* What waits in a slot; its latent and its pictures stand behind it. */
struct waiting_block {
    enum waiting_kind kind;
    struct decode_block b;
    float data[];
};

struct encode_worker {
    struct encode_worker_config c;
    struct slot_queue *queue;
    size_t latent; /* floats of a block's */
    struct track *track;
    struct task task;

    /* the thread's own */
    struct live_clip *clip;          /* the one in work; NULL: none */
    struct clip_writer_text *prompt; /* [its prompts], where their embeddings are wanted */
    struct clip_writer *writer;
    struct clip_provenance provenance;      /* must outlive the writer, as */
    struct strbuf identity;                 /* must; of a clip with checkpoints */
    float *window;                          /* [levels - 1, latent] */
    int windows, windows_due;               /* have come, of the checkpoint that is due */
    double begin, encoding, decoded_before; /* seconds */
    int64_t blocks, pictures;               /* encoded */
};

static double decoded_seconds(const struct encode_worker *f)
{
    return track_seconds(f->c.decode, TRACK_DECODE, -1);
}

/* ---- a clip ---------------------------------------------------------------------------- */

static void free_writer_config(struct encode_worker *f)
{
    clip_provenance_free(&f->provenance);
    strbuf_free(&f->identity);
    free(f->prompt);
    f->prompt = NULL;
    f->windows = f->windows_due = 0;
}

/* The clip is made, or will not be by going on. */
static void drop_writer(struct encode_worker *f)
{
    clip_writer_close(&f->writer);
    free_writer_config(f);
}

/* Nothing is wrong with the clip: the next render goes on from what is there. */
static void keep_writer(struct encode_worker *f)
{
    clip_writer_leave(&f->writer);
    free_writer_config(f);
}

static void leave_clip(struct encode_worker *f)
{
    struct comm *const world = f->c.t->world;

    if (comm_stopped(world) || comm_aborted(world)) keep_writer(f);
    else drop_writer(f);
    if (f->clip) clip_board_release(f->c.t->board, f->clip);
    f->clip = NULL;
    f->begin = clock_seconds(); /* of the next clip's time, if that is here already */
}

static struct clip_writer_config config_of(const struct encode_worker *f,
                                           const struct video_config *formats)
{
    const struct engine_group *const g = &f->c.t->g;
    const struct clip_spec *const spec = &f->clip->spec;
    struct clip_writer_config c = {
        .dir = spec->dir,
        .width = spec->width,
        .height = spec->height,
        .fps_num = (int)spec->fps_num,
        .fps_den = (int)spec->fps_den,
        .pictures = spec->pictures,
        .format = formats,
        .formats = spec->formats,
        .preview = spec->preview,
        .preview_columns = spec->preview_columns,
        .about = &f->provenance.about,
    };

    if (spec->latents) {
        c.latents.file = spec->latents;
        c.latents.dtype = strcmp(spec->latents_dtype, "f32") ? DT_BF16 : DT_F32;
        c.latents.frames = spec->blocks * g->policy.frames_per_block;
        c.latents.height = g->latent_h;
        c.latents.width = g->latent_w;
    }
    if (spec->embeddings) {
        c.embeddings.file = spec->embeddings;
        c.embeddings.dtype = strcmp(spec->embeddings_dtype, "f32") ? DT_BF16 : DT_F32;
        c.embeddings.text = f->prompt;
        c.embeddings.texts = spec->prompts;
        c.embeddings.dim = g->shape.text_dim;
    }
    return c;
}

/* One for each entry of the schedule, also where two have the same text. */
static status list_prompts(struct encode_worker *f)
{
    const struct live_clip *const c = f->clip;

    if (!c->spec.embeddings) return ST_OK;
    f->prompt = calloc((size_t)c->spec.prompts, sizeof *f->prompt);
    if (!f->prompt) return fail(ST_NOMEM, "%d prompts", c->spec.prompts);
    for (int i = 0; i < c->spec.prompts; i++) {
        const struct embedding *const e = &c->text[c->text_of[i]];
        f->prompt[i] = (struct clip_writer_text){ e->rows, e->tokens };
    }
    return ST_OK;
}

/* Somebody else's, and perhaps of another task: it stays, and nobody has looked at it. */
static status fail_appeared(const struct encode_worker *f)
{
    return fail(ST_IO, "%s: appeared while the clip was rendered, and stays", f->clip->spec.dir);
}

static status open_writer(struct encode_worker *f)
{
    const struct clip_spec *const spec = &f->clip->spec;
    struct video_config formats[CLIP_FORMATS];

    if (path_exists(spec->dir)) return fail_appeared(f);
    for (int i = 0; i < spec->formats; i++) formats[i] = clip_video_config(spec, i);
    TRY(clip_provenance_make(&f->provenance, f->c.t, f->clip));
    TRY(list_prompts(f));
    struct clip_writer_config c = config_of(f, formats);
    if (spec->checkpoint) {
        TRY(clip_identity(&f->identity, f->c.t, spec));
        c.checkpoint.identity = f->identity.s;
        c.checkpoint.frames = f->c.t->g.policy.frames_per_block;
        c.checkpoint.latent = (int64_t)f->latent;
        c.resume.dir = f->clip->resume_dir;
        c.resume.blocks = f->clip->resumed;
    }
    return clip_writer_open(&f->writer, &c);
}

static status begin_clip(struct encode_worker *f, int number)
{
    leave_clip(f);
    TRY(clip_board_find(f->c.t->board, number, &f->clip));
    if (f->begin < f->clip->posted) f->begin = f->clip->posted; /* before, the line had no work */
    f->encoding = 0;
    f->decoded_before = decoded_seconds(f);
    return ST_OK;
}

static status commit_clip(struct encode_worker *f)
{
    struct rusage usage;
    enum clip_outcome outcome;
    double const spent[STAGES] = { decoded_seconds(f) - f->decoded_before, f->encoding };

    getrusage(RUSAGE_SELF, &usage);
    struct sidecar_run const run = {
        .wall = clock_seconds() - f->begin,
        .stage = stage_names,
        .stage_seconds = spent,
        .stages = STAGES,
        .resumed_from = f->clip->resumed,
        .peak_bytes = (int64_t)usage.ru_maxrss * 1024,
    };
    TRY(clip_writer_commit(f->writer, &run, &outcome));
    if (outcome == CLIP_THERE_ALREADY)
        log_info("clip %s: another process has just made it", f->clip->spec.name);
    if (outcome == CLIP_ELSEWHERE)
        return fail(ST_IO, "%s: appeared while the clip was rendered, and stays; this render is %s",
                    f->clip->spec.dir, clip_writer_place(f->writer));
    return ST_OK;
}

/* ---- a block ---------------------------------------------------------------------------- */

/* After a stop a clip ends only if all of it has left the line: no more blocks are on
 * their way than the queues between hold. */
enum { ON_THEIR_WAY = 2 * VAE_PARTS_MAX + ENCODE_WORKER_SLOTS + 2 };

static bool is_lost(const struct encode_worker *f, int64_t block)
{
    return comm_stopped(f->c.t->world) && f->clip->spec.blocks - 1 - block > ON_THEIR_WAY;
}

/* Behind a block: at once where nothing of a window is to come with it. */
static status begin_checkpoint(struct encode_worker *f, int64_t blocks)
{
    f->windows = f->windows_due = 0;
    if (!clip_checkpoint_due(f->c.t, f->clip, blocks)) return ST_OK;
    f->windows_due = clip_window_blocks(f->c.t, f->clip, blocks);
    return f->windows_due ? ST_OK : clip_writer_checkpoint(f->writer, f->window, 0);
}

static status keep_window(struct encode_worker *f, const float *x)
{
    if (f->windows >= f->windows_due)
        return fail(ST_MISMATCH, "a latent of a window that is not due");
    memcpy(f->window + (size_t)f->windows * f->latent, x, f->latent * sizeof *x);
    f->windows++;
    if (f->windows < f->windows_due) return ST_OK;
    int const all = f->windows;
    f->windows = f->windows_due = 0;
    return clip_writer_checkpoint(f->writer, f->window, all);
}

static status encode_pictures(struct encode_worker *f, const struct decode_block *b)
{
    double const start = clock_seconds();

    if (!f->writer) TRY(open_writer(f));
    TRY(clip_writer_pictures(f->writer, &b->pictures));
    TRY(clip_writer_latents(f->writer, b->x0, f->c.t->g.policy.frames_per_block));
    TRY(begin_checkpoint(f, b->block + 1));
    f->encoding += clock_seconds() - start;
    return b->block == f->clip->spec.blocks - 1 ? commit_clip(f) : ST_OK;
}

/* A clip that went on and fails, but for the disk, is begun anew the next time: what it went on
 * from may be why. */
static void forget_attempt(struct encode_worker *f, status why)
{
    if (!f->clip->resume_dir || why == ST_IO) return;
    if (dir_remove(f->clip->resume_dir) == ST_OK) return;
    log_warn("not removed: %s", error_last()->msg);
    error_clear();
}

static status fail_clip(struct encode_worker *f, int64_t block)
{
    struct error const why = *error_last();
    char text[REPORT_WHY];

    snprintf(text, sizeof text, "block %lld: %.960s", (long long)block, why.msg);
    error_clear();
    drop_writer(f);
    forget_attempt(f, why.st);
    f->clip->dropped = true;
    return clip_report_send(f->c.t, f->c.line, f->clip->number, why.st, text);
}

static status send_progress(const struct encode_worker *f, const struct decode_block *b)
{
    struct comm_control const m = {
        .kind = CONTROL_BLOCK, .value = { [BLOCK_CLIP] = b->clip, [BLOCK_NUMBER] = b->block }
    };
    return comm_send_control(f->c.t->world, 0, &m);
}

/* Of a clip that is in work, else nobody wants it. */
static status encode_window(struct encode_worker *f, const struct decode_block *b)
{
    if (!f->clip || f->clip->number != b->clip || f->clip->dropped) return ST_OK;
    return keep_window(f, b->x0) == ST_OK ? ST_OK : fail_clip(f, b->block);
}

/* ST_OK also for a clip that failed. */
static status encode_wanted(struct encode_worker *f, const struct decode_block *b)
{
    if (encode_pictures(f, b) != ST_OK) return fail_clip(f, b->block);
    f->blocks++;
    f->pictures += b->pictures.count;
    TRY(send_progress(f, b));
    if (b->block < f->clip->spec.blocks - 1) return ST_OK;
    TRY(clip_report_send(f->c.t, f->c.line, b->clip, ST_OK, NULL));
    drop_writer(f);
    return ST_OK;
}

static status encode_block(struct encode_worker *f, const struct decode_block *b)
{
    if (!f->clip || f->clip->number != b->clip) TRY(begin_clip(f, b->clip));
    struct live_clip *const c = f->clip;
    c->came = b->block + 1;
    if (!c->dropped && is_lost(f, b->block)) {
        keep_writer(f);
        c->dropped = true;
    }
    if (!c->dropped) TRY(encode_wanted(f, b));
    if (c->came >= c->ends) leave_clip(f);
    return ST_OK;
}

/* What has come of it is removed at once, and it is let go of when nothing more will come. A clip
 * that has failed has been reported already. */
static status cut_clip(struct encode_worker *f, int number, int64_t blocks)
{
    struct live_clip *c;

    TRY(clip_board_find(f->c.t->board, number, &c));
    bool const in_work = f->clip && f->clip == c, known = c->dropped;
    if (in_work && !known) drop_writer(f);
    c->dropped = true;
    c->ends = blocks;
    if (c->came >= c->ends && in_work) leave_clip(f);
    else if (c->came >= c->ends) clip_board_release(f->c.t->board, c);
    if (known) return ST_OK;
    return clip_report_send(f->c.t, f->c.line, number, ST_CANCELED, "withdrawn");
}

static status take_waiting(struct encode_worker *f, const struct waiting_block *w)
{
    if (w->kind == WAITING_CUT) return cut_clip(f, w->b.clip, w->b.block);
    return w->kind == WAITING_WINDOW ? encode_window(f, &w->b) : encode_block(f, &w->b);
}

static const struct waiting_block *next_block(struct encode_worker *f)
{
    track_begin(f->track, TRACK_QUEUE, TRACK_NOWHERE);
    const struct waiting_block *const w = slot_queue_peek(f->queue);
    track_end(f->track);
    return w;
}

static status encode_blocks(void *arg)
{
    struct encode_worker *const f = arg;
    const struct engine_rank *const rank = f->c.t->rank;
    const struct waiting_block *w;
    status st = ST_OK;

    watchdog_add(rank->watch, f->track, rank->o->deadline_s, rank->o->deadline_s);
    while (st == ST_OK && (w = next_block(f))) {
        trace_counter(rank->trace, "waiting for encode", slot_queue_count(f->queue));
        track_begin(f->track, TRACK_ENCODE, (struct track_at){ w->b.clip, -1, -1, w->b.block });
        st = take_waiting(f, w);
        track_end(f->track);
        track_lap(f->track);
        slot_queue_pop(f->queue);
    }
    watchdog_drop(rank->watch, f->track);
    struct error const why = *error_last();
    if (st != ST_OK)
        comm_abort(f->c.t->world); /* an outcome may be lost: nobody is to wait for it */
    slot_queue_stop(f->queue);
    leave_clip(f);
    error_adopt(&why);
    return st;
}

/* ---- the bringer's side --------------------------------------------------------------------- */

status encode_worker_open(struct encode_worker **out, const struct encode_worker_config *c)
{
    const struct engine_group *const g = &c->t->g;
    struct encode_worker *f = calloc(1, sizeof *f);
    size_t const pictures = (size_t)(g->policy.frames_per_block * VAE_PICTURES * g->picture_bytes);
    char name[32];
    status st = ST_OK;

    *out = NULL;
    if (!f) return fail(ST_NOMEM, "encoder: no memory");
    f->c = *c;
    f->begin = clock_seconds();
    f->latent = (size_t)(g->policy.frames_per_block * VAE_CHANNELS * g->latent_h * g->latent_w);
    f->window = malloc((size_t)g->policy.levels * f->latent * sizeof *f->window);
    if (!f->window) FAIL_OUT(ST_NOMEM, "encoder: no memory for a window");
    TRY_OUT(slot_queue_open(&f->queue, ENCODE_WORKER_SLOTS,
                            sizeof(struct waiting_block) + f->latent * sizeof(float) + pictures));
    snprintf(name, sizeof name, "encode line %d", c->line);
    TRY_OUT(track_open(&f->track, c->t->rank->trace, TRACK_ROW_ENCODE + 2 * c->line, name));
    TRY_OUT(task_start(&f->task, "encode", c->t->world->rank, encode_blocks, f));
    *out = f;
    f = NULL; /* handed over */
out:
    encode_worker_close(&f);
    return st;
}

/* The thread is over after this; its failure becomes this thread's. */
static status join_thread(struct encode_worker *f)
{
    if (f->task.started) slot_queue_end(f->queue);
    return task_join(&f->task, ST_OK);
}

void encode_worker_close(struct encode_worker **worker)
{
    struct encode_worker *const f = *worker;

    if (!f) return;
    if (join_thread(f) != ST_OK) error_clear(); /* a failure further on made it close */
    track_close(&f->track);
    slot_queue_close(&f->queue);
    free(f->window);
    free(f);
    *worker = NULL;
}

/* Bytes of a block's. */
static size_t bytes_of(const struct encode_worker *f, const struct pictures *p)
{
    const struct engine_group *const g = &f->c.t->g;
    struct pixels_layout const layout =
        pixels_layout((int)g->latent_w * VAE_SCALE, (int)g->latent_h * VAE_SCALE, p->formats);
    return (size_t)(p->count * layout.bytes);
}

status encode_worker_block(struct encode_worker *f, const struct decode_block *b)
{
    track_begin(f->c.decode, TRACK_QUEUE, (struct track_at){ b->clip, -1, -1, b->block });
    struct waiting_block *const w = slot_queue_reserve(f->queue);
    track_end(f->c.decode);

    if (!w) return join_thread(f);
    unsigned char *const pictures = (unsigned char *)(w->data + f->latent);
    w->kind = WAITING_BLOCK;
    w->b = *b;
    w->b.x0 = memcpy(w->data, b->x0, f->latent * sizeof *b->x0);
    w->b.pictures.at = memcpy(pictures, b->pictures.at, bytes_of(f, &b->pictures));
    slot_queue_push(f->queue);
    return ST_OK;
}

status encode_worker_window(struct encode_worker *f, int clip, int64_t block, const float *x)
{
    struct waiting_block *const w = slot_queue_reserve(f->queue);

    if (!w) return join_thread(f);
    w->kind = WAITING_WINDOW;
    w->b = (struct decode_block){ .clip = clip, .block = block };
    w->b.x0 = memcpy(w->data, x, f->latent * sizeof *x);
    slot_queue_push(f->queue);
    return ST_OK;
}

status encode_worker_cut(struct encode_worker *f, int clip, int64_t blocks)
{
    struct waiting_block *const w = slot_queue_reserve(f->queue);

    if (!w) return join_thread(f);
    w->kind = WAITING_CUT;
    w->b = (struct decode_block){ .clip = clip, .block = blocks };
    slot_queue_push(f->queue);
    return ST_OK;
}

status encode_worker_end(struct encode_worker *f)
{
    TRY(join_thread(f));
    return clip_report_send(f->c.t, f->c.line, -1, ST_OK, NULL);
}

const struct track *encode_worker_track(const struct encode_worker *f) { return f->track; }

int64_t encode_worker_blocks(const struct encode_worker *f) { return f->blocks; }

int64_t encode_worker_pictures(const struct encode_worker *f) { return f->pictures; }
