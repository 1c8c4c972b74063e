/*
 * clip_writer.c - all files of a clip from the same pictures.
 *
 * A picture is pushed to every video, the contact sheet, the quality counts and the hashes; a
 * latent to its file. Every file's bytes are hashed as they are written. Nothing is at the clip's
 * place until clip_writer_commit has closed every file, read it back and found it the same, written
 * clip.json last, and renamed the folder. Until then closing leaves nothing behind.
 */
#include "pipeline/output/clip_writer.h"
#include "base/array.h"
#include "base/strbuf.h"
#include "pipeline/output/finished_clip.h"
#include "pipeline/output/output_internal.h"
#include "pipeline/weights/tensor_file.h"

#include <stdlib.h>
#include <string.h>

static status check_file_name(const struct clip_writer *s, const char *name)
{
    if (!name || !*name || name[0] == '.' || strchr(name, '/') || !strcmp(name, "clip.json"))
        return fail(ST_ARG, "%s: `%s` is no name for a file of a clip", s->attempt.target,
                    name ? name : "");
    for (int i = 0; i < s->files; i++)
        if (!strcmp(s->file[i].name, name))
            return fail(ST_ARG, "%s: two files are to be named %s", s->attempt.target, name);
    return ST_OK;
}

/* Take a file name into the list; *name and *path are the sink's own. */
static status list_file(struct clip_writer *s, const char *name, const char **path)
{
    TRY(check_file_name(s, name));
    char *const own = path_join(s->attempt.dir, name);
    if (!own) return fail(ST_NOMEM, "%s: no memory for its name", name);
    *path = s->path[s->files] = own;
    s->file[s->files++].name = strrchr(own, '/') + 1;
    return ST_OK;
}

/* A file of the clip, at a place. */
static struct video_config video_of(const struct clip_writer_config *c,
                                    const struct video_config *f, const char *path)
{
    struct video_config v = *f;

    v.path = path;
    v.width = c->width;
    v.height = c->height;
    v.fps_num = c->fps_num;
    v.fps_den = c->fps_den;
    v.comment = c->about->task_id;
    return v;
}

static status check_dtype(const char *dir, const char *what, const char *file, enum dtype t)
{
    if (!file || t == DT_F32 || t == DT_BF16) return ST_OK;
    return fail(ST_ARG, "%s: %s as %s; allowed: F32, BF16", dir, what, dtype_name(t));
}

/* What can be refused before a folder is made. */
static status check_sink(const struct clip_writer_config *c)
{
    struct codec_choice choice;

    if (c->pictures < 1)
        return fail(ST_ARG, "%s: %lld pictures; allowed: 1 or more", c->dir,
                    (long long)c->pictures);
    if (c->formats < 1 || c->formats > CLIP_WRITER_FORMATS)
        return fail(ST_ARG, "%s: %d video files; allowed: 1..%d", c->dir, c->formats,
                    CLIP_WRITER_FORMATS);
    for (int i = 0; i < c->formats; i++) {
        struct video_config const v = video_of(c, &c->format[i], c->format[i].path);
        if (v.path) TRY(codec_choose(&choice, &v));
    }
    TRY(check_dtype(c->dir, "latents", c->latents.file, c->latents.dtype));
    return check_dtype(c->dir, "embeddings", c->embeddings.file, c->embeddings.dtype);
}

static status record_latents(void *arg, const void *bytes, size_t len)
{
    struct clip_writer *const s = arg;
    return file_record_add(&s->latents_record, bytes, len);
}

static status open_latents(struct clip_writer *s, const struct clip_writer_config *c)
{
    const char *path;

    TRY(tensor_make(
        &s->latent, c->latents.dtype,
        DIMS(c->latents.frames, CLIP_WRITER_CHANNELS, c->latents.height, c->latents.width)));
    if (tensor_count(&s->latent) < 1)
        return fail(ST_ARG, "%s: latents of no size", s->attempt.target);
    TRY(list_file(s, c->latents.file, &path));
    s->latents_name = s->file[s->files - 1].name;
    s->latent_frame = malloc(tensor_bytes(&s->latent) / (size_t)c->latents.frames);
    if (!s->latent_frame) return fail(ST_NOMEM, "%s: no memory for a latent", path);
    TRY(file_record_open(&s->latents_record, path));
    s->latents_witness = (struct tensor_file_witness){ s, record_latents };
    return tensor_file_open(&s->latents, path, &(struct tensor_file_item){ "latents", s->latent },
                            1, &s->latents_witness);
}

/* Written at the end: the clip need not be open for it. */
static status open_embeddings(struct clip_writer *s, const struct clip_writer_config *c)
{
    const char *path;

    TRY(list_file(s, c->embeddings.file, &path));
    s->embeddings = c->embeddings;
    s->embeddings.file = s->file[s->files - 1].name;
    return ST_OK;
}

/* Its packets lie in the private folder, beside what will be the clip's. */
static status open_video(struct clip_writer *s, const struct clip_writer_config *c, int i,
                         const char *path)
{
    struct video_config v = video_of(c, &c->format[i], path);
    char *const packets = str_format("%s/%s.packets", s->attempt.own, s->file[i].name);

    if (!packets) return fail(ST_NOMEM, "%s: no memory for its name", path);
    v.packets = packets;
    status const st = video_open(&s->video[i], &v);
    free(packets);
    return st;
}

static status open_files(struct clip_writer *s, const struct clip_writer_config *c)
{
    const char *path;

    for (int i = 0; i < c->formats; i++) {
        TRY(list_file(s, c->format[i].path, &path));
        TRY(open_video(s, c, i, path));
        s->videos++;
    }
    if (c->preview) {
        TRY(list_file(s, c->preview, &path));
        s->contact_name = s->file[s->files - 1].name;
        TRY(contact_open(&s->contact, &(struct contact_config){ .path = path,
                                                                .width = c->width,
                                                                .height = c->height,
                                                                .columns = c->preview_columns }));
    }
    if (c->latents.file) TRY(open_latents(s, c));
    return c->embeddings.file ? open_embeddings(s, c) : ST_OK;
}

status clip_writer_open(struct clip_writer **out, const struct clip_writer_config *c)
{
    struct clip_writer *s = NULL;
    status st = ST_OK;

    *out = NULL;
    TRY(check_sink(c));
    s = calloc(1, sizeof *s);
    if (!s) return fail(ST_NOMEM, "%s: no memory", c->dir);
    s->about = c->about;
    s->width = c->width;
    s->height = c->height;
    s->fps_num = c->fps_num;
    s->fps_den = c->fps_den;
    s->pictures = c->pictures;
    TRY_OUT(attempt_open(&s->attempt, c->dir));
    TRY_OUT(open_files(s, c));
    TRY_OUT(quality_init(&s->quality, (int64_t)c->width * c->height));
    TRY_OUT(digest_open(&s->whole));
    TRY_OUT(digest_open(&s->part));
    extension_open(s, c);
    TRY_OUT(checkpoint_open(s, c));
    *out = s;
    s = NULL; /* handed over */
out:
    clip_writer_close(&s);
    return st;
}

static void free_writer(struct clip_writer *s)
{
    for (int i = 0; i < s->videos; i++) video_close(&s->video[i]);
    contact_close(&s->contact);
    tensor_file_close(&s->latents);
    file_record_close(&s->latents_record);
    checkpoint_close(s);
    extension_close(s);
    quality_free(&s->quality);
    digest_close(&s->whole);
    digest_close(&s->part);
    for (int i = 0; i < s->files; i++) free(s->path[i]);
    free(s->latent_frame);
    free(s->block);
    free(s->place);
}

void clip_writer_close(struct clip_writer **s)
{
    struct clip_writer *const old = *s;

    if (!old) return;
    *s = NULL;
    free_writer(old);
    attempt_close(&old->attempt);
    free(old);
}

void clip_writer_leave(struct clip_writer **s)
{
    struct clip_writer *const old = *s;

    if (!old || !old->checkpoint.kept[0]) {
        clip_writer_close(s);
        return;
    }
    *s = NULL;
    free_writer(old);
    attempt_leave(&old->attempt);
    free(old);
}

const char *clip_writer_place(const struct clip_writer *s)
{
    return s->place ? s->place : s->attempt.target;
}

const char *clip_writer_attempt(const struct clip_writer *s) { return s->attempt.id; }

/* There are planes for every video. */
static status check_formats(const struct clip_writer *s, const struct pixels_layout *l)
{
    for (int i = 0; i < s->videos; i++) {
        enum pix const pix = video_facts(s->video[i])->choice.pix;
        if (!(l->formats >> pix & 1))
            return fail(ST_ARG, "%s: frames lack the format %s of %s", s->attempt.target,
                        pix_info(pix)->name, s->file[i].name);
    }
    return ST_OK;
}

static status push_video(struct video *v, const struct pixels_layout *l,
                         const unsigned char *picture)
{
    const int64_t *const at = l->plane[video_facts(v)->choice.pix];
    const unsigned char *const plane[3] = { picture + at[0], picture + at[1], picture + at[2] };

    return video_push(v, plane);
}

static status push_picture(struct clip_writer *s, const struct pixels_layout *l,
                           const unsigned char *picture)
{
    size_t const values = (size_t)s->width * (size_t)s->height * 3;
    const uint8_t *const rgb8 = picture + l->rgb;
    struct pixels_flaw flaw;

    if (pixels_flaw(&flaw, picture))
        return fail(ST_MISMATCH,
                    "%s: frame %lld has a value that is not finite: %s at column %lld, row %lld",
                    s->attempt.target, (long long)s->pushed, flaw.value,
                    (long long)(flaw.index / 3 % s->width), (long long)(flaw.index / 3 / s->width));
    quality_add(&s->quality, rgb8);
    TRY(digest_add(&s->whole, rgb8, values));
    TRY(digest_add(&s->part, rgb8, values));
    for (int i = 0; i < s->videos; i++) TRY(push_video(s->video[i], l, picture));
    s->pushed++;
    return ST_OK;
}

static status end_block(struct clip_writer *s, int64_t first)
{
    struct sidecar_block b = { .first = first, .count = s->pushed - first };

    TRY(digest_end(&s->part, b.sha256));
    return contents_list_block(s, &b);
}

status clip_writer_pictures(struct clip_writer *s, const struct pictures *p)
{
    struct pixels_layout const layout = pixels_layout(s->width, s->height, p->formats);
    int64_t const first = s->pushed, left = s->pictures - first;
    int64_t const n = p->count < left ? p->count : left;

    TRY(check_formats(s, &layout));
    for (int64_t i = 0; i < n; i++) {
        const unsigned char *const picture = p->at + i * layout.bytes;
        TRY(push_picture(s, &layout, picture));
        if (i == 0 && s->contact) contact_add(s->contact, picture + layout.rgb);
    }
    return n > 0 ? end_block(s, first) : ST_OK;
}

status clip_writer_latents(struct clip_writer *s, const float *x0, int64_t n)
{
    if (s->checkpoint.identity) TRY(checkpoint_latents(s, x0));
    return contents_add_latents(s, x0, n);
}

static status commit_video(struct clip_writer *s, int i)
{
    const struct video_facts *const facts = video_facts(s->video[i]);

    TRY(video_commit(s->video[i]));
    TRY(video_verify(s->path[i], facts, s->fps_num, s->fps_den));
    s->file[i].bytes = facts->bytes;
    memcpy(s->file[i].sha256, facts->sha256, DIGEST_HEX);
    return ST_OK;
}

static status commit_contact(struct clip_writer *s, struct sidecar_file *file)
{
    struct written w;

    TRY(contact_commit(s->contact, &w));
    file->bytes = w.bytes;
    memcpy(file->sha256, w.sha256, DIGEST_HEX);
    return ST_OK;
}

static status commit_latents(struct clip_writer *s, struct sidecar_file *file)
{
    TRY(tensor_file_commit(s->latents));
    file->bytes = s->latents_record.size;
    return file_record_check(&s->latents_record, file->sha256);
}

/* The files are listed in the order they were opened in. */
static status commit_files(struct clip_writer *s)
{
    int next = s->videos;

    for (int i = 0; i < s->videos; i++) TRY(commit_video(s, i));
    if (s->contact) TRY(commit_contact(s, &s->file[next++]));
    if (s->latents) TRY(commit_latents(s, &s->file[next++]));
    if (s->embeddings.file) TRY(embeddings_write(&s->embeddings, s->path[next], &s->file[next]));
    return extension_keep(s);
}

static status write_sidecar(struct clip_writer *s, const struct sidecar_run *run)
{
    struct sidecar_video video[CLIP_WRITER_FORMATS];
    struct sidecar car = {
        .about = s->about,
        .run = run ? run : &(struct sidecar_run){ 0 },
        .attempt = s->attempt.id,
        .width = s->width,
        .height = s->height,
        .fps_num = s->fps_num,
        .fps_den = s->fps_den,
        .pictures = s->pictures,
        .file = s->file,
        .files = s->files,
        .video = video,
        .videos = s->videos,
        .block = s->block,
        .blocks = s->blocks,
        .latents_file = s->latents_name,
        .latents_dtype = dtype_name(s->latent.dtype),
        .embeddings = &s->embeddings,
        .preview_file = s->contact_name,
        .quality = &s->quality,
    };

    for (int i = 0; i < s->videos; i++)
        video[i] = (struct sidecar_video){ s->file[i].name, *video_facts(s->video[i]) };
    for (int i = 0; i < 4; i++) car.latents_shape[i] = s->latent.dim[i];
    TRY(digest_end(&s->whole, car.pictures_sha256));

    char *const path = path_join(s->attempt.dir, "clip.json");
    if (!path) return fail(ST_NOMEM, "clip.json: no memory for its name");
    status const st = sidecar_write(path, &car);
    free(path);
    return st;
}

/* Is this very clip at its place, whole? */
static bool is_there(const struct clip_writer *s)
{
    const char *const task = s->about->task_id;
    struct finished_clip there;
    bool const whole = finished_clip_read(&there, s->attempt.target, FINISHED_SIZES) == ST_OK;

    error_clear();
    return whole && task && !strcmp(there.task_id, task);
}

static status publish_elsewhere(struct clip_writer *s)
{
    enum { VERSIONS = 10000 };
    bool won = false;

    for (int version = 2; !won && version < VERSIONS; version++) {
        free(s->place);
        s->place = str_format("%s-v%d", s->attempt.target, version);
        if (!s->place) break;
        TRY(attempt_publish(&s->attempt, s->place, &won));
    }
    if (won) return ST_OK;
    s->attempt.keep = true;
    return fail(ST_IO, "%s: no name is free; the finished clip stays in %s", s->attempt.target,
                s->attempt.dir);
}

static status publish_clip(struct clip_writer *s, enum clip_outcome *outcome)
{
    bool won;

    TRY(attempt_publish(&s->attempt, s->attempt.target, &won));
    *outcome = won ? CLIP_PUBLISHED : is_there(s) ? CLIP_THERE_ALREADY : CLIP_ELSEWHERE;
    return *outcome == CLIP_ELSEWHERE ? publish_elsewhere(s) : ST_OK;
}

status clip_writer_commit(struct clip_writer *s, const struct sidecar_run *run,
                          enum clip_outcome *outcome)
{
    if (s->pushed != s->pictures)
        return fail(ST_ARG, "%s: %lld of %lld frames received", s->attempt.target,
                    (long long)s->pushed, (long long)s->pictures);
    if (s->latents && s->latents_pushed != s->latent.dim[0])
        return fail(ST_ARG, "%s: %lld of %lld latent frames received", s->attempt.target,
                    (long long)s->latents_pushed, (long long)s->latent.dim[0]);
    TRY(commit_files(s));
    TRY(write_sidecar(s, run));
    TRY(publish_clip(s, outcome));
    if (*outcome == CLIP_PUBLISHED) checkpoint_drop_adopted(s);
    return ST_OK;
}
