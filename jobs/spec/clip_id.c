/*
 * clip_id.c - ids that stand for what a clip is.
 *
 * An id is a hash of canonical JSON. content_id covers all that makes the pictures, task_id that
 * and the files made of them; what does not change bytes (names, priorities, labels) is in neither.
 * The JSON of what exists must never change: a new key appears only where it is used.
 */
#include "base/digest.h"
#include "jobs/spec/spec_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *prompts_for_id(const struct clip_spec *c)
{
    json_t *list = json_array();

    for (int i = 0; i < c->prompts; i++) {
        const struct clip_prompt *const p = &c->prompt[i];
        json_t *one = json_pack("{s:I, s:I, s:s}", "block", (json_int_t)p->block, "blend",
                                (json_int_t)p->blend, "text", p->text);
        if (p->change) json_set(&one, "change", json_string(clip_change_name(p->change)));
        json_add(&list, one);
    }
    return list;
}

static json_t *reals_for_id(const double *v, int count)
{
    json_t *list = json_array();

    for (int i = 0; i < count; i++) json_add(&list, json_real(v[i]));
    return list;
}

/* The bytes of their files are in the model's id. */
static json_t *loras_for_id(const struct card *card)
{
    json_t *list = json_array();

    for (int i = 0; i < card->loras; i++) {
        const struct model_lora *const l = &card->lora[i];
        json_add(&list,
                 json_pack("{s:s, s:i, s:f, s:f}", "outer_key", l->outer_key ? l->outer_key : "",
                           "rank", l->rank, "alpha", l->alpha, "scale", l->scale));
    }
    return list;
}

static json_t *policy_for_id(const struct card *card)
{
    json_t *policy = json_pack("{s:s}", "name", kv_rule_name(card->rule));

    for (int i = 0; i < KV_KEYS_COUNT; i++)
        if (kv_key_bounds(card->rule, (enum kv_key)i))
            json_set(&policy, kv_key_name((enum kv_key)i), json_real(card->key[i]));
    if (card->profile.layers)
        json_set(&policy, "static_heads",
                 reals_for_id(card->profile.static_heads, card->profile.layers));
    return policy;
}

static json_t *model_for_id(const struct clip_spec *c, const struct card *card)
{
    json_t *model = json_pack(
        "{s:s, s:s, s:s, s:o, s:b, s:f, s:i, s:s, s:i, s:i}", "files", c->model_id, "family",
        card_family_name(card->family), "outer_key", card->outer_key ? card->outer_key : "",
        "steps", reals_for_id(card->step, card->steps), "warp", card->warp, "shift", card->shift,
        "frames_per_block", card->frames_per_block, "window", kv_window_name(card->window),
        "attention_frames", card->attention_frames, "sink_frames", card->sink_frames);
    /* Ids of cards that do not say stay what they were. */
    if (card->loras) json_set(&model, "lora", loras_for_id(card));
    if (card->first_steps)
        json_set(&model, "first_block_steps", reals_for_id(card->first_step, card->first_steps));
    if (!kv_rule_is_plain(card->rule, card->key)) json_set(&model, "policy", policy_for_id(card));
    if (card->sink) json_set(&model, "sink_positions", json_string(kv_sink_name(card->sink)));
    return model;
}

json_t *numerics_json(const struct clip_numerics *n)
{
    json_t *asked = json_object();
    char word[CLIP_WORD];

    for (int k = 0; k < CLIP_NUMERICS; k++)
        if (clip_numeric_word(word, n, (enum clip_numeric_key)k))
            json_set(&asked, clip_numeric_name((enum clip_numeric_key)k), json_string(word));
    return asked;
}

/* Seeds go beyond JSON's integers and stand as text. */
static json_t *content_for_id(const struct clip_spec *c, const struct card *card)
{
    char seed[32];

    snprintf(seed, sizeof seed, "%llu", (unsigned long long)c->seed);
    json_t *content =
        json_pack("{s:i, s:o, s:s, s:i, s:i, s:I, s:I, s:s, s:o}", "content", 1, "model",
                  model_for_id(c, card), "precision", clip_precision_name(c->precision), "width",
                  c->width, "height", c->height, "pictures", (json_int_t)c->pictures, "blocks",
                  (json_int_t)c->blocks, "seed", seed, "prompts", prompts_for_id(c));
    if (!clip_numerics_same(&c->numerics, &(struct clip_numerics){ { 0 } }))
        json_set(&content, "numerics", numerics_json(&c->numerics));
    if (c->start.kind)
        json_set(&content, "start",
                 json_pack("{s:s, s:I, s:s}", "kind", clip_start_name(c->start.kind), "pictures",
                           (json_int_t)c->start.pictures, "sha256", c->start.sha256));
    return content;
}

static json_t *formats_for_id(const struct clip_spec *c)
{
    json_t *list = json_array();

    for (int i = 0; i < c->formats; i++) {
        const struct clip_format *const f = &c->format[i];
        json_t *one = json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:i, s:i}", "file", f->file, "codec",
                                f->codec, "pix", f->pix, "preset", f->preset, "profile", f->profile,
                                "crf", f->crf, "threads", f->threads);
        if (f->encoder == CLIP_ENCODER_NVENC) json_set(&one, "encoder", json_string("nvenc"));
        if (f->gop) json_set(&one, "gop", json_integer(f->gop));
        json_add(&list, one);
    }
    return list;
}

static json_t *task_for_id(const struct clip_spec *c)
{
    json_t *task =
        json_pack("{s:i, s:s, s:I, s:I, s:o, s:s?, s:s?, s:s?, s:i}", "task", 1, "content",
                  c->content_id, "fps_num", (json_int_t)c->fps_num, "fps_den",
                  (json_int_t)c->fps_den, "formats", formats_for_id(c), "latents", c->latents,
                  "latents_dtype", c->latents ? c->latents_dtype : NULL, "preview", c->preview,
                  "preview_columns", c->preview ? c->preview_columns : 0);
    if (c->embeddings)
        json_set(&task, "embeddings",
                 json_pack("{s:s, s:s}", "file", c->embeddings, "dtype", c->embeddings_dtype));
    if (c->extendable) json_set(&task, "extendable", json_true());
    if (c->transfer == CLIP_SRGB) json_set(&task, "transfer", json_string("srgb"));
    return task;
}

/* The first 16 hex digits of SHA-256 of the canonical text: keys sorted, no blanks. */
static status hash_json(json_t *what, char id[CLIP_ID])
{
    char *const text = what ? json_write(what, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    char hex[DIGEST_HEX] = "";
    status st = ST_OK;

    if (text) st = digest_bytes(text, strlen(text), hex);
    else st = fail(ST_NOMEM, "no memory for a clip's id");
    memcpy(id, hex, CLIP_ID - 1);
    free(text);
    json_decref(what);
    return st;
}

status clip_identify(struct clip_spec *c, const struct card *card)
{
    if (!c->model_id[0]) return ST_OK;
    TRY(hash_json(content_for_id(c, card), c->content_id));
    return hash_json(task_for_id(c), c->task_id);
}

/* What ids have of a card stands in the model, too. Borrowed from it. */
static struct card make_id_card(const struct model_spec *m)
{
    struct card card = { .family = CARD_WAN21_T2V,
                         .outer_key = m->outer_key,
                         .lora = m->lora,
                         .loras = m->loras,
                         .steps = m->steps,
                         .first_steps = m->first_steps,
                         .warp = m->warp,
                         .shift = m->shift,
                         .frames_per_block = m->frames_per_block,
                         .window = m->window,
                         .attention_frames = m->attention_frames,
                         .sink_frames = m->sink_frames,
                         .sink = m->sink,
                         .rule = m->rule,
                         .profile = m->profile };

    memcpy(card.step, m->step, sizeof card.step);
    memcpy(card.first_step, m->first_step, sizeof card.first_step);
    if (m->keys) memcpy(card.key, m->key, sizeof card.key);
    else kv_keys_usual(m->rule, card.key);
    return card;
}

status clip_lengthen(struct clip_spec *c, const struct model_spec *m, int64_t pictures)
{
    struct card const card = make_id_card(m);

    c->pictures = pictures;
    c->blocks = clip_blocks(pictures, c->frames_per_block);
    return clip_identify(c, &card);
}

const char *clip_library(char buf[CLIP_LIBRARY])
{
    snprintf(buf, CLIP_LIBRARY, "jansson %s", jansson_version_str());
    return buf;
}
