/*
 * policy_memrope.c - MemRoPE: between the sink and the recent frames two frames of memory, a long
 * one and a short one, that all which leaves is averaged into.
 *
 *   sink | long | short | recent, one behind another up to the block itself
 *
 * Before a block's first pass the frames that then leave are averaged over all their tokens, keys
 * without RoPE and values: one vector m, the same for every place of the picture.
 *   long := a m + (1 - a) long,  short := b m + (1 - b) short
 * adaptive: each place of the picture has a mean of its own, over the frames that leave, and in the
 * short memory a b of its own, from b / 10 up to 5 b where what leaves differs most from it.
 * What leaves first makes both. The two frames whose slots the memories take vanish unseen by
 * them, as in the released code. The state is F32, whatever the run's precision: steps of a
 * hundredth would be lost in bf16.
 */
#include "pipeline/cache/cache_internal.h"

#include <math.h>

enum { LONG, SHORT, MEMORIES };

static int recent_frames(const struct kv_policy *p)
{
    return p->attention_frames - p->sink_frames - MEMORIES - p->frames_per_block;
}

static status check_memrope(const struct kv_policy *p)
{
    int const b = p->frames_per_block, least = p->sink_frames + MEMORIES + 2 * b;

    TRY(frames_check_sink(p, 1));
    if (p->attention_frames >= least) return ST_OK;
    return fail(ST_ARG, "attention frames: %d; %d at least: sink, memories, a block and one before",
                p->attention_frames, least);
}

static bool has_memory(const struct kv_policy *p, int64_t block)
{
    return frames_oldest(p, block) > 0;
}

static void list_memrope(const struct kv_policy *p, const struct kv_pass *pass,
                         enum kv_source source, struct kv_window *out)
{
    int const b = p->frames_per_block, sink = p->sink_frames;
    int64_t const begin = pass->first * b, from = begin - recent_frames(p);

    if (!has_memory(p, pass->first)) {
        frames_add(out, KV_CLEAN, b, 0, begin, 0);
    } else {
        frames_add(out, KV_CLEAN, b, 0, sink, from - MEMORIES - sink);
        out->span[out->count++] =
            (struct kv_span){ .source = KV_KEPT, .frames = MEMORIES, .position = from - MEMORIES };
        frames_add(out, KV_CLEAN, b, from, begin, from);
    }
    frames_add_own(p, pass, source, 0, out);
}

/* The block's worth of frames that leaves lies right before the recent ones. */
static int find_memory_lookback(const struct kv_policy *p, int stage, bool given)
{
    int const b = p->frames_per_block;
    (void)given;
    return (recent_frames(p) + b + b - 1) / b + (stage == p->levels);
}

static int kept_frames(const struct kv_policy *p)
{
    (void)p;
    return MEMORIES;
}

/* The room's two frames of F32; average_add takes the spare one, too. */
static struct tensor mean_frame(const struct kv_call *c)
{
    return tensor_slice(&c->room.wide, c->state->tokens, c->state->tokens);
}

static struct tensor spare_frame(const struct kv_call *c)
{
    return tensor_slice(&c->room.wide, 0, c->state->tokens);
}

/* Keys' or values' mean over all tokens of the frames that leave before `block`, to each row of the
 * room's first frame. */
static status mean_of_leaving(const struct kv_call *c, int layer, int values, int64_t block)
{
    const struct kv_policy *const p = &c->state->policy;
    const struct kern_backend *const b = c->ctx->backend;
    int64_t const end = block * p->frames_per_block - recent_frames(p), n = c->state->tokens;
    struct tensor rows = tensor_slice(&c->room.rows, 0, p->frames_per_block * n);
    struct tensor sums = c->room.sums;
    float *const host = c->room.host + tensor_count(&c->room.score);
    struct kv_window leaving = { .count = 0 };
    int64_t at = 0;

    frames_add(&leaving, KV_CLEAN, p->frames_per_block, end - p->frames_per_block, end, 0);
    for (int i = 0; i < leaving.count; i++) {
        const struct kv_span *const f = &leaving.span[i];
        struct tensor kv[2];
        TRY(kv_cache_get(c->cache, f->block, layer, &kv[0], &kv[1]));
        struct tensor const from = tensor_slice(&kv[values], f->frame * n, f->frames * n);
        struct tensor to = tensor_slice(&rows, at, f->frames * n);
        TRY(kern_copy(c->ctx, &(struct kern_copy){ .in = &from, .out = &to }));
        at += f->frames * n;
    }
    TRY(kern_sum_rows(c->ctx, &(struct kern_sum_rows){ .x = &rows, .out = &sums }));
    TRY(b->download(c->ctx, host, &sums));
    TRY(b->sync(c->ctx));
    for (int64_t i = 0; i < c->state->dim; i++) host[i] /= (float)rows.dim[0];
    TRY(b->upload(c->ctx, &sums, host));
    return b->sync(c->ctx);
}

/* That mean as a frame: every row the same. */
static status spread_mean(const struct kv_call *c)
{
    struct tensor const index = tensor_slice(&c->room.index, 0, c->state->tokens);
    struct tensor const mean = tensor_as(&c->room.sums, DIMS(1, c->state->dim));
    struct tensor zero = index, out = mean_frame(c);

    TRY(kern_zero(c->ctx, &(struct kern_zero){ .out = &zero }));
    return kern_gather_rows(c->ctx,
                            &(struct kern_gather_rows){ .x = &mean, .index = &index, .out = &out });
}

/* ---- adaptive ---------------------------------------------------------------------------- */

static bool is_adaptive(const struct kv_policy *p) { return p->key[KV_KEY_adaptive] != 0; }

/* Of each place: its step b, in F32 on the host. */
static size_t count_memory_bytes(const struct kv_policy *p, const struct kv_state_shape *shape)
{
    return is_adaptive(p) ? (size_t)shape->tokens * sizeof(float) : 0;
}

/* out = x a + y b, a frame's. */
static status blend_frame(const struct kv_call *c, const struct tensor *x, double a,
                          const struct tensor *y, double b, struct tensor *out)
{
    return kern_axpby(c->ctx, &(struct kern_axpby){ .x = x, .y = y, .out = out, .a = a, .b = b });
}

/* Keys' or values' mean over the frames that leave, place by place, to the mean frame. */
static status mean_by_place(const struct kv_call *c, int layer, int values, int64_t block)
{
    const struct kv_policy *const p = &c->state->policy;
    int const b = p->frames_per_block;
    int64_t const end = block * b - recent_frames(p), n = c->state->tokens;
    struct tensor mean = mean_frame(c), spare = spare_frame(c), kv[2];

    TRY(kern_zero(c->ctx, &(struct kern_zero){ .out = &mean }));
    for (int64_t f = end - b; f < end; f++) {
        TRY(kv_cache_get(c->cache, f / b, layer, &kv[0], &kv[1]));
        struct tensor const from = tensor_slice(&kv[values], f % b * n, n);
        TRY(kern_cast(c->ctx, &(struct kern_cast){ .in = &from, .out = &spare }));
        TRY(blend_frame(c, &mean, 1, &spare, 1, &mean));
    }
    return blend_frame(c, &mean, 1.0 / b, &mean, 0, &mean);
}

/* How far the row goes from zero: the mean over heads of its length in each. */
static void measure_row(const struct kv_state *s, void *steps, float *row, int64_t place)
{
    int64_t const columns = s->dim / s->heads;
    double sum = 0;

    for (int h = 0; h < s->heads; h++) {
        double square = 0;
        for (int64_t i = 0; i < columns; i++)
            square += (double)row[h * columns + i] * (double)row[h * columns + i];
        sum += sqrt(square);
    }
    ((float *)steps)[place] = (float)(sum / s->heads);
}

static void scale_row(const struct kv_state *s, void *steps, float *row, int64_t place)
{
    for (int64_t i = 0; i < s->dim; i++) row[i] *= ((const float *)steps)[place];
}

/* From how far each place has moved to its step. */
static void find_steps(const struct kv_state *s)
{
    double const b = s->policy.key[KV_KEY_alpha_short], least = b / 10, most = 5 * b;
    float *const step = s->own;
    float top = 0;

    for (int64_t i = 0; i < s->tokens; i++)
        if (step[i] > top) top = step[i];
    for (int64_t i = 0; i < s->tokens; i++)
        step[i] = (float)(least + (double)step[i] / ((double)top + 1e-8) * (most - least));
}

/* short := short + b (mean - short), b by place: found from keys, and the values take it over. */
static status step_short(const struct kv_call *c, int layer, int values)
{
    struct average a = average_of(c, layer, values, SHORT * c->state->tokens, c->state->tokens);
    struct tensor const mean = mean_frame(c);
    struct tensor spare = spare_frame(c);

    TRY(blend_frame(c, &mean, 1, &a.wide, -1, &spare));
    if (!values) {
        TRY(rows_read(c, &spare, measure_row, c->state->own));
        find_steps(c->state);
    }
    TRY(rows_change(c, &spare, scale_row, c->state->own));
    TRY(blend_frame(c, &a.wide, 1, &spare, 1, &a.wide));
    return kern_cast(c->ctx, &(struct kern_cast){ .in = &a.wide, .out = &a.act });
}

/* Of what leaves before a block, to the mean frame. */
static status find_mean(const struct kv_call *c, int layer, int values, int64_t block)
{
    if (is_adaptive(&c->state->policy)) return mean_by_place(c, layer, values, block);
    TRY(mean_of_leaving(c, layer, values, block));
    return spread_mean(c);
}

static status remember_layer(const struct kv_call *c, int layer, int64_t block)
{
    const struct kv_policy *const p = &c->state->policy;
    double const alpha[MEMORIES] = { p->key[KV_KEY_alpha_long], p->key[KV_KEY_alpha_short] };
    bool const first = !has_memory(p, block - 1);

    for (int values = 0; values < 2; values++) {
        struct tensor const mean = mean_frame(c);
        TRY(find_mean(c, layer, values, block));
        for (int m = 0; m < MEMORIES; m++) {
            struct average a = average_of(c, layer, values, m * c->state->tokens, c->state->tokens);
            if (first) TRY(average_begin(c, &a, &mean));
            else if (m == SHORT && is_adaptive(p)) TRY(step_short(c, layer, values));
            else TRY(average_add(c, &a, &mean, 1 - alpha[m]));
        }
    }
    return ST_OK;
}

static status remember_block(const struct kv_call *c, int64_t block)
{
    if (!has_memory(&c->state->policy, block)) return ST_OK;
    for (int i = 0; i < c->state->layers; i++) TRY(remember_layer(c, i, block));
    return ST_OK;
}

/* -1: long, -2: short. */
static void find_memory(const struct kv_state *s, int layer, int64_t row, double *frame,
                        int64_t *token)
{
    int64_t const memory = row / s->tokens;

    (void)layer;
    *frame = (double)(-1 - memory);
    *token = row % s->tokens;
}

const struct kv_policy_ops policy_memrope = {
    .all_heads = is_adaptive,
    .check = check_memrope,
    .bank = frames_sink_blocks,
    .spans = list_memrope,
    .lookback = find_memory_lookback,
    .kept = kept_frames,
    .wide = true,
    .state_bytes = count_memory_bytes,
    .enter = remember_block,
    .kept_source = find_memory,
};
