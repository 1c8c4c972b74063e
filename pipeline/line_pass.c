/* line_pass.c - one tick's forward pass, written once over the blocks on this rank. */
#include "pipeline/line_state.h"
#include "pipeline/rope.h"

#include <stdlib.h>

bool line_holds(const struct line *l, int stage) { return l->place[stage].clip >= 0; }

struct track_at line_at(const struct line *l, int stage, int layer)
{
    struct place const p = l->place[stage];
    int const clip = p.clip < 0 || !l->io->number ? p.clip : l->io->number(l->io->arg, p.clip);
    return (struct track_at){ .clip = clip, .stage = stage, .layer = layer, .block = p.block };
}

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
        if (line_holds(l, i)) used[l->stage[i].context] = true;
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

bool line_ends(const struct line *l, int stage, int layer)
{
    return stage == l->levels && layer == dit_shape_of(l->c.model)->layers - 1;
}

static status project(struct line *l, int stage, int layer)
{
    struct line_stage *const g = &l->stage[stage];
    struct tensor k, v;

    TRY(line_kv(l, stage, layer, &k, &v));
    track_begin(l->c.track, TRACK_COMPUTE, line_at(l, stage, layer));
    status const st =
        dit_project(l->c.model, l->c.ctx, &l->scratch,
                    &(struct dit_project){ .layer = layer,
                                           .level = stage,
                                           .x = &g->x,
                                           .at = &g->at,
                                           .q = line_ends(l, stage, layer) ? NULL : &g->q,
                                           .k = &k,
                                           .v = &v });
    track_end(l->c.track);
    return st;
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

/* Flow to x0, and with the next level's noise on it to what leaves this stage. */
static status denoise(struct line *l, int stage)
{
    struct line_stage *const g = &l->stage[stage];

    TRY(dit_head(l->c.model, l->c.ctx, &l->scratch, stage, &g->x, &l->flow));
    TRY(kern_axpby(l->c.ctx, &(struct kern_axpby){ .x = &g->in,
                                                   .y = &l->flow,
                                                   .out = &l->x0,
                                                   .a = 1.0,
                                                   .b = -(double)l->c.schedule->sigma[stage] }));
    if (stage == l->levels - 1)
        return kern_copy(l->c.ctx, &(struct kern_copy){ .in = &l->x0, .out = &g->out });
    double const sigma = (double)l->c.schedule->sigma[stage + 1];
    return kern_axpby(
        l->c.ctx, &(struct kern_axpby){
                      .x = &l->x0, .y = &l->noise, .out = &g->out, .a = 1.0 - sigma, .b = sigma });
}

static status fetch_noise(struct line *l, int stage)
{
    const struct kern_backend *const b = l->c.ctx->backend;
    struct place const p = l->place[stage];

    TRY(l->io->noise(l->io->arg, p.clip, p.block, stage + 1, l->host[0]));
    TRY(b->upload(l->c.ctx, &l->noise, l->host[0]));
    return b->sync(l->c.ctx);
}

static status hand_out(struct line *l, int stage)
{
    const struct kern_backend *const b = l->c.ctx->backend;
    struct place const p = l->place[stage];

    TRY(b->download(l->c.ctx, l->host[2], &l->x0));
    TRY(b->sync(l->c.ctx));
    return l->io->finished(l->io->arg, p.clip, p.block, l->host[2]);
}

static status step(struct line *l, int stage)
{
    bool const last = stage == l->levels - 1;

    if (!last) TRY(fetch_noise(l, stage));
    track_begin(l->c.track, TRACK_COMPUTE, line_at(l, stage, -1));
    status const st = denoise(l, stage);
    track_end(l->c.track);
    TRY(st);
    TRY(show(l, stage));
    return last ? hand_out(l, stage) : ST_OK;
}

static status enter_layers(struct line *l, int stage)
{
    struct line_stage *const g = &l->stage[stage];

    TRY(bind_context(l, stage));
    TRY(bind_keys(l, stage));
    track_begin(l->c.track, TRACK_COMPUTE, line_at(l, stage, -1));
    status const st = dit_embed(l->c.model, l->c.ctx, &l->scratch, &g->in, &g->x);
    track_end(l->c.track);
    return st;
}

/* The exchange is over whatever happened meanwhile: peers read this rank's memory. */
static status attend(struct line *l, int layer)
{
    TRY(line_exchange_begin(l, layer));
    status const near = line_attend_near(l, layer);
    struct error const why = *error_last();
    status const end = line_exchange_end(l, layer);
    if (near != ST_OK) error_adopt(&why);
    TRY(near);
    TRY(end);
    return line_attend_far(l, layer);
}

status line_pass(struct line *l)
{
    int const layers = dit_shape_of(l->c.model)->layers;

    for (int i = l->first; i < l->end; i++)
        if (line_holds(l, i)) TRY(enter_layers(l, i));
    for (int layer = 0; layer < layers; layer++) {
        for (int i = l->first; i < l->end; i++)
            if (line_holds(l, i)) TRY(project(l, i, layer));
        TRY(attend(l, layer));
    }
    for (int i = l->first; i < l->end && i < l->levels; i++)
        if (line_holds(l, i)) TRY(step(l, i));
    return ST_OK;
}
