/*
 * policy_infinity_rope.c - Infinity-RoPE (arXiv 2511.20649): a short window with a sink that moves
 * along, and a jump of the positions where a scene is cut.
 *
 *   sink, roped to end where recent begins | recent | the block itself
 *
 * In all passes of the first block of a scene that is cut, the clean one too, its own frames stand
 * at cut_position, counted from the first key; the next block's are back at theirs. A change of
 * prompt flushes: the sink and flush_keeps_frames of the past stay, and with the released window
 * that is what the block sees anyway. Other windows do not go with a flush, and are refused.
 */
#include "pipeline/cache/cache_internal.h"

static status check_infinity_rope(const struct kv_policy *p)
{
    int const recent = p->attention_frames - p->frames_per_block - p->sink_frames;
    int const flush = kv_whole(p, KV_KEY_flush_keeps_frames);

    TRY(frames_check_sink(p, 1));
    if (flush != recent)
        return fail(ST_ARG, "flush_keeps_frames: %d; %d, all that is recent, is allowed", flush,
                    recent);
    return ST_OK;
}

static void list_infinity_rope(const struct kv_policy *p, const struct kv_pass *pass,
                               enum kv_source source, struct kv_window *out)
{
    int64_t const oldest = frames_oldest(p, pass->first), first = oldest > 0 ? oldest : 0;
    int64_t const begin = pass->first * p->frames_per_block;
    int64_t const jump = first + kv_whole(p, KV_KEY_cut_position) - begin;

    frames_add_history(p, pass, oldest, out);
    frames_add_own(p, pass, source, pass->cut ? jump : 0, out);
}

const struct kv_policy_ops policy_infinity_rope = {
    .check = check_infinity_rope,
    .bank = frames_sink_blocks,
    .spans = list_infinity_rope,
};
