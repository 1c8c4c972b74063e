/*
 * policy_rolling_sink.c - Rolling Sink (arXiv 2602.07775): the past is a walk over the clip's first
 * frames, forwards and backwards again, without end.
 *
 *   block by block   walk, at every frame's own position | newest block, real | the block itself
 *   rolling          walk, B frames | recent, real | window
 *
 * The bank is the first `replay_frames` R; position p shows bank frame p mod R on even rounds,
 * R - 1 - p mod R on odd ones (frames_add_walk). In the rolling window only
 * what is otherwise the sink walks: nobody has published that.
 */
#include "pipeline/cache/cache_internal.h"

static int replayed_frames(const struct kv_policy *p) { return kv_whole(p, KV_KEY_replay_frames); }

static int bank_blocks(const struct kv_policy *p)
{
    return replayed_frames(p) / p->frames_per_block;
}

static status check_rolling_sink(const struct kv_policy *p)
{
    int const b = p->frames_per_block, r = replayed_frames(p), most = KV_SPANS - 2 + b;
    int const sink = kv_window_is_joint(p->kind) ? b : 0,
              own = kv_window_is_joint(p->kind) ? b * p->levels : b;

    if (r % b)
        return fail(ST_ARG, "replay_frames: %d; whole blocks of %d frames are allowed", r, b);
    if (p->sink_frames != sink)
        return fail(ST_ARG, "sink frames: %d; rolling-sink has %d in a %s window", p->sink_frames,
                    sink, kv_window_name(p->kind));
    if (p->attention_frames < own + b + sink || p->attention_frames > most)
        return fail(ST_ARG, "attention frames: %d; %d to %d are allowed", p->attention_frames,
                    own + b + sink, most);
    return frames_check(p, own + sink);
}

static void list_block(const struct kv_policy *p, const struct kv_pass *pass, enum kv_source source,
                       struct kv_window *out)
{
    int const b = p->frames_per_block;
    int64_t const begin = pass->first * b, oldest = frames_oldest(p, pass->first);

    frames_add_walk(p, replayed_frames(p), oldest > 0 ? oldest : 0, begin - b, out);
    frames_add(out, KV_CLEAN, b, begin - (begin ? b : 0), begin, begin - b);
    frames_add_own(p, pass, source, 0, out);
}

static void list_joint(const struct kv_policy *p, const struct kv_pass *pass, struct kv_window *out)
{
    int const b = p->frames_per_block, sink = p->sink_frames;
    int64_t const begin = pass->first * b;
    int64_t const room = p->attention_frames - pass->count * b - sink;
    int64_t const recent = room < begin - sink ? room : begin - sink;

    if (begin > 0) {
        frames_add_walk(p, replayed_frames(p), begin - recent - sink, begin - recent, out);
        frames_add(out, KV_CLEAN, b, begin - recent, begin, begin - recent);
    }
    frames_add_own(p, pass, KV_WINDOW, 0, out);
}

static void list_rolling_sink(const struct kv_policy *p, const struct kv_pass *pass,
                              enum kv_source own, struct kv_window *out)
{
    if (!kv_window_is_joint(p->kind)) list_block(p, pass, own, out);
    else if (own == KV_WINDOW) list_joint(p, pass, out);
    else policy_rolling.spans(p, pass, own, out);
}

const struct kv_policy_ops policy_rolling_sink = {
    .check = check_rolling_sink,
    .bank = bank_blocks,
    .spans = list_rolling_sink,
};
