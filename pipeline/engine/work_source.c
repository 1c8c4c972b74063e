/*
 * work_source.c - which clips can share a line, and what is known of them before it begins.
 *
 * A line is opened for a model's numbers, a precision, numerics and a size; a clip that differs in
 * one of them would need another. Two models are the same if their cards say the same, not only if
 * they are called the same: a queue may hold clips of a card that was edited in between.
 */
#include "pipeline/engine/work_source.h"
#include "pipeline/engine/output_formats.h"

#include <string.h>

static bool same_text(const char *a, const char *b) { return a && b ? !strcmp(a, b) : a == b; }

static bool same_names(const struct model_spec *a, const struct model_spec *b)
{
    return same_text(a->name, b->name) && same_text(a->family, b->family) &&
           same_text(a->license, b->license);
}

static bool same_files(const struct model_spec *a, const struct model_spec *b)
{
    return same_text(a->card, b->card) && same_text(a->weights, b->weights) &&
           same_text(a->outer_key, b->outer_key) && same_text(a->config, b->config) &&
           same_text(a->encoder, b->encoder) && same_text(a->tokenizer, b->tokenizer) &&
           same_text(a->vae, b->vae) && !strcmp(a->id, b->id);
}

static bool same_loras(const struct model_spec *a, const struct model_spec *b)
{
    if (a->loras != b->loras) return false;
    for (int i = 0; i < a->loras; i++) {
        const struct model_lora *const x = &a->lora[i], *const y = &b->lora[i];
        if (!same_text(x->file, y->file) || !same_text(x->outer_key, y->outer_key) ||
            x->rank != y->rank || x->alpha != y->alpha || x->scale != y->scale)
            return false;
    }
    return true;
}

static bool same_steps(const struct model_spec *a, const struct model_spec *b)
{
    if (a->steps != b->steps || a->first_steps != b->first_steps || a->warp != b->warp ||
        a->shift != b->shift)
        return false;
    for (int i = 0; i < a->steps; i++)
        if (a->step[i] != b->step[i]) return false;
    for (int i = 0; i < a->first_steps; i++)
        if (a->first_step[i] != b->first_step[i]) return false;
    return true;
}

static bool same_window(const struct model_spec *a, const struct model_spec *b)
{
    if (a->window != b->window || a->attention_frames != b->attention_frames ||
        a->sink_frames != b->sink_frames || a->sink != b->sink || a->rule != b->rule)
        return false;
    for (int i = 0; i < KV_KEYS_COUNT; i++)
        if (a->key[i] != b->key[i]) return false;
    return kv_profile_same(&a->profile, &b->profile);
}

static bool same_model(const struct model_spec *a, const struct model_spec *b)
{
    return a == b ||
           (same_names(a, b) && same_files(a, b) && same_steps(a, b) && same_loras(a, b) &&
            same_window(a, b) && a->frames_per_block == b->frames_per_block);
}

bool work_same_group(const struct work_item *a, const struct work_item *b)
{
    const struct clip_spec *const x = a->clip, *const y = b->clip;

    return x->precision == y->precision && x->width == y->width && x->height == y->height &&
           clip_numerics_same(&x->numerics, &y->numerics) && same_model(a->model, b->model);
}

void work_outlook_add(struct work_outlook *o, const struct clip_spec *c)
{
    o->clips++;
    o->blocks += c->blocks;
    o->starts += c->start.kind != CLIP_START_NONE;
    o->recaches += clip_recaches(c);
    o->formats |= clip_pixel_formats(c);
    for (int p = 1; p < c->prompts; p++) o->mixes += c->prompt[p].blend;
}
