/* line_stages.c - the steps of a tick that need nobody else, over blocks of this rank, one or
 * several together. */
#include "pipeline/line/line_internal.h"

/* The keys of every pass that a stage of attn_stages takes part in. */
void line_bind_keys(struct line *l)
{
    struct window w;

    for (int i = l->attn_stages.first; i < l->attn_stages.end; i++) {
        if (!line_holds(l, i) || line_first_of_window(l, i) != i) continue;
        struct kv_window *const keys = &l->stage[i].keys;
        if (timeline_window(&l->timeline, l->tick, i, &w))
            kv_window_spans(keys, &l->c.policy, w.first, w.count);
        else kv_clean_spans(keys, &l->c.policy, l->place[i].block);
    }
}

static struct dit_scratch scratch_of(const struct line *l, struct line_span s)
{
    return dit_scratch_rows(&l->scratch, line_scratch_row(l, s.first),
                            (s.end - s.first) * l->tokens);
}

status line_embed(struct line *l, struct line_span run)
{
    struct dit_scratch scratch = scratch_of(l, run);
    struct tensor const in = line_own_rows(l, &l->in, run, l->frames);
    struct tensor x = line_own_rows(l, &l->x, run, l->tokens);

    return dit_embed(l->c.model, l->c.ctx, &scratch, &in, &x);
}

/* Stages whose keys and values lie one behind another: noise stages, or the clean one. */
static status project_span(struct line *l, struct line_span s, int layer)
{
    struct dit_scratch scratch = scratch_of(l, s);
    struct tensor const x = line_own_rows(l, &l->x, s, l->tokens);
    struct dit_angles const at = { .time = line_own_rows(l, &l->at, s, l->frames),
                                   .row = l->row,
                                   .col = l->col };
    struct line_qkv to;

    TRY(l->exchange->project_target(l, s, layer, &to));
    TRY(dit_project(l->c.model, l->c.ctx, &scratch,
                    &(struct dit_project){ .layer = layer,
                                           .level = l->stage[s.first].entry,
                                           .blocks = s.end - s.first,
                                           .x = &x,
                                           .at = &at,
                                           .q = line_ends(l, s.first, layer) ? NULL : &to.q,
                                           .k = &to.k,
                                           .v = &to.v }));
    return l->exchange->projected(l, s, layer);
}

status line_project(struct line *l, struct line_span run, int layer)
{
    struct line_span const noise = line_noise_of(l, run), clean = { l->levels, run.end };

    if (noise.first < noise.end) TRY(project_span(l, noise, layer));
    return clean.first < clean.end ? project_span(l, clean, layer) : ST_OK;
}

status line_finish(struct line *l, struct line_span run, int layer)
{
    const struct cross_kv *context[LINE_STAGES];
    struct dit_scratch scratch = scratch_of(l, run);
    struct tensor x = line_own_rows(l, &l->x, run, l->tokens);

    for (int i = run.first; i < run.end; i++)
        context[i - run.first] = &l->context[l->stage[i].context];
    return dit_finish(l->c.model, l->c.ctx, &scratch,
                      &(struct dit_finish){ .layer = layer,
                                            .level = l->stage[run.first].entry,
                                            .blocks = run.end - run.first,
                                            .context = context,
                                            .x = &x });
}

/* Flow to x0, and with the next level's noise on it to what leaves this stage. */
static status step_stage(struct line *l, int stage)
{
    struct line_span const one = { stage, stage + 1 };
    struct line_stage *const g = &l->stage[stage];
    struct tensor const flow = line_own_rows(l, &l->flow, one, l->frames);
    struct tensor const noise = line_own_rows(l, &l->noise, one, l->frames);
    struct tensor x0 = line_own_rows(l, &l->x0, one, l->frames);

    TRY(kern_axpby(l->c.ctx, &(struct kern_axpby){ .x = &g->in,
                                                   .y = &flow,
                                                   .out = &x0,
                                                   .a = 1.0,
                                                   .b = -(double)l->c.schedule->sigma[g->entry] }));
    if (stage == l->levels - 1)
        return kern_copy(l->c.ctx, &(struct kern_copy){ .in = &x0, .out = &g->out });
    double const sigma = (double)l->c.schedule->sigma[g->entry + 1];
    return kern_axpby(l->c.ctx,
                      &(struct kern_axpby){
                          .x = &x0, .y = &noise, .out = &g->out, .a = 1.0 - sigma, .b = sigma });
}

status line_denoise(struct line *l, struct line_span noise)
{
    struct dit_scratch scratch = scratch_of(l, noise);
    struct tensor const x = line_own_rows(l, &l->x, noise, l->tokens);
    struct tensor flow = line_own_rows(l, &l->flow, noise, l->frames);

    TRY(dit_head(l->c.model, l->c.ctx, &scratch,
                 &(struct dit_head){ .level = l->stage[noise.first].entry,
                                     .blocks = noise.end - noise.first,
                                     .x = &x,
                                     .flow = &flow }));
    for (int i = noise.first; i < noise.end; i++) TRY(step_stage(l, i));
    return ST_OK;
}
