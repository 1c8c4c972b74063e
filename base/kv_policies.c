/* kv_policies.c - names of windows and cache policies, and what their keys may be. */
#include "base/kv_policies.h"
#include "base/base.h"

#include <string.h>

static const struct {
    const char *name;
    bool joint;
} kinds[WINDOW_KINDS] = {
#define WINDOW(NAME, name, joint) [WINDOW_##NAME] = { #name, joint },
    KV_WINDOWS(WINDOW)
#undef WINDOW
};

static const char *const sinks[] = { [KV_SINK_USUAL] = "usual",
#define SINK(NAME, name) [KV_SINK_##NAME] = #name,
                                     KV_SINKS(SINK)
#undef SINK
};

static const struct {
    const char *name;
    bool rolls, profile;
} rules[KV_RULES] = { [KV_USUAL] = { "usual", true, false },
#define POLICY(NAME, file, ...) [KV_##NAME] = { __VA_ARGS__ },
                      KV_POLICIES(POLICY)
#undef POLICY
};

static const char *const keys[KV_KEYS_COUNT] = {
#define KEY(key) [KV_KEY_##key] = #key,
    KV_KEYS(KEY)
#undef KEY
};

#define WHOLE(rule, key, usual, least, most)                                                       \
    {                                                                                              \
        KV_##rule, KV_KEY_##key, usual, least, most, true                                          \
    }
#define REAL(rule, key, usual, least, most)                                                        \
    {                                                                                              \
        KV_##rule, KV_KEY_##key, usual, least, most, false                                         \
    }

/* As released. */
static const struct kv_key_bounds bounds[] = {
    WHOLE(ROLLING_SINK, replay_frames, 18, 1, 96),
    REAL(EMA_SINK, ema_alpha, 0.999, 0, 1),
    WHOLE(EMA_SINK, ema_bf16, 0, 0, 1),
    WHOLE(INFINITY_ROPE, cut_position, 45, 1, 100000),
    WHOLE(INFINITY_ROPE, flush_keeps_frames, 2, 1, 96),
    WHOLE(MEMROPE, memory_frames, 2, 2, 2),
    WHOLE(MEMROPE, adaptive, 0, 0, 1),
    REAL(MEMROPE, alpha_long, 0.01, 0, 1),
    REAL(MEMROPE, alpha_short, 0.1, 0, 1),
    WHOLE(DEEP_FORCING, budget_frames, 16, 1, 96),
    WHOLE(DEEP_FORCING, recent_frames, 4, 1, 32),
    WHOLE(DEEP_FORCING, max_reuse, 7, 0, 1000),
    WHOLE(RELAX_FORCING, reservoir_frames, 120, 1, 480),
    WHOLE(RELAX_FORCING, history_frames, 1, 1, 16),
    WHOLE(RELAX_FORCING, tail_frames, 1, 1, 16),
    WHOLE(RELAX_FORCING, candidates, 4, 1, 64),
    REAL(RELAX_FORCING, redundancy, 2, 0, 100),
    WHOLE(ECHO_FORCING, compressed_frames, 3, 1, 32),
    WHOLE(ECHO_FORCING, recent_frames, 3, 1, 32),
    WHOLE(ECHO_FORCING, history_frames, 21, 1, 96),
    WHOLE(ECHO_FORCING, calibration_frames, 21, 1, 96),
    WHOLE(ECHO_FORCING, score_offsets, 5, 1, 8),
    WHOLE(ECHO_FORCING, max_reuse, 8, 0, 1000),
    WHOLE(ECHO_FORCING, amplitude_term, 1, 0, 1),
    REAL(ECHO_FORCING, gate, 3, 0, 100),
    WHOLE(FORCING_KV, static_recent_frames, 1, 1, 16),
    WHOLE(FORCING_KV, dynamic_recent_frames, 1, 1, 16),
    WHOLE(FORCING_KV, dynamic_frames, 1, 1, 3),
    WHOLE(FORCING_KV, chunks_per_frame, 6, 1, 64),
    REAL(FORCING_KV, retention, 0.33, 0, 1),
    WHOLE(FORCING_KV, first_split_block, 2, 1, 4),
    REAL(LOL, jitter, 0.8, 0, 0.99),
    WHOLE(LOL, jitter_seed, 0, 0, 65535),
    WHOLE(USUAL, renew_sink, 0, 0, 1),
};

const char *kv_window_name(enum window_kind k) { return kinds[k].name; }
const char *kv_sink_name(enum kv_sink s) { return sinks[s]; }
const char *kv_rule_name(enum kv_rule r) { return rules[r].name; }
const char *kv_key_name(enum kv_key k) { return keys[k]; }
bool kv_window_is_joint(enum window_kind k) { return kinds[k].joint; }

bool kv_rule_fits(enum kv_rule r, enum window_kind k) { return rules[r].rolls || !kinds[k].joint; }

bool kv_rule_has_profile(enum kv_rule r) { return rules[r].profile; }

bool kv_rule_find(const char *name, enum kv_rule *out)
{
    for (int i = 0; i < KV_RULES; i++)
        if (!strcmp(rules[i].name, name)) {
            *out = (enum kv_rule)i;
            return true;
        }
    return false;
}

const struct kv_key_bounds *kv_key_bounds(enum kv_rule r, enum kv_key k)
{
    for (int i = 0; i < COUNT_OF(bounds); i++)
        if (bounds[i].rule == r && bounds[i].key == k) return &bounds[i];
    return NULL;
}

bool kv_rule_is_plain(enum kv_rule r, const double key[KV_KEYS_COUNT])
{
    for (int i = 0; i < KV_KEYS_COUNT; i++) {
        const struct kv_key_bounds *const b = kv_key_bounds(r, (enum kv_key)i);
        if (b && key[i] != b->usual) return false;
    }
    return r == KV_USUAL;
}

bool kv_head_is_static(const struct kv_profile *p, int layer, int head)
{
    return (uint64_t)p->static_heads[layer] >> head & 1;
}

bool kv_profile_same(const struct kv_profile *a, const struct kv_profile *b)
{
    if (a->layers != b->layers) return false;
    for (int i = 0; i < a->layers; i++)
        if (a->static_heads[i] != b->static_heads[i]) return false;
    return true;
}

void kv_keys_usual(enum kv_rule r, double key[KV_KEYS_COUNT])
{
    for (int i = 0; i < KV_KEYS_COUNT; i++) {
        const struct kv_key_bounds *const b = kv_key_bounds(r, (enum kv_key)i);
        key[i] = b ? b->usual : 0;
    }
}
