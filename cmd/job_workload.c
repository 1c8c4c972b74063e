/*
 * job_workload.c - job files to one workload.
 *
 * Jobs are expanded one after another and only the first clip is kept; of the others stays what
 * is counted: their blocks, and their prompts until the different ones among them are known.
 */
#include "cmd/job_workload.h"
#include "base/array.h"
#include "base/strbuf.h"
#include "cmd/job_numerics.h"
#include "jobs/spec/clip.h"
#include "pipeline/text/clean/text_clean.h"
#include "pipeline/text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

/* The jobs, while they are counted. */
struct counting {
    struct job_workload *m;
    const struct job_workload_options *o;
    struct job_file *file;
    int files;
    struct card card;
    const struct job *first; /* NULL: none yet */
    struct work_outlook known;
    char **text; /* prompts of all clips; owned */
    int texts, room;
};

static status keep_prompt(struct counting *c, const char *text)
{
    char **const more = array_grow(c->text, c->texts, &c->room, sizeof *more);

    if (!more) return fail(ST_NOMEM, "%d prompts", c->texts + 1);
    c->text = more;
    c->text[c->texts] = str_format("%s", text);
    if (!c->text[c->texts]) return fail(ST_NOMEM, "a prompt");
    c->texts++;
    return ST_OK;
}

static status count_clip(struct counting *c, const struct clip_spec *clip)
{
    c->m->clip_blocks[c->known.clips] = clip->blocks;
    work_outlook_add(&c->known, clip);
    for (int i = 0; i < clip->prompts; i++) TRY(keep_prompt(c, clip->prompt[i].text));
    return ST_OK;
}

/* For so many clips more. */
static status reserve_clips(struct counting *c, int more)
{
    size_t const clips = (size_t)c->known.clips + (size_t)more;
    int64_t *const blocks = realloc(c->m->clip_blocks, (clips + 1) * sizeof *blocks);

    if (!blocks) return fail(ST_NOMEM, "%zu clips", clips);
    c->m->clip_blocks = blocks;
    return ST_OK;
}

static status count_job(struct counting *c, struct job *job)
{
    struct clip_list clips = { 0 };
    status st = ST_OK;

    TRY(clip_expand(&clips, job, &c->card, &(struct clip_options){ .precision = c->o->precision }));
    TRY_OUT(reserve_clips(c, clips.count));
    for (int i = 0; i < clips.count; i++) TRY_OUT(count_clip(c, &clips.clip[i]));
    if (c->first == job) {
        c->m->first = clips.clip[0];
        clips.clip[0] = (struct clip_spec){ 0 }; /* handed over */
    }
out:
    clip_free(&clips);
    return st;
}

static status read_card_of(struct counting *c, const struct job *job)
{
    c->first = job;
    TRY(clip_card(&c->card, job));
    TRY(card_check_files(&c->card, "text.encoder"));
    return card_spec(&c->m->model, &c->card);
}

static status check_same(const struct counting *c, const struct job *job)
{
    const struct job *const a = c->first;

    if (!strcmp(job->model, a->model) && job->clip.width == a->clip.width &&
        job->clip.height == a->clip.height && (c->o->precision || job->precision == a->precision) &&
        clip_numerics_same(&job->numerics, &a->numerics))
        return ST_OK;
    return fail(
        ST_FORMAT,
        "%s: %s is %dx%d in %s with %s, and %s is %dx%d in %s with %s; one size, precision, "
        "card and numerics are allowed",
        job->node->tree->name, a->name, a->clip.width, a->clip.height,
        clip_precision_name(a->precision), a->model, job->name, job->clip.width, job->clip.height,
        clip_precision_name(job->precision), job->model);
}

static status count_jobs(struct counting *c, char *const *paths, int count)
{
    c->file = calloc((size_t)count + 1, sizeof *c->file);
    if (!c->file) return fail(ST_NOMEM, "%d job files", count);
    for (int i = 0; i < count; i++) {
        struct job_file *const f = &c->file[i];
        TRY(job_load(f, paths[i]));
        c->files++;
        for (int j = 0; j < f->jobs; j++) {
            if (!c->first) TRY(read_card_of(c, &f->job[j]));
            TRY(job_numerics_check(&f->job[j], &c->o->given));
            TRY(check_same(c, &f->job[j]));
            TRY(count_job(c, &f->job[j]));
        }
    }
    return ST_OK;
}

static status count_prompt(struct counting *c, const struct tokenizer *t, const char *text,
                           int32_t *ids, int text_len)
{
    char *clean = NULL;
    int tokens = 0;
    status st = ST_OK;

    TRY_OUT(text_clean(text, strlen(text), &clean));
    TRY_OUT(tokenizer_encode(t, clean, ids, text_len, &tokens));
    c->known.texts++;
    c->known.tokens += tokens;
out:
    free(clean);
    return st;
}

static int compare_prompts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, so that equal ones stand together. */
static status count_prompts(struct counting *c)
{
    struct tokenizer *t = NULL;
    struct dit_shape shape;
    int32_t *ids = NULL;
    status st = ST_OK;

    TRY(dit_shape_read(&shape, c->m->model.config));
    ids = calloc((size_t)shape.text_len, sizeof *ids);
    if (!ids) return fail(ST_NOMEM, "%d tokens", shape.text_len);
    TRY_OUT(tokenizer_open(&t, c->m->model.tokenizer));
    qsort(c->text, (size_t)c->texts, sizeof *c->text, compare_prompts);
    for (int i = 0; i < c->texts; i++)
        if (i == 0 || strcmp(c->text[i - 1], c->text[i]) != 0)
            TRY_OUT(count_prompt(c, t, c->text[i], ids, shape.text_len));
out:
    tokenizer_close(&t);
    free(ids);
    return st;
}

static status open_workload(struct counting *c, char *const *paths, int count)
{
    struct job_workload *const m = c->m;
    struct work_item const first = { .clip = &m->first, .model = &m->model };

    TRY(count_jobs(c, paths, count));
    if (!c->first) return fail(ST_ARG, "no job");
    TRY(count_prompts(c));
    TRY(workload_read(&m->work, &first, &c->known));
    m->work.clip_blocks = m->clip_blocks;
    return ST_OK;
}

status job_workload_open(struct job_workload *out, char *const *paths, int count,
                         const struct job_workload_options *o)
{
    struct counting c = { .m = out, .o = o };

    *out = (struct job_workload){ 0 };
    status const st = open_workload(&c, paths, count);
    for (int i = 0; i < c.texts; i++) free(c.text[i]);
    free(c.text);
    card_close(&c.card);
    for (int i = 0; i < c.files; i++) job_close(&c.file[i]);
    free(c.file);
    return st;
}

void job_workload_close(struct job_workload *m)
{
    clip_spec_free(&m->first);
    model_spec_free(&m->model);
    free(m->clip_blocks);
    *m = (struct job_workload){ 0 };
}
