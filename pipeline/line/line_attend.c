/*
 * line_attend.c - attention of a layer, before and after the keys of other ranks come.
 *
 * A noise stage's keys are cut into two sets, and the two results merged by their log-sum-exps:
 *   local   this rank has them without this layer's exchange
 *   remote  the rest; they come while attention over the local ones runs
 * The clean stage needs nobody: all its keys are local. Keys for some heads of a layer alone are a
 * set apart, and local too (line_some_heads.c).
 *
 * Why a clip is the same to the bit for any number of ranks in strict mode: floating-point sums
 * depend on how they are cut, so the cut must not depend on where ranks are. Strict therefore does
 * not ask what this rank has, but what every rank that holds the stage has whatever the split: the
 * block itself, made there, and clean blocks of earlier ticks, in every such rank's cache. Remote
 * are the block in the clean stage now, made elsewhere or not, and all other blocks of the
 * window. One rank that owns them all makes the same two calls at the same shapes and the same
 * merge. Batch asks what is here, and cuts only where keys really come.
 *
 * What must hold: local keys are complete before the exchange begins (admitted to the cache by an
 * earlier tick, or projected in this layer); a pass's roped keys are made once for the runs that
 * share them, and the remote spans are roped behind the exchange, never before.
 */
#include "pipeline/line/line_internal.h"

enum key_locality { LOCAL, REMOTE, SOME_HEADS };

/* The stage that makes a span's keys in this tick: blocks grow older by one
 * per stage. -1: none, they are from before. */
static int maker_of(const struct line *l, int stage, const struct kv_span *s)
{
    struct place const own = l->place[stage], clean = l->place[l->levels];

    if (s->source == KV_KEPT) return -1;
    if (s->source == KV_WINDOW) return stage + (int)(own.block - s->block);
    return clean.clip == own.clip && clean.block == s->block ? l->levels : -1;
}

/* Where a span's keys and values of this layer lie, before RoPE. */
static status find_span(struct line *l, int stage, const struct kv_span *s, int layer,
                        struct kern_segment *out)
{
    int64_t const per_frame = l->tokens / l->frames;
    struct tensor k, v;

    if (s->source == KV_KEPT) {
        int64_t const rows = s->rows ? s->rows : s->frames * per_frame;
        kv_cache_kept(&l->cache, layer, s->frame * per_frame, rows, &out->k, &out->v);
        return ST_OK;
    }
    if (s->source == KV_CLEAN) TRY(kv_cache_get(&l->cache, s->block, layer, &k, &v));
    else TRY(line_kv(l, maker_of(l, stage, s), layer, &k, &v));
    out->k = tensor_slice(&k, s->frame * per_frame, s->frames * per_frame);
    out->v = tensor_slice(&v, s->frame * per_frame, s->frames * per_frame);
    return ST_OK;
}

static enum key_locality locality_of(const struct line *l, int stage, const struct kv_span *s)
{
    int const maker = maker_of(l, stage, s);

    if (s->some_heads) return SOME_HEADS;
    if (stage == l->levels || maker < 0) return LOCAL;
    if (l->c.mode.determinism == LINE_STRICT) return maker == stage ? LOCAL : REMOTE;
    return maker >= l->attn_stages.first && maker < l->attn_stages.end ? LOCAL : REMOTE;
}

static const struct kv_window *keys_of(const struct line *l, int stage)
{
    return &l->stage[line_first_of_window(l, stage)].keys;
}

static bool has_keys(const struct line *l, int stage, enum key_locality which)
{
    const struct kv_window *const keys = keys_of(l, stage);

    for (int i = 0; i < keys->count; i++)
        if (locality_of(l, stage, &keys->span[i]) == which) return true;
    return false;
}

/* Rope span i of a pass, whose first frame is `frame`, at its position: into `segment`,
 * and into l->keys unless it is there. */
static status rope_span(struct line *l, int owner, int i, int64_t frame,
                        struct kern_segment *segment)
{
    const struct line_stage *const g = &l->stage[owner];
    int const frames = g->keys.span[i].frames;
    int64_t const per_frame = l->tokens / l->frames;
    struct tensor const time = tensor_slice(&g->time, frame, frames);
    struct tensor roped = tensor_slice(&l->keys, frame * per_frame, frames * per_frame);

    if (!l->roped[i])
        TRY(kern_rope(l->c.ctx, &(struct kern_rope){ .x = &segment->k,
                                                     .out = &roped,
                                                     .time = &time,
                                                     .row = &l->row,
                                                     .col = &l->col,
                                                     .heads = l->attn_shape.heads }));
    l->roped[i] = true;
    segment->k = roped;
    return ST_OK;
}

/* Of a pass's keys those, at their positions. */
static status list_keys(struct line *l, int stage, int layer, enum key_locality which,
                        struct dit_keys *out)
{
    const struct kv_window *const keys = keys_of(l, stage);
    int const owner = line_first_of_window(l, stage);
    int64_t frame = 0;

    if (l->roped_for != owner)
        for (int i = 0; i < KV_SPANS; i++) l->roped[i] = false;
    l->roped_for = owner;
    out->count = 0;
    for (int i = 0; i < keys->count; i++) {
        const struct kv_span *const s = &keys->span[i];
        if (locality_of(l, stage, s) == which) {
            struct kern_segment *const segment = &out->segment[out->count++];
            TRY(find_span(l, stage, s, layer, segment));
            if (!s->rows) TRY(rope_span(l, owner, i, frame, segment));
        }
        frame += s->frames;
    }
    return ST_OK;
}

/* Blocks with the same keys: noise stages of a run, or the clean one. */
static status attend_span(struct line *l, struct line_span s, int layer, enum key_locality which)
{
    int64_t const rows = (s.end - s.first) * l->tokens;
    struct tensor const q = line_attn_rows(l, &l->q, s);
    struct tensor h = l->exchange->attn_target(l, s);
    struct dit_attend a = { .q = &q, .out = &h };
    struct attn_partial local, remote;
    struct dit_keys keys, theirs;

    TRY(list_keys(l, s.first, layer, which, &keys));
    a.keys = &keys;
    if (has_keys(l, s.first, REMOTE)) {
        local = attn_partial_rows(&l->local, (s.first - l->attn_stages.first) * l->tokens, rows);
        if (which == LOCAL) return dit_attend_part(l->c.model, l->c.ctx, &q, &keys, &local);
        remote = attn_partial_rows(&l->remote, line_scratch_row(l, s.first), rows);
        a.before = &local;
        a.part = &remote;
    }
    if (has_keys(l, s.first, SOME_HEADS)) {
        TRY(list_keys(l, s.first, layer, SOME_HEADS, &theirs));
        return line_attend_some_heads(l, layer, &q, &keys, &theirs, &h);
    }
    return dit_attend(l->c.model, l->c.ctx, &a);
}

static bool waits_for_remote(const struct line *l, struct line_span run)
{
    return run.first < l->levels && has_keys(l, run.first, REMOTE);
}

/* The clean pass first: it is over before l->keys fills with keys of a window. */
static status attend_run_local(struct line *l, struct line_span run, int layer)
{
    struct line_span const noise = line_noise_of(l, run), clean = { l->levels, run.end };

    if (clean.first < clean.end) TRY(attend_span(l, clean, layer, LOCAL));
    if (noise.first < noise.end) TRY(attend_span(l, noise, layer, LOCAL));
    return waits_for_remote(l, run) ? ST_OK : l->exchange->attended(l, run, layer);
}

static status attend_run_remote(struct line *l, struct line_span run, int layer)
{
    TRY(attend_span(l, line_noise_of(l, run), layer, REMOTE));
    return l->exchange->attended(l, run, layer);
}

/* Work for other ranks' stages is shown at this rank's first. */
static void begin_attention(const struct line *l, struct line_span run, int layer)
{
    int const stage = l->exchange->all_stages ? l->first : run.first;
    track_begin(l->c.track, TRACK_COMPUTE, line_at(l, stage, layer));
}

/* Downwards: so the clean pass comes before windows, and the last window here is the
 * first one of line_attend_remote. */
status line_attend_local(struct line *l, int layer)
{
    l->roped_for = -1;
    for (int i = l->attn_runs.count - 1; i >= 0; i--) {
        struct line_span const run = line_rest(l, l->attn_runs.run[i], layer);
        if (run.first == run.end) continue;
        begin_attention(l, run, layer);
        status const st = attend_run_local(l, run, layer);
        track_end(l->c.track);
        TRY(st);
    }
    return ST_OK;
}

status line_attend_remote(struct line *l, int layer)
{
    for (int i = 0; i < l->attn_runs.count; i++) {
        struct line_span const run = line_rest(l, l->attn_runs.run[i], layer);
        if (run.first == run.end || !waits_for_remote(l, run)) continue;
        begin_attention(l, run, layer);
        status const st = attend_run_remote(l, run, layer);
        track_end(l->c.track);
        TRY(st);
    }
    return ST_OK;
}
