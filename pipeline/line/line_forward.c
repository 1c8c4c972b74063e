/*
 * line_forward.c - one tick's forward pass, written once over the blocks on this rank, and what it
 * asks of io and hands to it.
 *
 * A rank that owns all stages runs the same code as one that owns a single one; how ranks share
 * a layer is behind l->exchange. Work goes run by run: strict, a block at a time at the same shapes
 * whoever holds it; batch, neighbours of one clip together.
 */
#include "pipeline/dit/rope.h"
#include "pipeline/line/line_internal.h"

/* Find or fill the prompt's keys and values for an own stage. */
status line_bind_context(struct line *l, int stage, struct place p)
{
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
    TRY(cross_kv_fill(l->c.model, l->c.ctx, &l->context[free_slot], l->embeds));
    l->context_id[free_slot] = id;
    l->stage[stage].context = free_slot;
    return ST_OK;
}

/* The last span of the own block is the block itself, whole. */
static int64_t position_of(const struct line *l, int stage)
{
    const struct kv_window *const keys = &l->stage[line_first_of_window(l, stage)].keys;
    int64_t position = 0;

    for (int i = 0; i < keys->count; i++)
        if (keys->span[i].block == l->place[stage].block) position = keys->span[i].position;
    return position;
}

/* Angles of frames from `position` on, and where the next go; heads apart: of so many from `first`
 * on. */
static float *list_angles(const struct line *l, float *to, int64_t position, int frames, int first,
                          int heads)
{
    const struct kv_policy *const p = &l->c.policy;
    int const pairs = (int)l->angles.dim[1];

    if (!kv_policy_heads_apart(p)) {
        rope_angles(to, pairs, position, frames);
        return to + (int64_t)frames * pairs * 2;
    }
    for (int f = 0; f < frames; f++)
        for (int h = first; h < first + heads; h++, to += (int64_t)pairs * 2)
            rope_angles_of_base(to, pairs, kv_policy_ops(p)->head_base(p, h), position + f, 1);
    return to;
}

/* Of all keys that attention here needs, of the heads here; and of all own blocks, of all heads. */
status line_upload_angles(struct line *l)
{
    int const all = dit_shape_of(l->c.model)->heads, heads = l->attn_shape.heads;
    int const first = heads < all ? l->c.comm->rank * heads : 0;
    bool const apart = kv_policy_heads_apart(&l->c.policy);
    int64_t const numbers = l->angles.dim[1] * 2, reach = l->c.policy.attention_frames;
    int64_t const of_keys = reach * numbers * (apart ? heads : 1);
    int64_t const of_block = l->frames * numbers * (apart ? all : 1);
    float *own = l->host_angles + (l->attn_stages.end - l->attn_stages.first) * of_keys;

    TRY(line_synchronize(l)); /* the last upload has read host_angles */

    for (int i = l->attn_stages.first; i < l->attn_stages.end; i++) {
        const struct kv_window *const keys = &l->stage[i].keys;
        float *to = l->host_angles + (i - l->attn_stages.first) * of_keys;
        if (!line_holds(l, i) || line_first_of_window(l, i) != i) continue;
        for (int k = 0; k < keys->count; k++)
            to = list_angles(l, to, keys->span[k].position, keys->span[k].frames, first, heads);
    }
    for (int i = l->first; i < l->end; i++, own += of_block)
        if (line_holds(l, i)) list_angles(l, own, position_of(l, i), (int)l->frames, 0, all);
    return l->c.ctx->backend->upload(l->c.ctx, &l->angles, l->host_angles);
}

/* The next level's, of all own blocks that get another: made while a device computes. */
static status fetch_noise(struct line *l)
{
    int64_t const count = tensor_count(&l->stage[l->first].in);
    bool any = false;

    for (int i = l->first; i < l->end && i < l->levels - 1; i++) {
        struct place const p = l->place[i];
        if (!line_holds(l, i)) continue;
        TRY(l->io->noise(l->io->arg, p.clip, p.block, l->stage[i].level + 1,
                         l->host_noise + (i - l->first) * count));
        any = true;
    }
    if (!any) return ST_OK;
    TRY(line_synchronize(l)); /* an upload may wait for all that is queued, and knows no deadline */
    return l->c.ctx->backend->upload(l->c.ctx, &l->noise, l->host_noise);
}

static status show_step(struct line *l, int stage)
{
    const struct kern_backend *const b = l->c.ctx->backend;
    struct line_span const one = { stage, stage + 1 };
    struct tensor const flow = line_own_rows(l, &l->flow, one, l->frames);
    struct tensor const x0 = line_own_rows(l, &l->x0, one, l->frames);
    struct place const p = l->place[stage];

    if (!l->io->tap) return ST_OK;
    TRY(b->download(l->c.ctx, l->host[0], &l->stage[stage].in));
    TRY(b->download(l->c.ctx, l->host[1], &flow));
    TRY(b->download(l->c.ctx, l->host[2], &x0));
    TRY(line_synchronize(l));
    return l->io->tap(l->io->arg, p.clip, p.block, l->stage[stage].level, l->host[0], l->host[1],
                      l->host[2]);
}

static status hand_out(struct line *l)
{
    const struct kern_backend *const b = l->c.ctx->backend;
    int const last = l->levels - 1;
    struct place const p = l->place[last];

    if (last < l->first || last >= l->end || !line_holds(l, last)) return ST_OK;
    TRY(b->download(l->c.ctx, l->host[2], &l->stage[last].out));
    TRY(line_synchronize(l));
    kv_state_take_choice(&l->state, p.block, l->host[2] + tensor_count(&l->stage[last].out));
    return l->io->finished(l->io->arg, p.clip, p.block, l->host[2]);
}

/* Of run's work, which stands at its first stage. */
static status end_compute(struct line *l, status st)
{
    track_end(l->c.track);
    return st;
}

static void begin_compute(struct line *l, struct line_span run, int layer)
{
    track_begin(l->c.track, TRACK_COMPUTE, line_at(l, run.first, layer));
}

status line_embed_runs(struct line *l)
{
    for (int i = 0; i < l->own_runs.count; i++) {
        begin_compute(l, l->own_runs.run[i], -1);
        TRY(end_compute(l, line_embed(l, l->own_runs.run[i])));
    }
    return ST_OK;
}

status line_enter(struct line *l)
{
    for (int i = l->first; i < l->end; i++)
        if (line_holds(l, i)) TRY(line_bind_context(l, i, l->place[i]));
    TRY(line_enter_policy(l));
    line_bind_keys(l, 0);
    TRY(line_upload_angles(l));
    return line_embed_runs(l);
}

static status project_runs(struct line *l, int layer)
{
    for (int i = 0; i < l->own_runs.count; i++) {
        begin_compute(l, l->own_runs.run[i], layer);
        TRY(end_compute(l, line_project(l, l->own_runs.run[i], layer)));
    }
    return ST_OK;
}

static void show_keys(const struct line *l, int layer)
{
    for (int i = l->first; i < l->end; i++) {
        struct place const p = l->place[i];
        if (!line_holds(l, i)) continue;
        l->io->attends(l->io->arg,
                       &(struct line_attends){ .clip = p.clip,
                                               .level = l->stage[i].level,
                                               .layer = layer,
                                               .block = p.block,
                                               .position = position_of(l, i),
                                               .keys = &l->stage[line_first_of_window(l, i)].keys,
                                               .state = &l->state });
    }
}

/* Rules alone see the same in all layers. */
static status bind_layer(struct line *l, int layer)
{
    TRY(line_run_policy(l, layer));
    if (l->state.own && line_bind_keys(l, layer)) TRY(line_upload_angles(l));
    if (l->io->attends) show_keys(l, layer);
    return ST_OK;
}

status line_layer_keys(struct line *l, int layer)
{
    TRY(project_runs(l, layer));
    TRY(l->exchange->begin(l, layer));
    return l->exchange->end(l, layer);
}

/* The exchange is over whatever happened meanwhile: peers read this rank's memory. */
status line_layer(struct line *l, int layer)
{
    TRY(project_runs(l, layer));
    TRY(bind_layer(l, layer));
    TRY(l->exchange->begin(l, layer));
    status const local = line_attend_local(l, layer);
    struct error const why = *error_last();
    status const end = l->exchange->end(l, layer);
    if (local != ST_OK) error_adopt(&why);
    TRY(local);
    TRY(end);
    TRY(line_attend_remote(l, layer));
    return l->exchange->finish(l, layer);
}

status line_leave(struct line *l)
{
    TRY(fetch_noise(l));
    for (int i = 0; i < l->own_runs.count; i++) {
        struct line_span const noise = line_noise_of(l, l->own_runs.run[i]);
        if (noise.first >= noise.end) continue;
        begin_compute(l, noise, -1);
        TRY(end_compute(l, line_denoise(l, noise)));
        for (int stage = noise.first; stage < noise.end; stage++) TRY(show_step(l, stage));
    }
    return hand_out(l);
}

status line_forward(struct line *l)
{
    int const layers = dit_shape_of(l->c.model)->layers;

    TRY(line_enter(l));
    for (int layer = 0; layer < layers; layer++) TRY(line_layer(l, layer));
    return line_leave(l);
}
