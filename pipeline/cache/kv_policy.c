/* kv_policy.c - the table of policies, and what is asked of whichever it is. */
#include "pipeline/cache/cache_internal.h"

static const struct kv_policy_ops *const usual[WINDOW_KINDS] = {
    [WINDOW_ROLLING] = &policy_rolling,
    [WINDOW_BLOCK] = &policy_block,
};

static const struct kv_policy_ops *const policies[KV_RULES] = {
#define POLICY(NAME, file, ...) [KV_##NAME] = &policy_##file,
    KV_POLICIES(POLICY)
#undef POLICY
};

const struct kv_policy_ops *kv_policy_ops(const struct kv_policy *p)
{
    return p->rule == KV_USUAL ? usual[p->kind] : policies[p->rule];
}

static status check_keys(const struct kv_policy *p)
{
    for (int i = 0; i < KV_KEYS_COUNT; i++) {
        const struct kv_key_bounds *const b = kv_key_bounds(p->rule, (enum kv_key)i);
        double const v = p->key[i];
        if (b && (!(v >= b->least && v <= b->most) || (b->whole && v != (double)(int)v)))
            return fail(ST_ARG, "%s: %g; %s%g to %g are allowed", kv_key_name((enum kv_key)i), v,
                        b->whole ? "whole numbers from " : "", b->least, b->most);
    }
    return ST_OK;
}

static status check_heads(const struct kv_policy *p)
{
    bool const has = kv_rule_has_profile(p->rule);

    if (p->profile.layers >= has && p->profile.layers <= (has ? KV_LAYERS : 0)) return ST_OK;
    return fail(ST_ARG, "policy %s: static_heads of %d layers; %s", kv_rule_name(p->rule),
                p->profile.layers, has ? "1 to 64 are allowed" : "it has no such key");
}

status kv_policy_check(const struct kv_policy *p)
{
    const struct kv_policy_ops *const ops = kv_policy_ops(p);
    int const b = p->frames_per_block;

    if (b < 1 || b > 64) return fail(ST_ARG, "frames per block: %d; 1 to 64 are allowed", b);
    if (p->levels < 1) return fail(ST_ARG, "levels: %d; at least 1", p->levels);
    if (!kv_rule_fits(p->rule, p->kind))
        return fail(ST_ARG, "policy %s: not in a %s window", kv_rule_name(p->rule),
                    kv_window_name(p->kind));
    TRY(check_keys(p));
    TRY(check_heads(p));
    return ops->check(p);
}

bool kv_policy_joint(const struct kv_policy *p) { return kv_window_is_joint(p->kind); }

bool kv_policy_chooses(const struct kv_policy *p) { return kv_policy_ops(p)->choose != NULL; }

int64_t kv_policy_choice(const struct kv_policy *p, int layers, int64_t tokens)
{
    const struct kv_policy_ops *const ops = kv_policy_ops(p);

    if (!ops->choice_count) return 0;
    return ops->choice_count(p, tokens) * (ops->first_layer_chooses ? 1 : layers);
}

int64_t kv_policy_most_given(const struct kv_policy *p)
{
    const struct kv_policy_ops *const ops = kv_policy_ops(p);
    return ops->choose ? ops->chooses_from(p) : INT64_MAX;
}

bool kv_policy_scores(const struct kv_policy *p)
{
    return kv_policy_chooses(p) || kv_policy_ops(p)->scores;
}

bool kv_policy_all_heads(const struct kv_policy *p)
{
    const struct kv_policy_ops *const ops = kv_policy_ops(p);
    return ops->all_heads && ops->all_heads(p);
}

bool kv_policy_heads_apart(const struct kv_policy *p)
{
    return kv_policy_ops(p)->head_base != NULL;
}

int kv_policy_bank(const struct kv_policy *p)
{
    const struct kv_policy_ops *const ops = kv_policy_ops(p);
    int const n = ops->bank ? ops->bank(p) : 1;
    return n > 1 ? n : 1;
}

int kv_policy_kept(const struct kv_policy *p)
{
    const struct kv_policy_ops *const ops = kv_policy_ops(p);
    return ops->kept ? ops->kept(p) : 0;
}

void kv_window_spans(struct kv_window *out, const struct kv_policy *p, const struct kv_pass *pass)
{
    out->count = 0;
    kv_policy_ops(p)->spans(p, pass, KV_WINDOW, out);
}

void kv_clean_spans(struct kv_window *out, const struct kv_policy *p, const struct kv_pass *pass)
{
    out->count = 0;
    kv_policy_ops(p)->spans(p, pass, KV_CLEAN, out);
}

bool kv_policy_recaches(const struct kv_policy *p)
{
    int const b = p->frames_per_block;
    return kv_policy_ops(p)->recache && p->attention_frames % b == 0 && p->sink_frames % b == 0;
}

status kv_recache_check(const struct kv_policy *p)
{
    if (kv_policy_recaches(p)) return ST_OK;
    if (kv_policy_ops(p)->recache)
        return fail(ST_ARG,
                    "%d frames of attention, %d of sink: a recache takes whole blocks of %d alone",
                    p->attention_frames, p->sink_frames, p->frames_per_block);
    return fail(ST_ARG,
                "policy %s in a %s window: no rule for a recache; the block window's own has one",
                kv_rule_name(p->rule), kv_window_name(p->kind));
}

int kv_recache_blocks(const struct kv_policy *p)
{
    return p->attention_frames / p->frames_per_block;
}

void kv_recache_find(struct kv_recache *out, const struct kv_policy *p, int64_t block)
{
    *out = (struct kv_recache){ .first = 0 };
    kv_policy_ops(p)->recache(p, block, out);
}

int kv_lookback(const struct kv_policy *p, int first_stage, int end_stage, bool given)
{
    const struct kv_policy_ops *const ops = kv_policy_ops(p);
    int most = 1; /* the block that passes the clean stage needs its place */

    for (int stage = first_stage; stage < end_stage; stage++) {
        int const n =
            ops->lookback ? ops->lookback(p, stage, given) : frames_look_back(ops, p, stage, given);
        if (n > most) most = n;
    }
    return most;
}
