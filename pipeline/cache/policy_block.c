/*
 * policy_block.c - Self-Forcing and LongLive: one block after another.
 *
 *   sink | recent clean frames | the block itself
 *
 * Every pass of a block, the clean one too, sees the same: while all fits into A frames the whole
 * clip, then the sink and the newest. The sink is the clip's first frames, at their own
 * positions; or moving, so that it ends where the recent ones begin (LongLive's relative form).
 */
#include "pipeline/cache/cache_internal.h"

static status check_block(const struct kv_policy *p) { return frames_check_sink(p, 0); }

static void list_block(const struct kv_policy *p, const struct kv_pass *pass, enum kv_source source,
                       struct kv_window *out)
{
    int64_t const oldest = frames_oldest(p, pass->first);

    frames_add_history(p, pass->first, p->sink == KV_SINK_MOVING ? oldest : 0, out);
    frames_add_own(p, pass, source, 0, out);
}

const struct kv_policy_ops policy_block = {
    .check = check_block,
    .bank = frames_sink_blocks,
    .spans = list_block,
};
