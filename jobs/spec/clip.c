/*
 * clip.c - a job times its sweep becomes a list of clips.
 *
 * All clips are made before anything is rendered, so a mistake in the last one is found at once.
 * Since a sweep multiplies, the count is checked before anything is allocated, and the bytes of
 * all texts against CLIP_BUDGET while they are made.
 */
#include "jobs/spec/clip.h"
#include "base/error_list.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "jobs/spec/spec_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What all clips of a job share while they are made. */
struct maker {
    struct job *job;
    const struct card *card;
    const struct clip_options *o;
    struct prompts schedule;
    struct sweep sweep;
    struct clip_list *list;
    int64_t bytes; /* given to clips so far */
};

static const char *name_template(const struct job *job)
{
    if (job->output.name) return job->output.name;
    return job->sweep.axes ? "{name}-{index:05d}" : "{name}";
}

static bool is_seed(const struct axis *a) { return !strcmp(a->name, "seed"); }

static status load_axes(struct job *job)
{
    int64_t values = 0;

    for (int i = 0; i < job->sweep.axes; i++) {
        struct axis *const a = &job->sweep.axis[i];
        if (!a->path && values + a->limit > AXIS_VALUES) values = AXIS_VALUES + 1;
        if (values <= AXIS_VALUES) TRY(axis_load(a));
        values += a->count;
        if (values > AXIS_VALUES)
            return tree_fail(a->node, "found more than %d values in all axes; allowed: %d",
                             AXIS_VALUES, AXIS_VALUES);
    }
    return ST_OK;
}

static status check_axes(const struct job *job)
{
    for (int i = 0; i < job->sweep.axes; i++) {
        const struct axis *const a = &job->sweep.axis[i];
        bool used = is_seed(a) || template_uses(name_template(job), a->name) ||
                    (job->start.path && template_uses(job->start.path, a->name));
        for (int p = 0; p < job->prompts && !used; p++)
            used = template_uses(job->prompt[p].text, a->name);
        if (!used)
            return tree_fail_key(a->node,
                                 "the axis changes nothing; allowed: {%s} in a prompt, in start "
                                 "or in output.name",
                                 a->name);
        uint64_t seed;
        for (int v = 0; v < a->count && is_seed(a); v++)
            if (!value_u64(a->value[v], &seed))
                return tree_fail(a->node, "found %s; allowed: whole numbers below 2^64",
                                 tree_quote(a->value[v]).s);
    }
    return ST_OK;
}

/* From the budget of all clips. */
static status take_bytes(struct maker *m, size_t bytes)
{
    m->bytes += (int64_t)bytes;
    if (m->bytes <= CLIP_BUDGET) return ST_OK;
    return tree_fail(m->job->node,
                     "all clips together take more than %d MiB; allowed: fewer clips "
                     "or shorter prompts in one job",
                     CLIP_BUDGET >> 20);
}

/* A text of a clip's own, from its template. */
static status take_text(struct maker *m, const struct template_text *t, char **to)
{
    struct strbuf out = { 0 };
    status st = ST_OK;

    strbuf_add(&out, "", 0);
    TRY_OUT(template_expand(t, &out));
    TRY_OUT(take_bytes(m, out.cap));
    *to = out.s;
    out.s = NULL; /* handed over */
out:
    strbuf_free(&out);
    return st;
}

/* NULL stays NULL. */
static status copy_text(struct maker *m, const char *text, char **to)
{
    if (!text) return ST_OK;
    TRY(take_bytes(m, strlen(text) + 1));
    *to = strdup(text);
    return *to ? ST_OK : fail(ST_NOMEM, "%s: no memory for its clips", m->job->name);
}

static status copy_pair(struct maker *m, const char *name, const char *value, struct clip_pair *to)
{
    TRY(copy_text(m, name, &to->name));
    return copy_text(m, value, &to->value);
}

static status copy_format(struct maker *m, const struct format *f, struct clip_format *to)
{
    to->crf = f->crf;
    to->threads = f->threads;
    to->encoder = f->encoder;
    to->gop = format_gop(f, m->job->clip.fps);
    TRY(copy_text(m, f->file, &to->file));
    TRY(copy_text(m, f->codec, &to->codec));
    TRY(copy_text(m, f->pix, &to->pix));
    TRY(copy_text(m, f->preset, &to->preset));
    return copy_text(m, f->profile, &to->profile);
}

static status name_clip(struct maker *m, struct clip_spec *c, const struct template_var *var,
                        int vars)
{
    const struct job *const job = m->job;
    const struct tree_node *const node = job->output.name_node ? job->output.name_node : job->node;

    TRY(take_text(m,
                  &(struct template_text){ .text = name_template(job),
                                           .node = node,
                                           .var = var,
                                           .vars = vars,
                                           .file_name = true,
                                           .most = AXIS_VALUE_BYTES },
                  &c->name));
    if (!field_is_file_name(c->name))
        return tree_fail(node,
                         "clip %lld would be called %s; allowed: 1 to %d characters A-Z a-z 0-9 "
                         ". _ -, no dot first",
                         (long long)c->index, tree_quote(c->name).s, FIELD_FILE_NAME);
    return ST_OK;
}

static status fill_prompts(struct maker *m, struct clip_spec *c, const struct template_var *var,
                           int vars)
{
    const struct job *const job = m->job;

    for (int i = 0; i < job->prompts; i++) {
        const struct job_prompt *const p = &job->prompt[i];
        const struct tree_node *const text = tree_find(p->node, "text");
        c->prompt[i] = m->schedule.prompt[i];
        c->prompts++;
        TRY(take_text(m,
                      &(struct template_text){ .text = p->text,
                                               .node = text ? text : p->node,
                                               .var = var,
                                               .vars = vars,
                                               .most = JOB_PROMPT_BYTES },
                      &c->prompt[i].text));
    }
    return ST_OK;
}

/* The file that the clip begins with. In a sweep many have the same: it is read once in a row. */
static status fill_start(struct maker *m, struct clip_spec *c, const struct template_var *var,
                         int vars)
{
    const struct job *const job = m->job;
    const struct clip_spec *const before = c->index ? c - 1 : NULL;
    char *path = NULL, *const dir = path_dir(job->node->tree->name);
    status st = ST_OK;

    TRY_OUT(start_check(job, m->card, c));
    if (!c->start.kind) goto out;
    TRY_OUT(take_text(m,
                      &(struct template_text){ .text = job->start.path,
                                               .node = job->start.node,
                                               .var = var,
                                               .vars = vars,
                                               .most = AXIS_VALUE_BYTES },
                      &path));
    c->start.file = dir ? path_join(dir, path) : NULL;
    if (!c->start.file) FAIL_OUT(ST_NOMEM, "%s: no memory for its clips", job->name);
    TRY_OUT(take_bytes(m, strlen(c->start.file)));
    if (!c->model_id[0]) goto out;
    if (before && !strcmp(before->start.file, c->start.file))
        memcpy(c->start.sha256, before->start.sha256, sizeof c->start.sha256);
    else st = start_hash(job, c);
out:
    free(path);
    free(dir);
    return st;
}

/* What all clips of the job have alike, as the clip's own. */
static status copy_job(struct maker *m, struct clip_spec *c)
{
    const struct job *const job = m->job;
    const struct tree_node *const labels = job->labels;

    TRY(copy_text(m, job->name, &c->job));
    TRY(copy_text(m, job->owner, &c->owner));
    TRY(copy_text(m, job->output.latents, &c->latents));
    if (job->output.latents) TRY(copy_text(m, job->output.latents_dtype, &c->latents_dtype));
    TRY(copy_text(m, job->output.embeddings, &c->embeddings));
    if (job->output.embeddings)
        TRY(copy_text(m, job->output.embeddings_dtype, &c->embeddings_dtype));
    TRY(copy_text(m, job->output.preview, &c->preview));
    c->preview_columns = job->output.preview ? job->output.preview_columns : 0;
    for (int i = 0; i < job->output.formats; i++)
        TRY(copy_format(m, &job->output.format[i], &c->format[c->formats++]));
    for (const struct tree_node *n = labels ? labels->first : NULL; n; n = n->next)
        TRY(copy_pair(m, n->key, n->text, &c->label[c->labels++]));
    return ST_OK;
}

/* The clip's lists, empty but for room. */
static status make_lists(struct maker *m, struct clip_spec *c)
{
    const struct job *const job = m->job;
    int const labels = job->labels ? job->labels->count : 0;

    c->prompt = calloc((size_t)job->prompts, sizeof *c->prompt);
    c->value = calloc((size_t)job->sweep.axes + 1, sizeof *c->value);
    c->label = calloc((size_t)labels + 1, sizeof *c->label);
    c->format = calloc((size_t)job->output.formats + 1, sizeof *c->format);
    if (!c->prompt || !c->value || !c->label || !c->format)
        return fail(ST_NOMEM, "%s: no memory for its clips", job->name);
    m->bytes += (int64_t)sizeof *c + job->prompts * (int64_t)sizeof *c->prompt +
                (job->sweep.axes + labels + 2) * (int64_t)sizeof *c->value +
                (job->output.formats + 1) * (int64_t)sizeof *c->format;
    return ST_OK;
}

/* The axes' values: in the clip, as its seed, and as what templates take. */
static status take_values(struct maker *m, struct clip_spec *c, struct template_var *var, int *vars)
{
    const struct job *const job = m->job;
    int value[AXIS_COUNT];

    sweep_pick(&m->sweep, c->index, value);
    for (int i = 0; i < job->sweep.axes; i++) {
        const struct axis *const a = &job->sweep.axis[i];
        const char *const v = a->value[value[i]];
        TRY(copy_pair(m, a->name, v, &c->value[c->values++]));
        if (is_seed(a) && !value_u64(v, &c->seed)) return tree_refuse(a->node, "whole numbers");
        if (!is_seed(a)) var[(*vars)++] = (struct template_var){ a->name, v };
    }
    return ST_OK;
}

static enum clip_precision precision_of(const struct maker *m)
{
    if (!m->o->precision) return (enum clip_precision)m->job->precision;
    return strcmp(m->o->precision, "f32") ? CLIP_BF16 : CLIP_F32;
}

/* The least whole number of blocks that lasts so long. */
static int64_t checkpoint_blocks(const struct maker *m)
{
    int64_t const pictures = duration_up(m->job->run.checkpoint, m->job->clip.fps);
    int64_t const block =
        clip_pictures(2, m->card->frames_per_block) - clip_pictures(1, m->card->frames_per_block);
    return (pictures + block - 1) / block;
}

static status expand_one(struct maker *m, int64_t index, struct clip_spec *c)
{
    const struct job *const job = m->job;
    struct template_var var[3 + AXIS_COUNT];
    char number[32], seed[32];
    int vars = 0;

    *c = (struct clip_spec){
        .index = index,
        .priority = job->priority,
        .precision = precision_of(m),
        .numerics = job->numerics,
        .width = job->clip.width,
        .height = job->clip.height,
        .fps_num = job->clip.fps.num,
        .fps_den = job->clip.fps.den,
        .seed = job->clip.seed,
        .pictures = m->schedule.pictures,
        .blocks = m->schedule.blocks,
        .frames_per_block = m->card->frames_per_block,
        .checkpoint = checkpoint_blocks(m),
        .extendable = job->output.extendable,
        .timeout_ms = job->run.clip.micros / 1000,
        .stall_ms = job->run.stall.micros / 1000,
        .grace_ms = job->run.grace.micros / 1000,
        .transfer = (enum clip_transfer)job->output.transfer,
    };
    if (m->o->model_id) snprintf(c->model_id, sizeof c->model_id, "%s", m->o->model_id);
    TRY(make_lists(m, c));
    TRY(copy_job(m, c));
    TRY(take_values(m, c, var, &vars));
    snprintf(number, sizeof number, "%lld", (long long)index);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)c->seed);
    var[vars++] = (struct template_var){ "name", job->name };
    var[vars++] = (struct template_var){ "seed", seed };
    var[vars++] = (struct template_var){ "index", number };

    TRY(name_clip(m, c, var, vars));
    TRY(fill_prompts(m, c, var, vars));
    TRY(fill_start(m, c, var, vars));
    return clip_identify(c, m->card);
}

status clip_card(struct card *out, const struct job *job)
{
    const struct tree_node *const model = tree_find(job->node, "model");

    *out = (struct card){ 0 };
    if (path_is_missing(job->model))
        return tree_fail(model, "%s: no such file; allowed: the path of a model card", job->model);
    TRY(card_load(out, job->model));
    status st = card_add_loras(out, job->lora, job->loras);
    if (st == ST_OK && job->window) st = window_change(job->window, out);
    if (st != ST_OK) card_close(out);
    return st;
}

static int compare_clip_names(const void *a, const void *b)
{
    const struct clip_spec *const x = *(const struct clip_spec *const *)a;
    const struct clip_spec *const y = *(const struct clip_spec *const *)b;
    int const order = strcasecmp(x->name, y->name);

    return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* Many a disk does not tell case apart: there, two clips that differ in it would be one folder. */
static status check_clip_names(const struct maker *m)
{
    const struct clip_list *const l = m->list;
    const struct job *const job = m->job;
    const struct clip_spec **const sorted = malloc((size_t)l->count * sizeof *sorted);
    status st = ST_OK;

    if (!sorted) return fail(ST_NOMEM, "%s: no memory for its clips", job->name);
    for (int i = 0; i < l->count; i++) sorted[i] = &l->clip[i];
    qsort(sorted, (size_t)l->count, sizeof *sorted, compare_clip_names);
    for (int i = 1; i < l->count && st == ST_OK; i++)
        if (!strcasecmp(sorted[i - 1]->name, sorted[i]->name)) {
            bool const same = !strcmp(sorted[i - 1]->name, sorted[i]->name);
            st = tree_fail(
                job->output.name_node ? job->output.name_node : job->node,
                "clips %lld and %lld are both called %s%s; allowed: names of their own, as with "
                "{index}",
                (long long)sorted[i - 1]->index, (long long)sorted[i]->index,
                tree_quote(sorted[i]->name).s, same ? "" : " but for its case");
        }
    free(sorted);
    return st;
}

/* Every combination, that all which cannot be are known at once. */
static status expand_each(struct maker *m, int64_t count)
{
    struct error_list wrong = { 0 };

    for (int64_t i = 0; i < count; i++) {
        status const st = expand_one(m, i, &m->list->clip[m->list->count++]);
        if (st == ST_OK || error_list_add(&wrong, st)) continue;
        error_list_free(&wrong);
        return st;
    }
    return error_list_end(&wrong);
}

static status expand_all(struct maker *m)
{
    struct job *const job = m->job;
    const struct tree_node *const combine = job->sweep.combine_node;

    TRY(load_axes(job));
    TRY(check_axes(job));
    TRY(sweep_make(&m->sweep, combine ? combine : job->sweep.node, combine ? combine->text : NULL,
                   job->sweep.axis, job->sweep.axes));
    int64_t const count = sweep_count(&m->sweep);
    if (job->sweep.axes && count > job->sweep.max_clips)
        return tree_fail(job->sweep.node, "found %lld clips; allowed: %d (sweep.max_clips)",
                         (long long)count, job->sweep.max_clips);
    TRY(prompts_make(&m->schedule, job, m->card));
    m->list->clip = calloc((size_t)count, sizeof *m->list->clip);
    if (!m->list->clip) return fail(ST_NOMEM, "%s: no memory for its clips", job->name);
    TRY(expand_each(m, count));
    return check_clip_names(m);
}

/* The job's pin, if it has one and the model's files were looked at. */
static status check_model_pin(const struct job *job, const char *model_id)
{
    const struct tree_node *const pin = job->model_sha256;

    if (!pin || !model_id || !strcmp(pin->text, model_id)) return ST_OK;
    return tree_fail(pin, "found %s; the files of %s are %s", tree_quote(pin->text).s, job->model,
                     model_id);
}

status clip_expand(struct clip_list *out, struct job *job, const struct card *card,
                   const struct clip_options *o)
{
    struct maker m = { .job = job, .card = card, .o = o, .list = out };

    *out = (struct clip_list){ 0 };
    TRY(check_model_pin(job, o->model_id));
    status const st = expand_all(&m);
    prompts_free(&m.schedule);
    if (st != ST_OK) clip_free(out);
    return st;
}

void clip_free(struct clip_list *l)
{
    for (int i = 0; i < l->count; i++) clip_spec_free(&l->clip[i]);
    free(l->clip);
    *l = (struct clip_list){ 0 };
}
