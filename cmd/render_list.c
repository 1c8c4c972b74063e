#define _XOPEN_SOURCE 700 /* realpath */
#include "cmd/render_list.h"
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct render_source {
    struct job *job;
    struct card card;
    char model_id[DIGEST_HEX];
    struct clip_list clips;
};

enum { SIDECAR_BYTES = 64 << 20 };

/* Is the folder the finished clip of this very task? */
static bool is_same_task(const char *dir, const char *task_id)
{
    char *const path = path_join(dir, "clip.json");
    char *text = NULL;
    size_t len = 0;
    bool same = false;

    if (path && file_read(path, SIDECAR_BYTES, &text, &len) == ST_OK) {
        json_t *const root = json_loadb(text, len, 0, NULL);
        const char *const id =
            json_string_value(json_object_get(json_object_get(root, "identity"), "task_id"));
        same = id && !strcmp(id, task_id);
        json_decref(root);
    }
    free(text);
    free(path);
    return same;
}

/* `dir` itself, or under on_exists: version the first of dir-v2, dir-v3 ... that is free. */
static status place(struct render_list *l, const struct job *job, const struct clip_spec *spec,
                    char **dir)
{
    char *at = path_join(job->output.dir, spec->name);
    enum { VERSIONS = 10000 };

    *dir = NULL;
    for (int version = 2; at && job->output.on_exists == JOB_VERSION && path_exists(at);
         version++) {
        free(at);
        at = version < VERSIONS ? text_format("%s/%s-v%d", job->output.dir, spec->name, version)
                                : NULL;
    }
    if (!at) return fail(ST_NOMEM, "%s/%s: no free name", job->output.dir, spec->name);
    if (!path_exists(at)) {
        *dir = at;
        return ST_OK;
    }
    status st = ST_OK;
    if (job->output.on_exists == JOB_ERROR)
        st = fail(ST_FORMAT, "%s: is there already, and output.on_exists is error", at);
    else if (!is_same_task(at, spec->task_id))
        st = fail(ST_FORMAT,
                  "%s: something else is there, not this clip (task %s); remove it, name the clip "
                  "otherwise, or say output.on_exists: version",
                  at, spec->task_id);
    else l->skipped++;
    free(at);
    return st;
}

/* Make the output folder now, not when the first clip is half rendered, and name it
 * one way however a job spells it. */
static status open_output(struct job *job)
{
    TRY(dir_make(job->output.dir));
    char *const real = realpath(job->output.dir, NULL);

    if (!real || access(real, W_OK | X_OK)) {
        status const st = fail(ST_IO, "%s: %s", job->output.dir, strerror(errno));
        free(real);
        return st;
    }
    free(job->output.dir);
    job->output.dir = real;
    return ST_OK;
}

static status add_clips(struct render_list *l, const struct render_source *s)
{
    struct render_clip *const more =
        realloc(l->clip, (size_t)(l->count + s->clips.count + 1) * sizeof *more);

    if (!more) return fail(ST_NOMEM, "%d clips", l->count + s->clips.count);
    l->clip = more;
    for (int i = 0; i < s->clips.count; i++) {
        struct render_clip c = {
            .job = s->job, .card = &s->card, .model_id = s->model_id, .spec = &s->clips.clip[i]
        };
        TRY(place(l, s->job, c.spec, &c.dir));
        if (c.dir) l->clip[l->count++] = c;
    }
    return ST_OK;
}

static status add_job(struct render_list *l, struct job *job, const char *precision)
{
    struct render_source *const s = &l->source[l->sources++];

    s->job = job;
    TRY(clip_card(&s->card, job));
    TRY(card_check_files(&s->card));
    TRY(card_fingerprint(&s->card, s->model_id));
    TRY(clip_expand(&s->clips, job, &s->card,
                    &(struct clip_options){ .model_id = s->model_id, .precision = precision }));
    TRY(open_output(job));
    return add_clips(l, s);
}

static int by_dir(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static status check_unique(const struct render_list *l)
{
    char **const dirs = calloc((size_t)l->count + 1, sizeof *dirs);
    status st = ST_OK;

    if (!dirs) return fail(ST_NOMEM, "%d clips", l->count);
    for (int i = 0; i < l->count; i++) dirs[i] = l->clip[i].dir;
    qsort(dirs, (size_t)l->count, sizeof *dirs, by_dir);
    for (int i = 1; i < l->count && st == ST_OK; i++)
        if (!strcmp(dirs[i - 1], dirs[i]))
            st = fail(ST_FORMAT, "%s: two clips of these jobs have this folder", dirs[i]);
    free(dirs);
    return st;
}

status render_list_open(struct render_list *out, char *const *paths, int count,
                        const char *precision)
{
    int jobs = 0;
    status st = ST_OK;

    *out = (struct render_list){ .file = calloc((size_t)count + 1, sizeof *out->file) };
    if (!out->file) return fail(ST_NOMEM, "%d job files", count);
    for (int i = 0; i < count; i++) {
        TRY_OUT(job_load(&out->file[i], paths[i]));
        out->files++;
        jobs += out->file[i].jobs;
    }
    out->source = calloc((size_t)jobs + 1, sizeof *out->source);
    if (!out->source) {
        st = fail(ST_NOMEM, "%d jobs", jobs);
        goto out;
    }
    for (int i = 0; i < count; i++)
        for (int j = 0; j < out->file[i].jobs; j++)
            TRY_OUT(add_job(out, &out->file[i].job[j], precision));
    TRY_OUT(check_unique(out));
out:
    if (st != ST_OK) render_list_close(out);
    return st;
}

void render_list_close(struct render_list *l)
{
    for (int i = 0; i < l->count; i++) free(l->clip[i].dir);
    for (int i = 0; i < l->sources; i++) {
        clip_free(&l->source[i].clips);
        card_close(&l->source[i].card);
    }
    for (int i = 0; i < l->files; i++) job_close(&l->file[i]);
    free(l->clip);
    free(l->source);
    free(l->file);
    *l = (struct render_list){ 0 };
}
