/* clip_json.c - an expanded job for `check --json`. */
#include "jobs/spec/spec_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *prompts_json(const struct clip_spec *c)
{
    json_t *list = json_array();

    for (int i = 0; i < c->prompts; i++) {
        const struct clip_prompt *const p = &c->prompt[i];
        json_t *one = json_pack("{s:I, s:I, s:s, s:s, s:b, s:s}", "block", (json_int_t)p->block,
                                "blend_blocks", (json_int_t)p->blend, "at", p->at, "blend", p->over,
                                "moved", p->moved, "text", p->text);
        if (p->change) json_set(&one, "change", json_string(clip_change_name(p->change)));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *values_json(const struct clip_spec *c)
{
    json_t *map = json_object();

    for (int i = 0; i < c->values; i++)
        json_set(&map, c->value[i].name, json_string(c->value[i].value));
    return map;
}

static json_t *start_json(const struct clip_start *s)
{
    json_t *start = json_pack("{s:s}", clip_start_name(s->kind), s->file);

    if (s->pictures) json_set(&start, "pictures", json_integer((json_int_t)s->pictures));
    if (s->sha256[0]) json_set(&start, "sha256", json_string(s->sha256));
    return start;
}

static json_t *one_json(const struct clip_spec *c)
{
    char seed[32];

    snprintf(seed, sizeof seed, "%llu", (unsigned long long)c->seed);
    json_t *one = json_pack(
        "{s:I, s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:s, s:o, s:o, s:s?, s:s?}", "index",
        (json_int_t)c->index, "name", c->name, "width", c->width, "height", c->height, "fps_num",
        (json_int_t)c->fps_num, "fps_den", (json_int_t)c->fps_den, "pictures",
        (json_int_t)c->pictures, "blocks", (json_int_t)c->blocks, "seed", seed, "values",
        values_json(c), "prompts", prompts_json(c), "content_id",
        c->content_id[0] ? c->content_id : NULL, "task_id", c->task_id[0] ? c->task_id : NULL);
    if (c->start.kind) json_set(&one, "start", start_json(&c->start));
    return one;
}

static json_t *clips_json(const struct clip_list *clips)
{
    json_t *list = json_array();

    for (int i = 0; i < clips->count; i++) json_add(&list, one_json(&clips->clip[i]));
    return list;
}

static json_t *formats_json(const struct job *job)
{
    json_t *list = json_array();
    char gop[DURATION_TEXT];

    for (int i = 0; i < job->output.formats; i++) {
        const struct format *const f = &job->output.format[i];
        json_t *one = json_pack("{s:s?, s:s, s:s, s:s, s:s?, s:s?, s:i}", "id", f->id, "file",
                                f->file, "codec", f->codec, "pix", f->pix, "preset", f->preset,
                                "profile", f->profile, "threads", f->threads);
        if (f->crf >= 0) json_set(&one, "crf", json_integer(f->crf));
        json_set(&one, "encoder", json_string(clip_encoder_name(f->encoder)));
        if (!duration_is_zero(f->gop))
            json_set(&one, "gop", json_string(duration_text(f->gop, gop)));
        json_add(&list, one);
    }
    return list;
}

static json_t *labels_json(const struct job *job)
{
    json_t *map = json_object();

    for (const struct tree_node *n = job->labels ? job->labels->first : NULL; n; n = n->next)
        json_set(&map, n->key, json_string(n->text));
    return map;
}

static json_t *output_json(const struct job *job)
{
    json_t *out = json_pack("{s:s, s:s, s:o}", "dir", job->output.dir, "on_exists",
                            job_exists_name(job->output.on_exists), "formats", formats_json(job));

    if (job->output.latents)
        json_set(&out, "latents",
                 json_pack("{s:s, s:s}", "file", job->output.latents, "dtype",
                           job->output.latents_dtype));
    if (job->output.embeddings)
        json_set(&out, "embeddings",
                 json_pack("{s:s, s:s}", "file", job->output.embeddings, "dtype",
                           job->output.embeddings_dtype));
    if (job->output.transfer == CLIP_SRGB)
        json_set(&out, "colour", json_pack("{s:s}", "transfer", "srgb"));
    if (job->output.preview)
        json_set(&out, "preview",
                 json_pack("{s:s, s:i}", "file", job->output.preview, "columns",
                           job->output.preview_columns));
    if (job->output.extendable) json_set(&out, "extendable", json_true());
    return out;
}

status clip_json(struct strbuf *out, const struct job *job, const struct card *card,
                 const struct clip_list *clips)
{
    json_t *all = json_pack("{s:s, s:s, s:s?, s:i, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "file",
                            job->node->tree->name, "job", job->name, "owner", job->owner,
                            "priority", job->priority, "model", card->name, "card", card->path,
                            "precision", clip_precision_name(job->precision), "numerics",
                            numerics_json(&job->numerics), "labels", labels_json(job), "output",
                            output_json(job), "clips", clips_json(clips));
    if (clips->count && clips->clip[0].model_id[0])
        json_set(&all, "model_sha256", json_string(clips->clip[0].model_id));
    char *const text = all ? json_write(all, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;

    json_decref(all);
    if (text) strbuf_add(out, text, strlen(text));
    free(text);
    return text && !out->failed
               ? ST_OK
               : fail(ST_FORMAT, "%s: no JSON can be made; allowed: UTF-8 in the names of files",
                      job->node->tree->name);
}
