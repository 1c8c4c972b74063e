/* line.c - a rank's part of the line: its memory, and tick after tick. */
#include "pipeline/line_state.h"
#include "pipeline/rope.h"

#include <stdlib.h>

static const char *const arena_names[LINE_ARENAS] = {
    [LINE_CACHE] = "cache",
    [LINE_CONTEXT] = "context",
    [LINE_SCRATCH] = "scratch",
    [LINE_WIRE] = "wire",
};

static status layout_stages(struct line *l, struct arena *scratch, struct arena *wire)
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    enum dtype const act = dit_act(l->c.model);
    int const pairs = rope_split_of(s->dim / s->heads).time;

    for (int i = l->first; i < l->end; i++) {
        struct line_stage *const g = &l->stage[i];
        TRY(tensor_place(&g->in, wire, DT_F32,
                         DIMS(l->frames, s->channels, l->c.latent_h, l->c.latent_w)));
        TRY(tensor_place(&g->out, wire, DT_F32,
                         DIMS(l->frames, s->channels, l->c.latent_h, l->c.latent_w)));
        TRY(tensor_place(&g->x, scratch, DT_F32, DIMS(l->tokens, s->dim)));
        TRY(tensor_place(&g->q, scratch, act, DIMS(l->tokens, s->dim)));
        TRY(tensor_place(&g->time, scratch, DT_F32, DIMS(l->c.policy.attention_frames, pairs, 2)));
    }
    if (l->first >= l->levels) return ST_OK; /* no noise stage, nobody reads the window's keys */
    for (int i = 0; i < l->levels; i++) {
        TRY(tensor_place(&l->window_k[i], wire, act, DIMS(l->tokens, s->dim)));
        TRY(tensor_place(&l->window_v[i], wire, act, DIMS(l->tokens, s->dim)));
    }
    return ST_OK;
}

/* Block by block the line holds one block at a time: all keys are near, and never cut. */
static status layout_parts(struct line *l, struct arena *a)
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);

    if (l->c.policy.kind == WINDOW_BLOCK || l->first >= l->levels) return ST_OK;
    for (int i = l->first; i < l->end && i < l->levels; i++)
        TRY(dit_part_place(&l->stage[i].near, s, l->tokens, a));
    return dit_part_place(&l->scratch.part, s, l->tokens, a);
}

static status layout_scratch(struct line *l, struct arena *a)
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    int const pairs = rope_split_of(s->dim / s->heads).row;
    int64_t const per_frame = l->tokens / l->frames;
    struct tensor *const latents[] = { &l->noise, &l->flow, &l->x0 };

    TRY(dit_scratch_place(&l->scratch, s, dit_act(l->c.model), l->tokens, a));
    TRY(tensor_place(&l->keys, a, dit_act(l->c.model),
                     DIMS(l->c.policy.attention_frames * per_frame, s->dim)));
    TRY(tensor_place(&l->row, a, DT_F32, DIMS(l->c.latent_h / 2, pairs, 2)));
    TRY(tensor_place(&l->col, a, DT_F32, DIMS(l->c.latent_w / 2, pairs, 2)));
    for (int i = 0; i < COUNT_OF(latents); i++)
        TRY(tensor_place(latents[i], a, DT_F32,
                         DIMS(l->frames, s->channels, l->c.latent_h, l->c.latent_w)));
    return ST_OK;
}

/* Run twice: over measuring arenas, then over real ones. */
static status layout(struct line *l, struct arena a[LINE_ARENAS])
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    struct cache_shape const cache = {
        .layers = s->layers,
        .lookback = keys_lookback(&l->c.policy, l->first, l->end),
        .tokens = l->tokens,
        .dim = s->dim,
        .act = dit_act(l->c.model),
    };

    TRY(cache_place(&l->cache, &cache, &a[LINE_CACHE]));
    for (int i = 0; i < l->contexts; i++)
        TRY(dit_context_place(&l->context[i], s, cache.act, &a[LINE_CONTEXT]));
    TRY(layout_scratch(l, &a[LINE_SCRATCH]));
    TRY(layout_parts(l, &a[LINE_SCRATCH]));
    return layout_stages(l, &a[LINE_SCRATCH], &a[LINE_WIRE]);
}

static status prepare(struct line *l, const struct line_config *c)
{
    *l = (struct line){
        .c = *c,
        .levels = c->schedule->levels,
        .first = c->split.first[c->comm->rank],
        .end = c->split.first[c->comm->rank + 1],
        .frames = c->policy.frames_per_block,
    };
    TRY(key_policy_check(&c->policy));
    if (c->policy.levels != l->levels || c->split.stages != l->levels + 1)
        return fail(ST_ARG, "line: %d levels, %d stages, a policy of %d levels do not fit",
                    l->levels, c->split.stages, c->policy.levels);
    if (c->latent_h < 2 || c->latent_w < 2 || c->latent_h % 2 || c->latent_w % 2)
        return fail(ST_ARG, "line: latent of %lld x %lld; even numbers are allowed",
                    (long long)c->latent_w, (long long)c->latent_h);
    l->contexts = l->end - l->first;
    if (c->contexts > 0 && c->contexts < l->contexts) l->contexts = c->contexts;
    l->tokens = l->frames * (c->latent_h / 2) * (c->latent_w / 2);
    return ST_OK;
}

static status measure(struct line *l, struct arena a[LINE_ARENAS])
{
    for (int i = 0; i < LINE_ARENAS; i++) arena_measure(&a[i], arena_names[i]);
    return layout(l, a);
}

status line_measure(struct line_bytes *out, const struct line_config *c)
{
    struct line *const l = malloc(sizeof *l);
    struct arena arenas[LINE_ARENAS];
    status st = ST_OK;

    *out = (struct line_bytes){ 0 };
    if (!l) return fail(ST_NOMEM, "line: no memory");
    TRY_OUT(prepare(l, c));
    TRY_OUT(measure(l, arenas));
    *out = (struct line_bytes){ .cache = arenas[LINE_CACHE].used,
                                .context = arenas[LINE_CONTEXT].used,
                                .scratch = arenas[LINE_SCRATCH].used,
                                .wire = arenas[LINE_WIRE].used };
out:
    free(l);
    return st;
}

static status upload_angles(struct line *l, const struct tensor *to, int64_t first)
{
    int const count = (int)to->dim[0], pairs = (int)to->dim[1];
    float *const host = malloc(tensor_bytes(to) + 1);

    if (!host) return fail(ST_NOMEM, "angles of %d positions", count);
    rope_angles(host, pairs, first, count);
    status st = l->c.ctx->backend->upload(l->c.ctx, to, host);
    if (st == ST_OK) st = l->c.ctx->backend->sync(l->c.ctx);
    free(host);
    return st;
}

static status allocate_host(struct line *l)
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    size_t const latent = tensor_bytes(&l->noise);
    size_t const prompt = (size_t)s->text_len * (size_t)s->text_dim * sizeof *l->embeds;

    for (int i = 0; i < COUNT_OF(l->host); i++) {
        l->host[i] = malloc(latent);
        if (!l->host[i]) return fail(ST_NOMEM, "line: a latent of %zu bytes", latent);
    }
    l->embeds = malloc(prompt);
    return l->embeds ? ST_OK : fail(ST_NOMEM, "line: prompt embeddings of %zu bytes", prompt);
}

status line_open(struct line **out, const struct line_config *c)
{
    const struct kern_backend *const backend = c->ctx->backend;
    struct line *l = malloc(sizeof *l);
    struct arena arenas[LINE_ARENAS];
    status st = ST_OK;

    *out = NULL;
    if (!l) return fail(ST_NOMEM, "line: no memory");
    TRY_OUT(prepare(l, c));
    TRY_OUT(measure(l, arenas));
    for (int i = 0; i < LINE_ARENAS; i++) {
        TRY_OUT(backend->alloc(c->ctx, arenas[i].used, &l->memory[i]));
        arena_over(&arenas[i], arena_names[i], l->memory[i], arenas[i].used);
    }
    TRY_OUT(layout(l, arenas));
    TRY_OUT(upload_angles(l, &l->row, 0));
    TRY_OUT(upload_angles(l, &l->col, 0));
    TRY_OUT(allocate_host(l));
    *out = l;
    l = NULL; /* handed over */
out:
    line_close(&l);
    return st;
}

void line_close(struct line **line)
{
    struct line *const l = *line;

    if (!l) return;
    for (int i = 0; i < COUNT_OF(l->memory); i++)
        if (l->memory[i]) l->c.ctx->backend->free(l->c.ctx, l->memory[i]);
    for (int i = 0; i < COUNT_OF(l->host); i++) free(l->host[i]);
    free(l->embeds);
    free(l);
    *line = NULL;
}

/* The block that passes the clean stage gets its place in the cache on every rank. */
static void admit_clean(struct line *l)
{
    struct place const clean = l->place[l->levels];

    if (clean.clip < 0) return;
    if (clean.clip != l->cache_clip) cache_reset(&l->cache);
    l->cache_clip = clean.clip;
    cache_put(&l->cache, clean.block);
}

static status enter(struct line *l)
{
    struct place const p = l->place[0];

    if (l->first > 0 || p.clip < 0) return ST_OK;
    TRY(l->io->noise(l->io->arg, p.clip, p.block, 0, l->host[0]));
    TRY(l->c.ctx->backend->upload(l->c.ctx, &l->stage[0].in, l->host[0]));
    return l->c.ctx->backend->sync(l->c.ctx);
}

void line_begin(struct line *l, const struct timeline *t, const struct line_io *io)
{
    l->timeline = t;
    l->io = io;
    l->tick = 0;
    l->cache_clip = -1;
    cache_reset(&l->cache);
    for (int i = 0; i < LINE_STAGES; i++) {
        l->context_id[i] = -1;
        l->place[i].clip = -1;
    }
}

status line_tick(struct line *l)
{
    struct comm *const comm = l->c.comm;
    status mine = ST_OK;

    if (l->io->stop && l->io->stop(l->io->arg))
        mine = fail(ST_CANCELED, "stopped before tick %lld of %lld", (long long)l->tick,
                    (long long)timeline_ticks(l->timeline));
    track_begin(l->c.track, TRACK_HAND_OVER, TRACK_NOWHERE);
    status const met = comm->ops->agree(comm, mine);
    track_end(l->c.track);
    TRY(line_located(l, -1, met));
    for (int i = 0; i <= l->levels; i++) l->place[i] = timeline_at(l->timeline, l->tick, i);
    admit_clean(l);
    TRY(enter(l));
    TRY(line_pass(l));
    TRY(line_hand_over(l));
    l->tick++;
    return ST_OK;
}

status line_run(struct line *l, const struct timeline *t, const struct line_io *io)
{
    line_begin(l, t, io);
    while (l->tick < timeline_ticks(t)) TRY(line_tick(l));
    return l->c.comm->ops->agree(l->c.comm, ST_OK);
}
