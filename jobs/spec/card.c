/*
 * card.c - a model card: keys, and what they must be together.
 *
 * The table reads keys one by one; whether steps and window fit each other is checked after
 * (window.c), with the key to change in the message.
 */
#include "jobs/spec/card.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "jobs/spec/spec_internal.h"
#include "jobs/yaml/yaml_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char families[] = "wan2.1-t2v";

/* The card as read, before its parts are held against one another. */
struct draft {
    int version, family;
    const char *name, *weights, *outer_key, *config, *encoder, *tokenizer, *vae, *license;
    const struct tree_node *lora, *steps, *first_steps;
    unsigned starts;
    bool warp;
    double shift;
    int frames_per_block, context_noise;
    struct size {
        int width, height;
    } size;
    struct window_keys window;
};

static status read_shift(const struct tree_node *n, void *to)
{
    double v;

    if (n->kind != TREE_SCALAR || !value_decimal(n->text, &v) || !(v >= 0.01 && v <= 100))
        return tree_refuse(n, "a number from 0.01 to 100");
    *(double *)to = v;
    return ST_OK;
}

static status read_size(const struct tree_node *n, void *to)
{
    struct size *const s = to;
    return field_size(n, &s->width, &s->height);
}

#define AT(member) offsetof(struct draft, member)
#define PATH(key, at, must)                                                                        \
    {                                                                                              \
        .name = (key), .type = FIELD_PATH, .to = AT(at), .max = 4096, .required = (must)           \
    }

static const struct field text_fields[] = {
    PATH("encoder", encoder, true),
    PATH("tokenizer", tokenizer, true),
};
static const struct field_table text_table = { "text", text_fields, COUNT_OF(text_fields) };

static const struct field card_fields[] = {
    { .name = "card",
      .type = FIELD_INT,
      .to = AT(version),
      .min = 1,
      .max = 1,
      .required = true,
      .allowed = "card: 1" },
    { .name = "name",
      .type = FIELD_READ,
      .to = AT(name),
      .read = field_file_name,
      .required = true },
    { .name = "family",
      .type = FIELD_CHOICE,
      .to = AT(family),
      .allowed = families,
      .required = true },
    PATH("weights", weights, true),
    { .name = "outer_key", .type = FIELD_TEXT, .to = AT(outer_key), .max = 4096 },
    PATH("config", config, true),
    { .name = "text", .type = FIELD_MAP, .map = &text_table, .required = true },
    PATH("vae", vae, true),
    { .name = "steps", .type = FIELD_READ, .to = AT(steps), .read = field_node, .required = true },
    { .name = "first_block_steps", .type = FIELD_READ, .to = AT(first_steps), .read = field_node },
    { .name = "warp", .type = FIELD_BOOL, .to = AT(warp), .required = true },
    { .name = "shift", .type = FIELD_READ, .to = AT(shift), .read = read_shift, .required = true },
    { .name = "frames_per_block",
      .type = FIELD_INT,
      .to = AT(frames_per_block),
      .min = 1,
      .max = 16,
      .required = true },
    { .name = "window",
      .type = FIELD_READ,
      .to = AT(window),
      .read = window_read,
      .required = true },
    { .name = "size", .type = FIELD_READ, .to = AT(size), .read = read_size },
    { .name = "starts", .type = FIELD_READ, .to = AT(starts), .read = starts_read },
    { .name = "context_noise", .type = FIELD_INT, .to = AT(context_noise) },
    { .name = "license", .type = FIELD_TEXT, .to = AT(license), .max = 1024, .required = true },
    { .name = "lora", .type = FIELD_READ, .to = AT(lora), .read = field_node },
};
static const struct field_table card_table = { "", card_fields, COUNT_OF(card_fields) };

const struct field_table *const card_tables[] = { &card_table, &text_table, &window_table,
                                                  &lora_table, NULL };

static status read_steps(const struct tree_node *list, bool warp, double step[MODEL_STEPS],
                         int *steps)
{
    double before = 1000;

    if (list->kind != TREE_LIST || !list->count || list->count > MODEL_STEPS)
        return tree_refuse(list, "a list of 1 to 16 steps, such as [1000, 750, 500, 250]");
    for (const struct tree_node *n = list->first; n; n = n->next) {
        double v;
        if (n->kind != TREE_SCALAR || !value_decimal(n->text, &v) || !(v > 0 && v <= 1000))
            return tree_refuse(n, "a number above 0, at most 1000");
        if (n->index == 0 && v != 1000)
            return tree_refuse(n, "1000 as the first step, for a block begins as pure noise");
        if (n->index > 0 && !(v < before)) return tree_refuse(n, "a step below the one before it");
        if (warp && v != (double)(int)v)
            return tree_refuse(n, "a whole number, for warp takes it as a place in the schedule");
        step[(*steps)++] = before = v;
    }
    return ST_OK;
}

static status resolve_paths(struct card *c, const struct draft *d)
{
    const struct {
        char **to;
        const char *path;
    } files[] = {
        { &c->weights, d->weights },     { &c->config, d->config }, { &c->encoder, d->encoder },
        { &c->tokenizer, d->tokenizer }, { &c->vae, d->vae },
    };
    char *const dir = path_dir(c->path);
    bool whole = dir != NULL;

    for (int i = 0; i < COUNT_OF(files) && whole; i++) {
        *files[i].to = path_join(dir, files[i].path);
        whole = *files[i].to != NULL;
    }
    free(dir);
    return whole ? ST_OK : fail(ST_NOMEM, "%s: no memory for its paths", c->path);
}

static status fill_card(struct card *c)
{
    const struct tree_node *const root = c->tree->doc[0];
    struct draft d = { .window = window_unsaid };

    if (c->tree->docs > 1)
        return tree_fail(c->tree->doc[1], "found a second document; allowed: one card");
    TRY(field_read(root, &card_table, &d));
    c->name = d.name;
    c->family = (enum card_family)d.family;
    c->outer_key = d.outer_key;
    c->warp = d.warp;
    c->shift = d.shift;
    c->frames_per_block = d.frames_per_block;
    c->starts = d.starts;
    c->width = d.size.width;
    c->height = d.size.height;
    c->license = d.license;
    TRY(read_steps(d.steps, d.warp, c->step, &c->steps));
    if (d.first_steps) TRY(read_steps(d.first_steps, d.warp, c->first_step, &c->first_steps));
    TRY(window_take(tree_find(root, "window"), &d.window, c));
    if (d.first_steps && kv_window_is_joint(c->window))
        return tree_refuse(d.first_steps, "no such key with a rolling window, in which a block "
                                          "takes a step in every tick");
    TRY(lora_read(d.lora, &c->lora, &c->loras));
    return resolve_paths(c, &d);
}

status card_parse(struct card *out, const char *text, size_t len, const char *path)
{
    status st = ST_OK;

    *out = (struct card){ 0 };
    if (len > CARD_BYTES)
        return fail(ST_FORMAT, "%s: found %zu bytes; allowed: %d", path, len, CARD_BYTES);
    TRY(tree_parse(&out->tree, text, len, path));
    out->path = str_format("%s", path);
    st = out->path ? fill_card(out) : fail(ST_NOMEM, "%s: no memory", path);
    if (st != ST_OK) card_close(out);
    return st;
}

status card_load(struct card *out, const char *path)
{
    char *text;
    size_t len;

    *out = (struct card){ 0 };
    TRY(file_read(path, CARD_BYTES, &text, &len));
    status const st = card_parse(out, text, len, path);
    free(text);
    return st;
}

void card_close(struct card *c)
{
    char *const own[] = { c->path, c->weights, c->config, c->encoder, c->tokenizer, c->vae };

    for (int i = 0; i < COUNT_OF(own); i++) free(own[i]);
    model_loras_free(c->lora, c->loras);
    tree_close(&c->tree);
    *c = (struct card){ 0 };
}

status card_add_loras(struct card *c, const struct model_lora *lora, int count)
{
    if (c->loras + count > MODEL_LORAS)
        return fail(ST_FORMAT, "%s: %d LoRAs with those of the job; at most %d", c->path,
                    c->loras + count, MODEL_LORAS);
    return lora_add(&c->lora, &c->loras, lora, count);
}

const char *card_family_name(enum card_family f)
{
    (void)f;
    return families;
}

status card_spec(struct model_spec *out, const struct card *c)
{
    struct model_spec *const m = out;
    status st = ST_OK;
    const struct {
        char **to;
        const char *from;
    } texts[] = {
        { &m->name, c->name },           { &m->family, card_family_name(c->family) },
        { &m->license, c->license },     { &m->card, c->path },
        { &m->weights, c->weights },     { &m->outer_key, c->outer_key },
        { &m->config, c->config },       { &m->encoder, c->encoder },
        { &m->tokenizer, c->tokenizer }, { &m->vae, c->vae },
    };

    *m = (struct model_spec){ .steps = c->steps,
                              .first_steps = c->first_steps,
                              .warp = c->warp,
                              .shift = c->shift,
                              .frames_per_block = c->frames_per_block,
                              .window = c->window,
                              .attention_frames = c->attention_frames,
                              .sink_frames = c->sink_frames,
                              .sink = c->sink,
                              .rule = c->rule,
                              .keys = kv_rule_is_plain(c->rule, c->key) ? 0 : KV_KEYS_COUNT,
                              .profile = c->profile };
    memcpy(m->key, c->key, sizeof m->key);
    memcpy(m->step, c->step, sizeof m->step);
    memcpy(m->first_step, c->first_step, sizeof m->first_step);
    for (int i = 0; i < COUNT_OF(texts); i++) {
        if (!texts[i].from) continue;
        *texts[i].to = strdup(texts[i].from);
        if (!*texts[i].to) FAIL_OUT(ST_NOMEM, "%s: no memory", c->path);
    }
    TRY_OUT(lora_add(&m->lora, &m->loras, c->lora, c->loras));
out:
    if (st != ST_OK) model_spec_free(m);
    return st;
}
