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

static status check_block(const struct kv_policy *p)
{
    int const b = p->frames_per_block, a = p->attention_frames, most = a - b < b ? a - b : b;

    TRY(frames_check(p, b));
    if (p->sink_frames < 0 || p->sink_frames > most)
        return fail(ST_ARG, "sink frames: %d; 0 to %d are allowed", p->sink_frames, most);
    return ST_OK;
}

static void list_history(const struct kv_policy *p, int64_t block, struct kv_window *out)
{
    int const b = p->frames_per_block, sink = p->sink_frames;
    int64_t const begin = block * b, oldest = begin + b - p->attention_frames;

    if (oldest <= 0) {
        frames_add(out, KV_CLEAN, b, 0, begin);
        return;
    }
    frames_add_sink(out, sink, p->sink == KV_SINK_MOVING ? oldest : 0);
    frames_add(out, KV_CLEAN, b, oldest + sink, begin);
}

static void list_own(const struct kv_policy *p, const struct kv_pass *pass, enum kv_source source,
                     struct kv_window *out)
{
    int const b = p->frames_per_block;

    list_history(p, pass->first, out);
    frames_add(out, source, b, pass->first * b, (pass->first + 1) * b);
}

static void list_noise_pass(const struct kv_policy *p, const struct kv_pass *pass,
                            struct kv_window *out)
{
    list_own(p, pass, KV_WINDOW, out);
}

static void list_clean_pass(const struct kv_policy *p, const struct kv_pass *pass,
                            struct kv_window *out)
{
    list_own(p, pass, KV_CLEAN, out);
}

/* The clean pass's own block counts. */
static int look_back(const struct kv_policy *p, int stage, bool given)
{
    struct kv_window w = { .count = 0 };

    (void)given; /* a block sees the same behind these */
    list_history(p, FRAMES_DEEP, &w);
    return frames_lookback(&w, FRAMES_DEEP - 1) + (stage == p->levels);
}

const struct kv_policy_ops policy_block = {
    .check = check_block,
    .window_spans = list_noise_pass,
    .clean_spans = list_clean_pass,
    .lookback = look_back,
};
