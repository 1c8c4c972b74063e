/*
 * policy_rolling.c - Rolling Forcing: one window over the blocks of all levels.
 *
 *   sink | recent clean frames | window: blocks first .. first+count-1, the oldest least noisy
 *
 * All of it spans at most A frames; what the window leaves is the sink's and then the newest clean
 * frames'. As published the sink is block 0, roped anew in every tick so that it ends where the
 * recent frames begin. Without one there is more room for recent frames, and with fixed
 * positions it stays at 0, ever further away: both are there to see what it is good for.
 */
#include "pipeline/cache/cache_internal.h"

static int64_t clamp_frames(int64_t room, int64_t there)
{
    int64_t const n = room < there ? room : there;
    return n > 0 ? n : 0;
}

static status check_rolling(const struct kv_policy *p)
{
    int const b = p->frames_per_block;

    if (p->sink_frames != 0 && p->sink_frames != b)
        return fail(ST_ARG, "sink frames: %d; a rolling window has none, 0, or one block, %d",
                    p->sink_frames, b);
    if (kv_policy_renews_sink(p))
        return fail(ST_ARG, "renew_sink: 1; in a rolling window no sink is renewed");
    return frames_check(p, (int64_t)b * p->levels + p->sink_frames);
}

static void list_window(const struct kv_policy *p, const struct kv_pass *pass,
                        struct kv_window *out)
{
    int const b = p->frames_per_block, sink = p->sink_frames;
    int64_t const begin = pass->first * b;

    if (pass->first > 0) {
        int64_t const room = p->attention_frames - pass->count * b - sink;
        int64_t const recent = clamp_frames(room, begin - sink);
        frames_add(out, KV_CLEAN, b, 0, sink, p->sink == KV_SINK_FIXED ? 0 : begin - recent - sink);
        frames_add(out, KV_CLEAN, b, begin - recent, begin, begin - recent);
    }
    frames_add_own(p, pass, KV_WINDOW, 0, out);
}

/* The newest frames, the sink among them only while it is one of these. */
static void list_clean(const struct kv_policy *p, const struct kv_pass *pass, struct kv_window *out)
{
    int64_t const end = (pass->first + 1) * p->frames_per_block;
    int64_t const from = end - clamp_frames(p->attention_frames, end);

    frames_add(out, KV_CLEAN, p->frames_per_block, from, end, from);
}

static void list_rolling(const struct kv_policy *p, const struct kv_pass *pass, enum kv_source own,
                         struct kv_window *out)
{
    if (own == KV_WINDOW) list_window(p, pass, out);
    else list_clean(p, pass, out);
}

const struct kv_policy_ops policy_rolling = {
    .check = check_rolling,
    .spans = list_rolling,
};
