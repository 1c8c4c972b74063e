/*
 * policy_deep_sink.c - Deep Sink of Deep Forcing (arXiv 2512.05081), without its compression: one
 * block after another, as policy_block.c, with a sink of about half of what a pass attends to.
 *
 * Once frames leave, the sink is roped anew before every block, to end B frames before the recent
 * ones begin: the released code takes the window for shifted before the block itself is counted in.
 */
#include "pipeline/cache/cache_internal.h"

static status check_deep_sink(const struct kv_policy *p) { return frames_check_sink(p, 1); }

static void list_deep_sink(const struct kv_policy *p, const struct kv_pass *pass,
                           enum kv_source source, struct kv_window *out)
{
    int64_t const oldest = frames_oldest(p, pass->first);

    frames_add_history(p, pass, oldest - p->frames_per_block, out);
    frames_add_own(p, pass, source, 0, out);
}

const struct kv_policy_ops policy_deep_sink = {
    .check = check_deep_sink,
    .bank = frames_sink_blocks,
    .spans = list_deep_sink,
};
