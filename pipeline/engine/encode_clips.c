/*
 * encode_clips.c - pictures to files, one clip after another: begun, encoded, committed, reported.
 *
 * A failure belongs to the clip it happens to: a disk that is full, an encoder that refuses, a
 * value that is not finite. The clip's attempt is removed, the reason is reported to rank 0, and
 * the rest of its blocks is dropped; the next clip is begun as if nothing had happened.
 * A clip that was cut is dropped alike: the line's tail says so among the blocks it sends,
 * wherever its blocks are and whether or not the line works on. When all of them have left the
 * line nothing comes from there, so before each block the board is asked too. Only what must not
 * be lost fails the caller: a report that cannot be sent, a clip that does not come.
 *
 * What must hold: of a clip's end, its failure and its cut the first is reported and no other
 * (live_clip.dropped; after a stop perhaps none, and rank 0 knows what that means); and it is let
 * go of once all of its blocks that will ever come have come (came, ends), not before.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "pipeline/engine/engine_internal.h"
#include "pipeline/engine/output_formats.h"
#include "pipeline/output/attempts.h"
#include "pipeline/output/clip_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { STAGE_DECODE, STAGE_ENCODE, STAGES };
static const char *const stage_names[] = { "decode", "encode" };

struct encode_clips {
    struct group *t;
    int line;
    const struct track *decode; /* of the thread that brings blocks */
    size_t record;              /* floats of a block's */

    struct live_clip *clip;          /* the one in work; NULL: none */
    struct clip_writer_text *prompt; /* [its prompts], where their embeddings are wanted */
    struct clip_writer *writer;
    struct clip_provenance provenance; /* must outlive the writer, as */
    struct strbuf identity;            /* must; of a clip with checkpoints, and */
    struct encode_extension {
        struct strbuf identity, clip, model;
    } extension;                            /* of one that can be extended, or extends another */
    float *window;                          /* [levels - 1, record] */
    int64_t due;                            /* behind so many blocks */
    int windows, windows_due;               /* have come, of those that are due there */
    double begin, encoding, decoded_before; /* seconds */
    int64_t blocks, pictures;               /* encoded */
};

static double decoded_seconds(const struct encode_clips *e)
{
    return track_seconds(e->decode, TRACK_DECODE, -1);
}

/* ---- a clip ---------------------------------------------------------------------------- */

static void free_writer_config(struct encode_clips *e)
{
    clip_provenance_free(&e->provenance);
    strbuf_free(&e->identity);
    strbuf_free(&e->extension.identity);
    strbuf_free(&e->extension.clip);
    strbuf_free(&e->extension.model);
    free(e->prompt);
    e->prompt = NULL;
    e->windows = e->windows_due = 0;
}

/* The clip is made, or will not be by going on. */
static void drop_writer(struct encode_clips *e)
{
    clip_writer_close(&e->writer);
    free_writer_config(e);
}

/* Nothing is wrong with the clip: the next render goes on from what is there. */
static void keep_writer(struct encode_clips *e)
{
    clip_writer_leave(&e->writer);
    free_writer_config(e);
}

void encode_clips_leave(struct encode_clips *e)
{
    struct comm *const world = e->t->world;

    if (comm_stopped(world) || comm_aborted(world)) keep_writer(e);
    else drop_writer(e);
    if (e->clip) clip_board_release(e->t->board, e->clip);
    e->clip = NULL;
    e->begin = clock_seconds(); /* of the next clip's time, if that is here already */
}

static struct clip_writer_config config_of(const struct encode_clips *e,
                                           const struct video_config *formats)
{
    const struct engine_group *const g = &e->t->g;
    const struct clip_spec *const spec = &e->clip->spec;
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
        .about = &e->provenance.about,
    };

    if (spec->latents) {
        c.latents.file = spec->latents;
        c.latents.dtype = strcmp(spec->latents_dtype, "f32") ? DT_BF16 : DT_F32;
        c.latents.frames = spec->blocks * g->policy.frames_per_block;
        c.latents.height = g->latent_h;
        c.latents.width = g->latent_w;
    }
    if (spec->embeddings) {
        c.embeddings = (struct clip_embeddings){
            .file = spec->embeddings,
            .dtype = strcmp(spec->embeddings_dtype, "f32") ? DT_BF16 : DT_F32,
            .text = e->prompt,
            .texts = spec->prompts,
            .dim = g->shape.text_dim,
        };
    }
    return c;
}

/* One for each entry of the schedule, also where two have the same text. */
static status list_prompts(struct encode_clips *e)
{
    const struct live_clip *const c = e->clip;

    if (!c->spec.embeddings) return ST_OK;
    e->prompt = calloc((size_t)c->spec.prompts, sizeof *e->prompt);
    if (!e->prompt) return fail(ST_NOMEM, "%d prompts", c->spec.prompts);
    for (int i = 0; i < c->spec.prompts; i++) {
        const struct embedding *const one = &c->text[c->text_of[i]];
        e->prompt[i] = (struct clip_writer_text){ one->rows, one->tokens };
    }
    return ST_OK;
}

/* Somebody else's, and perhaps of another task: it stays, and nobody has looked at it. */
static status fail_appeared(const struct encode_clips *e)
{
    return fail(ST_IO, "%s: appeared while the clip was rendered, and stays", e->clip->spec.dir);
}

/* What it goes on from, and what is kept for those that go on from it. */
static status configure_resume(struct encode_clips *e, struct clip_writer_config *c)
{
    const struct live_clip *const clip = e->clip;
    struct encode_extension *const x = &e->extension;

    TRY(clip_identity(&e->identity, e->t, &clip->spec));
    c->checkpoint.identity = e->identity.s;
    c->checkpoint.frames = e->t->g.policy.frames_per_block;
    c->checkpoint.latent = (int64_t)e->record;
    if (clip->spec.extendable || clip->extends)
        TRY(clip_extension_identity(&x->identity, e->t, &clip->spec));
    c->extension.blocks = clip_extension_blocks(e->t, clip);
    if (clip->spec.extendable && !c->extension.blocks)
        log_warn("clip %s: too short to be extended: it takes two blocks that are made, and in a "
                 "rolling window as many as there are levels",
                 clip->spec.name);
    if (c->extension.blocks) {
        TRY(clip_extension_specs(&x->clip, &x->model, e->t, &clip->spec));
        c->extension.identity = x->identity.s;
        c->extension.clip = x->clip.s;
        c->extension.model = x->model.s;
    }
    c->resume.dir = clip->resume_dir;
    c->resume.identity = clip->extends ? x->identity.s : e->identity.s;
    c->resume.blocks = clip->resumed;
    c->resume.extends = clip->extends;
    return ST_OK;
}

static status open_writer(struct encode_clips *e)
{
    const struct clip_spec *const spec = &e->clip->spec;
    struct video_config formats[CLIP_FORMATS];

    if (path_exists(spec->dir)) return fail_appeared(e);
    for (int i = 0; i < spec->formats; i++) formats[i] = clip_video_config(spec, i);
    TRY(clip_provenance_make(&e->provenance, e->t, e->clip));
    TRY(list_prompts(e));
    struct clip_writer_config c = config_of(e, formats);
    if (spec->checkpoint) TRY(configure_resume(e, &c));
    return clip_writer_open(&e->writer, &c);
}

static status begin_clip(struct encode_clips *e, int number)
{
    encode_clips_leave(e);
    TRY(clip_board_find(e->t->board, number, &e->clip));
    if (e->begin < e->clip->posted) e->begin = e->clip->posted; /* before, the line had no work */
    e->encoding = 0;
    e->decoded_before = decoded_seconds(e);
    return ST_OK;
}

static status commit_clip(struct encode_clips *e)
{
    struct rusage usage;
    enum clip_outcome outcome;
    double const spent[STAGES] = { decoded_seconds(e) - e->decoded_before, e->encoding };

    getrusage(RUSAGE_SELF, &usage);
    struct sidecar_run const run = {
        .wall = clock_seconds() - e->begin,
        .stage = stage_names,
        .stage_seconds = spent,
        .stages = STAGES,
        .resumed_from = e->clip->resumed,
        .peak_bytes = (int64_t)usage.ru_maxrss * 1024,
    };
    TRY(clip_writer_commit(e->writer, &run, &outcome));
    if (outcome == CLIP_THERE_ALREADY)
        log_info("clip %s: another process has just made it", e->clip->spec.name);
    if (outcome == CLIP_ELSEWHERE)
        return fail(ST_IO, "%s: appeared while the clip was rendered, and stays; this render is %s",
                    e->clip->spec.dir, clip_writer_place(e->writer));
    return ST_OK;
}

/* ---- a block ---------------------------------------------------------------------------- */

/* After a stop a clip ends only if all of it has left the line: no more blocks are on
 * their way than the queues between hold. */
enum { ON_THEIR_WAY = 2 * VAE_PARTS_MAX + ENCODE_WORKER_SLOTS + 2 };

static bool is_lost(const struct encode_clips *e, int64_t block)
{
    return comm_stopped(e->t->world) && e->clip->spec.blocks - 1 - block > ON_THEIR_WAY;
}

/* The window is complete: write the checkpoint, the extension, or both. */
static status write_due_snapshots(struct encode_clips *e)
{
    int const windows = e->windows;

    e->windows = e->windows_due = 0;
    if (clip_checkpoint_due(e->clip, e->due))
        TRY(clip_writer_checkpoint(e->writer, e->window, windows));
    if (e->due != clip_extension_blocks(e->t, e->clip)) return ST_OK;
    return clip_writer_extension(e->writer, e->window, windows);
}

/* Behind a block: at once where nothing of a window is to come with it. */
static status begin_checkpoint(struct encode_clips *e, int64_t blocks)
{
    e->windows = e->windows_due = 0;
    if (!clip_window_due(e->t, e->clip, blocks)) return ST_OK;
    e->due = blocks;
    e->windows_due = clip_window_blocks(e->t, e->clip, blocks);
    return e->windows_due ? ST_OK : write_due_snapshots(e);
}

static status keep_window(struct encode_clips *e, const float *x)
{
    if (e->windows >= e->windows_due)
        return fail(ST_MISMATCH, "a window's latent came where none was expected");
    memcpy(e->window + (size_t)e->windows * e->record, x, e->record * sizeof *x);
    e->windows++;
    return e->windows < e->windows_due ? ST_OK : write_due_snapshots(e);
}

/* What it goes on from may be gone or damaged by now: nothing is wrong with the clip then. */
static status begin_files(struct encode_clips *e)
{
    status const st = open_writer(e);

    if (st != ST_FORMAT || !e->clip->resume_dir) return st;
    struct error const why = *error_last();
    return fail(ST_PEER, "cannot go on: %s", why.msg);
}

static status encode_pictures(struct encode_clips *e, const struct decode_block *b)
{
    double const start = clock_seconds();

    if (!e->writer) TRY(begin_files(e));
    TRY(clip_writer_pictures(e->writer, &b->pictures));
    TRY(clip_writer_latents(e->writer, b->x0, e->t->g.policy.frames_per_block));
    TRY(begin_checkpoint(e, b->block + 1));
    e->encoding += clock_seconds() - start;
    return b->block == e->clip->spec.blocks - 1 ? commit_clip(e) : ST_OK;
}

/* A clip that went on and fails, but for the disk or memory, is begun anew the next time: what it
 * went on from may be why. */
static void forget_attempt(struct encode_clips *e, status st)
{
    if (!e->clip->resume_dir || e->clip->extends || st == ST_IO || st == ST_NOMEM) return;
    if (attempt_remove(e->clip->resume_dir) == ST_OK) return;
    log_warn("not removed: %s", error_last()->msg);
    error_clear();
}

static status fail_clip(struct encode_clips *e, int64_t block)
{
    struct error const why = *error_last();
    char text[REPORT_WHY];

    snprintf(text, sizeof text, "block %lld: %.960s", (long long)block, why.msg);
    error_clear();
    drop_writer(e);
    forget_attempt(e, why.st);
    e->clip->dropped = true;
    return clip_report_send(e->t, e->line, e->clip->number, why.st, text);
}

static status send_progress(const struct encode_clips *e, const struct decode_block *b)
{
    struct comm_control const m = {
        .kind = CONTROL_BLOCK, .value = { [BLOCK_CLIP] = b->clip, [BLOCK_NUMBER] = b->block }
    };
    return comm_send_control(e->t->world, 0, &m);
}

/* Of a clip that is in work, else nobody wants it. */
status encode_clips_window(struct encode_clips *e, int clip, int64_t block, const float *x)
{
    if (!e->clip || e->clip->number != clip || e->clip->dropped) return ST_OK;
    return keep_window(e, x) == ST_OK ? ST_OK : fail_clip(e, block);
}

/* ST_OK also for a clip that failed. */
static status encode_wanted(struct encode_clips *e, const struct decode_block *b)
{
    if (encode_pictures(e, b) != ST_OK) return fail_clip(e, b->block);
    e->blocks++;
    e->pictures += b->pictures.count;
    TRY(send_progress(e, b));
    if (b->block < e->clip->spec.blocks - 1) return ST_OK;
    TRY(clip_report_send(e->t, e->line, b->clip, ST_OK, NULL));
    drop_writer(e);
    return ST_OK;
}

/* Nobody wants it any more: what has come of it is removed. */
static status drop_cut_clip(struct encode_clips *e)
{
    drop_writer(e);
    e->clip->dropped = true;
    return clip_report_send(e->t, e->line, e->clip->number, ST_CANCELED, "withdrawn");
}

status encode_clips_block(struct encode_clips *e, const struct decode_block *b)
{
    if (!e->clip || e->clip->number != b->clip) TRY(begin_clip(e, b->clip));
    struct live_clip *const c = e->clip;
    c->came = b->block + 1;
    if (!c->dropped && is_lost(e, b->block)) {
        keep_writer(e);
        c->dropped = true;
    }
    if (!c->dropped && clip_board_is_cut(e->t->board, e->line, b->clip)) TRY(drop_cut_clip(e));
    if (!c->dropped) TRY(encode_wanted(e, b));
    if (c->came >= c->ends) encode_clips_leave(e);
    return ST_OK;
}

/* What has come of it is removed at once, and it is let go of when nothing more will come. A clip
 * that has failed has been reported already. The attempt that cannot be read stays: the next render
 * finds out what there is of it. */
status encode_clips_cut(struct encode_clips *e, int number, int64_t blocks, status why)
{
    char text[REPORT_WHY] = "withdrawn";
    struct live_clip *c;

    TRY(clip_board_find(e->t->board, number, &c));
    bool const in_work = e->clip && e->clip == c, known = c->dropped;
    if (in_work && !known) drop_writer(e);
    c->dropped = true;
    c->ends = blocks;
    if (why != ST_CANCELED)
        snprintf(text, sizeof text, "the attempt it resumes cannot be read any more: %.900s",
                 c->resume_dir);
    if (c->came >= c->ends && in_work) encode_clips_leave(e);
    else if (c->came >= c->ends) clip_board_release(e->t->board, c);
    if (known) return ST_OK;
    return clip_report_send(e->t, e->line, number, why, text);
}

/* ---- opening ------------------------------------------------------------------------------ */

status encode_clips_open(struct encode_clips **out, const struct encode_worker_config *c)
{
    struct encode_clips *const e = calloc(1, sizeof *e);

    *out = e;
    if (!e) return fail(ST_NOMEM, "encoder: no memory");
    *e = (struct encode_clips){ .t = c->t,
                                .line = c->line,
                                .decode = c->decode,
                                .record = (size_t)group_block_record(&c->t->g),
                                .begin = clock_seconds() };
    e->window = malloc((size_t)c->t->g.policy.levels * e->record * sizeof *e->window);
    if (e->window) return ST_OK;
    encode_clips_close(out);
    return fail(ST_NOMEM, "encoder: no memory for a window");
}

void encode_clips_close(struct encode_clips **encoder)
{
    struct encode_clips *const e = *encoder;

    if (!e) return;
    free(e->window);
    free(e);
    *encoder = NULL;
}

int64_t encode_clips_blocks(const struct encode_clips *e) { return e->blocks; }

int64_t encode_clips_pictures(const struct encode_clips *e) { return e->pictures; }
