/*
 * policy_block.c - Self-Forcing and LongLive: one block after another.
 *
 *   sink | recent clean frames | the block itself
 *
 * Every pass of a block, the clean one too, sees the same: while all fits into A frames the whole
 * clip, then the sink and the newest. The sink is the clip's first frames, at their own
 * positions; or moving, so that it ends where the recent ones begin (LongLive's relative form).
 *
 * A new prompt may ask for a recache (LongLive's): clean passes once more of the newest frames
 * before it that fit into A, in one pass that knows no earlier and later. The sink stays as it is,
 * at its place before them, once it is no longer their neighbour; until then it is recached as the
 * others. With renew_sink it goes: the oldest recached frames are the sink from then on.
 */
#include "pipeline/cache/cache_internal.h"

static status check_block(const struct kv_policy *p)
{
    if (kv_policy_renews_sink(p) && !p->sink_frames)
        return fail(ST_ARG, "renew_sink: 1; there is no sink to renew");
    return frames_check_sink(p, 0);
}

static void list_block(const struct kv_policy *p, const struct kv_pass *pass, enum kv_source source,
                       struct kv_window *out)
{
    int64_t const oldest = frames_oldest(p, pass->first);
    int64_t const at = pass->sink_block * p->frames_per_block;

    frames_add_history(p, pass, p->sink == KV_SINK_MOVING ? oldest : at, out);
    frames_add_own(p, pass, source, 0, out);
}

static void recache_block(const struct kv_policy *p, int64_t block, struct kv_recache *out)
{
    int const b = p->frames_per_block, sink = p->sink_frames;
    int64_t const end = block * b, oldest = end - p->attention_frames;
    bool const renews = kv_policy_renews_sink(p);
    int64_t const from = oldest <= 0 ? 0 : renews ? oldest : oldest + sink;

    if (oldest > 0 && !renews)
        frames_add(&out->keys, KV_CLEAN, b, 0, sink, p->sink == KV_SINK_MOVING ? oldest : 0);
    frames_add(&out->keys, KV_CLEAN, b, from, end, from);
    out->first = from / b;
    out->sink_block = renews ? out->first : 0;
}

const struct kv_policy_ops policy_block = {
    .check = check_block,
    .bank = frames_sink_blocks,
    .spans = list_block,
    .recache = recache_block,
};
