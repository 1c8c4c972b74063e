/*
 * spec_json.c - clips and models to JSON and back, by one table each.
 *
 * A row names a key, says where its value is in the struct and what is allowed; writing and
 * reading follow the same rows, so a key that one of them forgets does not exist. What depends
 * on several keys - prompts that rise, pictures that the blocks cover - is checked when all of
 * them are read. Keys that no row names are refused: a clip that says more than this program
 * understands would be rendered wrong.
 */
#include "jobs/spec/spec_json.h"
#include "base/choice.h"
#include "base/utf8.h"
#include "jobs/spec/card.h"
#include "jobs/spec/json_build.h"
#include "jobs/yaml/yaml_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum key_type {
    KEY_TEXT,     /* char *, min bytes at least */
    KEY_MAY_TEXT, /* the same; null or left out: NULL */
    KEY_CHARS,    /* char[max]: max - 1 bytes at most, may be empty */
    KEY_INT,      /* int, min..max */
    KEY_INT64,    /* int64_t, min..max */
    KEY_U64,      /* uint64_t, as text */
    KEY_BOOL,
    KEY_REAL,   /* double; its range is checked with the rest */
    KEY_CHOICE, /* an enum from 0: the place of the word in `allowed` */
    KEY_REALS,  /* double[max], min..max of them; count is int */
    KEY_LIST,   /* a malloc'ed array of structs, min..max of them; count is int */
};

struct key_table;

struct key {
    const char *name;
    enum key_type type;
    size_t at, count; /* offsets of the value; of the number of items */
    int64_t min, max;
    const char *allowed;
    const struct key_table *item;
};

struct key_table {
    const struct key *key;
    int keys;
    size_t size; /* of the struct */
};

enum {
    SIZE_MAX_PIXELS = 8192,
    PICTURES_MAX = 24 * 3600 * 240, /* a day at the highest rate */
    BLOCKS_MAX = PICTURES_MAX / 4 + 1,
    VALUES_MAX = 16,
    LABELS_MAX = 64,
};

/* ---- the clip ---- */

#define AT(member) offsetof(struct clip_prompt, member)
static const struct key prompt_keys[] = {
    { "block", KEY_INT64, AT(block), .max = BLOCKS_MAX },
    { "blend", KEY_INT64, AT(blend), .max = BLOCKS_MAX },
    { "text", KEY_TEXT, .at = AT(text) },
    { "at", KEY_CHARS, AT(at), .max = CLIP_TIME },
    { "over", KEY_CHARS, AT(over), .max = CLIP_TIME },
    { "moved", KEY_BOOL, .at = AT(moved) },
};
#undef AT
static const struct key_table prompt_table = { prompt_keys, COUNT_OF(prompt_keys),
                                               sizeof(struct clip_prompt) };

#define AT(member) offsetof(struct clip_pair, member)
static const struct key pair_keys[] = {
    { "name", KEY_TEXT, AT(name), .min = 1 },
    { "value", KEY_TEXT, .at = AT(value) },
};
#undef AT
static const struct key_table pair_table = { pair_keys, COUNT_OF(pair_keys),
                                             sizeof(struct clip_pair) };

#define AT(member) offsetof(struct clip_format, member)
static const struct key format_keys[] = {
    { "file", KEY_TEXT, AT(file), .min = 1 },
    { "codec", KEY_TEXT, AT(codec), .min = 1 },
    { "pix", KEY_TEXT, AT(pix), .min = 1 },
    { "preset", KEY_MAY_TEXT, .at = AT(preset) },
    { "profile", KEY_MAY_TEXT, .at = AT(profile) },
    { "crf", KEY_INT, AT(crf), .min = -1, .max = 255 },
    { "threads", KEY_INT, AT(threads), .min = 1, .max = 64 },
    { "encoder", KEY_CHOICE, AT(encoder), .allowed = "cpu|nvenc|auto" },
};
#undef AT
static const struct key_table format_table = { format_keys, COUNT_OF(format_keys),
                                               sizeof(struct clip_format) };

#define AT(member) offsetof(struct clip_spec, member)
static const struct key clip_keys[] = {
    { "job", KEY_TEXT, AT(job), .min = 1 },
    { "owner", KEY_MAY_TEXT, .at = AT(owner) },
    { "index", KEY_INT64, AT(index), .max = INT32_MAX },
    { "name", KEY_TEXT, AT(name), .min = 1 },
    { "dir", KEY_MAY_TEXT, .at = AT(dir) },
    { "priority", KEY_INT, AT(priority), .max = 100 },
    { "precision", KEY_CHOICE, AT(precision), .allowed = "bf16|f32" },
    { "width", KEY_INT, AT(width), .min = 16, .max = SIZE_MAX_PIXELS },
    { "height", KEY_INT, AT(height), .min = 16, .max = SIZE_MAX_PIXELS },
    { "fps_num", KEY_INT64, AT(fps_num), .min = 1, .max = INT32_MAX },
    { "fps_den", KEY_INT64, AT(fps_den), .min = 1, .max = INT32_MAX },
    { "seed", KEY_U64, .at = AT(seed) },
    { "pictures", KEY_INT64, AT(pictures), .min = 1, .max = PICTURES_MAX },
    { "blocks", KEY_INT64, AT(blocks), .min = 1, .max = BLOCKS_MAX },
    { "checkpoint", KEY_INT64, AT(checkpoint), .max = BLOCKS_MAX },
    { "frames_per_block", KEY_INT, AT(frames_per_block), .min = 1, .max = 16 },
    { "start", KEY_CHOICE, AT(start.kind), .allowed = "none|latents|image|video" },
    { "start_file", KEY_MAY_TEXT, .at = AT(start.file), .min = 1 },
    { "start_pictures", KEY_INT64, AT(start.pictures), .max = PICTURES_MAX },
    { "start_sha256", KEY_CHARS, AT(start.sha256), .max = DIGEST_HEX },
    { "prompt", KEY_LIST, AT(prompt), AT(prompts), 1, BLOCKS_MAX, .item = &prompt_table },
    { "value", KEY_LIST, AT(value), AT(values), 0, VALUES_MAX, .item = &pair_table },
    { "label", KEY_LIST, AT(label), AT(labels), 0, LABELS_MAX, .item = &pair_table },
    { "format", KEY_LIST, AT(format), AT(formats), 0, CLIP_FORMATS, .item = &format_table },
    { "latents", KEY_MAY_TEXT, .at = AT(latents) },
    { "latents_dtype", KEY_MAY_TEXT, .at = AT(latents_dtype) },
    { "preview", KEY_MAY_TEXT, .at = AT(preview) },
    { "preview_columns", KEY_INT, AT(preview_columns), .max = 32 },
    { "content_id", KEY_CHARS, AT(content_id), .max = CLIP_ID },
    { "task_id", KEY_CHARS, AT(task_id), .max = CLIP_ID },
    { "model_id", KEY_CHARS, AT(model_id), .max = DIGEST_HEX },
};
#undef AT
static const struct key_table clip_table = { clip_keys, COUNT_OF(clip_keys),
                                             sizeof(struct clip_spec) };

/* ---- the model ---- */

#define AT(member) offsetof(struct model_lora, member)
static const struct key lora_keys[] = {
    { "file", KEY_TEXT, AT(file), .min = 1 },
    { "outer_key", KEY_MAY_TEXT, .at = AT(outer_key) },
    { "rank", KEY_INT, AT(rank), .max = LORA_MOST },
    { "alpha", KEY_REAL, .at = AT(alpha) },
    { "scale", KEY_REAL, .at = AT(scale) },
};
#undef AT
static const struct key_table lora_json = { lora_keys, COUNT_OF(lora_keys),
                                            sizeof(struct model_lora) };

#define AT(member) offsetof(struct model_file, member)
static const struct key file_keys[] = {
    { "path", KEY_TEXT, AT(path), .min = 1 },
    { "identity", KEY_CHARS, AT(identity), .max = MODEL_FILE_IDENTITY },
    { "sum", KEY_CHARS, AT(sum), .max = DIGEST_HEX },
};
#undef AT
static const struct key_table file_table = { file_keys, COUNT_OF(file_keys),
                                             sizeof(struct model_file) };

#define AT(member) offsetof(struct model_spec, member)
static const struct key model_keys[] = {
    { "name", KEY_TEXT, AT(name), .min = 1 },
    { "family", KEY_TEXT, AT(family), .min = 1 },
    { "license", KEY_MAY_TEXT, .at = AT(license) },
    { "card", KEY_TEXT, AT(card), .min = 1 },
    { "weights", KEY_TEXT, AT(weights), .min = 1 },
    { "outer_key", KEY_MAY_TEXT, .at = AT(outer_key) },
    { "config", KEY_TEXT, AT(config), .min = 1 },
    { "encoder", KEY_TEXT, AT(encoder), .min = 1 },
    { "tokenizer", KEY_TEXT, AT(tokenizer), .min = 1 },
    { "vae", KEY_TEXT, AT(vae), .min = 1 },
    { "lora", KEY_LIST, AT(lora), AT(loras), 0, MODEL_LORAS, .item = &lora_json },
    { "step", KEY_REALS, .at = AT(step), .count = AT(steps), .min = 1, .max = MODEL_STEPS },
    { "first_step", KEY_REALS, .at = AT(first_step), .count = AT(first_steps), .max = MODEL_STEPS },
    { "warp", KEY_BOOL, .at = AT(warp) },
    { "shift", KEY_REAL, .at = AT(shift) },
    { "frames_per_block", KEY_INT, AT(frames_per_block), .min = 1, .max = 16 },
    { "window", KEY_CHOICE, AT(window), .allowed = KV_WINDOW_CHOICES },
    { "attention_frames", KEY_INT, AT(attention_frames), .min = 1, .max = 4096 },
    { "sink_frames", KEY_INT, AT(sink_frames), .max = 4096 },
    { "sink_positions", KEY_CHOICE, AT(sink), .allowed = KV_ALL_SINK_CHOICES },
    { "policy", KEY_CHOICE, AT(rule), .allowed = KV_RULE_CHOICES },
    { "policy_keys", KEY_REALS, .at = AT(key), .count = AT(keys), .max = KV_KEYS_COUNT },
    { "id", KEY_CHARS, AT(id), .max = DIGEST_HEX },
    { "file", KEY_LIST, AT(file), AT(files), 0, MODEL_FILES, .item = &file_table },
};
#undef AT
static const struct key_table model_table = { model_keys, COUNT_OF(model_keys),
                                              sizeof(struct model_spec) };

/* ---- writing ---- */

static const void *value_in(const void *of, size_t at) { return (const char *)of + at; }
static void *place_in(void *of, size_t at) { return (char *)of + at; }

static int int_in(const void *of, size_t at) { return *(const int *)value_in(of, at); }

static json_t *table_json(const struct key_table *t, const void *from);

static json_t *reals_json(const struct key *k, const void *from)
{
    const double *const v = value_in(from, k->at);
    json_t *list = json_array();

    for (int i = 0; i < int_in(from, k->count); i++) json_add(&list, json_real(v[i]));
    return list;
}

static json_t *list_json(const struct key *k, const void *from)
{
    const char *const item = *(char *const *)value_in(from, k->at);
    json_t *list = json_array();

    for (int i = 0; i < int_in(from, k->count); i++)
        json_add(&list, table_json(k->item, item + (size_t)i * k->item->size));
    return list;
}

static json_t *u64_json(uint64_t v)
{
    char text[24];

    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    return json_string(text);
}

static json_t *word_json(const char *words, int i)
{
    char word[CLIP_TIME];
    return choice_at(word, sizeof word, words, i) ? json_string(word) : NULL;
}

/* NULL: not UTF-8, or no memory. */
static json_t *value_json(const struct key *k, const void *from)
{
    const void *const v = value_in(from, k->at);
    const char *text;

    switch (k->type) {
    case KEY_TEXT: return json_string(*(char *const *)v);
    case KEY_MAY_TEXT: text = *(char *const *)v; return text ? json_string(text) : json_null();
    case KEY_CHARS: return json_string(v);
    case KEY_INT: return json_integer(*(const int *)v);
    case KEY_INT64: return json_integer((json_int_t) * (const int64_t *)v);
    case KEY_U64: return u64_json(*(const uint64_t *)v);
    case KEY_BOOL: return json_boolean(*(const bool *)v);
    case KEY_REAL: return json_real(*(const double *)v);
    case KEY_CHOICE: return word_json(k->allowed, *(const int *)v);
    case KEY_REALS: return reals_json(k, from);
    case KEY_LIST: return list_json(k, from);
    }
    return NULL;
}

static bool is_utf8(const struct key *k, const void *from)
{
    const void *const v = value_in(from, k->at);
    const char *text = "";

    if (k->type == KEY_CHARS) text = v;
    if (k->type == KEY_TEXT || k->type == KEY_MAY_TEXT) text = *(char *const *)v;
    return !text || utf8_valid(text, strlen(text));
}

/* NULL if a value of it cannot be written; which one, the last failure says. */
static json_t *table_json(const struct key_table *t, const void *from)
{
    json_t *o = json_object();

    for (int i = 0; i < t->keys && o; i++) {
        json_set(&o, t->key[i].name, value_json(&t->key[i], from));
        if (!o && error_last()->st == ST_OK)
            (void)fail(is_utf8(&t->key[i], from) ? ST_NOMEM : ST_FORMAT, "%s: not UTF-8",
                       t->key[i].name);
    }
    return o;
}

static status write_spec(struct strbuf *out, const char *what, const struct key_table *t,
                         const void *from)
{
    error_clear();
    json_t *const o = table_json(t, from);
    if (!o && error_last()->st != ST_FORMAT) return fail(ST_NOMEM, "%s: no memory for it", what);
    if (!o) return fail(ST_FORMAT, "%s: %s", what, error_last()->msg);

    char *const text = json_write(o, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(o);
    if (text) strbuf_add(out, text, strlen(text));
    free(text);
    return text && !out->failed ? ST_OK : fail(ST_NOMEM, "%s: no memory for its JSON", what);
}

status clip_spec_to_json(struct strbuf *out, const struct clip_spec *c)
{
    return write_spec(out, "clip", &clip_table, c);
}

status model_spec_to_json(struct strbuf *out, const struct model_spec *m)
{
    return write_spec(out, "model", &model_table, m);
}

/* ---- reading ---- */

static status table_from_json(const struct key_table *t, const json_t *o, void *to);

/* A NUL would end the text for whoever reads it. */
static bool is_text(const json_t *v, int64_t least)
{
    const char *const s = json_string_value(v);
    return s && strlen(s) == json_string_length(v) && (int64_t)strlen(s) >= least;
}

static status text_from_json(const struct key *k, const json_t *v, char **to)
{
    if (k->type == KEY_MAY_TEXT && (!v || json_is_null(v))) return ST_OK;
    if (!is_text(v, k->min)) return fail(ST_FORMAT, "%s: not a text", k->name);
    *to = strdup(json_string_value(v));
    return *to ? ST_OK : fail(ST_NOMEM, "%s: no memory", k->name);
}

static status chars_from_json(const struct key *k, const json_t *v, char *to)
{
    if (!is_text(v, 0) || (int64_t)json_string_length(v) >= k->max)
        return fail(ST_FORMAT, "%s: not a text of at most %d bytes", k->name, (int)k->max - 1);
    memcpy(to, json_string_value(v), json_string_length(v) + 1);
    return ST_OK;
}

static status integer_from_json(const struct key *k, const json_t *v, int64_t *to)
{
    *to = json_integer_value(v);
    if (json_is_integer(v) && *to >= k->min && *to <= k->max) return ST_OK;
    return fail(ST_FORMAT, "%s: not a whole number from %lld to %lld", k->name, (long long)k->min,
                (long long)k->max);
}

static status int_from_json(const struct key *k, const json_t *v, int *to)
{
    int64_t wide;

    TRY(integer_from_json(k, v, &wide));
    *to = (int)wide;
    return ST_OK;
}

static status u64_from_json(const struct key *k, const json_t *v, uint64_t *to)
{
    if (is_text(v, 1) && value_u64(json_string_value(v), to)) return ST_OK;
    return fail(ST_FORMAT, "%s: not the text of a whole number below 2^64", k->name);
}

static status bool_from_json(const struct key *k, const json_t *v, bool *to)
{
    if (!json_is_boolean(v)) return fail(ST_FORMAT, "%s: neither true nor false", k->name);
    *to = json_is_true(v);
    return ST_OK;
}

static status real_from_json(const struct key *k, const json_t *v, double *to)
{
    if (!json_is_number(v)) return fail(ST_FORMAT, "%s: not a number", k->name);
    *to = json_number_value(v);
    return ST_OK;
}

static status choice_from_json(const struct key *k, const json_t *v, int *to)
{
    *to = is_text(v, 1) ? choice_find(k->allowed, json_string_value(v)) : -1;
    return *to >= 0 ? ST_OK : fail(ST_FORMAT, "%s: none of %s", k->name, k->allowed);
}

static status check_item_count(const struct key *k, const json_t *v)
{
    int64_t const count = (int64_t)json_array_size(v);

    if (json_is_array(v) && count >= k->min && count <= k->max) return ST_OK;
    return fail(ST_FORMAT, "%s: not a list of %lld to %lld", k->name, (long long)k->min,
                (long long)k->max);
}

static status reals_from_json(const struct key *k, const json_t *v, double *to, int *count)
{
    TRY(check_item_count(k, v));
    for (; *count < (int)json_array_size(v); ++*count)
        TRY(real_from_json(k, json_array_get(v, (size_t)*count), &to[*count]));
    return ST_OK;
}

static status list_from_json(const struct key *k, const json_t *v, char **to, int *count)
{
    TRY(check_item_count(k, v));
    *to = calloc(json_array_size(v) + 1, k->item->size);
    if (!*to) return fail(ST_NOMEM, "%s: no memory", k->name);
    for (size_t i = 0; i < json_array_size(v); i++) {
        ++*count; /* what is there of it is freed with the rest */
        status const st = table_from_json(k->item, json_array_get(v, i), *to + i * k->item->size);
        if (st != ST_OK) return fail(st, "%s[%zu].%s", k->name, i, error_last()->msg);
    }
    return ST_OK;
}

static status value_from_json(const struct key *k, const json_t *v, void *to)
{
    void *const at = place_in(to, k->at), *const count = place_in(to, k->count);

    if (!v && k->type != KEY_MAY_TEXT) return fail(ST_FORMAT, "%s: missing", k->name);
    switch (k->type) {
    case KEY_TEXT:
    case KEY_MAY_TEXT: return text_from_json(k, v, at);
    case KEY_CHARS: return chars_from_json(k, v, at);
    case KEY_INT: return int_from_json(k, v, at);
    case KEY_INT64: return integer_from_json(k, v, at);
    case KEY_U64: return u64_from_json(k, v, at);
    case KEY_BOOL: return bool_from_json(k, v, at);
    case KEY_REAL: return real_from_json(k, v, at);
    case KEY_CHOICE: return choice_from_json(k, v, at);
    case KEY_REALS: return reals_from_json(k, v, at, count);
    case KEY_LIST: return list_from_json(k, v, at, count);
    }
    return fail(ST_ARG, "%s: no such type", k->name);
}

static status refuse_unknown_keys(const struct key_table *t, const json_t *o)
{
    for (void *i = json_object_iter((json_t *)(uintptr_t)o); i;
         i = json_object_iter_next((json_t *)(uintptr_t)o, i)) {
        int k = 0;
        while (k < t->keys && strcmp(t->key[k].name, json_object_iter_key(i)) != 0) k++;
        if (k == t->keys) return fail(ST_FORMAT, "%.64s: unknown key", json_object_iter_key(i));
    }
    return ST_OK;
}

static status table_from_json(const struct key_table *t, const json_t *o, void *to)
{
    if (!json_is_object(o)) return fail(ST_FORMAT, "not an object");
    TRY(refuse_unknown_keys(t, o));
    for (int i = 0; i < t->keys; i++)
        TRY(value_from_json(&t->key[i], json_object_get(o, t->key[i].name), to));
    return ST_OK;
}

/* ---- what holds between keys ---- */

static status check_prompts(const struct clip_spec *c)
{
    for (int i = 0; i < c->prompts; i++) {
        const struct clip_prompt *const p = &c->prompt[i], *const before = p - 1;
        if (i == 0 && (p->block || p->blend))
            return fail(ST_FORMAT, "prompt[0]: not from block 0 on, without a blend");
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
    const char *taken[CLIP_FORMATS + 3] = { "clip.json" };
    int count = 1;

    if (c->latents) taken[count++] = c->latents;
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

static status check_clip(const struct clip_spec *c)
{
    if (c->width % 16) return fail(ST_FORMAT, "width: not a multiple of 16");
    if (c->height % 16) return fail(ST_FORMAT, "height: not a multiple of 16");
    if (c->fps_num < c->fps_den || c->fps_num >= 240 * c->fps_den)
        return fail(ST_FORMAT, "fps_num: not 1 to below 240 pictures a second");
    if (c->pictures > clip_pictures(c->blocks, c->frames_per_block))
        return fail(ST_FORMAT, "pictures: more than its blocks have");
    if (!c->start.file != !c->start.kind)
        return fail(ST_FORMAT, "start_file: not what goes with start");
    if (!c->start.pictures != (c->start.kind != CLIP_START_VIDEO))
        return fail(ST_FORMAT, "start_pictures: not what goes with start");
    if (!c->latents != !c->latents_dtype ||
        (c->latents && choice_find("bf16|f32", c->latents_dtype) < 0))
        return fail(ST_FORMAT, "latents_dtype: not bf16 or f32, as goes with latents");
    if (!c->preview != !c->preview_columns)
        return fail(ST_FORMAT, "preview_columns: not what goes with preview");
    TRY(check_name("name", c->name));
    TRY(check_name("latents", c->latents));
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
    if (m->keys != (m->rule == KV_USUAL ? 0 : KV_KEYS_COUNT))
        return fail(ST_FORMAT, "policy_keys: not as many as the policy %s has",
                    kv_rule_name(m->rule));
    if (!kv_rule_fits(m->rule, m->window))
        return fail(ST_FORMAT, "policy: not in a rolling window");
    for (int i = 0; i < m->keys; i++) {
        const struct kv_key_bounds *const b = kv_key_bounds(m->rule, (enum kv_key)i);
        if (b ? !(m->key[i] >= b->least && m->key[i] <= b->most) : m->key[i] != 0)
            return fail(ST_FORMAT, "policy_keys: %s: out of range", kv_key_name((enum kv_key)i));
    }
    if (m->attention_frames % m->frames_per_block ||
        (m->rule == KV_USUAL && m->sink_frames % m->frames_per_block))
        return fail(ST_FORMAT, "attention_frames, sink_frames: not whole blocks");
    return ST_OK;
}

static status read_spec(const struct key_table *t, const char *json, size_t len, void *to)
{
    json_error_t error;
    status st;
    json_t *const o = json_read(json, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &st, &error);

    if (!o) return fail(st, "not JSON: %s", error.text);
    st = table_from_json(t, o, to);
    json_decref(o);
    return st;
}

status clip_spec_from_json(struct clip_spec *out, const char *json, size_t len)
{
    *out = (struct clip_spec){ 0 };
    status st = read_spec(&clip_table, json, len, out);
    if (st == ST_OK) st = check_clip(out);
    if (st == ST_OK) return ST_OK;
    clip_spec_free(out);
    return fail(st, "clip: %s", error_last()->msg);
}

status model_spec_from_json(struct model_spec *out, const char *json, size_t len)
{
    *out = (struct model_spec){ 0 };
    status st = read_spec(&model_table, json, len, out);
    if (st == ST_OK) st = check_model(out);
    if (st == ST_OK) return ST_OK;
    model_spec_free(out);
    return fail(st, "model: %s", error_last()->msg);
}
