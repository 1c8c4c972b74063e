/* verify_rules.c - a rolling case's steps and window, from its case.json. */
#include "base/choice.h"
#include "cmd/verify/verify_internal.h"

#include <string.h>

/* A list of 1 to SCHEDULE_LEVELS numbers; 0: it is none. */
static int read_steps(const struct json_node *list, double step[SCHEDULE_LEVELS])
{
    size_t const levels = json_tree_is(list, NODE_LIST) ? list->count : 0;

    if (levels > SCHEDULE_LEVELS) return 0;
    for (size_t i = 0; i < levels; i++) step[i] = json_tree_item(list, i)->number;
    return (int)levels;
}

status verify_read_schedule(struct verify_case *c, struct schedule *out)
{
    const struct json_node *const first = json_tree_member(c->json, "first_block_steps");
    const struct json_node *const warp = json_tree_member(c->json, "warp");
    const struct json_node *const shift = json_tree_member(c->json, "timestep_shift");
    double step[SCHEDULE_LEVELS];
    int levels = read_steps(json_tree_member(c->json, "steps"), step);

    if (!levels || !json_tree_is(warp, NODE_BOOL) || !json_tree_is_number(shift))
        return fail(ST_FORMAT, "%s/case.json: steps (a list), warp and timestep_shift are expected",
                    c->dir);
    TRY(schedule_make(out, step, levels, warp->truth, shift->number));
    if (!first) return ST_OK;
    levels = read_steps(first, step);
    if (!levels)
        return fail(ST_FORMAT, "%s/case.json: first_block_steps: a list is expected", c->dir);
    return schedule_set_opening(out, step, levels, warp->truth, shift->number);
}

/* What a rolling case may say; a key that is none of these nor its policy's is refused. */
static const char *const case_keys[] = {
    "kind",
    "shares",
    "window",
    "policy",
    "steps",
    "first_block_steps",
    "warp",
    "timestep_shift",
    "frames_per_block",
    "latent_frames",
    "latent_height",
    "latent_width",
    "given_frames",
    "context_noise",
    "attention_frames",
    "window_frames",
    "sink_frames",
    "sink_blocks",
    "positions",
    "cache_frames",
    "weights_key",
    "lora",
    "prompt_switches",
    "recache",
    "keep_sink_on_switch",
    "prompt_text",
    "source",
};

static status check_keys(const struct verify_case *c, enum kv_rule rule)
{
    const char *known[COUNT_OF(case_keys) + KV_KEYS_COUNT + 1];
    int count = 0;

    for (; count < COUNT_OF(case_keys); count++) known[count] = case_keys[count];
    for (int i = 0; i < KV_KEYS_COUNT; i++)
        if (kv_key_bounds(rule, (enum kv_key)i)) known[count++] = kv_key_name((enum kv_key)i);
    if (kv_rule_has_profile(rule)) known[count++] = "static_heads";
    return verify_keys(c, known, count);
}

/* The usual policies by the names that cases have for them: a window, with a sink or without. */
static status read_rule(const struct verify_case *c, struct kv_policy *p)
{
    const struct json_node *const policy = json_tree_member(c->json, "policy");
    const char *const name = policy ? json_tree_text(policy) : kv_rule_name(KV_USUAL);
    bool const block = p->kind == WINDOW_BLOCK;

    if (!name) return fail(ST_FORMAT, "%s/case.json: policy: a name is expected", c->dir);
    if (!strcmp(name, !block ? "rolling" : p->sink_frames ? "sink" : "window")) p->rule = KV_USUAL;
    else if (!kv_rule_find(name, &p->rule))
        return fail(ST_FORMAT, "%s/case.json: policy: `%s` is unknown with a sink of %d", c->dir,
                    name, p->sink_frames);
    return ST_OK;
}

/* A list 1, 2, 4 and so on, which stands for how many there are; 0: it is none. */
static int count_doubled(const struct json_node *list)
{
    size_t const count = json_tree_is(list, NODE_LIST) ? list->count : 0;
    double want = 1;

    for (size_t i = 0; i < count; i++, want *= 2)
        if (!json_tree_is_number(json_tree_item(list, i)) ||
            json_tree_item(list, i)->number != want)
            return 0;
    return (int)count;
}

static status read_key(const struct verify_case *c, struct kv_policy *p, enum kv_key k)
{
    const char *const name = kv_key_name(k);
    const struct json_node *const n = json_tree_member(c->json, name);

    if (!n) return ST_OK;
    if (json_tree_is_number(n)) p->key[k] = n->number;
    else if (json_tree_is(n, NODE_BOOL)) p->key[k] = n->truth;
    else if (json_tree_is(n, NODE_NULL)) p->key[k] = 0;
    else if (count_doubled(n)) p->key[k] = count_doubled(n);
    else return fail(ST_FORMAT, "%s/case.json: %s: a number is expected", c->dir, name);
    return ST_OK;
}

static status read_sink(const struct verify_case *c, struct kv_policy *p)
{
    int blocks = 0;

    if (json_tree_member(c->json, "sink_frames"))
        TRY(verify_int(c, "sink_frames", 0, 4096, &p->sink_frames));
    if (json_tree_member(c->json, "sink_frames") && !json_tree_member(c->json, "sink_blocks"))
        return ST_OK;
    TRY(verify_int(c, "sink_blocks", 0, 64, &blocks));
    if (!json_tree_member(c->json, "sink_frames")) p->sink_frames = blocks * p->frames_per_block;
    if (p->sink_frames == blocks * p->frames_per_block) return ST_OK;
    return fail(ST_FORMAT, "%s/case.json: sink_frames: %d; %d blocks of %d are expected", c->dir,
                p->sink_frames, blocks, p->frames_per_block);
}

/* A list of lists: of each layer its static heads. */
static status read_profile(const struct verify_case *c, struct kv_profile *out)
{
    const struct json_node *const list = json_tree_member(c->json, "static_heads");
    bool good = json_tree_is(list, NODE_LIST) && list->count && list->count <= KV_LAYERS;

    for (const struct json_node *n = good ? list->first : NULL; n && good; n = n->next) {
        uint64_t heads = 0;
        good = json_tree_is(n, NODE_LIST);
        for (const struct json_node *h = good ? n->first : NULL; h && good; h = h->next) {
            good = json_tree_is(h, NODE_WHOLE) && h->whole >= 0 && h->whole < KV_HEADS;
            if (good) heads |= UINT64_C(1) << h->whole;
        }
        out->static_heads[out->layers++] = (double)heads;
    }
    if (good) return ST_OK;
    return fail(ST_FORMAT,
                "%s/case.json: static_heads: a list of each layer's heads is expected, up to %d "
                "layers of heads below %d",
                c->dir, KV_LAYERS, KV_HEADS);
}

/* renew_sink, as the cases have it. */
static status read_kept_sink(const struct verify_case *c, struct kv_policy *p)
{
    const struct json_node *const keep = json_tree_member(c->json, "keep_sink_on_switch");

    if (!keep) return ST_OK;
    if (!json_tree_is(keep, NODE_BOOL) || p->rule != KV_USUAL)
        return fail(
            ST_FORMAT,
            "%s/case.json: keep_sink_on_switch: true or false is expected, with a window of "
            "no other policy",
            c->dir);
    p->key[KV_KEY_renew_sink] = !keep->truth;
    return ST_OK;
}

/* Each policy turns keys in its own way, which a case says in words; a window without one has
 * two. */
static status read_positions(const struct verify_case *c, struct kv_policy *p)
{
    static const struct {
        const char *policy, *positions; /* policy NULL: the window's own */
        enum kv_sink sink;
    } rows[] = {
        { NULL, "absolute", KV_SINK_FIXED },
        { NULL, "relative", KV_SINK_MOVING },
        { "deep-sink", "absolute, sink moved", KV_SINK_USUAL },
        { "deep-forcing", "absolute, sink moved", KV_SINK_USUAL },
        { "ema-sink", "relative", KV_SINK_USUAL },
        { "rolling-sink", "absolute, replayed blocks moved", KV_SINK_USUAL },
        { "infinity-rope", "relative", KV_SINK_USUAL },
        { "memrope", "relative", KV_SINK_USUAL },
        { "relax-forcing", "absolute, sink and history moved", KV_SINK_USUAL },
        { "echo-forcing", "relative", KV_SINK_USUAL },
        { "forcing-kv", "absolute", KV_SINK_USUAL },
    };
    const struct json_node *const n = json_tree_member(c->json, "positions");
    const char *const rule = p->rule == KV_USUAL ? NULL : kv_rule_name(p->rule);
    const char *const said = json_tree_text(n);

    if (!n) return ST_OK;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        bool const own = rule ? rows[i].policy && !strcmp(rows[i].policy, rule) : !rows[i].policy;
        if (!own || !said || strcmp(rows[i].positions, said) != 0) continue;
        p->sink = rows[i].sink;
        return ST_OK;
    }
    return fail(ST_FORMAT, "%s/case.json: positions: `%s` are not those of %s", c->dir,
                said ? said : "not a text", rule ? rule : "a window without a policy");
}

status verify_read_policy(struct verify_case *c, int levels, struct kv_policy *out)
{
    const struct json_node *const window = json_tree_member(c->json, "window");
    const char *const name = window ? json_tree_text(window) : kv_window_name(WINDOW_ROLLING);
    int const kind = name ? choice_find(KV_WINDOW_CHOICES, name) : -1;
    int clean;

    if (kind < 0)
        return fail(ST_FORMAT, "%s/case.json: window: one of %s is expected", c->dir,
                    KV_WINDOW_CHOICES);
    *out = (struct kv_policy){ .kind = (enum window_kind)kind, .levels = levels };
    c->one_by_one = out->kind == WINDOW_BLOCK;
    TRY(verify_int(c, "frames_per_block", 1, 64, &out->frames_per_block));
    TRY(verify_int(c, "attention_frames", 1, 4096, &out->attention_frames));
    TRY(read_sink(c, out));
    if (json_tree_member(c->json, "context_noise"))
        TRY(verify_int(c, "context_noise", 0, 0, &clean)); /* the clean pass is at t = 0 */
    TRY(read_rule(c, out));
    TRY(check_keys(c, out->rule));
    kv_keys_usual(out->rule, out->key);
    for (int i = 0; i < KV_KEYS_COUNT; i++)
        if (kv_key_bounds(out->rule, (enum kv_key)i)) TRY(read_key(c, out, (enum kv_key)i));
    TRY(read_kept_sink(c, out));
    if (kv_rule_has_profile(out->rule)) TRY(read_profile(c, &out->profile));
    TRY(read_positions(c, out));
    return kv_policy_check(out);
}
