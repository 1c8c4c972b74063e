/* line.c - a rank's part of the line: its memory, and tick after tick. */
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
static int seen_stages(const struct line *l) { return l->sight.end - l->sight.first; }
static int seen_noise(const struct line *l) { return noise_of(l, l->sight); }

static status place_latents(const struct line *l, struct tensor *t, int stages, struct arena *a)
{
    return tensor_place(
        t, a, DT_F32,
        DIMS(stages * l->frames, dit_shape_of(l->c.model)->channels, l->c.latent_h, l->c.latent_w));
}

struct tensor line_part(const struct line *l, const struct tensor *t, struct line_span s,
                        int64_t per)
{
    return tensor_slice(t, (s.first - l->first) * per, (s.end - s.first) * per);
}

struct tensor line_attended(const struct line *l, const struct tensor *t, struct line_span s)
{
    return tensor_slice(t, (s.first - l->sight.first) * l->tokens, (s.end - s.first) * l->tokens);
}

int64_t line_scratch_row(const struct line *l, int stage)
{
    return l->c.mode.determinism == LINE_BATCH ? (stage - l->first) * l->tokens : 0;
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
        l->stage[i].in = line_part(l, &l->in, one, l->frames);
        l->stage[i].out = line_part(l, &l->out, one, l->frames);
    }
    TRY(tensor_place(&l->x, scratch, DT_F32, DIMS(rows, s->dim)));
    TRY(line_quant_place(l, wire));
    if (l->by_heads) TRY(line_heads_place(l, scratch_rows(l), scratch, wire));
    else TRY(tensor_place(&l->q, scratch, act, DIMS(rows, s->dim)));
    if (seen_noise(l) == 0 && !line_may_gather(l))
        return ST_OK; /* nobody reads the window's keys */
    TRY(tensor_place(&l->window_k, wire, act, DIMS(window, l->seen.dim)));
    return tensor_place(&l->window_v, wire, act, DIMS(window, l->seen.dim));
}

static status layout_angles(struct line *l, struct arena *a)
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    struct rope_split const pairs = rope_split_of(s->dim / s->heads);
    int64_t const sight = l->c.policy.attention_frames, keys = seen_stages(l) * sight;
    int64_t const own = own_stages(l) * l->frames;

    TRY(tensor_place(&l->row, a, DT_F32, DIMS(l->c.latent_h / 2, pairs.row, 2)));
    TRY(tensor_place(&l->col, a, DT_F32, DIMS(l->c.latent_w / 2, pairs.col, 2)));
    TRY(tensor_place(&l->angles, a, DT_F32, DIMS(keys + own, pairs.time, 2)));
    for (int i = l->sight.first; i < l->sight.end; i++)
        l->stage[i].time = tensor_slice(&l->angles, (i - l->sight.first) * sight, sight);
    l->at = tensor_slice(&l->angles, keys, own);
    return ST_OK;
}

/* Block by block the line holds one block at a time: all keys are near, and never cut. In
 * batch neither where no key is another rank's. */
static status layout_parts(struct line *l, struct arena *a)
{
    enum dtype const dtype = l->c.ctx->backend->partial_dtype(dit_act(l->c.model));
    bool const whole = l->c.mode.determinism == LINE_BATCH && seen_stages(l) == l->levels + 1;

    if (!kv_policy_joint(&l->c.policy) || seen_noise(l) == 0 || whole) return ST_OK;
    TRY(attn_partial_place(&l->near, &l->seen, dtype, seen_noise(l) * l->tokens, a));
    return attn_partial_place(&l->part, &l->seen, dtype, scratch_rows(l), a);
}

static status layout_scratch(struct line *l, struct arena *a)
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    int64_t const per_frame = l->tokens / l->frames;
    struct tensor *const latents[] = { &l->noise, &l->flow, &l->x0 };

    TRY(dit_scratch_place(&l->scratch, s, dit_act(l->c.model), scratch_rows(l), a));
    TRY(tensor_place(&l->keys, a, dit_act(l->c.model),
                     DIMS(l->c.policy.attention_frames * per_frame, l->seen.dim)));
    TRY(layout_angles(l, a));
    for (int i = 0; i < COUNT_OF(latents); i++) TRY(place_latents(l, latents[i], own_noise(l), a));
    return layout_parts(l, a);
}

/* Run twice: over measuring arenas, then over real ones. */
static status layout(struct line *l, struct arena a[LINE_ARENAS])
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    struct kv_cache_shape const cache = {
        .layers = s->layers,
        .lookback = kv_lookback(&l->c.policy, l->sight.first, l->sight.end, l->c.given),
        .tokens = l->tokens,
        .dim = l->seen.dim,
        .act = dit_act(l->c.model),
    };

    TRY(kv_cache_place(&l->cache, &cache, &a[LINE_CACHE]));
    for (int i = 0; i < l->contexts; i++)
        TRY(cross_kv_place(&l->context[i], s, cache.act, &a[LINE_CONTEXT]));
    TRY(layout_scratch(l, &a[LINE_SCRATCH]));
    return layout_stages(l, &a[LINE_SCRATCH], &a[LINE_WIRE]);
}

/* Whom this rank attends for, and with what. */
static void see(struct line *l)
{
    int const ranks = l->c.split.ranks;

    l->seen = *dit_shape_of(l->c.model);
    l->sight = (struct line_span){ l->first, l->end };
    l->by_heads = l->c.mode.exchange == LINE_HEADS && ranks > 1;
    if (!l->by_heads) return;
    l->seen.dim /= ranks;
    l->seen.heads /= ranks;
    l->sight = (struct line_span){ 0, l->levels + 1 };
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
    if (c->mode.exchange == LINE_HEADS)
        TRY(split_heads(dit_shape_of(c->model)->heads, c->split.ranks));
    see(l);
    TRY(kv_policy_check(&c->policy));
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
    return layout(l, a);
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
        TRY_OUT(prepare(other, &there));
        TRY_OUT(lay_out_nowhere(other, a));
        if (a[LINE_WIRE].used > *out) *out = a[LINE_WIRE].used;
    }
out:
    free(other);
    return st;
}

/* Bytes of each arena; l is then laid out nowhere. */
static status measure(struct line *l, const struct line_config *c, size_t bytes[LINE_ARENAS])
{
    struct arena a[LINE_ARENAS];
    size_t wire = 0;

    TRY(prepare(l, c));
    TRY(lay_out_nowhere(l, a));
    TRY(most_on_wire(&wire, c));
    for (int i = 0; i < LINE_ARENAS; i++) bytes[i] = i == LINE_WIRE ? wire : a[i].used;
    return ST_OK;
}

/* Host memory beside the callbacks. */
enum { HOST_PARTS = 6 };
struct host_part {
    float **at;
    size_t bytes;
};
static size_t host_parts(struct line *l, struct host_part out[HOST_PARTS])
{
    const struct dit_shape *const s = dit_shape_of(l->c.model);
    size_t const latent = tensor_bytes(&l->stage[l->first].in);
    struct host_part const parts[HOST_PARTS] = {
        { &l->host[0], latent },
        { &l->host[1], latent },
        { &l->host[2], latent },
        { &l->host_noise, tensor_bytes(&l->noise) },
        { &l->host_angles, tensor_bytes(&l->angles) },
        { &l->embeds, (size_t)s->text_len * (size_t)s->text_dim * sizeof *l->embeds },
    };
    size_t sum = 0;

    for (int i = 0; i < HOST_PARTS; i++) sum += parts[i].bytes;
    memcpy(out, parts, sizeof parts);
    return sum;
}

static status allocate_host(struct line *l)
{
    struct host_part part[HOST_PARTS];

    host_parts(l, part);
    for (int i = 0; i < HOST_PARTS; i++) {
        *part[i].at = calloc(1, part[i].bytes + 1);
        if (!*part[i].at) return fail(ST_NOMEM, "line: %zu bytes of host memory", part[i].bytes);
    }
    return ST_OK;
}

static void free_host(struct line *l)
{
    for (int i = 0; i < COUNT_OF(l->host); i++) free(l->host[i]);
    free(l->host_noise);
    free(l->host_angles);
    free(l->embeds);
}

status line_measure(struct line_bytes *out, const struct line_config *c)
{
    struct line *const l = malloc(sizeof *l);
    size_t bytes[LINE_ARENAS];
    struct host_part host[HOST_PARTS];
    size_t kernels = 0;
    status st = ST_OK;

    *out = (struct line_bytes){ 0 };
    if (!l) return fail(ST_NOMEM, "line: no memory");
    TRY_OUT(measure(l, c, bytes));
    TRY_OUT(allocate_host(l));
    TRY_OUT(line_dry_run(&kernels, l));
    *out = (struct line_bytes){ .cache = bytes[LINE_CACHE],
                                .context = bytes[LINE_CONTEXT],
                                .scratch = bytes[LINE_SCRATCH],
                                .wire = bytes[LINE_WIRE],
                                .kernels = kernels,
                                .host = host_parts(l, host) };
out:
    timeline_free(&l->timeline);
    free_host(l);
    free(l);
    return st;
}

/* Of rows or of columns: from a timeline to the next they stay. */
static status upload_side_angles(struct line *l, const struct tensor *to, int64_t first)
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

status line_open(struct line **out, const struct line_config *c)
{
    const struct kern_backend *const backend = c->ctx->backend;
    struct line *l = malloc(sizeof *l);
    struct arena arenas[LINE_ARENAS];
    size_t kernels = 0, bytes[LINE_ARENAS];
    status st = ST_OK;

    *out = NULL;
    if (!l) return fail(ST_NOMEM, "line: no memory");
    TRY_OUT(measure(l, c, bytes));
    TRY_OUT(allocate_host(l));
    TRY_OUT(line_dry_run(&kernels, l));
    if (backend->reserve) TRY_OUT(backend->reserve(c->ctx, kernels));
    TRY_OUT(comm_attach(c->comm, c->ctx->memory));
    TRY_OUT(comm_alloc(c->comm, bytes[LINE_WIRE], &l->memory[LINE_WIRE]));
    l->wire_of_comm = l->memory[LINE_WIRE] != NULL;
    for (int i = 0; i < LINE_ARENAS; i++) {
        if (!l->memory[i]) TRY_OUT(backend->alloc(c->ctx, bytes[i], &l->memory[i]));
        arena_over(&arenas[i], arena_names[i], l->memory[i], bytes[i]);
    }
    TRY_OUT(layout(l, arenas));
    TRY_OUT(line_prepare(l));
    TRY_OUT(upload_side_angles(l, &l->row, 0));
    TRY_OUT(upload_side_angles(l, &l->col, 0));
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
    if (l->wire_of_comm) {
        comm_free(l->c.comm, l->memory[LINE_WIRE]);
        l->memory[LINE_WIRE] = NULL;
    }
    for (int i = 0; i < COUNT_OF(l->memory); i++)
        if (l->memory[i]) l->c.ctx->backend->free(l->c.ctx, l->memory[i]);
    timeline_free(&l->timeline);
    free_host(l);
    free(l);
    *line = NULL;
}

/* The block that passes the clean stage gets its place in the cache on every rank. Block 0 comes
 * first, and by then nobody reads what a clip before has left. */
static void admit_clean(struct line *l)
{
    struct place const clean = l->place[l->levels];

    if (clean.clip < 0) return;
    if (clean.block == 0) kv_cache_reset(&l->cache);
    kv_cache_put(&l->cache, clean.block);
}

/* The most stages from `first` on, before `end`, that may go together. */
static struct line_span run_from(const struct line *l, int first, int end)
{
    struct line_span run = { first, first + 1 };

    if (l->c.mode.determinism == LINE_BATCH)
        while (run.end < end && l->place[run.end].clip == l->place[first].clip) run.end++;
    return run;
}

static void find_runs(const struct line *l, struct line_span of, struct line_runs *out)
{
    out->count = 0;
    for (int i = of.first; i < of.end; i++) {
        if (!line_holds(l, i)) continue;
        out->run[out->count] = run_from(l, i, of.end);
        i = out->run[out->count++].end - 1;
    }
}

void line_place(struct line *l)
{
    for (int i = 0; i <= l->levels; i++) l->place[i] = timeline_at(&l->timeline, l->tick, i);
    find_runs(l, (struct line_span){ l->first, l->end }, &l->own);
    find_runs(l, l->sight, &l->attends);
    admit_clean(l);
}

bool line_moves_on(const struct line *l, int stage)
{
    struct place const here = l->place[stage];
    struct place const next = timeline_at(&l->timeline, l->tick + 1, stage + 1);

    return here.clip >= 0 && here.clip == next.clip && here.block == next.block;
}

/* ---- who joins -------------------------------------------------------------------------- */

static void begin_line(struct line *l, const struct line_io *io)
{
    timeline_free(&l->timeline);
    timeline_open(&l->timeline, &l->c.policy);
    l->io = io;
    l->list = NULL;
    l->listed = -1;
    l->decided = (struct line_decision){ .cut = -1 };
    l->tick = 0;
    kv_cache_reset(&l->cache);
    for (int i = 0; i < LINE_STAGES; i++) {
        l->context_id[i] = -1;
        l->place[i].clip = -1;
    }
}

void line_begin(struct line *l, const struct line_io *io) { begin_line(l, io); }

void line_begin_list(struct line *l, const struct timeline_entry *entry, int entries,
                     const struct line_io *io)
{
    begin_line(l, io);
    l->list = entry;
    l->listed = entries;
}

static bool is_idle(const struct line *l) { return l->tick >= timeline_ticks(&l->timeline); }
static bool is_drained(const struct line *l) { return l->decided.over && is_idle(l); }

/* On rank 0 what it decides now. A list is everybody's. */
static status ask_decision(struct line *l, struct line_decision *out)
{
    bool const idle = is_idle(l);

    *out = l->decided;
    out->cut = -1;
    if (l->listed >= 0) out->admitted = l->listed, out->over = true;
    if (l->listed >= 0 || l->c.comm->rank || is_drained(l)) return ST_OK;
    if (idle) track_begin(l->c.track, TRACK_QUEUE, TRACK_NOWHERE);
    status const st = l->io->decide(l->io->arg, l->tick, idle, out);
    if (idle) track_end(l->c.track);
    return st;
}

/* The comm's agree, with another deadline for it and what it lies over. */
static status agree_within(struct comm *c, struct comm *layer, double deadline_s, status mine,
                           int64_t words[COMM_AGREE_WORDS])
{
    if (!layer) return comm_agree_on(c, mine, words);
    double const usual = layer->deadline_s;
    layer->deadline_s = deadline_s;
    status const st = agree_within(c, layer->inner, deadline_s, mine, words);
    layer->deadline_s = usual;
    return st;
}

/* All bring how they are, rank 0 its decision too. While the line is idle the others wait for it as
 * long as it takes. */
static status meet_at_boundary(struct line *l, status mine, struct line_decision *d)
{
    int64_t words[COMM_AGREE_WORDS] = { d->admitted, d->cut, d->over };
    bool const others = l->c.comm->rank > 0 && l->listed < 0 && l->c.idle_s > 0;
    bool const waits = others && is_idle(l) && !l->decided.over;
    double const deadline = waits ? l->c.idle_s : l->c.comm->deadline_s;

    track_begin(l->c.track, waits ? TRACK_QUEUE : TRACK_HAND_OVER, TRACK_NOWHERE);
    status const met = agree_within(l->c.comm, waits ? l->c.comm : NULL, deadline, mine, words);
    track_end(l->c.track);
    *d = (struct line_decision){ .admitted = words[0], .cut = (int)words[1], .over = words[2] };
    return line_located(l, -1, met);
}

static status admit_entry(struct line *l, int64_t i)
{
    struct timeline_entry e;

    if (l->listed >= 0) e = l->list[i];
    else TRY(l->io->entry(l->io->arg, i, &e));
    if (e.first > 0)
        return fail(ST_ARG, "line: clip %d begins at block %lld; the blocks before are not there",
                    e.clip, (long long)e.first);
    if (e.clean && (!l->c.given || !l->io->given))
        return fail(ST_ARG, "line: clip %d has given blocks; this line takes none", e.clip);
    return timeline_admit(&l->timeline, l->tick, &e);
}

/*
 * The one place where the line learns of clips. Rank 0 decides, the agree that every tick begins
 * with carries the decision, and each rank works it into its own timeline by itself: from the
 * same decisions at the same ticks come the same timelines, so nobody ever asks who stands where.
 * A decision holds from the coming tick on; what stands in the line already is never moved.
 */
static status cross_boundary(struct line *l)
{
    struct line_decision d = { .cut = -1 };
    status mine = ST_OK;

    if (l->io->stop && !is_drained(l) && l->io->stop(l->io->arg))
        mine = fail(ST_CANCELED, "stopped before tick %lld", (long long)l->tick);
    if (mine == ST_OK) mine = ask_decision(l, &d);
    TRY(meet_at_boundary(l, mine, &d));
    for (int64_t i = l->decided.admitted; i < d.admitted; i++) TRY(admit_entry(l, i));
    if (d.cut >= 0) timeline_cut(&l->timeline, l->tick, d.cut);
    timeline_forget(&l->timeline, l->tick);
    d.over |= l->decided.over;
    if (d.admitted < l->decided.admitted) d.admitted = l->decided.admitted;
    l->decided = d;
    return ST_OK;
}

/* ---- ticks ------------------------------------------------------------------------------ */

/* New noise at stage 0, a given block at the clean one. Host memory that the last tick's
 * uploads read may be written anew from here on. */
static status enter(struct line *l)
{
    const struct kern_backend *const b = l->c.ctx->backend;
    struct place const newest = l->place[0], clean = l->place[l->levels];

    TRY(line_synchronize(l));
    if (l->first == 0 && newest.clip >= 0) {
        TRY(l->io->noise(l->io->arg, newest.clip, newest.block, 0, l->host[0]));
        TRY(b->upload(l->c.ctx, &l->stage[0].in, l->host[0]));
    }
    if (l->end <= l->levels || !timeline_given(&l->timeline, l->tick)) return ST_OK;
    TRY(l->io->given(l->io->arg, clean.clip, clean.block, l->host[1]));
    return b->upload(l->c.ctx, &l->stage[l->levels].in, l->host[1]);
}

status line_tick(struct line *l, bool *more)
{
    do {
        TRY(cross_boundary(l));
        *more = !is_drained(l);
        if (!*more) return ST_OK;
    } while (is_idle(l));
    line_place(l);
    TRY(enter(l));
    TRY(line_forward(l));
    TRY(line_hand_over(l));
    l->tick++;
    return ST_OK;
}

int64_t line_ticks(const struct line *l) { return l->tick; }

struct place line_place_of(const struct line *l, int stage) { return l->place[stage]; }

status line_run(struct line *l, const struct timeline_entry *entry, int entries,
                const struct line_io *io)
{
    bool more = true;

    line_begin_list(l, entry, entries, io);
    while (more) TRY(line_tick(l, &more));
    return ST_OK;
}
