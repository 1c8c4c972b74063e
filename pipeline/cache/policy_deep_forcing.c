/*
 * policy_deep_forcing.c - Deep Forcing (arXiv 2512.05081): Deep Sink and participative compression,
 * as released.
 *
 *   sink, S frames, roped anew | chosen tokens, where they were | recent frames | the block itself
 *
 * Blocks pile up until the next would not fit into A frames; then, before its first pass, each
 * layer compresses for itself. Kept are the sink and the newest R frames, the block's own among
 * these; of the tokens between, the budget's remainder: those with the largest
 *
 *   score = (sum of the newest R frames' roped queries) . roped key, all heads together
 *
 * among those that were chosen fewer than max_reuse times (0: no limit), in their order. The
 * queries are those of the passes that were run last: the block's own, at pure noise, and the last
 * R - B frames of the clean pass before. Where the limit leaves too few, a layer has fewer rows,
 * and compresses in other blocks than its neighbours. The sink is roped anew at every compression,
 * B frames short of where the rows behind it would begin, as in policy_deep_sink.c.
 *
 * The paper also moves what was chosen to one place; the released code never does.
 */
#include "pipeline/cache/cache_internal.h"

/* A layer's rows behind the sink: chosen ones, then whole frames from `tail` on. */
struct deep_layer {
    int64_t kept, tail;         /* as of the block that has entered */
    int64_t old_kept, old_tail; /* before its compression */
    int64_t sink;               /* position of the sink */
    bool compresses;
};
struct deep_token {
    int32_t frame, token, uses;
};

static int chosen_frames(const struct kv_policy *p)
{
    return kv_whole(p, KV_KEY_budget_frames) - p->sink_frames - kv_whole(p, KV_KEY_recent_frames);
}

/* Frames before the block that are always kept, and whose clean queries count. */
static int recent_before(const struct kv_policy *p)
{
    return kv_whole(p, KV_KEY_recent_frames) - p->frames_per_block;
}

static struct deep_layer *layer_of(const struct kv_state *s, int layer)
{
    return (struct deep_layer *)s->own + layer;
}

static struct deep_token *tokens_of(const struct kv_state *s, int layer)
{
    int64_t const most = chosen_frames(&s->policy) * s->tokens;
    return (struct deep_token *)(void *)((struct deep_layer *)s->own + s->layers) + layer * most;
}

static size_t count_deep_bytes(const struct kv_policy *p, const struct kv_state_shape *shape)
{
    size_t const rows = (size_t)(chosen_frames(p) * shape->tokens);
    return (size_t)shape->layers * (sizeof(struct deep_layer) + rows * sizeof(struct deep_token));
}

static void begin_clip(struct kv_state *s)
{
    for (int i = 0; i < s->layers; i++) layer_of(s, i)->tail = s->policy.sink_frames;
}

static int64_t count_deep_choice(const struct kv_policy *p, int64_t tokens)
{
    return chosen_frames(p) * tokens;
}

static status check_deep_forcing(const struct kv_policy *p)
{
    int const b = p->frames_per_block, recent = kv_whole(p, KV_KEY_recent_frames);
    int const budget = kv_whole(p, KV_KEY_budget_frames), least = p->sink_frames + recent + 1;

    TRY(frames_check_sink(p, 1));
    if (recent < b || recent > 2 * b)
        return fail(ST_ARG, "recent_frames: %d; %d to %d are allowed, the block's own counted",
                    recent, b, 2 * b);
    if (budget < least || budget > p->attention_frames)
        return fail(ST_ARG, "budget_frames: %d; %d to %d are allowed for this sink", budget, least,
                    p->attention_frames);
    return ST_OK;
}

/* ---- the rule ---------------------------------------------------------------------------- */

/* Without a state: the longest past there can be. */
static void list_deep_forcing(const struct kv_policy *p, const struct kv_pass *pass,
                              enum kv_source source, struct kv_window *out)
{
    int const b = p->frames_per_block, sink = p->sink_frames;
    int64_t const begin = pass->first * b;
    struct deep_layer const deepest = { .tail = begin - (p->attention_frames - sink) };
    const struct deep_layer *const l = pass->state ? layer_of(pass->state, pass->layer) : &deepest;

    frames_add(out, KV_CLEAN, b, 0, sink < begin ? sink : begin, l->sink);
    if (l->kept) out->span[out->count++] = (struct kv_span){ .source = KV_KEPT, .rows = l->kept };
    frames_add(out, KV_CLEAN, b, l->tail, begin, l->tail);
    frames_add_own(p, pass, source, 0, out);
}

/* ---- compression ------------------------------------------------------------------------- */

static bool may_be_chosen(const struct kv_state *s, const struct deep_token *t)
{
    int const most = kv_whole(&s->policy, KV_KEY_max_reuse);
    return !most || t->uses < most;
}

/* How much there will be is known before anything is scored. */
static void plan_layer(struct kv_state *s, int layer, int64_t block)
{
    const struct kv_policy *const p = &s->policy;
    struct deep_layer *const l = layer_of(s, layer);
    const struct deep_token *const t = tokens_of(s, layer);
    int64_t const begin = block * p->frames_per_block, n = s->tokens;
    int64_t const rows = p->sink_frames * n + l->kept + (begin - l->tail) * n;
    int64_t may = 0;

    l->compresses = begin > l->tail && rows + p->frames_per_block * n > p->attention_frames * n;
    if (!l->compresses) return;
    for (int64_t i = 0; i < l->kept; i++) may += may_be_chosen(s, &t[i]);
    l->old_kept = l->kept;
    l->old_tail = l->tail;
    l->tail = begin - recent_before(p);
    may += (l->tail - l->old_tail) * n;
    l->kept = may < chosen_frames(p) * n ? may : chosen_frames(p) * n;
    l->sink = begin - p->sink_frames - (l->kept / n + kv_whole(p, KV_KEY_recent_frames));
}

static status plan_block(const struct kv_call *c, int64_t block)
{
    for (int i = 0; i < c->state->layers; i++) plan_layer(c->state, i, block);
    return ST_OK;
}

static bool deep_chooses(const struct kv_state *s, int layer)
{
    return layer_of(s, layer)->compresses;
}

static status note_queries(const struct kv_call *c)
{
    int64_t const rows = recent_before(&c->state->policy) * c->state->tokens;
    struct tensor const q = tensor_slice(c->q, c->q->dim[0] - rows, rows);
    struct tensor sums = c->room.sums;

    TRY(kern_sum_rows(c->ctx, &(struct kern_sum_rows){ .x = &q, .out = &sums }));
    TRY(c->ctx->backend->download(c->ctx, kv_state_note(c->state, c->layer), &sums));
    return c->ctx->backend->sync(c->ctx);
}

static int64_t count_candidates(const struct kv_state *s, const struct deep_layer *l)
{
    return l->old_kept + (l->tail - l->old_tail) * s->tokens;
}

/* Keys, roped, or values of all candidates, to the room's rows. */
static status collect_candidates(const struct kv_call *c, bool keys)
{
    const struct kv_state *const s = c->state;
    const struct deep_layer *const l = layer_of(s, c->layer);
    struct tensor kv[2], to = tensor_slice(&c->room.rows, 0, l->old_kept);
    struct kv_window tail = { .count = 0 };
    int64_t at = l->old_kept;

    kv_cache_kept(c->cache, c->layer, 0, l->old_kept, &kv[0], &kv[1]);
    TRY(kern_copy(c->ctx, &(struct kern_copy){ .in = &kv[!keys], .out = &to }));
    frames_add(&tail, KV_CLEAN, s->policy.frames_per_block, l->old_tail, l->tail, l->old_tail);
    for (int i = 0; i < tail.count; i++) {
        const struct kv_span *const f = &tail.span[i];
        int64_t const rows = f->frames * s->tokens;
        TRY(kv_cache_get(c->cache, f->block, c->layer, &kv[0], &kv[1]));
        struct tensor const from = tensor_slice(&kv[!keys], f->frame * s->tokens, rows);
        to = tensor_slice(&c->room.rows, at, rows);
        if (keys) TRY(c->rope(c->arg, &from, f->position, &to));
        else TRY(kern_copy(c->ctx, &(struct kern_copy){ .in = &from, .out = &to }));
        at += rows;
    }
    return ST_OK;
}

/* Of the keys in the room, into host memory. */
static status score_candidates(const struct kv_call *c, int64_t count, float *score)
{
    const struct kern_backend *const b = c->ctx->backend;
    struct tensor const keys = tensor_slice(&c->room.rows, 0, count);
    struct tensor sums = c->room.sums, out = tensor_slice(&c->room.score, 0, count);
    const float *const note = kv_state_note(c->state, c->layer);
    float *const host = c->room.host + tensor_count(&c->room.score);

    TRY(kern_sum_rows(c->ctx, &(struct kern_sum_rows){ .x = c->q, .out = &sums }));
    TRY(b->download(c->ctx, host, &sums));
    TRY(b->sync(c->ctx));
    for (int64_t i = 0; i < c->state->dim; i++) host[i] += note[i];
    TRY(b->upload(c->ctx, &sums, host));
    TRY(kern_score_keys(
        c->ctx, &(struct kern_score_keys){ .k = &keys, .w = &sums, .out = &out, .scale = 1 }));
    TRY(b->download(c->ctx, score, &out));
    return b->sync(c->ctx);
}

static status choose_tokens(const struct kv_call *c)
{
    struct kv_state *const s = c->state;
    const struct deep_layer *const l = layer_of(s, c->layer);
    const struct deep_token *const t = tokens_of(s, c->layer);
    float *const score = c->room.host;

    TRY(collect_candidates(c, true));
    TRY(score_candidates(c, count_candidates(s, l), score));
    for (int64_t i = 0; i < l->old_kept; i++)
        if (!may_be_chosen(s, &t[i])) score[i] = RANK_NEVER;
    return rank_best(score, count_candidates(s, l), l->kept, kv_state_choice(s, c->layer));
}

/* In place: a row only ever moves to the front. */
static status move_sources(struct kv_state *s, int layer)
{
    const struct deep_layer *const l = layer_of(s, layer);
    struct deep_token *const t = tokens_of(s, layer);
    const int32_t *const choice = kv_state_choice(s, layer);

    TRY(rank_check(choice, l->kept, 0, count_candidates(s, l)));
    for (int64_t i = 0; i < l->kept; i++) {
        int64_t const behind = choice[i] - l->old_kept;
        struct deep_token const fresh = { .frame = (int32_t)(l->old_tail + behind / s->tokens),
                                          .token = (int32_t)(behind % s->tokens) };
        t[i] = behind < 0 ? t[choice[i]] : fresh;
        t[i].uses++;
    }
    return ST_OK;
}

static status keep_chosen(const struct kv_call *c)
{
    struct kv_state *const s = c->state;
    const struct deep_layer *const l = layer_of(s, c->layer);
    struct tensor const from = tensor_slice(&c->room.rows, 0, count_candidates(s, l));
    struct tensor const index = tensor_slice(&c->room.index, 0, l->kept);
    struct tensor to[2];

    TRY(rank_upload(c, kv_state_choice(s, c->layer), l->kept));
    kv_cache_kept(c->cache, c->layer, 0, l->kept, &to[0], &to[1]);
    for (int i = 0; i < COUNT_OF(to); i++) {
        TRY(collect_candidates(c, i == 0));
        TRY(kern_gather_rows(
            c->ctx, &(struct kern_gather_rows){ .x = &from, .index = &index, .out = &to[i] }));
    }
    return ST_OK;
}

static void find_token(const struct kv_state *s, int layer, int64_t row, double *frame,
                       int64_t *token)
{
    const struct deep_token *const t = tokens_of(s, layer) + row;

    *frame = t->frame;
    *token = t->token;
}

const struct kv_policy_ops policy_deep_forcing = {
    .all_heads = kv_all_heads,
    .check = check_deep_forcing,
    .spans = list_deep_forcing,
    .bank = frames_sink_blocks,
    .kept = chosen_frames,
    .state_bytes = count_deep_bytes,
    .reset = begin_clip,
    .choice_count = count_deep_choice,
    .chooses_now = deep_chooses,
    .chooses_from = frames_first_full,
    .enter = plan_block,
    .observe = note_queries,
    .choose = choose_tokens,
    .take = move_sources,
    .settle = keep_chosen,
    .kept_source = find_token,
};
