/* kv_policies.c - the names and the kinds of cache policies. */
#include "base/kv_policies.h"

static const struct {
    const char *name;
    bool joint;
} kinds[WINDOW_KINDS] = {
#define POLICY(NAME, name, joint) [WINDOW_##NAME] = { #name, joint },
    KV_POLICIES(POLICY)
#undef POLICY
};

#define SINK(NAME, name) [KV_SINK_##NAME] = #name,
static const char *const sinks[] = { [KV_SINK_USUAL] = "usual", KV_SINKS(SINK) };
#undef SINK

const char *kv_policy_name(enum window_kind k) { return kinds[k].name; }

const char *kv_sink_name(enum kv_sink s) { return sinks[s]; }

bool kv_policy_is_joint(enum window_kind k) { return kinds[k].joint; }
