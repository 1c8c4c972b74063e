/*
 * policy_relax_forcing.c - Relax Forcing: few frames are attended to, and one of them is looked for
 * in a long past.
 *
 *   sink | history | tail, the newest | the block itself, one behind another
 *
 * The reservoir is the sink and the newest frames, R in all with the block's own. Its middle, what
 * lies between sink and tail, offers `candidates` places in its newer half, evenly spaced and never
 * the newest. Before a block's first pass layer 0 chooses for all layers, by keys without RoPE:
 *
 *   score(c) = proto(c) . proto(sink) - redundancy * proto(c) . proto(tail)
 *
 * proto: the mean key of frames over tokens and heads, of length 1. The best go into history, in
 * the order of time. Only the keys of sink and history are roped to other positions than their
 * own. While sink, tail and one frame are all there is, all of it is attended to.
 */
#include "pipeline/cache/cache_internal.h"

#include <math.h>

/* Has the block's history been chosen (kv_state_choice)? */
struct relax_history {
    bool chosen;
};

static int history_frames(const struct kv_policy *p) { return kv_whole(p, KV_KEY_history_frames); }
static int tail_frames(const struct kv_policy *p) { return kv_whole(p, KV_KEY_tail_frames); }

static status check_relax_forcing(const struct kv_policy *p)
{
    int const b = p->frames_per_block, tail = tail_frames(p);
    int const attended = p->sink_frames + history_frames(p) + tail + b;
    int const reservoir = kv_whole(p, KV_KEY_reservoir_frames);

    TRY(frames_check_sink(p, 1));
    if (tail > b) return fail(ST_ARG, "tail_frames: %d; 1 to %d, a block, are allowed", tail, b);
    if (p->attention_frames != attended)
        return fail(ST_ARG, "attention frames: %d; %d, sink, history, tail and a block, is allowed",
                    p->attention_frames, attended);
    if (reservoir < attended + b)
        return fail(ST_ARG, "reservoir_frames: %d; %d at least for these", reservoir, attended + b);
    return ST_OK;
}

/* ---- the middle -------------------------------------------------------------------------- */

struct middle {
    int64_t first, frames; /* 0 frames: all of the past is attended to */
};

static struct middle middle_of(const struct kv_policy *p, int64_t block)
{
    int64_t const begin = block * p->frames_per_block;
    int64_t const over = begin + p->frames_per_block - kv_whole(p, KV_KEY_reservoir_frames);
    int64_t const first = p->sink_frames + (over > 0 ? over : 0);
    int64_t const frames = begin - tail_frames(p) - first;

    return (struct middle){ first, frames > 1 ? frames : 0 };
}

enum { CANDIDATES = 64 };

/* Rising, each once. */
static int list_candidates(const struct kv_policy *p, const struct middle *m,
                           int64_t frame[CANDIDATES])
{
    int64_t const half = m->frames / 2, most = kv_whole(p, KV_KEY_candidates);
    int64_t const places = most < m->frames - half ? most : m->frames - half;
    int count = 0;

    for (int64_t i = 0; i < places; i++) {
        int64_t const at = m->first + half + i * (m->frames - 1 - half) / places;
        if (!count || frame[count - 1] != at) frame[count++] = at;
    }
    return count;
}

/* Frames of history: fewer than asked for where fewer are offered. */
static int count_history(const struct kv_policy *p, const struct middle *m)
{
    int64_t frame[CANDIDATES];
    int const offered = m->frames ? list_candidates(p, m, frame) : 0;

    return offered < history_frames(p) ? offered : history_frames(p);
}

/* ---- the rule ---------------------------------------------------------------------------- */

static bool is_chosen(const struct kv_pass *pass)
{
    return pass->state && ((const struct relax_history *)pass->state->own)->chosen;
}

/* Without a state, or before the choice: the oldest that there can be. */
static void list_relax_forcing(const struct kv_policy *p, const struct kv_pass *pass,
                               enum kv_source source, struct kv_window *out)
{
    int const b = p->frames_per_block, sink = p->sink_frames;
    struct middle const m = middle_of(p, pass->first);
    int64_t const begin = pass->first * b, tail = begin - tail_frames(p);
    int const history = count_history(p, &m);

    if (!m.frames) {
        frames_add(out, KV_CLEAN, b, 0, begin, 0);
    } else {
        frames_add(out, KV_CLEAN, b, 0, sink, tail - history - sink);
        for (int i = 0; i < history; i++) {
            int64_t const f = is_chosen(pass) ? kv_state_choice(pass->state, 0)[i] : m.first + i;
            frames_add(out, KV_CLEAN, b, f, f + 1, tail - history + i);
        }
        frames_add(out, KV_CLEAN, b, tail, begin, tail);
    }
    frames_add_own(p, pass, source, 0, out);
}

/* All of the reservoir behind the sink. */
static int find_relax_lookback(const struct kv_policy *p, int stage, bool given)
{
    int const b = p->frames_per_block;
    int const behind = kv_whole(p, KV_KEY_reservoir_frames) - b - p->sink_frames;

    (void)given;
    return (behind + b - 1) / b + (stage == p->levels);
}

/* ---- the choice -------------------------------------------------------------------------- */

static size_t count_relax_bytes(const struct kv_policy *p, const struct kv_state_shape *shape)
{
    (void)p, (void)shape;
    return sizeof(struct relax_history);
}

static int64_t count_relax_choice(const struct kv_policy *p, int64_t tokens)
{
    (void)tokens;
    return history_frames(p);
}

static bool relax_chooses(const struct kv_state *s, int layer)
{
    (void)layer;
    return middle_of(&s->policy, s->block).frames > 0;
}

static int64_t first_with_middle(const struct kv_policy *p)
{
    return (p->sink_frames + tail_frames(p) + 1) / p->frames_per_block + 1;
}

static status forget_history(const struct kv_call *c, int64_t block)
{
    (void)block;
    ((struct relax_history *)c->state->own)->chosen = false;
    return ST_OK;
}

/* Layer 0's keys of frames from .. to-1, summed over tokens and heads: out [dim / heads]. */
static status sum_keys(const struct kv_call *c, int64_t from, int64_t to, double *out)
{
    const struct kv_state *const s = c->state;
    const struct kern_backend *const b = c->ctx->backend;
    float *const host = c->room.host + tensor_count(&c->room.score);
    int64_t const columns = s->dim / s->heads;
    struct tensor sums = c->room.sums, k, v;
    struct kv_window frames = { .count = 0 };

    for (int64_t i = 0; i < columns; i++) out[i] = 0;
    frames_add(&frames, KV_CLEAN, s->policy.frames_per_block, from, to, 0);
    for (int i = 0; i < frames.count; i++) {
        const struct kv_span *const f = &frames.span[i];
        TRY(kv_cache_get(c->cache, f->block, 0, &k, &v));
        struct tensor const rows = tensor_slice(&k, f->frame * s->tokens, f->frames * s->tokens);
        TRY(kern_sum_rows(c->ctx, &(struct kern_sum_rows){ .x = &rows, .out = &sums }));
        TRY(b->download(c->ctx, host, &sums));
        TRY(b->sync(c->ctx));
        for (int64_t j = 0; j < s->dim; j++) out[j % columns] += (double)host[j];
    }
    return ST_OK;
}

static double dot(const double *a, const double *b, int64_t count)
{
    double sum = 0;

    for (int64_t i = 0; i < count; i++) sum += a[i] * b[i];
    return sum;
}

/* To length 1: whatever the sum was of, it is the mean's direction. */
static status find_proto(const struct kv_call *c, int64_t from, int64_t to, double *out)
{
    int64_t const columns = c->state->dim / c->state->heads;

    TRY(sum_keys(c, from, to, out));
    double const length = sqrt(dot(out, out, columns));
    for (int64_t i = 0; i < columns; i++) out[i] /= length > 0 ? length : 1;
    return ST_OK;
}

enum { PROTO_COLUMNS = 512 };
struct protos {
    double sink[PROTO_COLUMNS], tail[PROTO_COLUMNS], candidate[PROTO_COLUMNS];
};

static status score_frames(const struct kv_call *c, const int64_t *frame, int count, float *score)
{
    const struct kv_policy *const p = &c->state->policy;
    int64_t const begin = c->state->block * p->frames_per_block;
    int64_t const columns = c->state->dim / c->state->heads;
    struct protos proto = { 0 };

    if (columns > PROTO_COLUMNS)
        return fail(ST_ARG, "relax-forcing: heads of %lld; up to %d are allowed",
                    (long long)columns, PROTO_COLUMNS);
    TRY(find_proto(c, 0, p->sink_frames, proto.sink));
    TRY(find_proto(c, begin - tail_frames(p), begin, proto.tail));
    for (int i = 0; i < count; i++) {
        TRY(find_proto(c, frame[i], frame[i] + 1, proto.candidate));
        score[i] = (float)(dot(proto.candidate, proto.sink, columns) -
                           p->key[KV_KEY_redundancy] * dot(proto.candidate, proto.tail, columns));
    }
    return ST_OK;
}

static status choose_history(const struct kv_call *c)
{
    const struct kv_policy *const p = &c->state->policy;
    int32_t *const choice = kv_state_choice(c->state, 0);
    struct middle const m = middle_of(p, c->state->block);
    int64_t frame[CANDIDATES];
    float score[CANDIDATES];
    int const count = list_candidates(p, &m, frame), history = count_history(p, &m);

    TRY(score_frames(c, frame, count, score));
    TRY(rank_best(score, count, history, choice));
    for (int i = 0; i < history; i++) choice[i] = (int32_t)frame[choice[i]];
    return ST_OK;
}

/* Of the middle. */
static status take_history(struct kv_state *s, int layer)
{
    struct middle const m = middle_of(&s->policy, s->block);

    TRY(rank_check(kv_state_choice(s, layer), count_history(&s->policy, &m), m.first,
                   m.first + m.frames));
    ((struct relax_history *)s->own)->chosen = true;
    return ST_OK;
}

const struct kv_policy_ops policy_relax_forcing = {
    .all_heads = kv_all_heads,
    .check = check_relax_forcing,
    .spans = list_relax_forcing,
    .lookback = find_relax_lookback,
    .bank = frames_sink_blocks,
    .state_bytes = count_relax_bytes,
    .choice_count = count_relax_choice,
    .first_layer_chooses = true,
    .chooses_now = relax_chooses,
    .chooses_from = first_with_middle,
    .enter = forget_history,
    .choose = choose_history,
    .take = take_history,
};
