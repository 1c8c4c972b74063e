/* job.c - a job file: the key tables read it, this puts it together and checks what spans keys. */
#include "jobs/spec/job.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "jobs/spec/spec_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static status resolve_path(const struct tree *t, const char *path, char **out)
{
    char *const dir = path_dir(t->name);

    if (dir) *out = path_join(dir, path);
    free(dir);
    return *out ? ST_OK : fail(ST_NOMEM, "%s: no memory for a path", t->name);
}

static status read_job_prompts(const struct job_draft *d, struct job *j)
{
    const struct tree_node *const list = d->prompts;

    if (!d->prompt == !list)
        return tree_fail(j->node, "found %s; allowed: exactly one of prompt and prompts",
                         list ? "prompt and prompts" : "neither prompt nor prompts");
    if (list && (list->kind != TREE_LIST || !list->count))
        return tree_refuse(list, "a list such as [{at: 0s, text: ...}, {at: 10s, text: ...}]");
    j->prompt = calloc(list ? (size_t)list->count : 1, sizeof *j->prompt);
    if (!j->prompt) return fail(ST_NOMEM, "%s: no memory for its prompts", j->name);
    if (!list) {
        j->prompts = 1;
        j->prompt[0].node = d->prompt;
        return field_text(d->prompt, JOB_PROMPT_BYTES, &j->prompt[0].text);
    }
    for (const struct tree_node *n = list->first; n; n = n->next) {
        struct job_prompt *const p = &j->prompt[j->prompts++];
        p->node = n;
        TRY(field_read(n, &job_prompt_table, p));
    }
    if (!duration_is_zero(j->prompt[0].at))
        return tree_refuse(tree_find(list->first, "at"), "0s for the first prompt");
    if (!duration_is_zero(j->prompt[0].blend))
        return tree_refuse(tree_find(list->first, "blend"), "no blend for the first prompt");
    if (j->prompt[0].change)
        return tree_refuse(tree_find(list->first, "change"),
                           "neither cut nor recache before the first prompt");
    return ST_OK;
}

/* An axis is the seed or a variable of templates; a name that reads as if it changed
 * another setting is refused. */
static status check_axis_name(const struct tree_node *n)
{
    static const char *const taken[] = { "name",      "index", "prompt",   "prompts",
                                         "model",     "size",  "fps",      "length",
                                         "precision", "steps", "numerics", "shift",
                                         "guidance",  "warp",  "negative", "output" };

    if (strlen(n->key) > 32 ||
        strspn(n->key, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(n->key))
        return tree_fail_key(n, "allowed as the name of an axis: 1 to 32 characters a-z 0-9 _");
    for (int i = 0; i < COUNT_OF(taken); i++)
        if (!strcmp(n->key, taken[i]))
            return tree_fail_key(n,
                                 "an axis over %s is not supported by this version; allowed: seed, "
                                 "or a name of your own used as {name}",
                                 n->key);
    return ST_OK;
}

static status read_axes(struct job *j, const struct tree_node *axes)
{
    char *dir = NULL;
    status st = ST_OK;

    if (axes->kind != TREE_MAP || !axes->count || axes->count > COUNT_OF(j->sweep.axis))
        return tree_refuse(axes, "a map of 1 to 16 axes");
    dir = path_dir(axes->tree->name);
    if (!dir) return fail(ST_NOMEM, "%s: no memory for a path", axes->tree->name);
    for (const struct tree_node *n = axes->first; n; n = n->next) {
        TRY_OUT(check_axis_name(n));
        TRY_OUT(axis_read(&j->sweep.axis[j->sweep.axes++], n, dir));
    }
out:
    free(dir);
    return st;
}

static status read_formats(const struct tree_node *list, struct job *j)
{
    if (!list) {
        j->output.format[j->output.formats++] = format_default;
        return ST_OK;
    }
    if (list->kind != TREE_LIST || !list->count || list->count > JOB_FORMATS)
        return tree_refuse(list, "a list of 1 to 16 formats such as {file: clip.mp4, codec: h264}");
    for (const struct tree_node *n = list->first; n; n = n->next) {
        struct format *const f = &j->output.format[j->output.formats++];
        TRY(format_read(n, f));
        TRY(format_check_size(n, f, j->clip.width, j->clip.height));
    }
    return ST_OK;
}

/* No two files of a clip may share a name, also where the disk does not tell case apart, and
 * clip.json is the clip's record. */
static status check_file_names(const struct job *j)
{
    const struct tree_node *const output = tree_find(j->node, "output");
    const struct tree_node *const list = output ? tree_find(output, "formats") : NULL;
    const struct {
        const char *key, *file;
    } other[] = { { "latents", j->output.latents },
                  { "embeddings", j->output.embeddings },
                  { "preview", j->output.preview } };
    const char *file[JOB_FORMATS + CLIP_OTHER_FILES] = { "clip.json" };
    const struct tree_node *node[JOB_FORMATS + CLIP_OTHER_FILES] = { NULL };
    int n = 1;

    for (const struct tree_node *m = list ? list->first : NULL; m; m = m->next, n++)
        node[n] = tree_find(m, "file");
    for (int i = 0; i < j->output.formats; i++) file[1 + i] = j->output.format[i].file;
    n = 1 + j->output.formats;
    for (int i = 0; i < COUNT_OF(other); i++) {
        if (!other[i].file) continue;
        node[n] = tree_find(tree_find(output, other[i].key), "file");
        file[n++] = other[i].file;
    }
    for (int i = 1; i < n; i++)
        for (int k = 0; k < i; k++)
            if (!strcasecmp(file[i], file[k]))
                return tree_fail(
                    node[i] ? node[i] : output,
                    "found \"%s\", which another file of the clip is called%s; allowed: "
                    "a name of its own",
                    file[i], strcmp(file[i], file[k]) ? " but for its case" : "");
    return ST_OK;
}

static status check_labels(const struct tree_node *labels)
{
    if (!labels) return ST_OK;
    if (labels->kind != TREE_MAP || labels->count > JOB_LABELS)
        return tree_refuse(labels, "a map of at most 64 texts");
    for (const struct tree_node *n = labels->first; n; n = n->next) {
        const char *text;
        if (!field_is_file_name(n->key))
            return tree_fail_key(n, "allowed as a label: 1 to 128 characters A-Z a-z 0-9 . _ -");
        TRY(field_text(n, 1024, &text));
    }
    return ST_OK;
}

/* A name stands for a map with that job alone. */
static status read_after(const struct tree_node *n, struct job_after *out)
{
    out->node = n;
    if (n->kind == TREE_MAP) TRY(field_read(n, &job_after_table, out));
    else TRY(field_text(n, 80, &out->job));
    if (strspn(out->job, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(out->job)) return ST_OK;
    return tree_refuse(n, "the name of a job");
}

static status read_afters(const struct tree_node *n, struct job *j)
{
    bool const many = n && n->kind == TREE_LIST;

    if (!n) return ST_OK;
    if (many && (!n->count || n->count > JOB_AFTERS))
        return tree_refuse(
            n, "the name of a job, or a list of 1 to 64 such as [{job: plates, when: any}]");
    j->after = calloc(many ? (size_t)n->count : 1, sizeof *j->after);
    if (!j->after) return fail(ST_NOMEM, "%s: no memory for after", j->name);
    if (!many) return read_after(n, &j->after[j->afters++]);
    for (const struct tree_node *m = n->first; m; m = m->next)
        TRY(read_after(m, &j->after[j->afters++]));
    return ST_OK;
}

static status check_length(const struct job *j)
{
    const struct tree_node *const n = tree_find(tree_find(j->node, "clip"), "length");
    int64_t const pictures = duration_nearest(j->clip.length, j->clip.fps);

    return duration_is_length(pictures, j->clip.fps) ? ST_OK : tree_refuse(n, DURATION_LENGTHS);
}

/* What a clip is extended by is made of what its checkpoints keep. */
static status check_extendable(const struct job *j)
{
    const struct tree_node *const run = tree_find(j->node, "run");

    if (!j->output.extendable || !duration_is_zero(j->run.checkpoint)) return ST_OK;
    return tree_refuse(tree_find(run, "checkpoint"),
                       "more than 0s with output.extendable: true, for it needs checkpoints");
}

static status fill_job(const struct tree_node *root, struct job *j)
{
    struct job_draft d = job_defaults;

    TRY(field_read(root, &job_table, &d));
    *j = d.job;
    j->node = root;
    TRY(resolve_path(root->tree, d.model, &j->model));
    TRY(resolve_path(root->tree, d.dir, &j->output.dir));
    TRY(lora_read(d.lora, &j->lora, &j->loras));
    TRY(check_length(j));
    TRY(check_extendable(j));
    TRY(read_job_prompts(&d, j));
    TRY(read_afters(d.after, j));
    if (d.axes) TRY(read_axes(j, d.axes));
    TRY(read_formats(d.formats, j));
    TRY(check_file_names(j));
    return check_labels(j->labels);
}

static status fill_jobs(struct job_file *f)
{
    f->job = calloc((size_t)f->tree->docs, sizeof *f->job);
    if (!f->job) return fail(ST_NOMEM, "%s: no memory for its jobs", f->tree->name);
    for (int i = 0; i < f->tree->docs; i++) {
        f->jobs++;
        TRY(fill_job(f->tree->doc[i], &f->job[i]));
        for (int k = 0; k < i; k++)
            if (!strcmp(f->job[k].name, f->job[i].name))
                return tree_refuse(tree_find(f->job[i].node, "name"),
                                   "a name that no other job of the file has");
    }
    return ST_OK;
}

status job_parse(struct job_file *out, const char *text, size_t len, const char *path)
{
    *out = (struct job_file){ 0 };
    TRY(tree_parse(&out->tree, text, len, path));
    status const st = fill_jobs(out);
    if (st != ST_OK) job_close(out);
    return st;
}

status job_load(struct job_file *out, const char *path)
{
    char *text;
    size_t len;

    *out = (struct job_file){ 0 };
    TRY(file_read(path, TREE_BYTES, &text, &len));
    status const st = job_parse(out, text, len, path);
    free(text);
    return st;
}

void job_close(struct job_file *f)
{
    for (int i = 0; i < f->jobs; i++) {
        struct job *const j = &f->job[i];
        for (int a = 0; a < j->sweep.axes; a++) axis_free(&j->sweep.axis[a]);
        free(j->model);
        free(j->output.dir);
        free(j->prompt);
        model_loras_free(j->lora, j->loras);
        free(j->after);
    }
    free(f->job);
    tree_close(&f->tree);
    *f = (struct job_file){ 0 };
}
