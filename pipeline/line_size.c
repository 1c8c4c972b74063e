/* line_size.c - scratch of the operations, by running ticks that compute nothing. */
#include "kernels/kern_size.h"
#include "pipeline/line_state.h"

#include <stdlib.h>

/* A clip long enough for every stage to see all the keys it ever will, and clips of every
 * length up to the line's: whatever can stand on a rank side by side does. */
static status make_clips(struct timeline *t, const struct key_policy *p)
{
    int64_t blocks[LINE_STAGES + 2] = { 2 * p->levels + p->attention_frames };

    for (int i = 1; i <= p->levels + 1; i++) blocks[i] = i;
    return timeline_make(t, p, blocks, p->levels + 2);
}

/* All layers are alike, and the first leaves nothing out. */
static status run_tick(struct line *l)
{
    line_place(l);
    line_bind_keys(l);
    for (int i = 0; i < l->runs; i++) {
        TRY(line_embed(l, l->run[i]));
        TRY(line_project(l, l->run[i], 0));
    }
    TRY(line_attend_near(l, 0));
    TRY(line_attend_far(l, 0));
    for (int i = 0; i < l->runs; i++) {
        struct line_span const noise = line_noise_of(l, l->run[i]);
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

status line_size(size_t *out, struct line *l)
{
    static const struct line_io none;
    struct kern_ctx *const ctx = l->c.ctx;
    struct track *const track = l->c.track;
    struct timeline t = { 0 };
    struct kern_size size;
    status st = ST_OK;

    *out = 0;
    if (!ctx->backend->scratch_bytes) return ST_OK;
    kern_size_init(&size, ctx->backend);
    l->c.ctx = &size.base;
    l->c.track = NULL;
    TRY_OUT(make_clips(&t, &l->c.policy));
    line_begin(l, &t, &none);
    for (; l->tick < timeline_ticks(&t); l->tick++) TRY_OUT(run_tick(l));
    TRY_OUT(run_prompt(l));
    *out = size.most;
out:
    l->c.ctx = ctx;
    l->c.track = track;
    timeline_free(&t);
    return st;
}
