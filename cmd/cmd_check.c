/* cmd_check.c - validate jobs and model cards, and print every clip they make. */
#include "base/error_list.h"
#include "base/utf8.h"
#include "cmd/cmd.h"
#include "cmd/job_encoders.h"
#include "cmd/opts.h"
#include "cmd/prompt_lengths.h"
#include "cmd/user_cache.h"
#include "jobs/spec/clip.h"
#include "pipeline/engine/model_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check {
    bool json, no_files;
    struct file_hash_rule hash;
    struct strbuf out; /* printed when everything is sound */
    int jobs;
    struct error_list wrong;
    struct job_encoders encoders;
    struct prompt_lengths lengths;
};

static void add_format(struct strbuf *t, const char *dir, const struct clip_spec *c, int i)
{
    const struct clip_format *const f = &c->format[i];

    strbuf_addf(t, "    output   %s/%s/%s  %s", dir, c->name, f->file, f->codec);
    if (f->crf >= 0) strbuf_addf(t, " crf %d", f->crf);
    if (f->preset) strbuf_addf(t, " preset %s", f->preset);
    if (f->profile) strbuf_addf(t, " profile %s", f->profile);
    strbuf_addf(t, " %s%s\n", f->pix, f->encoder == CLIP_ENCODER_NVENC ? " by nvenc" : "");
}

static void add_prompt(struct strbuf *t, const struct clip_prompt *p, int frames_per_block)
{
    strbuf_addf(t, "    prompt   from block %lld, picture %lld", (long long)p->block,
                (long long)clip_first_picture(p->block, frames_per_block));
    if (p->moved) strbuf_addf(t, " (asked for %s)", p->at);
    if (p->blend)
        strbuf_addf(t, ", blended over %lld block%s", (long long)p->blend,
                    p->blend == 1 ? "" : "s");
    strbuf_addf(t, ": %s\n", p->text);
}

/* dir: what its folder will be in. */
static void add_clip(struct strbuf *t, const char *dir, const struct clip_spec *c)
{
    strbuf_addf(t, "  clip %lld  %s\n", (long long)c->index, c->name);
    strbuf_addf(t, "    video    %dx%d, %lld", c->width, c->height, (long long)c->fps_num);
    if (c->fps_den > 1) strbuf_addf(t, "/%lld", (long long)c->fps_den);
    strbuf_addf(t, " fps, %lld pictures in %lld blocks, seed %llu\n", (long long)c->pictures,
                (long long)c->blocks, (unsigned long long)c->seed);
    if (c->start.kind) {
        strbuf_addf(t, "    start    %s %s", clip_start_name(c->start.kind), c->start.file);
        if (c->start.pictures)
            strbuf_addf(t, ", its last %lld pictures", (long long)c->start.pictures);
        strbuf_addf(t, "\n");
    }
    for (int i = 0; i < c->prompts; i++) add_prompt(t, &c->prompt[i], c->frames_per_block);
    for (int i = 0; i < c->formats; i++) add_format(t, dir, c, i);
    if (c->latents)
        strbuf_addf(t, "    latents  %s/%s/%s  %s\n", dir, c->name, c->latents, c->latents_dtype);
    if (c->embeddings)
        strbuf_addf(t, "    prompts  %s/%s/%s  %s\n", dir, c->name, c->embeddings,
                    c->embeddings_dtype);
    if (c->preview)
        strbuf_addf(t, "    preview  %s/%s/%s  %d columns\n", dir, c->name, c->preview,
                    c->preview_columns);
    if (c->content_id[0])
        strbuf_addf(t, "    ids      content %s, task %s\n", c->content_id, c->task_id);
}

static status list_job(struct check *k, const struct job *job, const struct card *card,
                       const struct clip_list *clips)
{
    char word[CLIP_WORD];

    if (k->json) {
        strbuf_addf(&k->out, k->jobs ? ",\n" : "[\n");
        k->jobs++;
        return clip_json(&k->out, job, card, clips);
    }
    k->jobs++;
    strbuf_addf(&k->out, "%s: %s, %d clip%s, model %s in %s, ", job->node->tree->name, job->name,
                clips->count, clips->count == 1 ? "" : "s", card->name,
                clip_precision_name(job->precision));
    for (int n = 0; n < CLIP_NUMERICS; n++)
        if (clip_numeric_word(word, &job->numerics, (enum clip_numeric_key)n))
            strbuf_addf(&k->out, "%s %s, ", clip_numeric_name((enum clip_numeric_key)n), word);
    strbuf_addf(&k->out, "priority %d, on_exists %s\n", job->priority,
                job_exists_name(job->output.on_exists));
    if (clips->count && clips->clip[0].model_id[0])
        strbuf_addf(&k->out, "  model.sha256 %s\n", clips->clip[0].model_id);
    for (int i = 0; i < clips->count; i++) add_clip(&k->out, job->output.dir, &clips->clip[i]);
    return ST_OK;
}

/* False: it is not the input's fault, and ends the check. */
static bool keep_error(struct check *k, status st)
{
    return st == ST_OK || error_list_add(&k->wrong, st);
}

/* Every file of the card, as a render would open it. *id is set if all are sound. */
static status check_model_files(struct check *k, const struct card *card, char id[DIGEST_HEX])
{
    struct error_list wrong = { 0 };
    struct model_spec model = { 0 };
    status st = card_check_files(card, NULL);

    id[0] = '\0';
    if (st != ST_OK && !error_list_add(&wrong, st)) return st;
    TRY_OUT(card_spec(&model, card));
    TRY_OUT(model_check(&wrong, &model));
    if (wrong.count) st = error_list_end(&wrong);
    else st = card_fingerprint(card, &k->hash, id);
    if (keep_error(k, st)) st = ST_OK;
out:
    error_list_free(&wrong);
    model_spec_free(&model);
    return st;
}

static status check_clips(struct check *k, struct job *job, const struct card *card, const char *id)
{
    struct clip_list clips = { 0 };
    status st = ST_OK;

    TRY(job_encoders_settle(&k->encoders, job));
    TRY(clip_expand(&clips, job, card, &(struct clip_options){ .model_id = id }));
    if (id) TRY_OUT(prompt_lengths_check(&k->lengths, job, card, &clips));
    TRY_OUT(list_job(k, job, card, &clips));
out:
    clip_free(&clips);
    return st;
}

/* All that is wrong with a job, as far as one thing does not hide the next. */
static status check_job(struct check *k, struct job *job)
{
    struct card card = { 0 };
    char id[DIGEST_HEX] = "";
    status st = clip_card(&card, job);

    if (st != ST_OK) return keep_error(k, st) ? ST_OK : st;
    if (!k->no_files) TRY_OUT(check_model_files(k, &card, id));
    if (!utf8_valid(job->output.dir, strlen(job->output.dir)))
        keep_error(k, fail(ST_FORMAT,
                           "%s: output.dir: %s: the path is not UTF-8, as clip.json must be",
                           job->node->tree->name, job->output.dir));
    st = check_clips(k, job, &card, id[0] ? id : NULL);
    if (keep_error(k, st)) st = ST_OK;
out:
    card_close(&card);
    return st;
}

static status check_job_file(struct check *k, const char *path)
{
    struct job_file f;
    status st = job_load(&f, path);

    if (st != ST_OK) return keep_error(k, st) ? ST_OK : st;
    for (int i = 0; i < f.jobs && st == ST_OK; i++) st = check_job(k, &f.job[i]);
    job_close(&f);
    return st;
}

status cmd_check(int argc, char **argv)
{
    struct check k = { 0 };
    const char *hash = "sampled";
    struct opt const table[] = {
        HASH_OPTION(hash),
        { "json", OPT_FLAG, &k.json, .help = "print the plan as JSON, a list of jobs" },
        { "no-files", OPT_FLAG, &k.no_files,
          .help = "do not look at the model's files; clips get no ids" },
    };
    struct opts const o = {
        .usage = "check JOB.yaml... [options]",
        .about =
            "Validate jobs and their model cards, open every file that a render would, and print the\n"
            "expanded plan: every clip with its blocks, prompts, outputs and ids. Says all that is\n"
            "wrong at once. Writes nothing.\n",
        .table = table,
        .count = COUNT_OF(table),
    };
    bool help;
    status st = ST_OK;

    TRY(opts_parse(&o, &argc, argv, &help));
    if (help) return ST_OK;
    if (argc < 2) return fail(ST_ARG, "check needs at least one JOB.yaml; see --help");
    char *const hashes = user_cache_path("hashes");
    k.hash = (struct file_hash_rule){ .whole = !strcmp(hash, "full"), .cache = hashes };
    for (int i = 1; i < argc; i++) TRY_OUT(check_job_file(&k, argv[i]));
    TRY_OUT(error_list_end(&k.wrong));
    if (k.json) strbuf_addf(&k.out, "\n]\n");
    if (k.out.failed) st = fail(ST_NOMEM, "no memory to print the plan");
    else fputs(k.out.s, stdout);
out:
    free(hashes);
    prompt_lengths_close(&k.lengths);
    strbuf_free(&k.out);
    error_list_free(&k.wrong);
    return st;
}
