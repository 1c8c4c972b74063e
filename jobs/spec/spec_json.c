/*
 * spec_json.c - clips and models to JSON and back, by one table each.
 *
 * What depends on several keys - prompts that rise, pictures that the blocks cover - is checked
 * when all of them are read.
 */
#include "jobs/spec/spec_json.h"
#include "base/choice.h"
#include "jobs/spec/card.h"
#include "jobs/spec/spec_internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    SIZE_MAX_PIXELS = 8192,
    PICTURES_MAX = 24 * 3600 * VALUE_RATE_MAX, /* a day at the highest rate */
    BLOCKS_MAX = PICTURES_MAX / 4 + 1,
    VALUES_MAX = 16,
    LABELS_MAX = 64,
    DAY_MS = 24 * 3600 * 1000,
};

/* ---- the clip ---- */

#define AT(member) offsetof(struct clip_prompt, member)
static const struct spec_key prompt_keys[] = {
    { "block", SPEC_INT64, AT(block), .max = BLOCKS_MAX },
    { "blend", SPEC_INT64, AT(blend), .max = BLOCKS_MAX },
    { "text", SPEC_TEXT, .at = AT(text) },
    { "at", SPEC_CHARS, AT(at), .max = CLIP_TIME },
    { "over", SPEC_CHARS, AT(over), .max = CLIP_TIME },
    { "moved", SPEC_BOOL, .at = AT(moved) },
    { "change", SPEC_CHOICE, AT(change), .allowed = "blend|cut|recache" },
};
#undef AT
static const struct spec_table prompt_table = { prompt_keys, COUNT_OF(prompt_keys),
                                                sizeof(struct clip_prompt) };

#define AT(member) offsetof(struct clip_pair, member)
static const struct spec_key pair_keys[] = {
    { "name", SPEC_TEXT, AT(name), .min = 1 },
    { "value", SPEC_TEXT, .at = AT(value) },
};
#undef AT
static const struct spec_table pair_table = { pair_keys, COUNT_OF(pair_keys),
                                              sizeof(struct clip_pair) };

#define AT(member) offsetof(struct clip_format, member)
static const struct spec_key format_keys[] = {
    { "file", SPEC_TEXT, AT(file), .min = 1 },
    { "codec", SPEC_TEXT, AT(codec), .min = 1 },
    { "pix", SPEC_TEXT, AT(pix), .min = 1 },
    { "preset", SPEC_MAY_TEXT, .at = AT(preset) },
    { "profile", SPEC_MAY_TEXT, .at = AT(profile) },
    { "crf", SPEC_INT, AT(crf), .min = -1, .max = 255 },
    { "threads", SPEC_INT, AT(threads), .min = 1, .max = 64 },
    { "encoder", SPEC_CHOICE, AT(encoder), .allowed = "cpu|nvenc|auto" },
    { "gop", SPEC_INT, AT(gop), .max = CLIP_GOP_S * VALUE_RATE_MAX },
};
#undef AT
static const struct spec_table format_json = { format_keys, COUNT_OF(format_keys),
                                               sizeof(struct clip_format) };

#define AT(member) offsetof(struct clip_spec, member)
static const struct spec_key clip_keys[] = {
    { "job", SPEC_TEXT, AT(job), .min = 1 },
    { "owner", SPEC_MAY_TEXT, .at = AT(owner) },
    { "index", SPEC_INT64, AT(index), .max = INT32_MAX },
    { "name", SPEC_TEXT, AT(name), .min = 1 },
    { "dir", SPEC_MAY_TEXT, .at = AT(dir) },
    { "priority", SPEC_INT, AT(priority), .max = 100 },
    { "precision", SPEC_CHOICE, AT(precision), .allowed = "bf16|f32" },
    { "wire", SPEC_CHOICE, AT(numerics.choice[CLIP_WIRE]), .allowed = "any|" CLIP_WIRE_CHOICES },
    { "determinism", SPEC_CHOICE, AT(numerics.choice[CLIP_DETERMINISM]),
      .allowed = "any|" CLIP_DETERMINISM_CHOICES },
    { "kernels", SPEC_CHOICE, AT(numerics.choice[CLIP_KERNELS]),
      .allowed = "any|" CLIP_KERNELS_CHOICES },
    { "width", SPEC_INT, AT(width), .min = 16, .max = SIZE_MAX_PIXELS },
    { "height", SPEC_INT, AT(height), .min = 16, .max = SIZE_MAX_PIXELS },
    { "fps_num", SPEC_INT64, AT(fps_num), .min = 1, .max = INT32_MAX },
    { "fps_den", SPEC_INT64, AT(fps_den), .min = 1, .max = INT32_MAX },
    { "seed", SPEC_U64, .at = AT(seed) },
    { "pictures", SPEC_INT64, AT(pictures), .min = 1, .max = PICTURES_MAX },
    { "blocks", SPEC_INT64, AT(blocks), .min = 1, .max = BLOCKS_MAX },
    { "checkpoint", SPEC_INT64, AT(checkpoint), .max = BLOCKS_MAX },
    { "extendable", SPEC_BOOL, .at = AT(extendable) },
    { "extends", SPEC_MAY_TEXT, .at = AT(extends) },
    { "timeout_ms", SPEC_INT64, AT(timeout_ms), .max = DAY_MS },
    { "stall_ms", SPEC_INT64, AT(stall_ms), .max = DAY_MS },
    { "grace_ms", SPEC_INT64, AT(grace_ms), .max = DAY_MS },
    { "frames_per_block", SPEC_INT, AT(frames_per_block), .min = 1, .max = 16 },
    { "start", SPEC_CHOICE, AT(start.kind), .allowed = "none|latents|image|video|clip" },
    { "start_file", SPEC_MAY_TEXT, .at = AT(start.file), .min = 1 },
    { "start_pictures", SPEC_INT64, AT(start.pictures), .max = PICTURES_MAX },
    { "start_sha256", SPEC_CHARS, AT(start.sha256), .max = DIGEST_HEX },
    { "prompt", SPEC_LIST, AT(prompt), AT(prompts), 1, BLOCKS_MAX, .item = &prompt_table },
    { "value", SPEC_LIST, AT(value), AT(values), 0, VALUES_MAX, .item = &pair_table },
    { "label", SPEC_LIST, AT(label), AT(labels), 0, LABELS_MAX, .item = &pair_table },
    { "format", SPEC_LIST, AT(format), AT(formats), 0, CLIP_FORMATS, .item = &format_json },
    { "transfer", SPEC_CHOICE, AT(transfer), .allowed = "bt709|srgb" },
    { "latents", SPEC_MAY_TEXT, .at = AT(latents) },
    { "latents_dtype", SPEC_MAY_TEXT, .at = AT(latents_dtype) },
    { "embeddings", SPEC_MAY_TEXT, .at = AT(embeddings) },
    { "embeddings_dtype", SPEC_MAY_TEXT, .at = AT(embeddings_dtype) },
    { "preview", SPEC_MAY_TEXT, .at = AT(preview) },
    { "preview_columns", SPEC_INT, AT(preview_columns), .max = 32 },
    { "content_id", SPEC_CHARS, AT(content_id), .max = CLIP_ID },
    { "task_id", SPEC_CHARS, AT(task_id), .max = CLIP_ID },
    { "model_id", SPEC_CHARS, AT(model_id), .max = DIGEST_HEX },
};
#undef AT
static const struct spec_table clip_table = { clip_keys, COUNT_OF(clip_keys),
                                              sizeof(struct clip_spec) };

/* ---- the model ---- */

#define AT(member) offsetof(struct model_lora, member)
static const struct spec_key lora_keys[] = {
    { "file", SPEC_TEXT, AT(file), .min = 1 },
    { "outer_key", SPEC_MAY_TEXT, .at = AT(outer_key) },
    { "rank", SPEC_INT, AT(rank), .max = LORA_MOST },
    { "alpha", SPEC_REAL, .at = AT(alpha) },
    { "scale", SPEC_REAL, .at = AT(scale) },
};
#undef AT
static const struct spec_table lora_json = { lora_keys, COUNT_OF(lora_keys),
                                             sizeof(struct model_lora) };

#define AT(member) offsetof(struct model_file, member)
static const struct spec_key file_keys[] = {
    { "path", SPEC_TEXT, AT(path), .min = 1 },
    { "identity", SPEC_CHARS, AT(identity), .max = MODEL_FILE_IDENTITY },
    { "sum", SPEC_CHARS, AT(sum), .max = DIGEST_HEX },
};
#undef AT
static const struct spec_table file_table = { file_keys, COUNT_OF(file_keys),
                                              sizeof(struct model_file) };

#define AT(member) offsetof(struct model_spec, member)
static const struct spec_key model_keys[] = {
    { "name", SPEC_TEXT, AT(name), .min = 1 },
    { "family", SPEC_TEXT, AT(family), .min = 1 },
    { "license", SPEC_MAY_TEXT, .at = AT(license) },
    { "card", SPEC_TEXT, AT(card), .min = 1 },
    { "weights", SPEC_TEXT, AT(weights), .min = 1 },
    { "outer_key", SPEC_MAY_TEXT, .at = AT(outer_key) },
    { "config", SPEC_TEXT, AT(config), .min = 1 },
    { "encoder", SPEC_TEXT, AT(encoder), .min = 1 },
    { "tokenizer", SPEC_TEXT, AT(tokenizer), .min = 1 },
    { "vae", SPEC_TEXT, AT(vae), .min = 1 },
    { "lora", SPEC_LIST, AT(lora), AT(loras), 0, MODEL_LORAS, .item = &lora_json },
    { "step", SPEC_REALS, .at = AT(step), .count = AT(steps), .min = 1, .max = MODEL_STEPS },
    { "first_step", SPEC_REALS, .at = AT(first_step), .count = AT(first_steps),
      .max = MODEL_STEPS },
    { "warp", SPEC_BOOL, .at = AT(warp) },
    { "shift", SPEC_REAL, .at = AT(shift) },
    { "frames_per_block", SPEC_INT, AT(frames_per_block), .min = 1, .max = 16 },
    { "window", SPEC_CHOICE, AT(window), .allowed = KV_WINDOW_CHOICES },
    { "attention_frames", SPEC_INT, AT(attention_frames), .min = 1, .max = 4096 },
    { "sink_frames", SPEC_INT, AT(sink_frames), .max = 4096 },
    { "sink_positions", SPEC_CHOICE, AT(sink), .allowed = KV_ALL_SINK_CHOICES },
    { "policy", SPEC_CHOICE, AT(rule), .allowed = KV_RULE_CHOICES },
    { "policy_keys", SPEC_REALS, .at = AT(key), .count = AT(keys), .max = KV_KEYS_COUNT },
    { "static_heads", SPEC_REALS, .at = AT(profile.static_heads), .count = AT(profile.layers),
      .max = KV_LAYERS },
    { "id", SPEC_CHARS, AT(id), .max = DIGEST_HEX },
    { "whole", SPEC_BOOL, .at = AT(whole) },
    { "file", SPEC_LIST, AT(file), AT(files), 0, MODEL_FILES, .item = &file_table },
};
#undef AT
static const struct spec_table model_table = { model_keys, COUNT_OF(model_keys),
                                               sizeof(struct model_spec) };

/* ---- writing ---- */

status clip_spec_to_json(struct strbuf *out, const struct clip_spec *c)
{
    return spec_table_write(out, "clip", &clip_table, c);
}

status model_spec_to_json(struct strbuf *out, const struct model_spec *m)
{
    return spec_table_write(out, "model", &model_table, m);
}

status model_spec_asked_json(struct strbuf *out, const struct model_spec *m)
{
    struct model_spec asked = *m; /* shallow: only the list of files is its own */
    status st = ST_OK;

    asked.file = calloc((size_t)m->files + 1, sizeof *asked.file);
    if (!asked.file) return fail(ST_NOMEM, "model %s: %d files", m->name, m->files);
    for (int i = 0; i < m->files; i++) {
        asked.file[i].path = m->file[i].path;
        memcpy(asked.file[i].sum, m->file[i].sum, sizeof asked.file[i].sum);
    }
    st = model_spec_to_json(out, &asked);
    free(asked.file);
    return st;
}

/* ---- what holds between keys ---- */

static status check_prompts(const struct clip_spec *c)
{
    for (int i = 0; i < c->prompts; i++) {
        const struct clip_prompt *const p = &c->prompt[i], *const before = p - 1;
        if (i == 0 && (p->block || p->blend))
            return fail(ST_FORMAT, "prompt[0]: not from block 0 on, without a blend");
        if (p->change && (i == 0 || p->blend))
            return fail(ST_FORMAT, "prompt[%d].change: %s: not of the first, nor with a blend", i,
                        clip_change_name(p->change));
        if (p->block >= c->blocks)
            return fail(ST_FORMAT, "prompt[%d].block: not below blocks, %lld", i,
                        (long long)c->blocks);
        if (i && (p->block <= before->block || p->block < before->block + before->blend))
            return fail(ST_FORMAT, "prompt[%d].block: not behind the one before and its blend", i);
    }
    return ST_OK;
}

#define FILE_NAME_FORM "not the name of a file: A-Z a-z 0-9 . _ -, no dot first"

/* Of the clip's folder: nothing leads out of it. */
static status check_name(const char *key, const char *name)
{
    if (!name || field_is_file_name(name)) return ST_OK;
    return fail(ST_FORMAT, "%s: " FILE_NAME_FORM, key);
}

/* No two files of the clip have one name. */
static status check_clip_files(const struct clip_spec *c)
{
    const char *taken[CLIP_FORMATS + CLIP_OTHER_FILES] = { "clip.json" };
    int count = 1;

    if (c->latents) taken[count++] = c->latents;
    if (c->embeddings) taken[count++] = c->embeddings;
    if (c->preview) taken[count++] = c->preview;
    for (int i = 0; i < c->formats; i++) {
        const char *const file = c->format[i].file;
        if (!field_is_file_name(file))
            return fail(ST_FORMAT, "format[%d].file: " FILE_NAME_FORM, i);
        for (int k = 0; k < count; k++)
            if (!strcmp(file, taken[k]))
                return fail(ST_FORMAT, "format[%d].file: %s is another file of the clip", i, file);
        taken[count++] = file;
    }
    return ST_OK;
}

static status check_dtype(const char *key, const char *file, const char *dtype)
{
    if (!file == !dtype && (!file || choice_find("bf16|f32", dtype) >= 0)) return ST_OK;
    return fail(ST_FORMAT, "%s_dtype: not bf16 or f32, as goes with %s", key, key);
}

static status check_clip(const struct clip_spec *c)
{
    if (c->width % 16) return fail(ST_FORMAT, "width: not a multiple of 16");
    if (c->height % 16) return fail(ST_FORMAT, "height: not a multiple of 16");
    if (c->fps_num < c->fps_den || c->fps_num >= VALUE_RATE_MAX * c->fps_den)
        return fail(ST_FORMAT, "fps_num: not 1 to below 240 pictures a second");
    if (c->pictures > clip_pictures(c->blocks, c->frames_per_block))
        return fail(ST_FORMAT, "pictures: more than its blocks have");
    if (!c->start.file != !c->start.kind)
        return fail(ST_FORMAT, "start_file: not what goes with start");
    if (!c->start.pictures != (c->start.kind < CLIP_START_VIDEO))
        return fail(ST_FORMAT, "start_pictures: not what goes with start");
    TRY(check_dtype("latents", c->latents, c->latents_dtype));
    TRY(check_dtype("embeddings", c->embeddings, c->embeddings_dtype));
    if (!c->preview != !c->preview_columns)
        return fail(ST_FORMAT, "preview_columns: not what goes with preview");
    TRY(check_name("name", c->name));
    TRY(check_name("latents", c->latents));
    TRY(check_name("embeddings", c->embeddings));
    TRY(check_name("preview", c->preview));
    TRY(check_clip_files(c));
    return check_prompts(c);
}

static status check_steps(const char *name, const double *step, int steps, bool warp)
{
    for (int i = 0; i < steps; i++) {
        bool const falls = i ? step[i] < step[i - 1] : step[0] == 1000;
        if (!falls || !(step[i] > 0))
            return fail(ST_FORMAT, "%s[%d]: not falling from 1000 to above 0", name, i);
        if (warp && step[i] != (double)(int)step[i])
            return fail(ST_FORMAT, "%s[%d]: not a whole number, with warp", name, i);
    }
    return ST_OK;
}

static status check_static_heads(const struct model_spec *m)
{
    const struct kv_profile *const p = &m->profile;
    double const most = (double)(UINT64_C(1) << KV_HEADS);

    if (kv_rule_has_profile(m->rule) != (p->layers > 0))
        return fail(ST_FORMAT, "static_heads: not what goes with the policy %s",
                    kv_rule_name(m->rule));
    for (int i = 0; i < p->layers; i++) {
        double const v = p->static_heads[i];
        if (!(v >= 0 && v < most) || v != (double)(uint64_t)v)
            return fail(ST_FORMAT, "static_heads[%d]: not a set of up to %d heads", i, KV_HEADS);
    }
    return ST_OK;
}

static status check_model(const struct model_spec *m)
{
    if (strcmp(m->family, card_family_name(CARD_WAN21_T2V)) != 0)
        return fail(ST_FORMAT, "family: not %s", card_family_name(CARD_WAN21_T2V));
    if (!(m->shift >= 0.01 && m->shift <= 100))
        return fail(ST_FORMAT, "shift: not a number from 0.01 to 100");
    TRY(check_steps("step", m->step, m->steps, m->warp));
    TRY(check_steps("first_step", m->first_step, m->first_steps, m->warp));
    if (m->first_steps && kv_window_is_joint(m->window))
        return fail(ST_FORMAT, "first_step: not with a rolling window");
    for (int i = 0; i < m->loras; i++)
        if (!(m->lora[i].alpha >= 0 && m->lora[i].alpha <= LORA_MOST) ||
            !(m->lora[i].scale >= -LORA_MOST && m->lora[i].scale <= LORA_MOST))
            return fail(ST_FORMAT, "lora[%d]: alpha and scale: not up to %d", i, LORA_MOST);
    if (m->keys != KV_KEYS_COUNT && (m->keys || m->rule != KV_USUAL))
        return fail(ST_FORMAT, "policy_keys: not as many as the policy %s has",
                    kv_rule_name(m->rule));
    if (!kv_rule_fits(m->rule, m->window))
        return fail(ST_FORMAT, "policy: not in a rolling window");
    for (int i = 0; i < m->keys; i++) {
        const struct kv_key_bounds *const b = kv_key_bounds(m->rule, (enum kv_key)i);
        if (b ? !(m->key[i] >= b->least && m->key[i] <= b->most) : m->key[i] != 0)
            return fail(ST_FORMAT, "policy_keys: %s: out of range", kv_key_name((enum kv_key)i));
    }
    TRY(check_static_heads(m));
    if (m->rule == KV_USUAL &&
        (m->attention_frames % m->frames_per_block || m->sink_frames % m->frames_per_block))
        return fail(ST_FORMAT, "attention_frames, sink_frames: not whole blocks");
    return ST_OK;
}

/* ---- reading ---- */

status clip_spec_from_json(struct clip_spec *out, const char *json, size_t len)
{
    *out = (struct clip_spec){ 0 };
    status st = spec_table_read(&clip_table, json, len, out);
    if (st == ST_OK) st = check_clip(out);
    if (st == ST_OK) return ST_OK;
    clip_spec_free(out);
    return fail(st, "clip: %s", error_last()->msg);
}

status model_spec_from_json(struct model_spec *out, const char *json, size_t len)
{
    *out = (struct model_spec){ 0 };
    status st = spec_table_read(&model_table, json, len, out);
    if (st == ST_OK) st = check_model(out);
    if (st == ST_OK) return ST_OK;
    model_spec_free(out);
    return fail(st, "model: %s", error_last()->msg);
}
