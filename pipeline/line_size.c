/* line_size.c - what the operations take and have made for them, by ticks that compute
 * nothing. */
#include "kernels/kern_dry.h"
#include "pipeline/line_state.h"

#include <stdlib.h>

/* Clips of every length up to one that every stage sees all the keys of that it ever will:
 * whatever can stand on a rank, side by side and behind one another, does. */
static status make_clips(struct timeline *t, const struct key_policy *p)
{
    int const most = 2 * p->levels + p->attention_frames;
    int64_t *const blocks = calloc((size_t)most, sizeof *blocks);

    if (!blocks) return fail(ST_NOMEM, "line: %d clips", most);
    for (int i = 0; i < most; i++) blocks[i] = i + 1;
    status const st = timeline_make(t, p, blocks, most);
    free(blocks);
    return st;
}

static status run_layer(struct line *l, int layer)
{
    for (int i = 0; i < l->own.count; i++) TRY(line_project(l, l->own.run[i], layer));
    TRY(line_wire_take(l, layer));
    TRY(line_attend_near(l, layer));
    TRY(line_attend_far(l, layer));
    for (int i = 0; i < l->own.count && l->by_heads; i++) {
        struct line_span const run = line_rest(l, l->own.run[i], layer);
        if (run.first == run.end) continue;
        TRY(line_heads_unite(l, run));
        TRY(line_finish(l, run, layer));
    }
    return ST_OK;
}

/* The first layer leaves nothing out; all others are like it but the last. */
static status run_tick(struct line *l)
{
    line_place(l);
    line_bind_keys(l);
    for (int i = 0; i < l->own.count; i++) TRY(line_embed(l, l->own.run[i]));
    TRY(run_layer(l, 0));
    TRY(run_layer(l, dit_shape_of(l->c.model)->layers - 1));
    for (int i = 0; i < l->own.count; i++) {
        struct line_span const noise = line_noise_of(l, l->own.run[i]);
        if (noise.first < noise.end) TRY(line_denoise(l, noise));
    }
    return ST_OK;
}

static status run_prompt(struct line *l)
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    float *const embeds = calloc((size_t)s->text_len * (size_t)s->text_dim, sizeof *embeds);

    if (!embeds) return fail(ST_NOMEM, "line: prompt embeddings");
    status const st = dit_context_fill(l->c.model, l->c.ctx, &l->context[0], embeds);
    free(embeds);
    return st;
}

static status run_ticks(struct line *l, const struct timeline *t)
{
    static const struct line_io none;

    line_begin(l, t, &none);
    for (; l->tick < timeline_ticks(t); l->tick++) TRY(run_tick(l));
    return run_prompt(l);
}

/* A dry run of all there can be. */
static status run(struct line *l, struct kern_dry *dry)
{
    struct kern_ctx *const ctx = l->c.ctx;
    struct track *const track = l->c.track;
    struct timeline t = { 0 };

    TRY(make_clips(&t, &l->c.policy));
    l->c.ctx = &dry->base;
    l->c.track = NULL;
    status const st = run_ticks(l, &t);
    l->c.ctx = ctx;
    l->c.track = track;
    timeline_free(&t);
    return st;
}

status line_size(size_t *out, struct line *l)
{
    struct kern_dry dry;

    *out = 0;
    if (!l->c.ctx->backend->scratch_bytes) return ST_OK;
    kern_dry_init(&dry, l->c.ctx->backend);
    TRY(run(l, &dry));
    *out = dry.most;
    return ST_OK;
}

status line_prepare(struct line *l)
{
    struct kern_dry dry;

    if (!l->c.ctx->backend->prepare) return ST_OK;
    kern_dry_init(&dry, l->c.ctx->backend);
    TRY(run(l, &dry));
    kern_dry_prepare(&dry, l->c.ctx);
    TRY(run(l, &dry));
    return l->c.ctx->backend->sync(l->c.ctx);
}
