/* line_attend.c - the part of a layer that needs keys of other blocks, before and after they
 * come. */
#include "pipeline/line/line_internal.h"

/* Parts of a pass's keys: before the exchange, or after it what is left. */
enum part { NEAR, FAR };

/* The stage that makes a span's keys in this tick: blocks grow older by one
 * per stage. -1: none, they are from before. */
static int maker_of(const struct line *l, int stage, const struct kv_span *s)
{
    struct place const own = l->place[stage], clean = l->place[l->levels];

    if (s->source == KV_WINDOW) return stage + (int)(own.block - s->block);
    return clean.clip == own.clip && clean.block == s->block ? l->levels : -1;
}

/* Where a span's keys and values of this layer lie, before RoPE. */
static status find_span(struct line *l, int stage, const struct kv_span *s, int layer,
                        struct kern_segment *out)
{
    int64_t const per_frame = l->tokens / l->frames;
    struct tensor k, v;

    if (s->source == KV_CLEAN) TRY(kv_cache_get(&l->cache, s->block, layer, &k, &v));
    else TRY(line_kv(l, maker_of(l, stage, s), layer, &k, &v));
    out->k = tensor_slice(&k, s->frame * per_frame, s->frames * per_frame);
    out->v = tensor_slice(&v, s->frame * per_frame, s->frames * per_frame);
    return ST_OK;
}

static enum part part_of(const struct line *l, int stage, const struct kv_span *s)
{
    int const maker = maker_of(l, stage, s);

    if (stage == l->levels || maker < 0) return NEAR;
    if (l->c.mode.determinism == LINE_STRICT) return maker == stage ? NEAR : FAR;
    return maker >= l->sight.first && maker < l->sight.end ? NEAR : FAR;
}

static const struct kv_window *keys_of(const struct line *l, int stage)
{
    return &l->stage[line_first_of_window(l, stage)].keys;
}

static bool has_far(const struct line *l, int stage)
{
    const struct kv_window *const keys = keys_of(l, stage);

    for (int i = 0; i < keys->count; i++)
        if (part_of(l, stage, &keys->span[i]) == FAR) return true;
    return false;
}

/* Turn span i of a pass, whose first frame is `frame`, to its position: into `segment`,
 * and into l->keys unless it is there. */
static status turn_span(struct line *l, int owner, int i, int64_t frame,
                        struct kern_segment *segment)
{
    const struct line_stage *const g = &l->stage[owner];
    int const frames = g->keys.span[i].frames;
    int64_t const per_frame = l->tokens / l->frames;
    struct tensor const time = tensor_slice(&g->time, frame, frames);
    struct tensor turned = tensor_slice(&l->keys, frame * per_frame, frames * per_frame);

    if (!l->turned[i])
        TRY(kern_rope(l->c.ctx, &(struct kern_rope){ .x = &segment->k,
                                                     .out = &turned,
                                                     .time = &time,
                                                     .row = &l->row,
                                                     .col = &l->col,
                                                     .heads = l->seen.heads }));
    l->turned[i] = true;
    segment->k = turned;
    return ST_OK;
}

/* Of a pass's keys, at their positions. */
static status take_keys(struct line *l, int stage, int layer, enum part which, struct dit_keys *out)
{
    const struct kv_window *const keys = keys_of(l, stage);
    int const owner = line_first_of_window(l, stage);
    int64_t frame = 0;

    if (l->turned_for != owner)
        for (int i = 0; i < KV_SPANS; i++) l->turned[i] = false;
    l->turned_for = owner;
    out->count = 0;
    for (int i = 0; i < keys->count; i++) {
        const struct kv_span *const s = &keys->span[i];
        if (part_of(l, stage, s) == which) {
            struct kern_segment *const segment = &out->segment[out->count++];
            TRY(find_span(l, stage, s, layer, segment));
            TRY(turn_span(l, owner, i, frame, segment));
        }
        frame += s->frames;
    }
    return ST_OK;
}

static struct tensor result_of(const struct line *l, struct line_span s)
{
    if (l->by_heads) return line_attended(l, &l->heads.out, s);
    return tensor_slice(&l->scratch.h, line_scratch_row(l, s.first), (s.end - s.first) * l->tokens);
}

/* Blocks with the same keys: noise stages of a run, or the clean one. */
static status attend(struct line *l, struct line_span s, int layer, enum part which)
{
    int64_t const rows = (s.end - s.first) * l->tokens;
    struct tensor const q = line_attended(l, &l->q, s);
    struct tensor h = result_of(l, s);
    struct dit_attend a = { .q = &q, .out = &h };
    struct attn_partial near, part;
    struct dit_keys keys;

    TRY(take_keys(l, s.first, layer, which, &keys));
    a.keys = &keys;
    if (has_far(l, s.first)) {
        near = attn_partial_rows(&l->near, (s.first - l->sight.first) * l->tokens, rows);
        if (which == NEAR) return dit_attend_part(l->c.model, l->c.ctx, &q, &keys, &near);
        part = attn_partial_rows(&l->part, line_scratch_row(l, s.first), rows);
        a.before = &near;
        a.part = &part;
    }
    return dit_attend(l->c.model, l->c.ctx, &a);
}

struct line_span line_rest(const struct line *l, struct line_span run, int layer)
{
    if (line_ends(l, run.end - 1, layer)) run.end--;
    return run;
}

static bool waits(const struct line *l, struct line_span run)
{
    return run.first < l->levels && has_far(l, run.first);
}

/* By heads the layer goes on where the results of all ranks come together. */
static status finish(struct line *l, struct line_span run, int layer)
{
    return l->by_heads ? ST_OK : line_finish(l, run, layer);
}

/* The clean pass first: it is over before l->keys fills with keys of a window. */
static status attend_near(struct line *l, struct line_span run, int layer)
{
    struct line_span const noise = line_noise_of(l, run), clean = { l->levels, run.end };

    if (clean.first < clean.end) TRY(attend(l, clean, layer, NEAR));
    if (noise.first < noise.end) TRY(attend(l, noise, layer, NEAR));
    return waits(l, run) ? ST_OK : finish(l, run, layer);
}

static status attend_far(struct line *l, struct line_span run, int layer)
{
    TRY(attend(l, line_noise_of(l, run), layer, FAR));
    return finish(l, run, layer);
}

/* Work for other ranks' stages stands at this rank's first. */
static void begin(const struct line *l, struct line_span run, int layer)
{
    int const stage = l->by_heads ? l->first : run.first;
    track_begin(l->c.track, TRACK_COMPUTE, line_at(l, stage, layer));
}

/* Downwards: so the clean pass comes before windows, and the last window here is the
 * first one of line_attend_remote. */
status line_attend_local(struct line *l, int layer)
{
    l->turned_for = -1;
    for (int i = l->attends.count - 1; i >= 0; i--) {
        struct line_span const run = line_rest(l, l->attends.run[i], layer);
        if (run.first == run.end) continue;
        begin(l, run, layer);
        status const st = attend_near(l, run, layer);
        track_end(l->c.track);
        TRY(st);
    }
    return ST_OK;
}

status line_attend_remote(struct line *l, int layer)
{
    for (int i = 0; i < l->attends.count; i++) {
        struct line_span const run = line_rest(l, l->attends.run[i], layer);
        if (run.first == run.end || !waits(l, run)) continue;
        begin(l, run, layer);
        status const st = attend_far(l, run, layer);
        track_end(l->c.track);
        TRY(st);
    }
    return ST_OK;
}
