/*
 * kv_policies.h - which cache policies there are: the list that model cards, their JSON form and
 * the table of policies are made from.
 *
 * Names alone. What a policy does is its file's, pipeline/cache/policy_NAME.c; the names stand
 * down here because whoever reads cards knows nothing of caches.
 */
#ifndef KV_POLICIES_H
#define KV_POLICIES_H

#include <stdbool.h>

/* POLICY(enumerator, name of its file and in cards, joint). Joint: blocks of all levels are in one
 * pass, and a line takes a block every tick. Else one block takes all its levels, W+1 ticks, and
 * then the next begins. */
#define KV_POLICIES(POLICY)                                                                        \
    POLICY(ROLLING, rolling, true)                                                                 \
    POLICY(BLOCK, block, false)

enum window_kind {
#define POLICY(NAME, name, joint) WINDOW_##NAME,
    KV_POLICIES(POLICY)
#undef POLICY
        WINDOW_KINDS
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
#define KV_POLICY_CHOICE(NAME, name, joint) "|" #name
#define KV_SINK_CHOICE(NAME, name)          "|" #name
#define KV_POLICY_CHOICES                   (&(KV_POLICIES(KV_POLICY_CHOICE))[1])
#define KV_SINK_CHOICES                     (&(KV_SINKS(KV_SINK_CHOICE))[1])
#define KV_ALL_SINK_CHOICES                 ("usual" KV_SINKS(KV_SINK_CHOICE))

const char *kv_policy_name(enum window_kind k);
const char *kv_sink_name(enum kv_sink s); /* "usual", ... */
bool kv_policy_is_joint(enum window_kind k);

#endif /* KV_POLICIES_H */
