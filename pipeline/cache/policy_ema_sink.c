/*
 * policy_ema_sink.c - Reward Forcing (arXiv 2512.04678): a sink that what leaves the window is
 * averaged into.
 *
 *   sink, roped to end where recent begins | recent | the block itself (or the rolling window)
 *
 * Before a block's first pass the block that then leaves, token by token at its place of the
 * picture, keys without RoPE and values:  sink := a sink + (1 - a) leaving. The state is F32; the
 * release computes in bf16, where alpha * x rounds back to x, so that its sink hardly moves:
 * ema_bf16 does as it does. In the rolling window, where nobody has published it, what leaves is
 * the block that is no longer recent.
 */
#include "pipeline/cache/cache_internal.h"

static status check_ema_sink(const struct kv_policy *p)
{
    int const b = p->frames_per_block;
    int const own = kv_window_is_joint(p->kind) ? b * p->levels : b;

    if (p->sink_frames != b)
        return fail(ST_ARG, "sink frames: %d; an averaged sink is one block, %d", p->sink_frames,
                    b);
    if (p->attention_frames % b)
        return fail(ST_ARG, "attention frames: %d; whole blocks of %d are allowed",
                    p->attention_frames, b);
    return frames_check(p, own + 2 * b);
}

/* Recent blocks while the window is at its widest; the block that leaves before block `first` is
 * the one before these. The sink is the clip's first block until one has left. */
static int64_t recent_blocks(const struct kv_policy *p)
{
    int const b = p->frames_per_block;
    int const own = kv_window_is_joint(p->kind) ? b * p->levels : b;
    return (p->attention_frames - own - p->sink_frames) / b;
}

static int64_t leaving_block(const struct kv_policy *p, int64_t first)
{
    return first - 1 - recent_blocks(p);
}

static void list_past(const struct kv_policy *p, const struct kv_pass *pass, struct kv_window *out)
{
    int const b = p->frames_per_block;
    int64_t const begin = pass->first * b, leaving = leaving_block(p, pass->first);
    int64_t const from = leaving > 0 ? (leaving + 1) * b : b;

    if (!pass->first) return;
    if (leaving > 0)
        out->span[out->count++] =
            (struct kv_span){ .source = KV_KEPT, .frames = b, .position = from - b };
    else frames_add(out, KV_CLEAN, b, 0, b, 0);
    frames_add(out, KV_CLEAN, b, from, begin, from);
}

static void list_ema_sink(const struct kv_policy *p, const struct kv_pass *pass, enum kv_source own,
                          struct kv_window *out)
{
    if (own == KV_CLEAN && kv_window_is_joint(p->kind)) {
        policy_rolling.spans(p, pass, own, out);
        return;
    }
    list_past(p, pass, out);
    frames_add_own(p, pass, own, 0, out);
}

/* The block that leaves is read once more, when it does. */
static int find_ema_lookback(const struct kv_policy *p, int stage, bool given)
{
    int const n = frames_look_back(&policy_ema_sink, p, stage, given);
    int const most = (int)recent_blocks(p) + 1 + (stage == p->levels);

    return n > most ? n : most;
}

static int kept_frames(const struct kv_policy *p) { return p->sink_frames; }

struct ema_sink {
    double frame[64]; /* an average of source frames, for who wants to look */
};

static size_t count_ema_bytes(const struct kv_policy *p, const struct kv_state_shape *shape)
{
    (void)p, (void)shape;
    return sizeof(struct ema_sink);
}

static status average_layer(const struct kv_call *c, int layer, int64_t leaving, bool first)
{
    const struct kv_policy *const p = &c->state->policy;
    int64_t const rows = p->sink_frames * c->state->tokens;
    double const alpha = p->key[KV_KEY_ema_alpha];
    struct tensor from[2], sink[2];

    TRY(kv_cache_get(c->cache, leaving, layer, &from[0], &from[1]));
    TRY(kv_cache_get(c->cache, 0, layer, &sink[0], &sink[1]));
    for (int i = 0; i < COUNT_OF(from); i++) {
        struct average a = average_of(c, layer, i, 0, rows);
        if (first) TRY(average_begin(c, &a, &sink[i]));
        if (p->key[KV_KEY_ema_bf16] != 0) TRY(average_add_bf16(c, &a, &from[i], alpha));
        else TRY(average_add(c, &a, &from[i], alpha));
    }
    return ST_OK;
}

static status average_leaving(const struct kv_call *c, int64_t block)
{
    const struct kv_policy *const p = &c->state->policy;
    struct ema_sink *const s = c->state->own;
    double const alpha = p->key[KV_KEY_ema_alpha];
    int64_t const leaving = leaving_block(p, block);

    if (leaving <= 0) return ST_OK;
    for (int i = 0; i < c->state->layers; i++) TRY(average_layer(c, i, leaving, leaving == 1));
    for (int f = 0; f < p->sink_frames; f++) {
        double const old = leaving == 1 ? f : s->frame[f];
        s->frame[f] = alpha * old + (1 - alpha) * (double)(leaving * p->frames_per_block + f);
    }
    return ST_OK;
}

static void find_sink_frame(const struct kv_state *s, int layer, int64_t row, double *frame,
                            int64_t *token)
{
    (void)layer;
    *frame = ((const struct ema_sink *)s->own)->frame[row / s->tokens];
    *token = row % s->tokens;
}

const struct kv_policy_ops policy_ema_sink = {
    .check = check_ema_sink,
    .spans = list_ema_sink,
    .lookback = find_ema_lookback,
    .kept = kept_frames,
    .wide = true,
    .state_bytes = count_ema_bytes,
    .enter = average_leaving,
    .kept_source = find_sink_frame,
};
