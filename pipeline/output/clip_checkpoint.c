/*
 * clip_checkpoint.c - where a clip's files stand, as bytes, and a writer that goes on from there.
 *
 * The order on disk is what makes a checkpoint one: first the packets of all videos, behind which
 * their encoders begin anew, and the latents; then, in one rename, the snapshot that counts
 * on them. A kill in between leaves the snapshot before.
 *
 * Whoever goes on copies what the snapshot counts into a folder of its own, record by record, and
 * only reads the other's: that one's owner may be frozen and still write.
 */
#include "base/byte_reader.h"
#include "base/file.h"
#include "base/log.h"
#include "pipeline/output/attempts.h"
#include "pipeline/output/output_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- making one -------------------------------------------------------------------------- */

static status save_state(struct clip_writer *s, struct strbuf *out)
{
    struct strbuf quality = { 0 }, contact = { 0 };
    struct writer_state head = {
        .pictures = s->pictures, .pushed = s->pushed, .videos = s->videos, .blocks = s->blocks
    };
    status st = ST_OK;

    quality_save(&s->quality, &quality);
    if (s->contact) contact_save(s->contact, &contact);
    head.quality_bytes = (int64_t)quality.len;
    head.contact_bytes = (int64_t)contact.len;
    digest_save(&s->whole, head.whole);
    strbuf_add(out, &head, sizeof head);
    for (int i = 0; i < s->videos; i++) {
        struct video_state at;
        TRY_OUT(video_seal(s->video[i], &at));
        strbuf_add(out, &at, sizeof at);
    }
    strbuf_add(out, s->block, (size_t)s->blocks * sizeof *s->block);
    strbuf_add(out, quality.s, quality.len);
    strbuf_add(out, contact.s, contact.len);
    if (quality.failed || contact.failed || out->failed)
        st = fail(ST_NOMEM, "%s: no memory for a checkpoint", s->attempt.target);
out:
    strbuf_free(&quality);
    strbuf_free(&contact);
    return st;
}

/* Beside the newest the one before it stays, should the disk lose a part of the newest. */
static void keep_newest(struct clip_writer *s)
{
    int64_t *const kept = s->checkpoint.kept;

    if (kept[1]) snapshot_remove(s->attempt.own, kept[1]);
    kept[1] = kept[0];
    kept[0] = s->blocks;
}

void checkpoint_drop_adopted(struct clip_writer *s)
{
    char **const dir = &s->checkpoint.adopted;

    if (*dir && !s->checkpoint.extends && attempt_remove(*dir) != ST_OK) {
        log_warn("not removed: %s", error_last()->msg);
        error_clear();
    }
    free(*dir);
    *dir = NULL;
}

status clip_writer_checkpoint(struct clip_writer *s, const float *window, int windows)
{
    struct strbuf state = { 0 };
    status st = ST_OK;

    if (!s->checkpoint.identity || !s->blocks)
        return fail(ST_ARG, "%s: no checkpoint can be made here", s->attempt.target);
    TRY_OUT(save_state(s, &state));
    TRY_OUT(journal_sync(&s->checkpoint.latents));
    TRY_OUT(snapshot_write(
        s->attempt.own, &(struct snapshot){ .identity = (char *)(uintptr_t)s->checkpoint.identity,
                                            .blocks = s->blocks,
                                            .coded = s->blocks,
                                            .latent = s->checkpoint.latent,
                                            .window = (float *)(uintptr_t)window,
                                            .windows = windows,
                                            .writer = state.s,
                                            .writer_bytes = state.len }));
    TRY_OUT(extension_note(s, state.s, state.len, s->blocks));
    keep_newest(s);
    checkpoint_drop_adopted(s);
out:
    strbuf_free(&state);
    return st;
}

/* ---- going on from one ------------------------------------------------------------------- */

static status load_bytes(const struct clip_writer *s, struct byte_reader *r, void *to, size_t bytes)
{
    if (byte_reader_take(r, to, bytes)) return ST_OK;
    return fail(ST_FORMAT, "%s: the snapshot there ends before its end", s->checkpoint.adopted);
}

static status resume_video(struct clip_writer *s, struct byte_reader *r, int i)
{
    char *const packets = str_format("%s/%s.packets", s->checkpoint.adopted, s->file[i].name);
    struct video_state at;
    status st = ST_OK;

    if (!packets) return fail(ST_NOMEM, "%s: no memory for its name", s->file[i].name);
    TRY_OUT(load_bytes(s, r, &at, sizeof at));
    if (at.frames != s->pushed)
        FAIL_OUT(ST_FORMAT, "%s: %lld frames of %lld", packets, (long long)at.frames,
                 (long long)s->pushed);
    TRY_OUT(video_resume(s->video[i], &at, packets));
out:
    free(packets);
    return st;
}

static status resume_block(struct clip_writer *s, struct byte_reader *r)
{
    struct sidecar_block b;

    TRY(load_bytes(s, r, &b, sizeof b));
    if (memchr(b.sha256, '\0', sizeof b.sha256) != b.sha256 + DIGEST_HEX - 1)
        return fail(ST_FORMAT, "%s: a block without a hash", s->checkpoint.adopted);
    return contents_list_block(s, &b);
}

static status resume_parts(struct clip_writer *s, struct byte_reader *r,
                           const struct writer_state *head)
{
    int64_t const left = r->end - r->at;

    if (head->quality_bytes < 0 || head->contact_bytes < 0 || head->quality_bytes > left ||
        left - head->quality_bytes != head->contact_bytes ||
        (head->contact_bytes > 0) != (s->contact != NULL))
        return fail(ST_FORMAT, "%s: the snapshot there is of other files", s->checkpoint.adopted);
    TRY(quality_load(&s->quality, r->at, (size_t)head->quality_bytes));
    r->at += head->quality_bytes;
    return s->contact ? contact_load(s->contact, r->at, (size_t)head->contact_bytes) : ST_OK;
}

static status resume_state(struct clip_writer *s, const struct snapshot *snap)
{
    struct byte_reader r = { snap->writer, (const char *)snap->writer + snap->writer_bytes };
    struct writer_state head;

    TRY(load_bytes(s, &r, &head, sizeof head));
    bool const same = head.pictures == s->pictures || s->checkpoint.extends;
    if (!same || head.pushed < 1 || head.pushed > s->pictures || head.videos != s->videos ||
        head.blocks != snap->coded)
        return fail(ST_FORMAT, "%s: the snapshot there is of another clip", s->checkpoint.adopted);
    s->pushed = head.pushed;
    TRY(digest_load(&s->whole, head.whole));
    for (int i = 0; i < s->videos; i++) TRY(resume_video(s, &r, i));
    for (int64_t i = 0; i < snap->coded; i++) TRY(resume_block(s, &r));
    return resume_parts(s, &r, &head);
}

static status resume_latents(struct clip_writer *s, struct snapshot_reader *r)
{
    for (int64_t block = 0; block < r->s.coded; block++) {
        const float *x0;
        TRY(snapshot_latent(r, block, &x0));
        TRY(checkpoint_latents(s, x0));
        TRY(contents_add_latents(s, x0, s->checkpoint.frames));
    }
    return ST_OK;
}

static status resume_writer(struct clip_writer *s, int64_t blocks, const char *identity)
{
    struct snapshot_reader r;
    status st = ST_OK;

    TRY(snapshot_reader_open(&r, s->checkpoint.adopted, blocks));
    if (r.s.latent != s->checkpoint.latent || strcmp(r.s.identity, identity) != 0)
        FAIL_OUT(ST_MISMATCH,
                 "%s: the snapshot there is of another clip, or was made by other "
                 "means than these",
                 s->checkpoint.adopted);
    if (r.s.coded) TRY_OUT(resume_state(s, &r.s));
    TRY_OUT(resume_latents(s, &r));
    TRY_OUT(extension_resume(s, &r.s));
out:
    snapshot_reader_close(&r);
    return st;
}

status checkpoint_open(struct clip_writer *s, const struct clip_writer_config *c)
{
    s->checkpoint.latents.fd = -1;
    if (!c->checkpoint.identity) return ST_OK;
    s->checkpoint.identity = c->checkpoint.identity;
    s->checkpoint.frames = c->checkpoint.frames;
    s->checkpoint.latent = c->checkpoint.latent;
    char *const path = snapshot_latents_path(s->attempt.own);
    if (!path) return fail(ST_NOMEM, "%s: no memory for its latents", s->attempt.own);
    status const st = journal_open(&s->checkpoint.latents, path);
    free(path);
    TRY(st);
    if (!c->resume.dir) return ST_OK;
    s->checkpoint.adopted = str_format("%s", c->resume.dir);
    if (!s->checkpoint.adopted) return fail(ST_NOMEM, "%s: no memory for its name", c->resume.dir);
    s->checkpoint.extends = c->resume.extends;
    return resume_writer(s, c->resume.blocks, c->resume.identity);
}

/* Records are numbered by block, and journals are only as far as the pictures. */
status checkpoint_latents(struct clip_writer *s, const float *x0)
{
    struct journal *const j = &s->checkpoint.latents;
    size_t const bytes = (size_t)s->checkpoint.latent * sizeof *x0;

    return journal_append(j, j->size / (int64_t)(JOURNAL_HEAD + bytes), x0, bytes);
}

void checkpoint_close(struct clip_writer *s)
{
    if (s->checkpoint.identity) journal_close(&s->checkpoint.latents);
    free(s->checkpoint.adopted);
}
