/*
 * kv_policies.h - which windows and cache policies there are, and the numbers a policy has: the
 * lists that model cards, their JSON form, content ids and the table of policies are made from.
 *
 * Names and bounds alone. What a policy does is its file's, pipeline/cache/policy_NAME.c; the names
 * stand down here because whoever reads cards knows nothing of caches.
 */
#ifndef KV_POLICIES_H
#define KV_POLICIES_H

#include <stdbool.h>

/* WINDOW(enumerator, name, joint). Joint: blocks of all levels are in one pass, and a line takes a
 * block every tick. Else one block takes all its levels, W+1 ticks, and then the next begins. */
#define KV_WINDOWS(WINDOW)                                                                         \
    WINDOW(ROLLING, rolling, true)                                                                 \
    WINDOW(BLOCK, block, false)

enum window_kind {
#define WINDOW(NAME, name, joint) WINDOW_##NAME,
    KV_WINDOWS(WINDOW)
#undef WINDOW
        WINDOW_KINDS
};

/* POLICY(enumerator, its file, its name, rolls, profile): what a pass attends to beside the window
 * itself. Rolls: it can be in a rolling window; profile: it has heads of two kinds, so a card must
 * say which are static, as no other may.
 * The first is the window kind's own (policy_rolling.c, policy_block.c) and has no name of its own
 * in cards: it is what a card without `policy` has. */
#define KV_POLICIES(POLICY)                                                                        \
    POLICY(DEEP_SINK, deep_sink, "deep-sink", false, false)                                        \
    POLICY(DEEP_FORCING, deep_forcing, "deep-forcing", false, false)                               \
    POLICY(EMA_SINK, ema_sink, "ema-sink", true, false)                                            \
    POLICY(ROLLING_SINK, rolling_sink, "rolling-sink", true, false)                                \
    POLICY(INFINITY_ROPE, infinity_rope, "infinity-rope", false, false)                            \
    POLICY(MEMROPE, memrope, "memrope", false, false)                                              \
    POLICY(RELAX_FORCING, relax_forcing, "relax-forcing", false, false)                            \
    POLICY(ECHO_FORCING, echo_forcing, "echo-forcing", false, false)                               \
    POLICY(FORCING_KV, forcing_kv, "forcing-kv", false, true)                                      \
    POLICY(LOL, lol, "lol", true, false)

enum kv_rule {
    KV_USUAL,
#define POLICY(NAME, ...) KV_##NAME,
    KV_POLICIES(POLICY)
#undef POLICY
        KV_RULES
};

/* KEY(key): numbers of policies, by their names in cards and cases. */
#define KV_KEYS(KEY)                                                                               \
    KEY(replay_frames)                                                                             \
    KEY(budget_frames)                                                                             \
    KEY(recent_frames)                                                                             \
    KEY(max_reuse)                                                                                 \
    KEY(ema_alpha)                                                                                 \
    KEY(ema_bf16)                                                                                  \
    KEY(cut_position)                                                                              \
    KEY(flush_keeps_frames)                                                                        \
    KEY(memory_frames)                                                                             \
    KEY(alpha_long)                                                                                \
    KEY(alpha_short)                                                                               \
    KEY(adaptive)                                                                                  \
    KEY(reservoir_frames)                                                                          \
    KEY(history_frames)                                                                            \
    KEY(tail_frames)                                                                               \
    KEY(candidates)                                                                                \
    KEY(redundancy)                                                                                \
    KEY(compressed_frames)                                                                         \
    KEY(calibration_frames)                                                                        \
    KEY(score_offsets)                                                                             \
    KEY(amplitude_term)                                                                            \
    KEY(gate)                                                                                      \
    KEY(static_recent_frames)                                                                      \
    KEY(dynamic_recent_frames)                                                                     \
    KEY(dynamic_frames)                                                                            \
    KEY(chunks_per_frame)                                                                          \
    KEY(retention)                                                                                 \
    KEY(first_split_block)                                                                         \
    KEY(jitter)                                                                                    \
    KEY(jitter_seed)                                                                               \
    KEY(renew_sink)

enum kv_key {
#define KEY(key) KV_KEY_##key,
    KV_KEYS(KEY)
#undef KEY
        KV_KEYS_COUNT
};

/* Where the sink, the clip's first frames, stands when recent frames are no longer its
 * neighbours: at its own positions, from 0 on; or right before the recent frames. A card may also
 * leave it as the policy was published: rolling moving, block by block fixed. */
#define KV_SINKS(SINK)                                                                             \
    SINK(FIXED, fixed)                                                                             \
    SINK(MOVING, moving)

enum kv_sink {
    KV_SINK_USUAL,
#define SINK(NAME, name) KV_SINK_##NAME,
    KV_SINKS(SINK)
#undef SINK
};

/* The names as choices (choice.h), in the enums' order: "rolling|block"; "fixed|moving", and with
 * "usual" before them. Constants. */
#define KV_WINDOW_CHOICE(NAME, name, joint)     "|" #name
#define KV_SINK_CHOICE(NAME, name)              "|" #name
#define KV_POLICY_CHOICE(NAME, file, name, ...) "|" name
#define KV_WINDOW_CHOICES                       (&(KV_WINDOWS(KV_WINDOW_CHOICE))[1])
#define KV_SINK_CHOICES                         (&(KV_SINKS(KV_SINK_CHOICE))[1])
#define KV_ALL_SINK_CHOICES                     ("usual" KV_SINKS(KV_SINK_CHOICE))
#define KV_RULE_CHOICES                         ("usual" KV_POLICIES(KV_POLICY_CHOICE))

#define KV_NAMED_RULE_CHOICES (&(KV_POLICIES(KV_POLICY_CHOICE))[1])

const char *kv_window_name(enum window_kind k);
const char *kv_sink_name(enum kv_sink s); /* "usual", ... */
const char *kv_rule_name(enum kv_rule r); /* "usual", ... */
const char *kv_key_name(enum kv_key k);
bool kv_window_is_joint(enum window_kind k);
bool kv_rule_fits(enum kv_rule r, enum window_kind k); /* the policy can be in such a window */

/* By name; false: there is none of that name. */
bool kv_rule_find(const char *name, enum kv_rule *out);

/* What a policy takes for one of its keys, and what it has where a card does not say; NULL: the
 * policy has no such key. */
struct kv_key_bounds {
    enum kv_rule rule;
    enum kv_key key;
    double usual, least, most;
    bool whole; /* whole numbers alone */
};
const struct kv_key_bounds *kv_key_bounds(enum kv_rule r, enum kv_key k);

/* The window's own policy, as it is where nothing is said. */
bool kv_rule_is_plain(enum kv_rule r, const double key[KV_KEYS_COUNT]);

/* A profile of a model's heads: of each layer those that are static, as a policy with heads of two
 * kinds calls it, as the sum of 1 << head. Numbers as JSON has them, which hold it exactly. */
enum { KV_LAYERS = 64, KV_HEADS = 52 };
struct kv_profile {
    int layers; /* 0: there is none */
    double static_heads[KV_LAYERS];
};
bool kv_rule_has_profile(enum kv_rule r); /* it has to have one, and no other may */
bool kv_head_is_static(const struct kv_profile *p, int layer, int head);
bool kv_profile_same(const struct kv_profile *a, const struct kv_profile *b);

/* All keys of a policy as they are where nothing is said, 0 for those it has not. */
void kv_keys_usual(enum kv_rule r, double key[KV_KEYS_COUNT]);

#endif /* KV_POLICIES_H */
