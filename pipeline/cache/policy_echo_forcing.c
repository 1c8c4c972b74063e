/*
 * policy_echo_forcing.c - Echo-Forcing, its policy within one scene.
 *
 *   sink, a walk over the clip's first S frames | C frames of chosen tokens | R recent frames | the
 *   block itself, one behind another
 *
 * Nothing of it begins before the next block would not fit into A frames. Then, before its first
 * pass, each layer chooses the tokens for itself, out of the newest history_frames but the last R:
 * those that the queries to come will want most, by what queries of this layer were like in the
 * clip's first calibration_frames. With e the newest frame, j a token's, k its key without RoPE, q
 * the mean query and m the mean magnitude of each complex pair f of a head, o = 1, 2, 4, ...:
 *
 *   score = mean over heads and o of
 *       sum_f |q_f| |k_f| cos(w_f (e + 1 - j + o) + arg(q_f k_f*))  +  g sum_f (m_f - |q_f|) |k_f|
 *   g = exp(-gate (1 - cosine(the block's own mean query, q)))
 *
 * w_f is 0 for pairs of rows and columns. The first sum is linear in k, so it is a product with one
 * vector for each candidate frame; the second needs magnitudes alone (kern_score_keys has both). A
 * token is chosen max_reuse times at most (0: no limit). What is chosen is put together to whole
 * frames, and roped to the places where it then stands, rows and columns too.
 */
#include "pipeline/cache/cache_internal.h"
#include "pipeline/dit/rope.h"

#include <math.h>

struct echo_token {
    int32_t frame, token;
};

static int compressed_frames(const struct kv_policy *p)
{
    return kv_whole(p, KV_KEY_compressed_frames);
}
static int recent_frames(const struct kv_policy *p) { return kv_whole(p, KV_KEY_recent_frames); }
static int ring_frames(const struct kv_policy *p) { return kv_whole(p, KV_KEY_history_frames); }

/* Refuse parts that do not add up to the window, are not whole blocks, or need more spans than
 * there are. */
static status check_parts(const struct kv_policy *p)
{
    int const b = p->frames_per_block, sink = p->sink_frames, recent = recent_frames(p);
    int const parts = sink + compressed_frames(p) + recent + b;

    if (p->attention_frames != parts)
        return fail(ST_ARG,
                    "attention frames: %d; %d, sink, compressed, recent and a block, is allowed",
                    p->attention_frames, parts);
    if (sink % b || p->attention_frames % b)
        return fail(ST_ARG, "sink frames, attention frames: %d, %d; whole blocks of %d are allowed",
                    sink, p->attention_frames, b);
    if (sink + recent / b + 4 > KV_SPANS)
        return fail(ST_ARG, "sink frames: %d; up to %d are allowed, each is a part by itself", sink,
                    KV_SPANS - 4 - recent / b);
    return ST_OK;
}

static status check_echo_forcing(const struct kv_policy *p)
{
    int const b = p->frames_per_block, compressed = compressed_frames(p), ring = ring_frames(p);
    int const least = recent_frames(p) + compressed, seen = kv_whole(p, KV_KEY_calibration_frames);

    TRY(frames_check_sink(p, 1));
    TRY(check_parts(p));
    if (ring < least || ring > p->attention_frames)
        return fail(ST_ARG, "history_frames: %d; %d to %d are allowed", ring, least,
                    p->attention_frames);
    if (compressed > b && kv_whole(p, KV_KEY_max_reuse))
        return fail(ST_ARG, "compressed_frames: %d; up to %d, a block, with a limit on reuse",
                    compressed, b);
    if (seen % b || seen > p->attention_frames)
        return fail(ST_ARG, "calibration_frames: %d; whole blocks of %d, up to %d, are allowed",
                    seen, b, p->attention_frames);
    return ST_OK;
}

/* ---- the rule ---------------------------------------------------------------------------- */

static bool is_full(const struct kv_policy *p, int64_t block)
{
    return frames_oldest(p, block) > 0;
}

static void list_echo_forcing(const struct kv_policy *p, const struct kv_pass *pass,
                              enum kv_source source, struct kv_window *out)
{
    int const b = p->frames_per_block, sink = p->sink_frames;
    int64_t const begin = pass->first * b, recent = begin - recent_frames(p);
    int64_t const compressed = recent - compressed_frames(p);

    if (!is_full(p, pass->first)) {
        frames_add(out, KV_CLEAN, b, 0, begin, 0);
    } else {
        frames_add_walk(p, sink, compressed - sink, compressed, out);
        out->span[out->count++] = (struct kv_span){ .source = KV_KEPT,
                                                    .frames = compressed_frames(p),
                                                    .position = compressed };
        frames_add(out, KV_CLEAN, b, recent, begin, recent);
    }
    frames_add_own(p, pass, source, 0, out);
}

static int find_echo_lookback(const struct kv_policy *p, int stage, bool given)
{
    int const b = p->frames_per_block;

    (void)given;
    return (ring_frames(p) + b - 1) / b + (stage == p->levels);
}

/* ---- state ------------------------------------------------------------------------------- */

static int64_t count_echo_choice(const struct kv_policy *p, int64_t tokens)
{
    return compressed_frames(p) * tokens;
}

/* What was chosen last, of each layer; then how often each token of the ring was, by frame modulo
 * the ring. */
static size_t count_echo_bytes(const struct kv_policy *p, const struct kv_state_shape *shape)
{
    size_t const chosen = (size_t)count_echo_choice(p, shape->tokens) * sizeof(struct echo_token);
    return (size_t)shape->layers *
           (chosen + (size_t)(ring_frames(p) * shape->tokens) * sizeof(int32_t));
}

static struct echo_token *echo_tokens_of(const struct kv_state *s, int layer)
{
    return (struct echo_token *)s->own + layer * s->choice_count;
}

static int32_t *uses_of(const struct kv_state *s, int layer, int64_t frame)
{
    int64_t const ring = ring_frames(&s->policy);
    int32_t *const all = (int32_t *)(void *)echo_tokens_of(s, s->layers);

    return all + (layer * ring + frame % ring) * s->tokens;
}

/* The frames that have come into the ring are fresh. */
static status forget_uses(const struct kv_call *c, int64_t block)
{
    const struct kv_state *const s = c->state;
    int64_t const begin = block * s->policy.frames_per_block;

    for (int layer = 0; layer < s->layers; layer++)
        for (int64_t f = begin - s->policy.frames_per_block; f < begin; f++)
            for (int64_t t = 0; t < s->tokens; t++) uses_of(s, layer, f)[t] = 0;
    return ST_OK;
}

static bool echo_chooses(const struct kv_state *s, int layer)
{
    (void)layer;
    return is_full(&s->policy, s->block);
}

/* ---- calibration -------------------------------------------------------------------------- */

/* A layer's note: queries without RoPE, summed [dim]; magnitudes of their pairs, summed [dim/2]. */
static int64_t count_note(int64_t dim) { return dim + dim / 2; }

/* The pass's queries, without RoPE, to the room's rows. */
static status unrope_queries(const struct kv_call *c, struct tensor *out)
{
    int64_t const begin = c->state->block * c->state->policy.frames_per_block;

    *out = tensor_slice(&c->room.rows, 0, c->q->dim[0]);
    return c->unrope(c->arg, c->q, begin, out);
}

/* Rows, summed: to the host's sums. */
static status sum_to_host(const struct kv_call *c, const struct tensor *rows, float **out)
{
    const struct kern_backend *const b = c->ctx->backend;
    struct tensor sums = c->room.sums;

    *out = c->room.host + tensor_count(&c->room.score);
    TRY(kern_sum_rows(c->ctx, &(struct kern_sum_rows){ .x = rows, .out = &sums }));
    TRY(b->download(c->ctx, *out, &sums));
    return b->sync(c->ctx);
}

static void add_magnitudes(const struct kv_state *s, void *sums, float *row, int64_t place)
{
    (void)place;
    for (int64_t i = 0; i < s->dim / 2; i++)
        ((float *)sums)[i] += hypotf(row[2 * i], row[2 * i + 1]);
}

static status calibrate_queries(const struct kv_call *c)
{
    const struct kv_state *const s = c->state;
    float *const note = kv_state_note(s, c->layer);
    struct tensor rows, wide = tensor_slice(&c->room.wide, 0, c->q->dim[0]);
    float *sums;

    if (s->block * s->policy.frames_per_block >= kv_whole(&s->policy, KV_KEY_calibration_frames))
        return ST_OK;
    TRY(unrope_queries(c, &rows));
    TRY(sum_to_host(c, &rows, &sums));
    for (int64_t i = 0; i < s->dim; i++) note[i] += sums[i];
    TRY(kern_cast(c->ctx, &(struct kern_cast){ .in = &rows, .out = &wide }));
    return rows_read(c, &wide, add_magnitudes, note + s->dim);
}

/* Tokens that a note is the sum of, once a block chooses. */
static double count_noted(const struct kv_state *s)
{
    int64_t const begin = s->block * s->policy.frames_per_block;
    int64_t const seen = kv_whole(&s->policy, KV_KEY_calibration_frames);

    return (double)((seen < begin ? seen : begin) * s->tokens);
}

/* ---- the choice --------------------------------------------------------------------------- */

/* Candidates: tokens of whole frames first .. end-1, in this order. */
struct echo_ring {
    int64_t first, end;
};

static struct echo_ring ring_of(const struct kv_state *s)
{
    int64_t const begin = s->block * s->policy.frames_per_block;
    int64_t const first = begin - ring_frames(&s->policy);

    return (struct echo_ring){ first > 0 ? first : 0, begin - recent_frames(&s->policy) };
}

/* Its keys and values in the cache. */
static status find_frame(const struct kv_call *c, int64_t frame, struct tensor kv[2])
{
    int const b = c->state->policy.frames_per_block;
    int64_t const n = c->state->tokens;

    TRY(kv_cache_get(c->cache, frame / b, c->layer, &kv[0], &kv[1]));
    for (int i = 0; i < 2; i++) kv[i] = tensor_slice(&kv[i], frame % b * n, n);
    return ST_OK;
}

/* How much the magnitudes count: by how alike the block's own queries are to those noted. */
static status find_gate(const struct kv_call *c, double *out)
{
    const float *const note = kv_state_note(c->state, c->layer);
    double ab = 0, aa = 0, bb = 0;
    struct tensor rows;
    float *own;

    TRY(unrope_queries(c, &rows));
    TRY(sum_to_host(c, &rows, &own));
    for (int64_t i = 0; i < c->state->dim; i++) {
        ab += (double)own[i] * (double)note[i];
        aa += (double)own[i] * (double)own[i];
        bb += (double)note[i] * (double)note[i];
    }
    double const cosine = aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
    *out = exp(-c->state->policy.key[KV_KEY_gate] * (1 - cosine));
    return ST_OK;
}

static status upload_sums(const struct kv_call *c, const struct tensor *to)
{
    TRY(c->ctx->backend->upload(c->ctx, to, c->room.host + tensor_count(&c->room.score)));
    return c->ctx->backend->sync(c->ctx);
}

/* What a pair's magnitude is worth, to the room's wide: [dim / 2]. */
static status upload_amplitude(const struct kv_call *c, double gate, struct tensor *out)
{
    const struct kv_state *const s = c->state;
    const float *const note = kv_state_note(s, c->layer);
    float *const to = c->room.host + tensor_count(&c->room.score);
    struct tensor const row = tensor_slice(&c->room.wide, 0, 1);
    struct tensor const line = tensor_as(&row, DIMS(s->dim));
    double const factor = s->policy.key[KV_KEY_amplitude_term] * gate / (count_noted(s) * s->heads);

    *out = tensor_slice(&line, 0, s->dim / 2);
    for (int64_t i = 0; i < s->dim / 2; i++) {
        double const mean = hypot((double)note[2 * i], (double)note[2 * i + 1]);
        to[i] = (float)(factor * ((double)note[s->dim + i] - mean));
    }
    return upload_sums(c, out);
}

enum { TIME_PAIRS = 512 };

/* e^(i w_f d), d the distance from a frame to the queries to come: their mean. */
static status average_rotations(const struct kv_state *s, int64_t distance, int pairs,
                                float out[2 * TIME_PAIRS])
{
    int const offsets = kv_whole(&s->policy, KV_KEY_score_offsets);
    float one[2 * TIME_PAIRS];

    if (pairs > TIME_PAIRS)
        return fail(ST_ARG, "echo-forcing: %d pairs of a head; up to %d are allowed", pairs,
                    TIME_PAIRS);
    for (int i = 0; i < 2 * pairs; i++) out[i] = 0;
    for (int k = 0; k < offsets; k++) {
        rope_angles(one, pairs, distance + (1 << k), 1);
        for (int i = 0; i < 2 * pairs; i++) out[i] += one[i] / (float)offsets;
    }
    return ST_OK;
}

/* What a frame's keys are multiplied with, to the room's sums: [dim]. */
static status upload_weights(const struct kv_call *c, int64_t frame)
{
    const struct kv_state *const s = c->state;
    const float *const note = kv_state_note(s, c->layer);
    float *const to = c->room.host + tensor_count(&c->room.score);
    int64_t const columns = s->dim / s->heads, begin = s->block * s->policy.frames_per_block;
    int const pairs = rope_split_of((int)columns).time;
    float const scale = (float)(1 / (count_noted(s) * s->heads));
    float rotation[2 * TIME_PAIRS] = { 0 };

    TRY(average_rotations(s, begin - frame, pairs, rotation));
    for (int64_t i = 0; i < s->dim; i += 2) {
        int64_t const pair = i % columns / 2;
        float const re = pair < pairs ? rotation[2 * pair] : 1,
                    im = pair < pairs ? rotation[2 * pair + 1] : 0;
        to[i] = scale * (note[i] * re - note[i + 1] * im);
        to[i + 1] = scale * (note[i] * im + note[i + 1] * re);
    }
    return upload_sums(c, &c->room.sums);
}

/* Of all candidates, to the room's score on the host. */
static status score_ring(const struct kv_call *c, const struct echo_ring *r)
{
    int64_t const n = c->state->tokens;
    struct tensor const all = tensor_slice(&c->room.score, 0, (r->end - r->first) * n);
    struct tensor amplitude, kv[2];
    double gate;

    TRY(find_gate(c, &gate));
    TRY(upload_amplitude(c, gate, &amplitude));
    for (int64_t f = r->first; f < r->end; f++) {
        struct tensor out = tensor_slice(&all, (f - r->first) * n, n);
        TRY(upload_weights(c, f));
        TRY(find_frame(c, f, kv));
        TRY(kern_score_keys(c->ctx, &(struct kern_score_keys){ .k = &kv[0],
                                                               .w = &c->room.sums,
                                                               .amplitude = &amplitude,
                                                               .out = &out,
                                                               .scale = 1 }));
    }
    TRY(c->ctx->backend->download(c->ctx, c->room.host, &all));
    return c->ctx->backend->sync(c->ctx);
}

static status choose_echo(const struct kv_call *c)
{
    const struct kv_state *const s = c->state;
    struct echo_ring const r = ring_of(s);
    int const most = kv_whole(&s->policy, KV_KEY_max_reuse);
    int64_t const count = (r.end - r.first) * s->tokens;

    TRY(score_ring(c, &r));
    for (int64_t i = 0; most && i < count; i++)
        if (uses_of(s, c->layer, r.first + i / s->tokens)[i % s->tokens] >= most)
            c->room.host[i] = RANK_NEVER;
    return rank_best(c->room.host, count, s->choice_count, kv_state_choice(s, c->layer));
}

/* Keys or values of all candidates, to the room's rows. */
static status collect_ring(const struct kv_call *c, const struct echo_ring *r, int values)
{
    int64_t const n = c->state->tokens;

    for (int64_t f = r->first; f < r->end; f++) {
        struct tensor to = tensor_slice(&c->room.rows, (f - r->first) * n, n), kv[2];
        TRY(find_frame(c, f, kv));
        TRY(kern_copy(c->ctx, &(struct kern_copy){ .in = &kv[values], .out = &to }));
    }
    return ST_OK;
}

static status note_uses(struct kv_state *s, int layer)
{
    const int32_t *const choice = kv_state_choice(s, layer);
    struct echo_ring const r = ring_of(s);

    TRY(rank_check(choice, s->choice_count, 0, (r.end - r.first) * s->tokens));
    for (int64_t i = 0; i < s->choice_count; i++) {
        struct echo_token const t = { .frame = (int32_t)(r.first + choice[i] / s->tokens),
                                      .token = (int32_t)(choice[i] % s->tokens) };
        echo_tokens_of(s, layer)[i] = t;
        uses_of(s, layer, t.frame)[t.token]++;
    }
    return ST_OK;
}

static status keep_echo(const struct kv_call *c)
{
    const struct kv_state *const s = c->state;
    struct echo_ring const r = ring_of(s);
    int64_t const count = (r.end - r.first) * s->tokens;
    struct tensor const from = tensor_slice(&c->room.rows, 0, count);
    struct tensor const index = tensor_slice(&c->room.index, 0, s->choice_count);
    struct tensor to[2];

    TRY(rank_upload(c, kv_state_choice(s, c->layer), s->choice_count));
    kv_cache_kept(c->cache, c->layer, 0, s->choice_count, &to[0], &to[1]);
    for (int i = 0; i < COUNT_OF(to); i++) {
        TRY(collect_ring(c, &r, i));
        TRY(kern_gather_rows(
            c->ctx, &(struct kern_gather_rows){ .x = &from, .index = &index, .out = &to[i] }));
    }
    return ST_OK;
}

static void find_echo_token(const struct kv_state *s, int layer, int64_t row, double *frame,
                            int64_t *token)
{
    *frame = echo_tokens_of(s, layer)[row].frame;
    *token = echo_tokens_of(s, layer)[row].token;
}

const struct kv_policy_ops policy_echo_forcing = {
    .all_heads = kv_all_heads,
    .check = check_echo_forcing,
    .spans = list_echo_forcing,
    .lookback = find_echo_lookback,
    .bank = frames_sink_blocks,
    .kept = compressed_frames,
    .state_bytes = count_echo_bytes,
    .choice_count = count_echo_choice,
    .chooses_now = echo_chooses,
    .chooses_from = frames_first_full,
    .note_count = count_note,
    .enter = forget_uses,
    .observe = calibrate_queries,
    .choose = choose_echo,
    .take = note_uses,
    .settle = keep_echo,
    .kept_source = find_echo_token,
};
