/*
 * policy_forcing_kv.c - Forcing-KV, as released: few frames, and heads of two kinds, told apart by
 * a profile of the checkpoint, attend to different ones.
 *
 *   static heads    sink |                recent | the block itself
 *   dynamic heads   sink | dynamic part | recent | the block itself
 *
 * All stand at their own positions. Layer 0 knows no dynamic part, nor do blocks up to the first
 * split one. Before every block behind it the dynamic part is chosen anew: of the chain of four
 * frames that begins with what was recent before the newest clean block, the first three are
 * candidates, each against the one behind it. A frame is cut into chunks of tokens; a chunk's score
 * is the mean, over its tokens, of
 *
 *   cosine(roped key, roped key at the same place of the next frame)
 *
 * the dynamic heads of layer 1 as one vector. The chunks with the lowest, what changes most, are
 * the dynamic part of all layers but the first, in their order.
 *
 * The score is of clean keys alone, so every rank chooses for itself, on the host: keys without
 * RoPE, which all ranks have to the bit, and sums in double in one order. Rotations of rows and
 * columns are the same for both keys and fall out of the cosine, as does all of the frames' but
 * that of one frame. So clips with given blocks come out the same too.
 */
#include "pipeline/cache/cache_internal.h"
#include "pipeline/dit/rope.h"

#include <string.h>

enum {
    CANDIDATES = 3,
    CHUNKS = CANDIDATES * 64, /* chunks_per_frame is 64 at most */
    SCORED_LAYER = 1,
    HEAD_PAIRS = 256
};

struct dynamic_part {
    int64_t first;         /* candidate frame */
    int32_t chunk[CHUNKS]; /* chosen, rising: candidate * chunks_per_frame + place in it */
};

/* Behind it: keys of two frames, and the chosen rows of all candidates'. */
static float *keys_of(const struct kv_state *s, int64_t frame)
{
    float *const keys = (float *)(void *)((struct dynamic_part *)s->own + 1);
    return keys + frame % 2 * s->tokens * s->dim;
}
static int32_t *rows_of(const struct kv_state *s)
{
    return (int32_t *)(void *)(keys_of(s, 0) + 2 * s->tokens * s->dim);
}

static int newest_frames(const struct kv_policy *p)
{
    return kv_whole(p, KV_KEY_dynamic_recent_frames);
}
static int dynamic_frames(const struct kv_policy *p) { return kv_whole(p, KV_KEY_dynamic_frames); }
static int chunks_per_frame(const struct kv_policy *p)
{
    return kv_whole(p, KV_KEY_chunks_per_frame);
}
static int chosen_chunks(const struct kv_policy *p)
{
    return dynamic_frames(p) * chunks_per_frame(p);
}

static status check_forcing_kv(const struct kv_policy *p)
{
    int const b = p->frames_per_block, recent = newest_frames(p);
    int const attended = p->sink_frames + dynamic_frames(p) + recent + b;
    double const chunks = nearbyint(CANDIDATES * chunks_per_frame(p) * p->key[KV_KEY_retention]);

    TRY(frames_check_sink(p, 1));
    if (kv_whole(p, KV_KEY_static_recent_frames) != recent)
        return fail(ST_ARG, "static_recent_frames: %d; %d, as dynamic_recent_frames, is allowed",
                    kv_whole(p, KV_KEY_static_recent_frames), recent);
    if (recent > b || recent + b <= CANDIDATES)
        return fail(ST_ARG,
                    "dynamic_recent_frames: %d; up to %d, a block, and %d with it are allowed",
                    recent, b, CANDIDATES + 1);
    if (p->attention_frames != attended)
        return fail(ST_ARG,
                    "attention frames: %d; %d, sink, dynamic part, recent and a block, is allowed",
                    p->attention_frames, attended);
    if (chunks == chosen_chunks(p)) return ST_OK;
    return fail(ST_ARG, "retention: %g; %d of %d chunks, those of dynamic_frames, have to be left",
                p->key[KV_KEY_retention], chosen_chunks(p), CANDIDATES * chunks_per_frame(p));
}

static bool has_dynamic_head(const struct kv_policy *p, int layer, int heads)
{
    for (int h = 0; h < heads; h++)
        if (!kv_head_is_static(&p->profile, layer, h)) return true;
    return false;
}

static status fit_forcing_kv(const struct kv_policy *p, const struct kv_state_shape *shape)
{
    if (shape->layers <= SCORED_LAYER || p->profile.layers != shape->layers)
        return fail(ST_ARG, "static_heads: of %d layers; the model has %d", p->profile.layers,
                    shape->layers);
    for (int i = 0; i < shape->layers; i++)
        if (shape->heads > KV_HEADS || p->profile.static_heads[i] >= ldexp(1, shape->heads))
            return fail(ST_ARG, "static_heads: layer %d: heads below %d are allowed", i,
                        shape->heads < KV_HEADS ? shape->heads : KV_HEADS);
    if (!has_dynamic_head(p, SCORED_LAYER, shape->heads))
        return fail(ST_ARG, "static_heads: all of layer %d; one has to be left, to choose by",
                    SCORED_LAYER);
    if (shape->dim / shape->heads > 2 * HEAD_PAIRS)
        return fail(ST_ARG, "forcing-kv: heads of %lld; up to %d are allowed",
                    (long long)(shape->dim / shape->heads), 2 * HEAD_PAIRS);
    if (shape->tokens % chunks_per_frame(p) == 0) return ST_OK;
    return fail(ST_ARG,
                "chunks_per_frame: %d; what divides %lld, the tokens of a frame, is allowed",
                chunks_per_frame(p), (long long)shape->tokens);
}

/* ---- the rule ---------------------------------------------------------------------------- */

static bool is_split(const struct kv_policy *p, int64_t block)
{
    return block > kv_whole(p, KV_KEY_first_split_block);
}

/* Without a state a frame has one token. */
static void list_forcing_kv(const struct kv_policy *p, const struct kv_pass *pass,
                            enum kv_source source, struct kv_window *out)
{
    int const b = p->frames_per_block, sink = p->sink_frames;
    int64_t const begin = pass->first * b, oldest = begin - newest_frames(p);
    int64_t const recent = oldest > sink ? oldest : sink;

    frames_add(out, KV_CLEAN, b, 0, sink < begin ? sink : begin, 0);
    if (pass->layer > 0 && is_split(p, pass->first))
        out->span[out->count++] =
            (struct kv_span){ .source = KV_KEPT,
                              .rows = dynamic_frames(p) * (pass->state ? pass->state->tokens : 1),
                              .some_heads = true };
    frames_add(out, KV_CLEAN, b, recent, begin, recent);
    frames_add_own(p, pass, source, 0, out);
}

/* The chain before a block lies in the two newest. */
static int find_forcing_lookback(const struct kv_policy *p, int stage, bool given)
{
    (void)p, (void)stage, (void)given;
    return 2;
}

static size_t count_forcing_bytes(const struct kv_policy *p, const struct kv_state_shape *shape)
{
    size_t const keys = 2 * (size_t)(shape->tokens * shape->dim) * sizeof(float);
    return sizeof(struct dynamic_part) + keys +
           (size_t)(dynamic_frames(p) * shape->tokens) * sizeof(int32_t);
}

/* ---- the choice -------------------------------------------------------------------------- */

/* A frame's keys in the layer that all go by, to the host. */
static status fetch_keys(const struct kv_call *c, int64_t frame)
{
    const struct kv_state *const s = c->state;
    const struct kern_backend *const backend = c->ctx->backend;
    int const b = s->policy.frames_per_block;
    struct tensor k, v, wide = tensor_slice(&c->room.wide, 0, s->tokens);

    TRY(kv_cache_get(c->cache, frame / b, SCORED_LAYER, &k, &v));
    struct tensor const rows = tensor_slice(&k, frame % b * s->tokens, s->tokens);
    TRY(kern_cast(c->ctx, &(struct kern_cast){ .in = &rows, .out = &wide }));
    TRY(backend->download(c->ctx, keys_of(s, frame), &wide));
    return backend->sync(c->ctx);
}

struct products {
    double ab, aa, bb;
};

/* Of a head's key and the next frame's, rotated by a frame: that rotation's (cos, sin). */
static void add_products(const float *a, const float *b, int pairs, const float *rotation,
                         int roped, struct products *to)
{
    for (int i = 0; i < pairs; i++) {
        double const a0 = (double)a[2 * i], a1 = (double)a[2 * i + 1];
        double const b0 = (double)b[2 * i], b1 = (double)b[2 * i + 1];
        double const cosine = i < roped ? (double)rotation[2 * i] : 1;
        double const sine = i < roped ? (double)rotation[2 * i + 1] : 0;
        to->ab += a0 * (b0 * cosine - b1 * sine) + a1 * (b0 * sine + b1 * cosine);
        to->aa += a0 * a0 + a1 * a1;
        to->bb += b0 * b0 + b1 * b1;
    }
}

static double compare_tokens(const struct kv_state *s, const float *a, const float *b,
                             const float *rotation)
{
    int const columns = (int)(s->dim / s->heads), roped = rope_split_of(columns).time;
    struct products sum = { 0 };

    for (int h = 0; h < s->heads; h++) {
        int const at = h * columns;
        if (!kv_head_is_static(&s->policy.profile, SCORED_LAYER, h))
            add_products(a + at, b + at, columns / 2, rotation, roped, &sum);
    }
    return sum.ab / sqrt(sum.aa > 0 && sum.bb > 0 ? sum.aa * sum.bb : 1);
}

/* Of a candidate; the higher, the less alike. */
static void score_frame(const struct kv_state *s, int64_t frame, const float *rotation,
                        float *score)
{
    int64_t const chunk = s->tokens / chunks_per_frame(&s->policy);

    for (int i = 0; i < chunks_per_frame(&s->policy); i++) {
        double sum = 0;
        for (int64_t t = i * chunk; t < (i + 1) * chunk; t++)
            sum += compare_tokens(s, keys_of(s, frame) + t * s->dim,
                                  keys_of(s, frame + 1) + t * s->dim, rotation);
        score[i] = (float)(-sum / (double)chunk);
    }
}

static status choose_chunks(const struct kv_call *c)
{
    const struct kv_state *const s = c->state;
    const struct kv_policy *const p = &s->policy;
    struct dynamic_part *const d = s->own;
    float score[CHUNKS], rotation[2 * HEAD_PAIRS];

    rope_angles(rotation, rope_split_of((int)(s->dim / s->heads)).time, 1, 1);
    TRY(fetch_keys(c, d->first));
    for (int i = 0; i < CANDIDATES; i++) {
        TRY(fetch_keys(c, d->first + i + 1));
        score_frame(s, d->first + i, rotation, score + i * chunks_per_frame(p));
    }
    return rank_best(score, CANDIDATES * chunks_per_frame(p), chosen_chunks(p), d->chunk);
}

/* ---- its rows ---------------------------------------------------------------------------- */

/* All candidates' keys, roped, or values, to the room's rows. */
static status collect_candidates(const struct kv_call *c, int layer, bool keys)
{
    const struct kv_state *const s = c->state;
    int64_t const first = ((const struct dynamic_part *)s->own)->first;
    struct tensor all = tensor_slice(&c->room.rows, 0, CANDIDATES * s->tokens), kv[2];
    struct kv_window w = { .count = 0 };

    frames_add(&w, KV_CLEAN, s->policy.frames_per_block, first, first + CANDIDATES, 0);
    for (int i = 0; i < w.count; i++) {
        const struct kv_span *const f = &w.span[i];
        int64_t const rows = f->frames * s->tokens;
        TRY(kv_cache_get(c->cache, f->block, layer, &kv[0], &kv[1]));
        struct tensor const in = tensor_slice(&kv[!keys], f->frame * s->tokens, rows);
        struct tensor out = tensor_slice(&all, f->position * s->tokens, rows);
        TRY(kern_copy(c->ctx, &(struct kern_copy){ .in = &in, .out = &out }));
    }
    return keys ? c->rope(c->arg, &all, first, &all) : ST_OK;
}

static status keep_layer(const struct kv_call *c, int layer)
{
    int64_t const rows = dynamic_frames(&c->state->policy) * c->state->tokens;
    struct tensor const from = tensor_slice(&c->room.rows, 0, CANDIDATES * c->state->tokens);
    struct tensor const index = tensor_slice(&c->room.index, 0, rows);
    struct tensor to[2];

    kv_cache_kept(c->cache, layer, 0, rows, &to[0], &to[1]);
    for (int i = 0; i < COUNT_OF(to); i++) {
        TRY(collect_candidates(c, layer, i == 0));
        TRY(kern_gather_rows(
            c->ctx, &(struct kern_gather_rows){ .x = &from, .index = &index, .out = &to[i] }));
    }
    return ST_OK;
}

/* Candidate and token of a row of the dynamic part, as one number. */
static int64_t source_row(const struct kv_state *s, int64_t row)
{
    int64_t const chunk = s->tokens / chunks_per_frame(&s->policy);
    return ((const struct dynamic_part *)s->own)->chunk[row / chunk] * chunk + row % chunk;
}

static status renew_dynamic_part(const struct kv_call *c, int64_t block)
{
    const struct kv_state *const s = c->state;
    int64_t const rows = dynamic_frames(&s->policy) * s->tokens;
    struct dynamic_part *const d = s->own;

    if (!is_split(&s->policy, block)) return ST_OK;
    d->first = (block - 1) * s->policy.frames_per_block - newest_frames(&s->policy);
    TRY(choose_chunks(c));
    for (int64_t i = 0; i < rows; i++) rows_of(s)[i] = (int32_t)source_row(s, i);
    TRY(rank_upload(c, rows_of(s), rows));
    for (int layer = 1; layer < s->layers; layer++) TRY(keep_layer(c, layer));
    return ST_OK;
}

static void find_dynamic_token(const struct kv_state *s, int layer, int64_t row, double *frame,
                               int64_t *token)
{
    int64_t const at = source_row(s, row);
    int64_t const source = ((const struct dynamic_part *)s->own)->first + at / s->tokens;

    (void)layer;
    *frame = (double)source;
    *token = at % s->tokens;
}

const struct kv_policy_ops policy_forcing_kv = {
    .all_heads = kv_all_heads,
    .check = check_forcing_kv,
    .fits = fit_forcing_kv,
    .spans = list_forcing_kv,
    .lookback = find_forcing_lookback,
    .bank = frames_sink_blocks,
    .kept = dynamic_frames,
    .scores = true,
    .state_bytes = count_forcing_bytes,
    .enter = renew_dynamic_part,
    .kept_source = find_dynamic_token,
};
