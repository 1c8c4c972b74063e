/*
 * clip_extension.c - what a finished clip keeps so that a longer one can go on from it.
 *
 *   NAME/extend/
 *       latents           of the blocks that a longer clip has alike
 *       snapshot.BLOCKS   behind these: the window, and where the files stood at their last seal
 *       FILE.packets      of each video, up to that checkpoint; none where there has been none
 *       clip.spec.json    the clip as it was asked for, and its model
 *       model.spec.json
 *
 * A rolling window drains at a clip's end: its last blocks are made without those that would come
 * behind them. So the snapshot stands behind the last block that a whole window was behind, and the
 * latents end there; block by block, behind the last but one, for a longer clip may have more
 * pictures and no more blocks. But the videos' segments end at checkpoints, in the longer clip as
 * in this one: of them only what was sealed by then is kept, and the pictures behind it are made
 * again of the latents.
 *
 * While the clip is made its snapshot lies in the attempt's folder, in `.extend`: an attempt that
 * goes on from a later checkpoint takes it over.
 */
#include "base/file.h"
#include "pipeline/output/finished_clip.h"
#include "pipeline/output/output_internal.h"

#include <stdlib.h>
#include <string.h>

#define PRIVATE ".extend"

void extension_open(struct clip_writer *s, const struct clip_writer_config *c)
{
    s->extension.identity = c->checkpoint.identity ? c->extension.identity : NULL;
    s->extension.clip = c->extension.clip;
    s->extension.model = c->extension.model;
    s->extension.blocks = c->extension.blocks;
}

void extension_close(struct clip_writer *s) { strbuf_free(&s->extension.state); }

/* ---- while the clip is made -------------------------------------------------------------- */

status extension_note(struct clip_writer *s, const void *state, size_t len, int64_t blocks)
{
    struct clip_extension *const e = &s->extension;

    if (!e->identity || blocks > e->blocks) return ST_OK;
    strbuf_free(&e->state);
    strbuf_add(&e->state, state, len);
    e->coded = blocks;
    if (e->state.failed) return fail(ST_NOMEM, "%s: no memory for a checkpoint", s->attempt.target);
    /* Of a clip that extends another it may be the shorter one's: all else in it is alike. */
    if (len >= sizeof(struct writer_state))
        memcpy(e->state.s + offsetof(struct writer_state, pictures), &s->pictures,
               sizeof s->pictures);
    return ST_OK;
}

static status write_snapshot(const struct clip_writer *s, const char *dir, const float *window,
                             int windows)
{
    const struct clip_extension *const e = &s->extension;

    TRY(dir_make(dir));
    return snapshot_write(dir, &(struct snapshot){ .identity = (char *)(uintptr_t)e->identity,
                                                   .blocks = e->blocks,
                                                   .coded = e->coded,
                                                   .latent = s->checkpoint.latent,
                                                   .window = (float *)(uintptr_t)window,
                                                   .windows = windows,
                                                   .writer = e->state.s,
                                                   .writer_bytes = e->state.len });
}

status clip_writer_extension(struct clip_writer *s, const float *window, int windows)
{
    if (!s->extension.identity || s->blocks != s->extension.blocks)
        return fail(ST_ARG, "%s: nothing to be extended by is kept here", s->attempt.target);
    char *const dir = path_join(s->attempt.own, PRIVATE);
    status const st = dir ? write_snapshot(s, dir, window, windows)
                          : fail(ST_NOMEM, "%s: no memory for a name", s->attempt.target);
    free(dir);
    return st;
}

static char *snapshot_in(const char *dir, const char *folder, int64_t blocks)
{
    return str_format("%s/%s/snapshot.%lld", dir, folder, (long long)blocks);
}

/* What another attempt has written there. */
static status take_over(const struct clip_writer *s, const char *to)
{
    char *const path = snapshot_in(s->attempt.own, PRIVATE, s->extension.blocks);
    char *const from = snapshot_in(s->checkpoint.adopted, PRIVATE, s->extension.blocks);
    struct written written;
    status st = ST_OK;

    if (!path || !from) FAIL_OUT(ST_NOMEM, "%s: no memory for a name", s->attempt.target);
    if (!path_exists(from)) FAIL_OUT(ST_FORMAT, "%s: is missing", from);
    TRY_OUT(dir_make(to));
    TRY_OUT(copy_checked(path, from, -1, &written));
out:
    free(path);
    free(from);
    return st;
}

status extension_resume(struct clip_writer *s, const struct snapshot *from)
{
    const struct clip_extension *const e = &s->extension;

    if (!e->identity) return ST_OK;
    TRY(extension_note(s, from->writer, from->writer_bytes, from->coded));
    if (from->blocks < e->blocks) return ST_OK;
    char *const dir = path_join(s->attempt.own, PRIVATE);
    if (!dir) return fail(ST_NOMEM, "%s: no memory for a name", s->attempt.target);
    status const st = from->blocks == e->blocks
                          ? write_snapshot(s, dir, from->window, from->windows)
                          : take_over(s, dir);
    free(dir);
    return st;
}

/* ---- when it is finished ----------------------------------------------------------------- */

/* Another file of the clip; its sizes are to be filled in. */
static status list_kept(struct clip_writer *s, const char *name, struct sidecar_file **file)
{
    char *const path = str_format("%s/" FINISHED_EXTENSION "/%s", s->attempt.dir, name);

    if (!path) return fail(ST_NOMEM, "%s: no memory for its name", name);
    *file = &s->file[s->files];
    (*file)->name = path + strlen(s->attempt.dir) + 1;
    s->path[s->files++] = path;
    return ST_OK;
}

static void fill_in(struct sidecar_file *file, const struct written *w)
{
    file->bytes = w->bytes;
    memcpy(file->sha256, w->sha256, DIGEST_HEX);
}

/* The first `bytes` of a file in the attempt's folder, or all of it. */
static status keep_file(struct clip_writer *s, const char *name, const char *from, int64_t bytes)
{
    char *const source = path_join(s->attempt.own, from);
    struct sidecar_file *file;
    struct written written;
    status st = ST_OK;

    if (!source) return fail(ST_NOMEM, "%s: no memory for its name", name);
    TRY_OUT(list_kept(s, name, &file));
    TRY_OUT(copy_checked(s->path[s->files - 1], source, bytes, &written));
    fill_in(file, &written);
out:
    free(source);
    return st;
}

static status keep_text(struct clip_writer *s, const char *name, const char *text)
{
    struct sidecar_file *file;
    struct written written;

    TRY(list_kept(s, name, &file));
    TRY(write_checked(s->path[s->files - 1], text, strlen(text), &written));
    fill_in(file, &written);
    return ST_OK;
}

static status keep_snapshot(struct clip_writer *s)
{
    char *const from = snapshot_in("", PRIVATE, s->extension.blocks);
    status st = ST_NOMEM;

    if (from) st = keep_file(s, strrchr(from, '/') + 1, from + 1, -1);
    else st = fail(ST_NOMEM, "%s: no memory for a name", s->attempt.target);
    free(from);
    return st;
}

/* Up to where the snapshot's state counts them. */
static status keep_packets(struct clip_writer *s, const struct snapshot *snap, int i)
{
    char *const name = str_format("%s.packets", s->file[i].name);
    struct video_state at;
    status st = ST_OK;

    if (!name) return fail(ST_NOMEM, "%s: no memory for its name", s->file[i].name);
    if (snap->writer_bytes < sizeof(struct writer_state) + (size_t)(i + 1) * sizeof at)
        FAIL_OUT(ST_FORMAT, "%s: its snapshot does not hold its state", name);
    memcpy(&at, (const char *)snap->writer + sizeof(struct writer_state) + (size_t)i * sizeof at,
           sizeof at);
    TRY_OUT(keep_file(s, name, name, at.bytes));
out:
    free(name);
    return st;
}

/* Of what was copied all reads well. */
static status check_kept(struct clip_writer *s, const char *dir)
{
    struct snapshot_reader r;
    const float *x0;
    status st = ST_OK;

    TRY(snapshot_reader_open(&r, dir, s->extension.blocks));
    for (int64_t block = 0; block < r.s.blocks; block++) TRY_OUT(snapshot_latent(&r, block, &x0));
    for (int i = 0; r.s.coded && i < s->videos; i++) TRY_OUT(keep_packets(s, &r.s, i));
out:
    snapshot_reader_close(&r);
    return st;
}

static status fill_folder(struct clip_writer *s, const char *dir)
{
    int64_t const record = JOURNAL_HEAD + s->checkpoint.latent * (int64_t)sizeof(float);

    TRY(dir_make(dir));
    TRY(journal_sync(&s->checkpoint.latents));
    TRY(keep_file(s, "latents", "latents", s->extension.blocks * record));
    TRY(keep_snapshot(s));
    TRY(check_kept(s, dir));
    TRY(keep_text(s, "clip.spec.json", s->extension.clip));
    TRY(keep_text(s, "model.spec.json", s->extension.model));
    return dir_sync(dir);
}

status extension_keep(struct clip_writer *s)
{
    if (!s->extension.identity) return ST_OK;
    char *const dir = path_join(s->attempt.dir, FINISHED_EXTENSION);
    status const st =
        dir ? fill_folder(s, dir) : fail(ST_NOMEM, "%s: no memory for a name", s->attempt.target);

    free(dir);
    if (st != ST_FORMAT) return st;
    struct error const why = *error_last(); /* written a while ago by this process */
    return fail(ST_IO, "%.3000s", why.msg);
}
