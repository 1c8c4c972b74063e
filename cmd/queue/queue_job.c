/*
 * queue_job.c - job files to rows of the queue, and back to clips.
 *
 * What encodes is settled once, when the job is submitted, and kept with it: it is part of a
 * clip's task id, and two worlds with and without a card's encoder must not differ in it.
 */
#define _XOPEN_SOURCE 700 /* realpath */
#include "base/digest.h"
#include "base/json_build.h"
#include "base/strbuf.h"
#include "cmd/clip_folder.h"
#include "cmd/job_encoders.h"
#include "cmd/queue/cmd_queue_internal.h"
#include "cmd/user_cache.h"
#include "jobs/spec/spec_json.h"
#include "pipeline/engine/output_formats.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPEC_VERSION = 1, UID_BYTES = 80 };

/* A file of jobs as it was read: its text, and its place for what is relative to it. */
struct source_file {
    struct job_file jobs;
    char *text, *path;
    size_t len;
};

struct submitting {
    struct queue *q;
    const struct queue_submission *how;
    struct source_file *file;
    int files;
    struct job_encoders encoders;
    struct prompt_lengths lengths;
};

/* One job, ready to be submitted. */
struct ready_job {
    const struct job *job;
    struct card card;
    struct queue_expanded x;
    char *spec;
    char group[QUEUE_GROUP], uid[UID_BYTES];
    char **values; /* [clips] JSON */
};

static status load_file(struct source_file *f, const char *path)
{
    f->path = realpath(path, NULL);
    TRY(file_read(f->path ? f->path : path, TREE_BYTES, &f->text, &f->len));
    return job_parse(&f->jobs, f->text, f->len, f->path ? f->path : path);
}

/* ---- a job's text ---- */

static json_t *encoders_json(const struct job *job)
{
    json_t *list = json_array();

    for (int i = 0; i < job->output.formats; i++)
        json_add(&list, json_string(clip_encoder_name(job->output.format[i].encoder)));
    return list;
}

/* `document`: the job's place in its file. */
static status write_spec(char **out, const struct source_file *f, int document, bool whole)
{
    json_t *root = json_pack("{s:i, s:s, s:i, s:s%, s:o}", "spec", SPEC_VERSION, "path", f->path,
                             "document", document, "text", f->text, f->len, "encoders",
                             encoders_json(&f->jobs.job[document]));

    if (whole) json_set(&root, "hash", json_string("full"));
    *out = root ? json_write(root, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(root);
    return *out ? ST_OK : fail(ST_NOMEM, "%s: no memory for its text", f->path);
}

static status set_encoders(struct job *job, const json_t *names)
{
    for (int i = 0; i < job->output.formats; i++) {
        struct format *const f = &job->output.format[i];
        const char *const name = json_string_value(json_array_get(names, (size_t)i));
        bool const nvenc = name && !strcmp(name, clip_encoder_name(CLIP_ENCODER_NVENC));
        if (f->encoder == CLIP_ENCODER_AUTO)
            f->encoder = nvenc ? CLIP_ENCODER_NVENC : CLIP_ENCODER_CPU;
    }
    struct job_encoders none = { 0 };
    return job_encoders_settle(&none, job);
}

/* ---- clips ---- */

static status identify_model(struct model_spec *m, const struct card *card, bool whole)
{
    char *const hashes = user_cache_path("hashes");
    status const st =
        card_identify(m, card, &(struct file_hash_rule){ .whole = whole, .cache = hashes });

    free(hashes);
    return st;
}

static status expand_job(struct queue_expanded *x, struct job *job, const struct card *card,
                         bool whole)
{
    TRY(card_check_files(card, NULL));
    TRY(card_spec(&x->model, card));
    TRY(identify_model(&x->model, card, whole));
    return clip_expand(&x->clips, job, card, &(struct clip_options){ .model_id = x->model.id });
}

void queue_job_free(struct queue_expanded *x)
{
    clip_free(&x->clips);
    model_spec_free(&x->model);
    *x = (struct queue_expanded){ 0 };
}

static status expand_text(struct queue_expanded *out, const json_t *root, const char *name)
{
    const char *const path = json_string_value(json_object_get(root, "path"));
    const char *const text = json_string_value(json_object_get(root, "text"));
    const char *const hash = json_string_value(json_object_get(root, "hash"));
    json_int_t const document = json_integer_value(json_object_get(root, "document"));
    struct job_file f;
    struct card card = { 0 };
    status st = ST_OK;

    if (json_integer_value(json_object_get(root, "spec")) != SPEC_VERSION || !path || !text)
        return fail(ST_FORMAT, "job %s: its text in the queue is not of this program's form", name);
    TRY(job_parse(&f, text, strlen(text), path));
    if (document < 0 || document >= f.jobs)
        FAIL_OUT(ST_FORMAT, "job %s: its text in the queue has %d jobs", name, f.jobs);
    TRY_OUT(set_encoders(&f.job[document], json_object_get(root, "encoders")));
    TRY_OUT(clip_card(&card, &f.job[document]));
    st = expand_job(out, &f.job[document], &card, hash && !strcmp(hash, "full"));
out:
    card_close(&card);
    job_close(&f);
    return st;
}

status queue_job_expand(struct queue_expanded *out, const char *spec, const char *name)
{
    json_t *const root = json_loads(spec, 0, NULL);

    *out = (struct queue_expanded){ 0 };
    status const st = expand_text(out, root, name);
    json_decref(root);
    if (st != ST_OK) queue_job_free(out);
    return st;
}

/* ---- what the queue is told of a job ---- */

/* What a line can take without opening anew: model, precision, numerics, size, and the formats that
 * there are buffers for (work_source.h). */
static status name_group(struct ready_job *r)
{
    const struct clip_spec *const c = &r->x.clips.clip[0];
    struct strbuf text = { 0 };
    char hex[DIGEST_HEX] = "", word[CLIP_WORD];
    status st = model_spec_asked_json(&text, &r->x.model);

    strbuf_addf(&text, " %s %dx%d %x", clip_precision_name(c->precision), c->width, c->height,
                clip_pixel_formats(c));
    for (int k = 0; k < CLIP_NUMERICS; k++) /* what asks for none has the name that it had */
        if (clip_numeric_word(word, &c->numerics, (enum clip_numeric_key)k))
            strbuf_addf(&text, " %s %s", clip_numeric_name((enum clip_numeric_key)k), word);
    if (st == ST_OK && text.failed) st = fail(ST_NOMEM, "%s: no memory", r->job->name);
    if (st == ST_OK) st = digest_bytes(text.s, text.len, hex);
    snprintf(r->group, sizeof r->group, "%.32s %s %dx%d %.16s", r->x.model.name,
             clip_precision_name(c->precision), c->width, c->height, hex);
    strbuf_free(&text);
    return st;
}

/* The same clips in the same folders are the same job. */
static status name_job(struct ready_job *r)
{
    struct strbuf text = { 0 };
    char hex[DIGEST_HEX] = "";
    status st = ST_OK;

    for (int i = 0; i < r->x.clips.count; i++)
        strbuf_addf(&text, "%s %s\n", r->x.clips.clip[i].task_id, r->x.clips.clip[i].dir);
    if (text.failed) st = fail(ST_NOMEM, "%s: no memory", r->job->name);
    if (st == ST_OK) st = digest_bytes(text.s, text.len, hex);
    snprintf(r->uid, sizeof r->uid, "%s-%.8s", r->job->name, hex);
    strbuf_free(&text);
    return st;
}

static status write_values(struct ready_job *r)
{
    r->values = calloc((size_t)r->x.clips.count + 1, sizeof *r->values);
    if (!r->values) return fail(ST_NOMEM, "%s: %d clips", r->job->name, r->x.clips.count);
    for (int i = 0; i < r->x.clips.count; i++) {
        const struct clip_spec *const c = &r->x.clips.clip[i];
        json_t *root = json_object();
        for (int v = 0; v < c->values; v++)
            json_set(&root, c->value[v].name, json_string(c->value[v].value));
        r->values[i] = root ? json_write(root, JSON_COMPACT) : NULL;
        json_decref(root);
        if (!r->values[i]) return fail(ST_NOMEM, "%s: %d clips", r->job->name, r->x.clips.count);
    }
    return ST_OK;
}

static void close_ready(struct ready_job *r)
{
    for (int i = 0; r->values && i < r->x.clips.count; i++) free(r->values[i]);
    free(r->values);
    free(r->spec);
    queue_job_free(&r->x);
    card_close(&r->card);
}

static status make_ready(struct ready_job *r, struct submitting *s, struct source_file *f,
                         int document)
{
    struct job *const job = &f->jobs.job[document];

    r->job = job;
    TRY(job_encoders_settle(&s->encoders, job));
    TRY(write_spec(&r->spec, f, document, s->how->whole));
    TRY(clip_card(&r->card, job));
    TRY(expand_job(&r->x, job, &r->card, s->how->whole));
    TRY(prompt_lengths_check(&s->lengths, job, &r->card, &r->x.clips));
    TRY(clip_folder_open(job));
    for (int i = 0; i < r->x.clips.count; i++) {
        bool there;
        TRY(clip_folder_choose(&r->x.clips.clip[i], job, &there));
    }
    TRY(name_group(r));
    TRY(name_job(r));
    return write_values(r);
}

static void give_clip(void *arg, int64_t i, struct queue_new_clip *c)
{
    const struct ready_job *const r = arg;
    const struct clip_spec *const clip = &r->x.clips.clip[i];

    *c = (struct queue_new_clip){ .task = clip->task_id,
                                  .folder = clip->dir,
                                  .values = r->values[i],
                                  .blocks = clip->blocks,
                                  .pictures = clip->pictures,
                                  .video_ms =
                                      clip->pictures * 1000 * clip->fps_den / clip->fps_num };
}

static int64_t count_failures_allowed(const struct job_run *run, int64_t clips)
{
    return run->max_failed_in_percent ? clips * run->max_failed / 100 : run->max_failed;
}

static status submit_job(struct submitting *s, struct ready_job *r, struct queue_submitted *done)
{
    const struct job *const j = r->job;
    struct queue_after *const after = calloc((size_t)j->afters + 1, sizeof *after);
    enum queue_answer a;

    if (!after) return fail(ST_NOMEM, "%s: no memory", j->name);
    for (int i = 0; i < j->afters; i++)
        after[i] = (struct queue_after){ .job = j->after[i].job, .any = j->after[i].any };
    struct queue_job const job = {
        .uid = r->uid,
        .name = j->name,
        .owner = j->owner ? j->owner : "",
        .group = r->group,
        .spec = r->spec,
        .after = after,
        .afters = j->afters,
        .priority = j->priority,
        .clips = r->x.clips.count,
        .max_failed = count_failures_allowed(&j->run, r->x.clips.count),
        .max_worlds = j->run.max_worlds,
        .budget_error = j->run.errors,
        .budget_crash = j->run.crashes,
        .budget_preempt = j->run.preempts,
        .backoff_ms = j->run.backoff.micros / 1000,
        .held = s->how->held,
    };
    *done = (struct queue_submitted){ .name = j->name, .uid = r->uid, .clips = job.clips };
    for (int tries = 0;; tries++) {
        a = queue_submit(s->q, &job, give_clip, r, &done->id, &done->fresh);
        if (a != QUEUE_DOWN || tries == 3) break;
    }
    free(after);
    return queue_check_answer(s->q, a);
}

/* ---- all jobs ---- */

static status check_folders(const struct ready_job *ready, int jobs)
{
    int64_t clips = 0;

    for (int i = 0; i < jobs; i++) clips += ready[i].x.clips.count;
    const char **const dirs = calloc((size_t)clips + 1, sizeof *dirs);
    if (!dirs) return fail(ST_NOMEM, "%lld clips", (long long)clips);
    clips = 0;
    for (int i = 0; i < jobs; i++)
        for (int k = 0; k < ready[i].x.clips.count; k++)
            dirs[clips++] = ready[i].x.clips.clip[k].dir;
    status const st = clip_folder_check_all(dirs, clips);
    free(dirs);
    return st;
}

static status submit_all(struct submitting *s, struct ready_job *ready, int jobs,
                         void (*each)(void *arg, const struct queue_submitted *s), void *arg)
{
    int n = 0;

    for (int i = 0; i < s->files; i++)
        for (int k = 0; k < s->file[i].jobs.jobs; k++)
            TRY(make_ready(&ready[n++], s, &s->file[i], k));
    TRY(check_folders(ready, jobs));
    for (int i = 0; i < n; i++) {
        struct queue_submitted done;
        TRY(submit_job(s, &ready[i], &done));
        each(arg, &done);
    }
    return ST_OK;
}

static status load_files(struct submitting *s, char *const *paths, int count, int *jobs)
{
    s->file = calloc((size_t)count + 1, sizeof *s->file);
    if (!s->file) return fail(ST_NOMEM, "%d job files", count);
    for (int i = 0; i < count; i++) {
        s->files++;
        TRY(load_file(&s->file[i], paths[i]));
        *jobs += s->file[i].jobs.jobs;
    }
    return ST_OK;
}

status queue_jobs_submit(struct queue *q, char *const *paths, int count,
                         const struct queue_submission *how,
                         void (*each)(void *arg, const struct queue_submitted *s), void *arg)
{
    struct submitting s = { .q = q, .how = how };
    struct ready_job *ready = NULL;
    int jobs = 0;
    status st = ST_OK;

    TRY_OUT(load_files(&s, paths, count, &jobs));
    ready = calloc((size_t)jobs + 1, sizeof *ready);
    if (!ready) FAIL_OUT(ST_NOMEM, "%d jobs", jobs);
    st = submit_all(&s, ready, jobs, each, arg);
out:
    for (int i = 0; ready && i < jobs; i++) close_ready(&ready[i]);
    free(ready);
    prompt_lengths_close(&s.lengths);
    for (int i = 0; i < s.files; i++) {
        job_close(&s.file[i].jobs);
        free(s.file[i].text);
        free(s.file[i].path);
    }
    free(s.file);
    return st;
}
