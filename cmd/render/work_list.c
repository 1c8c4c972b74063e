/*
 * work_list.c - job files to clips to a work source.
 *
 * Opening settles everything that a person can get wrong, before a model is loaded: files first,
 * for they are read in a moment, then encoders, then what needs the models' bytes. When it
 * returns, jobs and cards are gone: clips are whole in themselves.
 *
 * Which clips share a line is settled at the end, once: each clip has the number of its group,
 * and a group's waiting clips are a list through the clips, so that the next one is found at once
 * however many there are. work_list_source.c hands them over.
 */
#include "base/file.h"
#include "base/log.h"
#include "cmd/clip_folder.h"
#include "cmd/job_encoders.h"
#include "cmd/job_numerics.h"
#include "cmd/prompt_lengths.h"
#include "cmd/render/render_internal.h"
#include "jobs/spec/clip.h"
#include "pipeline/output/clip_claim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A job and its card, while the list is opened. */
struct source {
    struct job *job; /* NULL: it is refused */
    struct card card;
};

struct opening {
    struct work_list *l;
    struct job_file *file;
    int files;
    struct source *source;
    int sources;
    struct prompt_lengths lengths;
};

static status load_file(struct job_file *out, const struct work_job *w)
{
    return w->text ? job_parse(out, w->text, strlen(w->text), w->path) : job_load(out, w->path);
}

/* How reading the job's model went: what fails there costs this job's clips alone. */
static status judge_model(struct opening *o, struct source *s, status st)
{
    struct work_list *const l = o->l;

    if (st == ST_OK || st == ST_NOMEM || l->o.fail_fast) return st;
    struct refusal *const r = &l->refused[l->refusals];
    *r = (struct refusal){ strdup(s->job->name), st, strdup(error_last()->msg) };
    l->refusals++;
    if (!r->job || !r->why) return fail(ST_NOMEM, "%s: no memory", s->job->name);
    s->job = NULL;
    error_clear();
    return ST_OK;
}

static status load_jobs(struct opening *o, const struct work_job *work, int count)
{
    int jobs = 0;

    o->file = calloc((size_t)count + 1, sizeof *o->file);
    if (!o->file) return fail(ST_NOMEM, "%d job files", count);
    for (int i = 0; i < count; i++) {
        TRY(load_file(&o->file[i], &work[i]));
        o->files++;
        jobs += o->file[i].jobs;
    }
    o->source = calloc((size_t)jobs + 1, sizeof *o->source);
    o->l->model = calloc((size_t)jobs + 1, sizeof *o->l->model);
    o->l->numerics = calloc((size_t)jobs + 1, sizeof *o->l->numerics);
    o->l->refused = calloc((size_t)jobs + 1, sizeof *o->l->refused);
    if (!o->source || !o->l->model || !o->l->numerics || !o->l->refused)
        return fail(ST_NOMEM, "%d jobs", jobs);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < o->file[i].jobs; j++) {
            struct source *const s = &o->source[o->sources++];
            s->job = &o->file[i].job[j];
            if (s->job->afters || s->job->run.given)
                log_info("%s: after and run are for a queue, and change nothing here",
                         s->job->name);
            TRY(judge_model(o, s, clip_card(&s->card, s->job)));
        }
    return ST_OK;
}

struct clip_folder_rules work_list_rules(const struct work_list *l, int on_exists,
                                         const char *numerics, bool quiet)
{
    return (struct clip_folder_rules){
        .on_exists = on_exists,
        .quiet = quiet,
        .verify = l->o.verify,
        .same_numerics = l->o.same_numerics,
        .numerics = numerics,
    };
}

/* A job's: its options and its model, one of each in the list. */
struct kept {
    const struct job *job;
    const struct model_spec *model;
    const char *numerics;
};

/* Unless it is done the clip becomes the list's. */
static status keep_clip(struct work_list *l, struct clip_spec *c, const struct kept *of)
{
    const struct job *const job = of->job;
    struct clip_folder_rules const rules =
        work_list_rules(l, job->output.on_exists, of->numerics, false);
    struct work_clip *const to = &l->clip[l->clips];
    enum clip_folder_state what = FOLDER_DONE;
    char *base = path_join(job->output.dir, c->name);
    status st = ST_OK;

    if (!base) return fail(ST_NOMEM, "%s: no memory for its name", c->name);
    TRY_OUT(clip_folder_find(base, c->task_id, &rules, &c->dir, &what));
    if (what == FOLDER_DONE) {
        l->skipped++;
        goto out;
    }
    *to = (struct work_clip){ .spec = *c,
                              .base = base,
                              .on_exists =
                                  strcmp(c->dir, base) != 0 ? JOB_VERSION : job->output.on_exists,
                              .model = of->model,
                              .numerics = of->numerics,
                              .at = l->clips };
    l->clips++;
    base = NULL;                  /* handed over, */
    *c = (struct clip_spec){ 0 }; /* both */
out:
    free(base);
    return st;
}

static status keep_clips(struct work_list *l, struct clip_list *clips, const struct kept *of)
{
    struct work_clip *const more =
        realloc(l->clip, (size_t)(l->clips + clips->count + 1) * sizeof *more);

    if (!more) return fail(ST_NOMEM, "%lld clips", (long long)(l->clips + clips->count));
    l->clip = more;
    for (int i = 0; i < clips->count; i++)
        if (clip_choice_has(&l->o.choice, clips->clip[i].index))
            TRY(keep_clip(l, &clips->clip[i], of));
    return ST_OK;
}

/* id "": what this render computes with is not known. */
static status read_numerics(const struct work_list *l, const struct job *job,
                            char id[ENGINE_NUMERICS])
{
    struct engine_options o;

    TRY(job_numerics_check(job, &l->o.given));
    if (!l->o.engine) return ST_OK;
    status const st = engine_adapt_options(&o, l->o.engine, &job->numerics);
    if (st != ST_OK) {
        struct error const why = *error_last();
        (void)tree_fail(job->numerics_node, "%s", why.msg);
        return st;
    }
    return engine_numerics_id(&o, id);
}

static status read_model(struct work_list *l, const struct card *card, struct model_spec *model)
{
    TRY(card_check_files(card, NULL));
    TRY(card_spec(model, card));
    l->models++;
    return card_identify(model, card, &l->o.hash);
}

static status expand_job(struct opening *o, struct source *s)
{
    struct model_spec *const model = &o->l->model[o->l->models];
    struct kept const of = { s->job, model, o->l->numerics[o->l->models] };
    struct clip_list clips = { 0 };
    status st = ST_OK;

    TRY(read_numerics(o->l, s->job, o->l->numerics[o->l->models]));
    TRY(judge_model(o, s, read_model(o->l, &s->card, model)));
    if (!s->job) return ST_OK;
    TRY(clip_expand(
        &clips, s->job, &s->card,
        &(struct clip_options){ .model_id = model->id, .precision = o->l->o.precision }));
    TRY_OUT(prompt_lengths_check(&o->lengths, s->job, &s->card, &clips));
    TRY_OUT(clip_folder_open(s->job));
    TRY_OUT(keep_clips(o->l, &clips, &of));
out:
    clip_free(&clips);
    return st;
}

static status check_folders(const struct work_list *l)
{
    const char **const dirs = calloc((size_t)l->clips + 1, sizeof *dirs);
    status st;

    if (!dirs) return fail(ST_NOMEM, "%lld clips", (long long)l->clips);
    for (int64_t i = 0; i < l->clips; i++) dirs[i] = l->clip[i].spec.dir;
    st = clip_folder_check_all(dirs, l->clips);
    free(dirs);
    return st;
}

/* Higher priority first; the order of the jobs otherwise. */
static int compare_priorities(const void *a, const void *b)
{
    const struct work_clip *const x = a, *const y = b;

    if (x->spec.priority != y->spec.priority) return x->spec.priority < y->spec.priority ? 1 : -1;
    return x->at < y->at ? -1 : x->at > y->at;
}

struct work_item work_list_item(const struct work_list *l, int64_t ticket)
{
    const struct work_clip *const c = &l->clip[ticket];
    return (struct work_item){ .ticket = ticket, .clip = &c->spec, .model = c->model };
}

/* The clip's group, a new one if it shares a line with none before it. Each group's first clip
 * stands for it: none has been handed over yet. */
static int find_group(struct work_list *l, int64_t ticket)
{
    struct work_item const item = work_list_item(l, ticket);
    int g = 0;

    for (; g < l->groups; g++) {
        struct work_item const first = work_list_item(l, l->group[g].first);
        if (work_same_group(&item, &first)) return g;
    }
    l->group[l->groups++] = (struct work_group){ .first = ticket, .last = WORK_NONE };
    return g;
}

static status make_groups(struct work_list *l)
{
    /* A job's clips are of one group. */
    l->group = calloc((size_t)l->models + 1, sizeof *l->group);
    l->failed = calloc((size_t)l->clips + 1, sizeof *l->failed);
    if (!l->group || !l->failed) return fail(ST_NOMEM, "%lld clips", (long long)l->clips);
    if (l->clips) qsort(l->clip, (size_t)l->clips, sizeof *l->clip, compare_priorities);
    for (int64_t i = 0; i < l->clips; i++) {
        struct work_group *const g = &l->group[l->clip[i].group = find_group(l, i)];
        l->clip[i].next = WORK_NONE;
        if (g->last != WORK_NONE) l->clip[g->last].next = i;
        g->last = i;
    }
    return ST_OK;
}

/* Told now, not only at the end; if nothing is left there is no render. */
static status check_refusals(const struct opening *o)
{
    const struct work_list *const l = o->l;

    if (l->refusals && l->refusals == o->sources)
        return fail(l->refused[0].st, "%s", l->refused[0].why);
    for (int i = 0; i < l->refusals; i++)
        log_warn("job %s is left out: %s", l->refused[i].job, l->refused[i].why);
    return ST_OK;
}

static status open_list(struct opening *o, const struct work_job *jobs, int count)
{
    struct job_encoders encoders = { 0 };

    TRY(load_jobs(o, jobs, count));
    for (int i = 0; i < o->sources; i++)
        if (o->source[i].job) TRY(job_encoders_settle(&encoders, o->source[i].job));
    for (int i = 0; i < o->sources; i++)
        if (o->source[i].job) TRY(expand_job(o, &o->source[i]));
    TRY(check_refusals(o));
    TRY(check_folders(o->l));
    return make_groups(o->l);
}

status work_list_open(struct work_list **out, const struct work_job *jobs, int count,
                      const struct work_list_options *options)
{
    struct opening o = { .l = calloc(1, sizeof *o.l) };

    *out = NULL;
    if (!o.l) return fail(ST_NOMEM, "%d job files", count);
    o.l->o = *options;
    status st = clip_claims_open(&o.l->claims);
    if (st == ST_OK) st = open_list(&o, jobs, count);
    for (int i = 0; i < o.sources; i++) card_close(&o.source[i].card);
    for (int i = 0; i < o.files; i++) job_close(&o.file[i]);
    prompt_lengths_close(&o.lengths);
    free(o.source);
    free(o.file);
    if (st != ST_OK) {
        work_list_close(&o.l);
        return st;
    }
    *out = o.l;
    return ST_OK;
}

void work_list_close(struct work_list **list)
{
    struct work_list *const l = *list;

    if (!l) return;
    clip_claims_close(&l->claims);
    for (int64_t i = 0; i < l->clips; i++) {
        clip_spec_free(&l->clip[i].spec);
        free(l->clip[i].base);
        free(l->clip[i].why);
    }
    for (int i = 0; i < l->models; i++) model_spec_free(&l->model[i]);
    for (int i = 0; i < l->refusals; i++) {
        free(l->refused[i].job);
        free(l->refused[i].why);
    }
    free(l->refused);
    free(l->clip);
    free(l->model);
    free(l->numerics);
    free(l->group);
    free(l->failed);
    free(l);
    *list = NULL;
}
