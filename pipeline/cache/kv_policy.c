/* kv_policy.c - the table of policies, and what is asked of whichever it is. */
#include "pipeline/cache/cache_internal.h"

static const struct kv_policy_ops *const policies[WINDOW_KINDS] = {
#define POLICY(NAME, name, joint) [WINDOW_##NAME] = &policy_##name,
    KV_POLICIES(POLICY)
#undef POLICY
};

const struct kv_policy_ops *kv_policy_ops(const struct kv_policy *p) { return policies[p->kind]; }

status kv_policy_check(const struct kv_policy *p)
{
    int const b = p->frames_per_block;

    if (b < 1 || b > 64) return fail(ST_ARG, "frames per block: %d; 1 to 64 are allowed", b);
    if (p->levels < 1) return fail(ST_ARG, "levels: %d; at least 1", p->levels);
    return kv_policy_ops(p)->check(p);
}

bool kv_policy_joint(const struct kv_policy *p) { return kv_policy_is_joint(p->kind); }

void kv_window_spans(struct kv_window *out, const struct kv_policy *p, int64_t first, int count)
{
    out->count = 0;
    kv_policy_ops(p)->window_spans(p, &(struct kv_pass){ first, count }, out);
}

void kv_clean_spans(struct kv_window *out, const struct kv_policy *p, int64_t block)
{
    out->count = 0;
    kv_policy_ops(p)->clean_spans(p, &(struct kv_pass){ block, 1 }, out);
}

int kv_lookback(const struct kv_policy *p, int first_stage, int end_stage, bool given)
{
    int most = 1; /* the block that passes the clean stage needs its place */

    for (int stage = first_stage; stage < end_stage; stage++) {
        int const n = kv_policy_ops(p)->lookback(p, stage, given);
        if (n > most) most = n;
    }
    return most;
}
