/*
 * line_layout.c - where everything of a line lies: four arenas, and a little host memory.
 *
 * The layout runs twice, over measuring arenas and then over real ones, so that what is asked for
 * is exactly what is used. The wire's arena is as large on all ranks, for a comm whose memory
 * is symmetric; so each rank lays out what every other one has there, too.
 */
#include "pipeline/dit/rope.h"
#include "pipeline/line/line_internal.h"

#include <stdlib.h>
#include <string.h>

static const char *const arena_names[LINE_ARENAS] = {
    [LINE_CACHE] = "cache",
    [LINE_CONTEXT] = "context",
    [LINE_SCRATCH] = "scratch",
    [LINE_WIRE] = "wire",
};

static int own_stages(const struct line *l) { return l->end - l->first; }

static int noise_of(const struct line *l, struct line_span s)
{
    int const end = s.end < l->levels ? s.end : l->levels;
    return end > s.first ? end - s.first : 0;
}

static int own_noise(const struct line *l)
{
    return noise_of(l, (struct line_span){ l->first, l->end });
}

/* Blocks that attention here is for. */
static int attn_stage_count(const struct line *l)
{
    return l->attn_stages.end - l->attn_stages.first;
}
static int attn_noise(const struct line *l) { return noise_of(l, l->attn_stages); }

static status place_latents(const struct line *l, struct tensor *t, int stages, struct arena *a)
{
    return tensor_place(
        t, a, DT_F32,
        DIMS(stages * l->frames, dit_shape_of(l->c.model)->channels, l->c.latent_h, l->c.latent_w));
}

static int64_t scratch_rows(const struct line *l)
{
    return (l->c.mode.determinism == LINE_BATCH ? own_stages(l) : 1) * l->tokens;
}

static status layout_stages(struct line *l, struct arena *scratch, struct arena *wire)
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    enum dtype const act = dit_act(l->c.model);
    int64_t const rows = own_stages(l) * l->tokens;
    int64_t const window = (l->levels + line_may_gather(l)) * l->tokens;

    TRY(place_latents(l, &l->in, own_stages(l), wire));
    TRY(place_latents(l, &l->out, own_stages(l), wire));
    for (int i = l->first; i < l->end; i++) {
        struct line_span const one = { i, i + 1 };
        l->stage[i].in = line_own_rows(l, &l->in, one, l->frames);
        l->stage[i].out = line_own_rows(l, &l->out, one, l->frames);
    }
    TRY(tensor_place(&l->x, scratch, DT_F32, DIMS(rows, s->dim)));
    TRY(line_quant_place(l, wire));
    TRY(l->exchange->place(l, scratch_rows(l), scratch, wire));
    if (attn_noise(l) == 0 && !line_may_gather(l))
        return ST_OK; /* nobody reads the window's keys */
    TRY(tensor_place(&l->window_k, wire, act, DIMS(window, l->attn_shape.dim)));
    return tensor_place(&l->window_v, wire, act, DIMS(window, l->attn_shape.dim));
}

/* [., pairs, 2] as angles of so many frames: of heads of their own, if these are apart. */
static struct tensor angles_of_frames(const struct line *l, const struct tensor *t, int64_t frames)
{
    int64_t const heads = frames ? t->dim[0] / frames : 1;

    if (!kv_policy_heads_apart(&l->c.policy)) return *t;
    return tensor_as(t, DIMS(frames, heads, t->dim[1], 2));
}

static status layout_angles(struct line *l, struct arena *a)
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    struct rope_split const pairs = rope_split_of(s->dim / s->heads);
    bool const apart = kv_policy_heads_apart(&l->c.policy);
    int64_t const reach = l->c.policy.attention_frames, own = own_stages(l) * l->frames;
    int64_t const rows = reach * (apart ? l->attn_shape.heads : 1);
    int64_t const keys = attn_stage_count(l) * rows, ends = keys + own * (apart ? s->heads : 1);

    TRY(tensor_place(&l->row, a, DT_F32, DIMS(l->c.latent_h / 2, pairs.row, 2)));
    TRY(tensor_place(&l->col, a, DT_F32, DIMS(l->c.latent_w / 2, pairs.col, 2)));
    TRY(tensor_place(&l->angles, a, DT_F32, DIMS(ends, pairs.time, 2)));
    for (int i = l->attn_stages.first; i < l->attn_stages.end; i++) {
        struct tensor const t = tensor_slice(&l->angles, (i - l->attn_stages.first) * rows, rows);
        l->stage[i].time = angles_of_frames(l, &t, reach);
    }
    struct tensor const at = tensor_slice(&l->angles, keys, ends - keys);
    l->at = angles_of_frames(l, &at, own);
    return ST_OK;
}

/* Where a line holds one block at a time all keys are local, and never cut. In batch neither where
 * no key is another rank's. */
static status layout_partials(struct line *l, struct arena *a)
{
    enum dtype const dtype = l->c.ctx->backend->partial_dtype(dit_act(l->c.model));
    bool const whole = l->c.mode.determinism == LINE_BATCH && attn_stage_count(l) == l->levels + 1;

    if (!kv_policy_joint(&l->c.policy) || attn_noise(l) == 0 || whole) return ST_OK;
    TRY(attn_partial_place(&l->local, &l->attn_shape, dtype, attn_noise(l) * l->tokens, a));
    return attn_partial_place(&l->remote, &l->attn_shape, dtype, scratch_rows(l), a);
}

static status layout_scratch(struct line *l, struct arena *a)
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    int64_t const per_frame = l->tokens / l->frames;
    struct tensor *const latents[] = { &l->noise, &l->flow, &l->x0 };

    TRY(dit_scratch_place(&l->scratch, s, dit_act(l->c.model), scratch_rows(l), a));
    TRY(tensor_place(&l->keys, a, dit_act(l->c.model),
                     DIMS(l->c.policy.attention_frames * per_frame, l->attn_shape.dim)));
    TRY(layout_angles(l, a));
    for (int i = 0; i < COUNT_OF(latents); i++) TRY(place_latents(l, latents[i], own_noise(l), a));
    TRY(line_place_some_heads(l, a));
    return layout_partials(l, a);
}

/* Nothing for a policy that is a rule alone. */
static status layout_policy(struct line *l, struct arena *a)
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    int64_t const per_frame = l->tokens / l->frames;
    struct rope_split const pairs = rope_split_of(s->dim / s->heads);
    int const frames = l->c.policy.attention_frames;

    TRY(kv_room_place(&l->room, &l->c.policy, per_frame, l->attn_shape.dim, dit_act(l->c.model),
                      a));
    l->room_angles = (struct tensor){ 0 };
    l->row_back = l->col_back = l->room_angles;
    if (!l->room.rows.ndim) return ST_OK;
    TRY(tensor_place(&l->row_back, a, DT_F32, DIMS(l->c.latent_h / 2, pairs.row, 2)));
    TRY(tensor_place(&l->col_back, a, DT_F32, DIMS(l->c.latent_w / 2, pairs.col, 2)));
    return tensor_place(&l->room_angles, a, DT_F32, DIMS(frames, pairs.time, 2));
}

/* The newest clean blocks to keep: those that passes look back on, or a recache at the clean
 * stage makes once more, on all ranks. */
static int count_lookback(const struct line *l)
{
    int const end = l->c.recache ? l->levels + 1 : l->attn_stages.end;
    int const n = kv_lookback(&l->c.policy, l->attn_stages.first, end, l->c.given);
    int const recached = kv_recache_blocks(&l->c.policy);

    return l->c.recache && kv_policy_renews_sink(&l->c.policy) && n < recached ? recached : n;
}

/* Run twice: over measuring arenas, then over real ones. */
static status lay_out(struct line *l, struct arena a[LINE_ARENAS])
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    struct kv_cache_shape const cache = {
        .layers = s->layers,
        .bank = kv_policy_bank(&l->c.policy),
        .lookback = count_lookback(l),
        .tokens = l->tokens,
        .dim = l->attn_shape.dim,
        .kept = kv_policy_kept(&l->c.policy) * (l->tokens / l->frames),
        .wide = kv_policy_ops(&l->c.policy)->wide,
        .act = dit_act(l->c.model),
    };

    TRY(kv_cache_place(&l->cache, &cache, &a[LINE_CACHE]));
    TRY(line_place_recache(l, &a[LINE_CACHE], &a[LINE_SCRATCH]));
    for (int i = 0; i < l->contexts; i++)
        TRY(cross_kv_place(&l->context[i], s, cache.act, &a[LINE_CONTEXT]));
    TRY(layout_scratch(l, &a[LINE_SCRATCH]));
    TRY(layout_policy(l, &a[LINE_SCRATCH]));
    return layout_stages(l, &a[LINE_SCRATCH], &a[LINE_WIRE]);
}

/* How the ranks share a layer: whom this one attends for, and with what. */
static void choose_exchange(struct line *l)
{
    int const ranks = l->c.split.ranks;
    bool const heads = l->c.mode.exchange == LINE_HEADS && ranks > 1;

    l->exchange = heads ? &line_exchange_heads : &line_exchange_blocks;
    l->attn_shape = *dit_shape_of(l->c.model);
    l->attn_stages = (struct line_span){ l->first, l->end };
    if (!l->exchange->all_stages) return;
    l->attn_shape.dim /= ranks;
    l->attn_shape.heads /= ranks;
    l->attn_stages = (struct line_span){ 0, l->levels + 1 };
}

static status set_up(struct line *l, const struct line_config *c)
{
    *l = (struct line){
        .c = *c,
        .levels = c->schedule->levels,
        .first = c->split.first[c->comm->rank],
        .end = c->split.first[c->comm->rank + 1],
        .frames = c->policy.frames_per_block,
    };
    if (c->mode.exchange == LINE_HEADS)
        TRY(split_heads(dit_shape_of(c->model)->heads, c->split.ranks));
    choose_exchange(l);
    TRY(kv_policy_check(&c->policy));
    if (c->recache) TRY(kv_recache_check(&c->policy));
    if (l->exchange->all_stages && kv_policy_all_heads(&c->policy))
        return fail(ST_ARG,
                    "policy %s goes by all heads of a layer together: not with --exchange heads",
                    kv_rule_name(c->policy.rule));
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

static status lay_out_nowhere(struct line *l, struct arena a[LINE_ARENAS])
{
    for (int i = 0; i < LINE_ARENAS; i++) arena_measure(&a[i], arena_names[i]);
    return lay_out(l, a);
}

/* What the comm gives is as much on all ranks: the most that any of them has on the wire. */
static status most_on_wire(size_t *out, const struct line_config *c)
{
    struct line *const other = malloc(sizeof *other);
    struct arena a[LINE_ARENAS];
    status st = ST_OK;

    *out = 0;
    if (!other) return fail(ST_NOMEM, "line: no memory");
    for (int r = 0; r < c->split.ranks; r++) {
        struct comm place = { .rank = r, .size = c->split.ranks };
        struct line_config there = *c;
        there.comm = &place;
        TRY_OUT(set_up(other, &there));
        TRY_OUT(lay_out_nowhere(other, a));
        if (a[LINE_WIRE].used > *out) *out = a[LINE_WIRE].used;
    }
out:
    free(other);
    return st;
}

status line_measure_arenas(struct line *l, const struct line_config *c, size_t bytes[LINE_ARENAS])
{
    struct arena a[LINE_ARENAS];
    size_t wire = 0;

    TRY(set_up(l, c));
    TRY(lay_out_nowhere(l, a));
    TRY(most_on_wire(&wire, c));
    for (int i = 0; i < LINE_ARENAS; i++) bytes[i] = i == LINE_WIRE ? wire : a[i].used;
    return ST_OK;
}

status line_allocate(struct line *l, const size_t bytes[LINE_ARENAS])
{
    struct arena a[LINE_ARENAS];

    TRY(comm_alloc(l->c.comm, bytes[LINE_WIRE], &l->memory[LINE_WIRE]));
    l->wire_of_comm = l->memory[LINE_WIRE] != NULL;
    for (int i = 0; i < LINE_ARENAS; i++) {
        if (!l->memory[i]) TRY(l->c.ctx->backend->alloc(l->c.ctx, bytes[i], &l->memory[i]));
        arena_over(&a[i], arena_names[i], l->memory[i], bytes[i]);
    }
    return lay_out(l, a);
}

/* ---- host memory ------------------------------------------------------------------------ */

enum { HOST_PARTS = 8 };
struct host_part {
    float **at;
    size_t bytes;
};
static size_t host_parts(struct line *l, struct host_part out[HOST_PARTS])
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    size_t const latent = tensor_bytes(&l->stage[l->first].in);
    size_t const chosen =
        sizeof(int32_t) * (size_t)kv_policy_choice(&l->c.policy, s->layers, l->tokens / l->frames);
    size_t const room =
        tensor_bytes(&l->room.score) + tensor_bytes(&l->room.sums) + tensor_bytes(&l->room.index);
    struct host_part const parts[HOST_PARTS] = {
        { &l->host[0], latent },
        { &l->host[1], latent },
        { &l->host[2], latent + chosen },
        { &l->host_noise, tensor_bytes(&l->noise) },
        { &l->host_angles, tensor_bytes(&l->angles) },
        { &l->host_room_angles, tensor_bytes(&l->room_angles) },
        { &l->host_room, room },
        { &l->embeds, (size_t)s->text_len * (size_t)s->text_dim * sizeof *l->embeds },
    };
    size_t sum = 0;

    for (int i = 0; i < HOST_PARTS; i++) sum += parts[i].bytes;
    memcpy(out, parts, sizeof parts);
    return sum;
}

status line_allocate_host(struct line *l)
{
    struct host_part part[HOST_PARTS];

    host_parts(l, part);
    for (int i = 0; i < HOST_PARTS; i++) {
        *part[i].at = calloc(1, part[i].bytes + 1);
        if (!*part[i].at) return fail(ST_NOMEM, "line: %zu bytes of host memory", part[i].bytes);
    }
    return kv_state_open(&l->state, &l->c.policy,
                         &(struct kv_state_shape){ .layers = dit_shape_of(l->c.model)->layers,
                                                   .tokens = l->tokens / l->frames,
                                                   .dim = l->attn_shape.dim,
                                                   .heads = l->attn_shape.heads });
}

size_t line_host_bytes(struct line *l)
{
    struct host_part part[HOST_PARTS];
    return host_parts(l, part) + kv_state_bytes(&l->state);
}

void line_free_memory(struct line *l)
{
    if (l->wire_of_comm) {
        comm_free(l->c.comm, l->memory[LINE_WIRE]);
        l->memory[LINE_WIRE] = NULL;
    }
    for (int i = 0; i < COUNT_OF(l->memory); i++)
        if (l->memory[i]) l->c.ctx->backend->free(l->c.ctx, l->memory[i]);
    for (int i = 0; i < COUNT_OF(l->host); i++) free(l->host[i]);
    free(l->host_noise);
    free(l->host_angles);
    free(l->host_room_angles);
    free(l->host_room);
    kv_state_close(&l->state);
    free(l->embeds);
}
