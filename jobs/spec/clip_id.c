/*
 * clip_id.c - ids that stand for what a clip is.
 *
 * An id is a hash of canonical JSON. content_id covers all that makes the pictures, task_id that
 * and the files made of them; what does not change bytes (names, priorities, labels) is in neither.
 * The JSON of what exists must never change: a new key appears only where it is used.
 */
#include "base/digest.h"
#include "jobs/spec/clip.h"
#include "jobs/spec/json_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *prompts_for_id(const struct clip_spec *c)
{
    json_t *list = json_array();

    for (int i = 0; i < c->prompts; i++) {
        const struct clip_prompt *const p = &c->prompt[i];
        json_add(&list, json_pack("{s:I, s:I, s:s}", "block", (json_int_t)p->block, "blend",
                                  (json_int_t)p->blend, "text", p->text));
    }
    return list;
}

static json_t *model_for_id(const struct card *card, const char *model_id)
{
    json_t *steps = json_array();

    for (int i = 0; i < card->steps; i++) json_add(&steps, json_real(card->step[i]));
    return json_pack("{s:s, s:s, s:s, s:o, s:b, s:f, s:i, s:s, s:i, s:i}", "files", model_id,
                     "family", card_family_name(card->family), "outer_key",
                     card->outer_key ? card->outer_key : "", "steps", steps, "warp", card->warp,
                     "shift", card->shift, "frames_per_block", card->frames_per_block, "window",
                     card_window_name(card->window), "attention_frames", card->attention_frames,
                     "sink_frames", card->sink_frames);
}

/* Seeds go beyond JSON's integers and stand as text. */
static json_t *content_for_id(const struct clip_spec *c, const struct card *card,
                              const char *model_id, const char *precision)
{
    char seed[32];

    snprintf(seed, sizeof seed, "%llu", (unsigned long long)c->seed);
    return json_pack("{s:i, s:o, s:s, s:i, s:i, s:I, s:I, s:s, s:o}", "content", 1, "model",
                     model_for_id(card, model_id), "precision", precision, "width", c->width,
                     "height", c->height, "pictures", (json_int_t)c->pictures, "blocks",
                     (json_int_t)c->blocks, "seed", seed, "prompts", prompts_for_id(c));
}

static json_t *formats_for_id(const struct job *job)
{
    json_t *list = json_array();

    for (int i = 0; i < job->output.formats; i++) {
        const struct format *const f = &job->output.format[i];
        json_t *one = json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:i, s:i}", "file", f->file, "codec",
                                f->codec, "pix", f->pix, "preset", f->preset, "profile", f->profile,
                                "crf", f->crf, "threads", f->threads);
        if (f->encoder == FORMAT_NVENC) json_set(&one, "encoder", json_string("nvenc"));
        json_add(&list, one);
    }
    return list;
}

static json_t *task_for_id(const struct clip_spec *c, const struct job *job)
{
    const char *const latents = job->output.latents, *const preview = job->output.preview;

    return json_pack("{s:i, s:s, s:I, s:I, s:o, s:s?, s:s?, s:s?, s:i}", "task", 1, "content",
                     c->content_id, "fps_num", (json_int_t)c->fps.num, "fps_den",
                     (json_int_t)c->fps.den, "formats", formats_for_id(job), "latents", latents,
                     "latents_dtype", latents ? job->output.latents_dtype : NULL, "preview",
                     preview, "preview_columns", preview ? job->output.preview_columns : 0);
}

/* The first 16 hex digits of SHA-256 of the canonical text: keys sorted, no blanks. */
static status hash_json(json_t *what, char id[CLIP_ID])
{
    char *const text = what ? json_dumps(what, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    char hex[DIGEST_HEX] = "";
    status st = ST_OK;

    if (text) st = digest_bytes(text, strlen(text), hex);
    else st = fail(ST_NOMEM, "no memory for a clip's id");
    memcpy(id, hex, CLIP_ID - 1);
    free(text);
    json_decref(what);
    return st;
}

status clip_identify(struct clip_spec *c, const struct job *job, const struct card *card,
                     const struct clip_options *o)
{
    const char *const precision = o->precision ? o->precision : job_precision_name(job->precision);

    if (!o->model_id) return ST_OK;
    TRY(hash_json(content_for_id(c, card, o->model_id, precision), c->content_id));
    return hash_json(task_for_id(c, job), c->task_id);
}

const char *clip_library(char buf[CLIP_LIBRARY])
{
    snprintf(buf, CLIP_LIBRARY, "jansson %s", jansson_version_str());
    return buf;
}
