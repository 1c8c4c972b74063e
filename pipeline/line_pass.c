/* line_pass.c - one tick's forward pass, written once over the blocks on this rank. */
#include "pipeline/line_state.h"
#include "pipeline/rope.h"

#include <stdlib.h>

static bool here(const struct line *l, int stage) { return l->place[stage].clip >= 0; }

/* Find or fill the prompt's keys and values for an own stage. */
static status bind_context(struct line *l, int stage)
{
    struct place const p = l->place[stage];
    int64_t const id = l->io->context_id(l->io->arg, p.clip, p.block);
    bool used[LINE_STAGES] = { false };
    int free_slot = 0;

    for (int i = 0; i < l->contexts; i++)
        if (l->context_id[i] == id) {
            l->stage[stage].context = i;
            return ST_OK;
        }
    /* Stages already bound this tick keep theirs. */
    for (int i = l->first; i < stage; i++)
        if (here(l, i)) used[l->stage[i].context] = true;
    while (used[free_slot]) free_slot++;
    if (free_slot >= l->contexts)
        return fail(ST_ARG, "line: more than %d prompts at once", l->contexts);

    l->context_id[free_slot] = -1;
    TRY(l->io->context(l->io->arg, p.clip, p.block, l->embeds));
    TRY(dit_context_fill(l->c.model, l->c.ctx, &l->context[free_slot], l->embeds));
    l->context_id[free_slot] = id;
    l->stage[stage].context = free_slot;
    return ST_OK;
}

/* The keys of an own stage's pass and the angles of all their frames. */
static status bind_keys(struct line *l, int stage)
{
    struct line_stage *const g = &l->stage[stage];
    const struct key_policy *const policy = &l->c.policy;
    int const pairs = (int)g->time.dim[1];
    struct window w;
    float *const host = malloc(tensor_bytes(&g->time));
    float *to = host;

    if (!host) return fail(ST_NOMEM, "angles of a pass");
    if (timeline_window(l->timeline, l->tick, stage, &w))
        keys_of_window(&g->keys, policy, w.first, w.count);
    else keys_of_clean(&g->keys, policy, l->place[stage].block);
    for (int i = 0, at = 0; i < g->keys.count; i++) {
        const struct key_span *const k = &g->keys.span[i];
        rope_angles(to, pairs, k->position, k->frames);
        to += (int64_t)k->frames * pairs * 2;
        /* The last span of the own block is the block itself, whole. */
        if (k->block == l->place[stage].block)
            g->at = (struct dit_angles){ .time = tensor_slice(&g->time, at, k->frames),
                                         .row = l->row,
                                         .col = l->col };
        at += k->frames;
    }
    struct tensor const filled = tensor_slice(&g->time, 0, (to - host) / (2 * pairs));
    status st = l->c.ctx->backend->upload(l->c.ctx, &filled, host);
    if (st == ST_OK) st = l->c.ctx->backend->sync(l->c.ctx);
    free(host);
    return st;
}

status line_kv(struct line *l, int stage, int layer, struct tensor *k, struct tensor *v)
{
    if (stage == l->levels) return cache_get(&l->cache, l->place[stage].block, layer, k, v);
    *k = l->window_k[stage];
    *v = l->window_v[stage];
    return ST_OK;
}

/* Nobody reads what the last layer of a clean pass makes of its keys. */
static bool ends_here(const struct line *l, int stage, int layer)
{
    return stage == l->levels && layer == dit_shape_of(l->c.model)->layers - 1;
}

static status project(struct line *l, int stage, int layer)
{
    struct line_stage *const g = &l->stage[stage];
    struct tensor k, v;

    TRY(line_kv(l, stage, layer, &k, &v));
    return dit_project(l->c.model, l->c.ctx, &l->scratch,
                       &(struct dit_project){ .layer = layer,
                                              .level = stage,
                                              .x = &g->x,
                                              .at = &g->at,
                                              .q = ends_here(l, stage, layer) ? NULL : &g->q,
                                              .k = &k,
                                              .v = &v });
}

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

/* Turn a pass's keys to their positions, side by side in l->keys. */
static status turn_keys(struct line *l, int stage, int layer, struct kern_segment *segments)
{
    const struct line_stage *const g = &l->stage[stage];
    int64_t const per_frame = l->tokens / l->frames;
    int64_t frame = 0;

    for (int i = 0; i < g->keys.count; i++) {
        const struct key_span *const s = &g->keys.span[i];
        struct tensor const time = tensor_slice(&g->time, frame, s->frames);
        struct tensor turned = tensor_slice(&l->keys, frame * per_frame, s->frames * per_frame);
        TRY(find_span(l, stage, s, layer, &segments[i]));
        TRY(kern_rope(l->c.ctx, &(struct kern_rope){ .x = &segments[i].k,
                                                     .out = &turned,
                                                     .time = &time,
                                                     .row = &l->row,
                                                     .col = &l->col,
                                                     .heads = dit_shape_of(l->c.model)->heads }));
        segments[i].k = turned;
        frame += s->frames;
    }
    return ST_OK;
}

/* Blocks of one window share their keys: noise stages of the same clip. */
static bool same_window(const struct line *l, int a, int b)
{
    return a >= l->first && a < l->levels && b < l->levels && l->place[a].clip == l->place[b].clip;
}

static status attend(struct line *l, int layer)
{
    struct kern_segment segments[KERN_SEGMENTS];

    for (int stage = l->first; stage < l->end; stage++) {
        struct line_stage *const g = &l->stage[stage];
        if (!here(l, stage) || ends_here(l, stage, layer)) continue;
        if (!same_window(l, stage - 1, stage)) TRY(turn_keys(l, stage, layer, segments));
        TRY(dit_attend(l->c.model, l->c.ctx, &l->scratch,
                       &(struct dit_attend){ .layer = layer,
                                             .level = stage,
                                             .q = &g->q,
                                             .segments = segments,
                                             .segment_count = g->keys.count,
                                             .context = &l->context[g->context],
                                             .x = &g->x }));
    }
    return ST_OK;
}

static status show(struct line *l, int stage)
{
    const struct kern_backend *const b = l->c.ctx->backend;
    struct place const p = l->place[stage];

    if (!l->io->tap) return ST_OK;
    TRY(b->download(l->c.ctx, l->host[0], &l->stage[stage].in));
    TRY(b->download(l->c.ctx, l->host[1], &l->flow));
    TRY(b->download(l->c.ctx, l->host[2], &l->x0));
    TRY(b->sync(l->c.ctx));
    return l->io->tap(l->io->arg, p.clip, p.block, stage, l->host[0], l->host[1], l->host[2]);
}

/* Flow to x0, then noise of the next level on it, or out of the line. */
static status step(struct line *l, int stage)
{
    const struct kern_backend *const b = l->c.ctx->backend;
    struct place const p = l->place[stage];
    struct line_stage *const g = &l->stage[stage];

    TRY(dit_head(l->c.model, l->c.ctx, &l->scratch, stage, &g->x, &l->flow));
    TRY(kern_axpby(l->c.ctx, &(struct kern_axpby){ .x = &g->in,
                                                   .y = &l->flow,
                                                   .out = &l->x0,
                                                   .a = 1.0,
                                                   .b = -(double)l->c.schedule->sigma[stage] }));
    TRY(show(l, stage));
    if (stage == l->levels - 1) {
        TRY(b->download(l->c.ctx, l->host[2], &l->x0));
        TRY(b->sync(l->c.ctx));
        TRY(kern_copy(l->c.ctx, &(struct kern_copy){ .in = &l->x0, .out = &g->out }));
        return l->io->finished(l->io->arg, p.clip, p.block, l->host[2]);
    }
    double const sigma = (double)l->c.schedule->sigma[stage + 1];
    TRY(l->io->noise(l->io->arg, p.clip, p.block, stage + 1, l->host[0]));
    TRY(b->upload(l->c.ctx, &l->noise, l->host[0]));
    TRY(b->sync(l->c.ctx));
    return kern_axpby(
        l->c.ctx, &(struct kern_axpby){
                      .x = &l->x0, .y = &l->noise, .out = &g->out, .a = 1.0 - sigma, .b = sigma });
}

status line_pass(struct line *l)
{
    int const layers = dit_shape_of(l->c.model)->layers;

    for (int i = l->first; i < l->end; i++) {
        if (!here(l, i)) continue;
        TRY(bind_context(l, i));
        TRY(bind_keys(l, i));
        TRY(dit_embed(l->c.model, l->c.ctx, &l->scratch, &l->stage[i].in, &l->stage[i].x));
    }
    for (int layer = 0; layer < layers; layer++) {
        for (int i = l->first; i < l->end; i++)
            if (here(l, i)) TRY(project(l, i, layer));
        TRY(line_exchange(l, layer));
        TRY(attend(l, layer));
    }
    for (int i = l->first; i < l->end && i < l->levels; i++)
        if (here(l, i)) TRY(step(l, i));
    return ST_OK;
}
