/* line_attend.c - the part of a layer that needs keys of other blocks, before and after they come. */
#include "pipeline/line_state.h"

/* Where a span's keys and values of this layer lie, before RoPE. */
static status find_span(struct line *l, int stage, const struct key_span *s, int layer,
                        struct kern_segment *out)
{
    int64_t const per_frame = l->tokens / l->frames;
    struct tensor k, v;

    if (s->source == KEY_CLEAN) TRY(cache_get(&l->cache, s->block, layer, &k, &v));
    else /* blocks grow older by one per stage */
        TRY(line_kv(l, stage + (int)(l->place[stage].block - s->block), layer, &k, &v));
    out->k = tensor_slice(&k, s->frame * per_frame, s->frames * per_frame);
    out->v = tensor_slice(&v, s->frame * per_frame, s->frames * per_frame);
    return ST_OK;
}

static bool is_far(const struct line *l, int stage, const struct key_span *s)
{
    struct place const own = l->place[stage], clean = l->place[l->levels];

    if (stage == l->levels) return false;
    if (s->source == KEY_WINDOW) return s->block != own.block;
    return clean.clip == own.clip && clean.block == s->block;
}

static bool has_far(const struct line *l, int stage)
{
    const struct key_list *const keys = &l->stage[stage].keys;

    for (int i = 0; i < keys->count; i++)
        if (is_far(l, stage, &keys->span[i])) return true;
    return false;
}

/* Blocks of one window share their keys: noise stages of the same clip. */
static int first_of_window(const struct line *l, int stage)
{
    if (stage == l->levels) return stage;
    while (stage > l->first && l->place[stage - 1].clip == l->place[stage].clip) stage--;
    return stage;
}

/* Turn span i of a pass, whose first frame is `frame`, to its position: into `segment`,
 * and into l->keys unless it is there. */
static status turn_span(struct line *l, int stage, int i, int64_t frame,
                        struct kern_segment *segment)
{
    const struct line_stage *const g = &l->stage[stage];
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
                                                     .heads = dit_shape_of(l->c.model)->heads }));
    l->turned[i] = true;
    segment->k = turned;
    return ST_OK;
}

/* One part of a pass's keys, at their positions. */
static status take_keys(struct line *l, int stage, int layer, bool far, struct dit_keys *out)
{
    const struct key_list *const keys = &l->stage[stage].keys;
    int const owner = first_of_window(l, stage);
    int64_t frame = 0;

    if (l->turned_for != owner)
        for (int i = 0; i < KEY_SPANS; i++) l->turned[i] = false;
    l->turned_for = owner;
    out->count = 0;
    for (int i = 0; i < keys->count; i++) {
        const struct key_span *const s = &keys->span[i];
        if (is_far(l, stage, s) == far) {
            struct kern_segment *const segment = &out->segment[out->count++];
            TRY(find_span(l, stage, s, layer, segment));
            TRY(turn_span(l, stage, i, frame, segment));
        }
        frame += s->frames;
    }
    return ST_OK;
}

static status finish_layer(struct line *l, int stage, int layer, const struct dit_keys *keys,
                           const struct dit_part *before)
{
    struct line_stage *const g = &l->stage[stage];

    return dit_attend(l->c.model, l->c.ctx, &l->scratch,
                      &(struct dit_attend){ .layer = layer,
                                            .level = stage,
                                            .q = &g->q,
                                            .keys = keys,
                                            .before = before,
                                            .context = &l->context[g->context],
                                            .x = &g->x });
}

static status attend_near(struct line *l, int stage, int layer)
{
    struct line_stage *const g = &l->stage[stage];
    struct dit_keys keys;

    TRY(take_keys(l, stage, layer, false, &keys));
    if (!has_far(l, stage)) return finish_layer(l, stage, layer, &keys, NULL);
    return dit_attend_part(l->c.model, l->c.ctx, &g->q, &keys, &g->near);
}

static status attend_far(struct line *l, int stage, int layer)
{
    struct dit_keys keys;

    TRY(take_keys(l, stage, layer, true, &keys));
    return finish_layer(l, stage, layer, &keys, &l->stage[stage].near);
}

/* Downwards: so the clean pass is over before l->keys fills with keys of a window, and
 * the last window here is the first one of line_attend_far. */
status line_attend_near(struct line *l, int layer)
{
    l->turned_for = -1;
    for (int stage = l->end - 1; stage >= l->first; stage--) {
        if (!line_holds(l, stage) || line_ends(l, stage, layer)) continue;
        track_begin(l->c.track, TRACK_COMPUTE, line_at(l, stage, layer));
        status const st = attend_near(l, stage, layer);
        track_end(l->c.track);
        TRY(st);
    }
    return ST_OK;
}

status line_attend_far(struct line *l, int layer)
{
    for (int stage = l->first; stage < l->end; stage++) {
        if (!line_holds(l, stage) || !has_far(l, stage)) continue;
        track_begin(l->c.track, TRACK_COMPUTE, line_at(l, stage, layer));
        status const st = attend_far(l, stage, layer);
        track_end(l->c.track);
        TRY(st);
    }
    return ST_OK;
}
