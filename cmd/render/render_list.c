#define _XOPEN_SOURCE 700 /* realpath */
#include "cmd/render/render_list.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "cmd/job_encoders.h"
#include "comm/world.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct render_source {
    struct job *job;
    struct card card;
    struct model_spec model;
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
        at = version < VERSIONS ? str_format("%s/%s-v%d", job->output.dir, spec->name, version)
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

/* Room for the clips of a source, behind those that are there. */
static status make_room(struct render_list *l, const struct render_source *s)
{
    struct render_clip *const more =
        realloc(l->clip, (size_t)(l->count + s->clips.count + 1) * sizeof *more);

    if (!more) return fail(ST_NOMEM, "%d clips", l->count + s->clips.count);
    l->clip = more;
    return ST_OK;
}

static struct render_clip clip_of(const struct render_source *s, int i)
{
    return (struct render_clip){
        .job = s->job, .card = &s->model, .model_id = s->model_id, .spec = &s->clips.clip[i]
    };
}

static status expand(struct render_source *s, const char *precision)
{
    return clip_expand(&s->clips, s->job, &s->card,
                       &(struct clip_options){ .model_id = s->model_id, .precision = precision });
}

static status settle_source(struct render_list *l, struct render_source *s, struct job *job,
                            const char *precision)
{
    TRY(card_check_files(&s->card, NULL));
    TRY(card_fingerprint(&s->card, s->model_id));
    TRY(expand(s, precision));
    TRY(open_output(job));
    TRY(make_room(l, s));
    for (int i = 0; i < s->clips.count; i++) {
        struct render_clip c = clip_of(s, i);
        TRY(place(l, job, c.spec, &c.dir));
        if (c.dir) l->clip[l->count++] = c;
    }
    return ST_OK;
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

/* A clip among those of its job, and what it is. */
enum { CLIP_WORD = 48 };
static const char *clip_word(const struct clip_spec *c, char word[CLIP_WORD])
{
    snprintf(word, CLIP_WORD, "%lld %s", (long long)c->index, c->task_id);
    return word;
}

static status settle_encoders(struct render_list *l, struct job_encoders *e)
{
    for (int i = 0; i < l->sources; i++) TRY(job_encoders_settle(e, l->source[i].job));
    return ST_OK;
}

static void add_word(struct strbuf *t, const char *word) { strbuf_add(t, word, strlen(word) + 1); }

/* What rank 0 found, as words that end in NUL: why a card's encoder does not open, if so; per
 * source its model; per clip that is to be made its number and task, and its folder; an empty
 * word behind the last. */
static status settle(struct render_list *l, const char *precision, struct strbuf *found)
{
    struct render_source *s = l->source;
    struct job_encoders encoders = { 0 };

    TRY(settle_encoders(l, &encoders));
    for (int i = 0; i < l->files; i++)
        for (int j = 0; j < l->file[i].jobs; j++)
            TRY(settle_source(l, s++, &l->file[i].job[j], precision));
    TRY(check_unique(l));
    add_word(found, encoders.probe.why);
    for (int i = 0, at = 0; i < l->sources; i++) {
        add_word(found, l->source[i].model_id);
        for (; at < l->count && l->clip[at].job == l->source[i].job; at++) {
            char word[CLIP_WORD];
            add_word(found, clip_word(l->clip[at].spec, word));
            add_word(found, l->clip[at].dir);
        }
        add_word(found, "");
    }
    return found->failed ? fail(ST_NOMEM, "%d clips", l->count) : ST_OK;
}

/* The next word, or NULL behind the last. */
static const char *next_word(const char **at, const char *end)
{
    const char *const word = *at;

    if (word >= end) return NULL;
    *at = word + strlen(word) + 1;
    return word;
}

static status follow_source(struct render_list *l, struct render_source *s, const char *precision,
                            const char **at, const char *end)
{
    const char *const model = next_word(at, end);
    const char *wanted;

    snprintf(s->model_id, sizeof s->model_id, "%s", model ? model : "");
    TRY(expand(s, precision));
    TRY(make_room(l, s));
    wanted = next_word(at, end);
    for (int i = 0; i < s->clips.count && wanted && *wanted; i++) {
        struct render_clip c = clip_of(s, i);
        char word[CLIP_WORD];
        if (strcmp(clip_word(c.spec, word), wanted) != 0) continue;
        const char *const dir = next_word(at, end);
        c.dir = dir ? strdup(dir) : NULL;
        if (!c.dir) return fail(ST_NOMEM, "a folder's name");
        l->clip[l->count++] = c;
        wanted = next_word(at, end);
    }
    if (!wanted || *wanted)
        return fail(ST_FORMAT,
                    "job %s reads differently here than on rank 0: is every rank given "
                    "the same files?",
                    s->job->name);
    return ST_OK;
}

static status follow(struct render_list *l, const char *precision, const char *words, size_t len)
{
    const char *at = words;
    const char *const why = next_word(&at, words + len);
    struct job_encoders encoders = { .known = true };

    snprintf(encoders.probe.why, sizeof encoders.probe.why, "%s", why ? why : "");
    encoders.probe.opens = !encoders.probe.why[0];
    TRY(settle_encoders(l, &encoders));
    for (int i = 0; i < l->sources; i++)
        TRY(follow_source(l, &l->source[i], precision, &at, words + len));
    return ST_OK;
}

static status load(struct render_list *l, char *const *paths, int count)
{
    int jobs = 0;

    l->file = calloc((size_t)count + 1, sizeof *l->file);
    if (!l->file) return fail(ST_NOMEM, "%d job files", count);
    for (int i = 0; i < count; i++) {
        TRY(job_load(&l->file[i], paths[i]));
        l->files++;
        jobs += l->file[i].jobs;
    }
    l->source = calloc((size_t)jobs + 1, sizeof *l->source);
    if (!l->source) return fail(ST_NOMEM, "%d jobs", jobs);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < l->file[i].jobs; j++) {
            struct render_source *const s = &l->source[l->sources++];
            s->job = &l->file[i].job[j];
            TRY(clip_card(&s->card, s->job));
            TRY(card_spec(&s->model, &s->card));
        }
    return ST_OK;
}

status render_list_open(struct render_list *out, struct comm *world, char *const *paths, int count,
                        const char *precision)
{
    struct strbuf found = { 0 };
    char *words = NULL;
    status st = ST_OK;

    *out = (struct render_list){ 0 };
    if (world->rank == 0) {
        st = load(out, paths, count);
        if (st == ST_OK) st = settle(out, precision, &found);
        words = found.s;
    }
    TRY_OUT(comm_agree(world, st)); /* what is wrong with a file is said once */
    TRY_OUT(comm_broadcast(world, 0, &words, &found.len));
    if (world->rank != 0) {
        st = load(out, paths, count);
        if (st == ST_OK) st = follow(out, precision, words, found.len);
    }
    TRY_OUT(comm_agree(world, st));
    if (world->rank == 0 && out->skipped)
        log_info("render: %d clips are there already", out->skipped);
out:
    if (world->rank != 0) free(words);
    strbuf_free(&found);
    if (st != ST_OK) render_list_close(out);
    return st;
}

void render_list_close(struct render_list *l)
{
    for (int i = 0; i < l->count; i++) free(l->clip[i].dir);
    for (int i = 0; i < l->sources; i++) {
        clip_free(&l->source[i].clips);
        card_close(&l->source[i].card);
        model_spec_free(&l->source[i].model);
    }
    for (int i = 0; i < l->files; i++) job_close(&l->file[i]);
    free(l->clip);
    free(l->source);
    free(l->file);
    *l = (struct render_list){ 0 };
}
