/* line_stages.c - the steps of a tick that need nobody else, over blocks of this rank, one or
 * several together. */
#include "pipeline/line/line_internal.h"

static bool same_span(const struct kv_span *a, const struct kv_span *b)
{
    return a->source == b->source && a->block == b->block && a->frame == b->frame &&
           a->frames == b->frames && a->position == b->position && a->rows == b->rows &&
           a->some_heads == b->some_heads;
}

static bool same_keys(const struct kv_window *a, const struct kv_window *b)
{
    if (a->count != b->count) return false;
    for (int i = 0; i < a->count; i++)
        if (!same_span(&a->span[i], &b->span[i])) return false;
    return true;
}

static void list_pass(const struct line *l, int stage, int layer, struct kv_window *out)
{
    struct kv_pass pass = { .count = 1, .layer = layer, .state = &l->state };
    struct place const here = l->place[stage];
    struct window w;

    pass.first = here.block;
    pass.sink_block = l->cache.bank_first;
    pass.cut = l->io->cut && l->io->cut(l->io->arg, here.clip, here.block);
    if (!timeline_window(&l->timeline, l->tick, stage, &w)) {
        kv_clean_spans(out, &l->c.policy, &pass);
        return;
    }
    pass.first = w.first;
    pass.count = w.count;
    kv_window_spans(out, &l->c.policy, &pass);
}

/* The keys of every pass that a stage of attn_stages takes part in. */
bool line_bind_keys(struct line *l, int layer)
{
    bool changed = false;

    for (int i = l->attn_stages.first; i < l->attn_stages.end; i++) {
        struct kv_window keys;
        if (!line_holds(l, i) || line_first_of_window(l, i) != i) continue;
        list_pass(l, i, layer, &keys);
        changed |= !same_keys(&keys, &l->stage[i].keys);
        l->stage[i].keys = keys;
    }
    return changed;
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

/* Where a layer ends with its keys and values nobody asks, but for a policy that takes notes. */
static bool no_queries(const struct line *l, int stage, int layer)
{
    return line_ends(l, stage, layer) && !l->state.note;
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
                                           .q = no_queries(l, s.first, layer) ? NULL : &to.q,
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
