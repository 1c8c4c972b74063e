/*
 * window.c - what a block attends to: a card's window, and a job's changes of it.
 *
 * A job that asks for another policy gets that policy's own numbers as they are where nothing is
 * said, not the card's, which belong to another one; all else stays as the card has it. Whether the
 * parts fit is checked of the whole, for a card and a job alike: the message stands at the key that
 * is wrong, or where the card has it, at the job's map.
 */
#include "jobs/spec/spec_internal.h"
#include "jobs/yaml/yaml_schema.h"
#include "jobs/yaml/yaml_value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct window_keys window_unsaid = { -1, -1, -1, -1, -1, -1, NULL, { NULL } };

#define AT(member) offsetof(struct window_keys, member)
#define CHOICE(key, words, must)                                                                   \
    {                                                                                              \
        .name = #key, .type = FIELD_CHOICE, .to = AT(key), .allowed = (words), .required = (must)  \
    }
#define NUMBER(key, least, must)                                                                   \
    {                                                                                              \
        .name = #key, .type = FIELD_INT, .to = AT(key), .min = (least), .max = 4096,               \
        .required = (must)                                                                         \
    }
#define KEY(word)                                                                                  \
    { .name = #word,                                                                               \
      .type = FIELD_READ,                                                                          \
      .to = AT(key) + KV_KEY_##word * sizeof(const struct tree_node *),                            \
      .read = field_node },
#define HEADS(key)                                                                                 \
    {                                                                                              \
        .name = #key, .type = FIELD_READ, .to = AT(key), .read = field_node                        \
    }
#define ROWS(must, rules)                                                                          \
    CHOICE(kind, KV_WINDOW_CHOICES, must), NUMBER(attention_frames, 1, must),                      \
        NUMBER(sink_frames, 0, must), CHOICE(sink_policy, "fixed", false),                         \
        CHOICE(sink_positions, KV_SINK_CHOICES, false), CHOICE(policy, rules, false),              \
        HEADS(static_heads), KV_KEYS(KEY)

static const struct field card_fields[] = { ROWS(true, KV_NAMED_RULE_CHOICES) };
static const struct field change_fields[] = { ROWS(false, KV_RULE_CHOICES) };
const struct field_table window_table = { "window", card_fields, COUNT_OF(card_fields) };
static const struct field_table change_table = { "window", change_fields, COUNT_OF(change_fields) };

status window_read(const struct tree_node *n, void *to) { return field_read(n, &window_table, to); }

/* ---- what must fit ---------------------------------------------------------------------- */

static status refuse_key(const struct tree_node *n, const char *key, int is, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Say which key of the window is wrong, and what is allowed. is: what it is, where the map does not
 * say so. */
static status refuse_key(const struct tree_node *n, const char *key, int is, const char *fmt, ...)
{
    char allowed[160];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(allowed, sizeof allowed, fmt, ap);
    va_end(ap);
    if (tree_find(n, key)) return tree_refuse(tree_find(n, key), allowed);
    return tree_fail(n, "the card has %s: %d; allowed: %s", key, is, allowed);
}

static status check_window(const struct tree_node *n, const struct card *c)
{
    int const block = c->frames_per_block;
    int const levels = kv_window_is_joint(c->window) ? c->steps : 1;
    int const least = levels * block + c->sink_frames, most = CARD_BLOCKS * block;
    int const attention = c->attention_frames;
    bool const usual = c->rule == KV_USUAL;

    if (!kv_rule_fits(c->rule, c->window))
        return tree_refuse(tree_find(n, tree_find(n, "policy") ? "policy" : "kind"),
                           "in a rolling window: rolling-sink, ema-sink and lol, all experimental");
    if (usual && c->sink_frames && c->sink_frames != block)
        return refuse_key(n, "sink_frames", c->sink_frames, "0, or %d, the clip's first block",
                          block);
    if (c->key[KV_KEY_renew_sink] != 0 && (kv_window_is_joint(c->window) || !c->sink_frames))
        return refuse_key(n, "renew_sink", 1, "0 in a rolling window, or without a sink");
    if (!usual && (attention < least || attention > most))
        return refuse_key(n, "attention_frames", attention,
                          "%d to %d for these steps and this sink", least, most);
    if (usual && (attention % block || attention < least || attention > most))
        return refuse_key(n, "attention_frames", attention,
                          "a multiple of %d, %d to %d for these steps and this sink", block, least,
                          most);
    return ST_OK;
}

/* A number of the policy's own. */
static status take_key(const struct tree_node *n, enum kv_key k, struct card *c)
{
    const struct kv_key_bounds *const b = kv_key_bounds(c->rule, k);
    char allowed[96];
    double v;

    if (!n) return ST_OK;
    if (!b)
        return tree_fail_key(n, "%s is no key of the policy %s", kv_key_name(k),
                             kv_rule_name(c->rule));
    snprintf(allowed, sizeof allowed, "a %snumber from %g to %g", b->whole ? "whole " : "",
             b->least, b->most);
    if (n->kind != TREE_SCALAR || !value_decimal(n->text, &v) || !(v >= b->least && v <= b->most) ||
        (b->whole && v != (double)(int)v))
        return tree_refuse(n, allowed);
    c->key[k] = v;
    return ST_OK;
}

/* A layer's heads, as a set. */
static status take_heads(const struct tree_node *n, double *out)
{
    uint64_t heads = 0;

    if (n->kind != TREE_LIST) return tree_refuse(n, "a list of heads, such as [1, 2]");
    for (const struct tree_node *h = n->first; h; h = h->next) {
        uint64_t head;
        if (h->kind != TREE_SCALAR || !value_u64(h->text, &head) || head >= KV_HEADS)
            return tree_refuse(h, "a whole number from 0 to 51");
        heads |= UINT64_C(1) << head;
    }
    *out = (double)heads;
    return ST_OK;
}

/* n NULL: as the card has it. map: of the window. */
static status take_profile(const struct tree_node *map, const struct tree_node *n, struct card *c)
{
    struct kv_profile *const p = &c->profile;

    if (n && !kv_rule_has_profile(c->rule))
        return tree_fail_key(n, "static_heads is no key of the policy %s", kv_rule_name(c->rule));
    if (kv_rule_has_profile(c->rule) && !n && !p->layers)
        return tree_fail(map, "static_heads is missing: the policy %s needs it",
                         kv_rule_name(c->rule));
    if (!n) return ST_OK;
    if (n->kind != TREE_LIST || !n->count || n->count > KV_LAYERS)
        return tree_refuse(n, "a list of each layer's heads, 1 to 64 of them: [[], [1, 2]]");
    *p = (struct kv_profile){ .layers = n->count };
    for (const struct tree_node *l = n->first; l; l = l->next)
        TRY(take_heads(l, &p->static_heads[l->index]));
    return ST_OK;
}

static void take_rule(struct card *c, enum kv_rule rule)
{
    if (rule != c->rule) kv_keys_usual(rule, c->key);
    if (rule != c->rule) c->profile = (struct kv_profile){ 0 };
    c->rule = rule;
}

/* All but the policy's name, of which a card has one word less. */
static status take_rest(const struct tree_node *n, const struct window_keys *w, struct card *c)
{
    if (w->kind >= 0) c->window = (enum window_kind)w->kind;
    if (w->attention_frames >= 0) c->attention_frames = w->attention_frames;
    if (w->sink_frames >= 0) c->sink_frames = w->sink_frames;
    if (w->sink_positions >= 0) c->sink = (enum kv_sink)(w->sink_positions + 1); /* no "usual" */
    for (int i = 0; i < KV_KEYS_COUNT; i++) TRY(take_key(w->key[i], (enum kv_key)i, c));
    TRY(take_profile(n, w->static_heads, c));
    return check_window(n, c);
}

status window_take(const struct tree_node *n, const struct window_keys *w, struct card *c)
{
    kv_keys_usual(c->rule, c->key);
    if (w->policy >= 0) take_rule(c, (enum kv_rule)(w->policy + 1)); /* no "usual" */
    return take_rest(n, w, c);
}

status window_change(const struct tree_node *n, struct card *c)
{
    struct window_keys w = window_unsaid;

    TRY(field_read(n, &change_table, &w));
    if (w.policy >= 0) take_rule(c, (enum kv_rule)w.policy);
    TRY(take_rest(n, &w, c));
    if (c->first_steps && kv_window_is_joint(c->window))
        return tree_refuse(tree_find(n, "kind"), "block, for the card has first_block_steps");
    return ST_OK;
}
