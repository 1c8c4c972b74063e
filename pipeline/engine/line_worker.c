/*
 * line_worker.c - one rank of a line; its tail sends finished blocks on to be decoded.
 *
 * The line asks at every tick's boundary what joins it (decide, on its head alone) and takes the
 * clips in the order they came to the board. A clip is held from its admission until none of its
 * blocks stands in the line: until then its seed and its prompts are asked for.
 */
#include "base/array.h"
#include "base/clock.h"
#include "pipeline/decode/decode_link.h"
#include "pipeline/dit/noise.h"
#include "pipeline/engine/engine_internal.h"
#include "pipeline/engine/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line_worker {
    struct group *t;
    struct kern_ctx *ctx;
    struct pooled_model model;
    struct line *line;
    struct track *track;
    struct decode_link *link;    /* tail only */
    struct decode_local *beside; /* tail only, without decode ranks; else NULL */

    struct live_clip **held; /* [holds], rising by number */
    int holds, room;
    int64_t admitted, left;   /* clips; blocks of them that have not entered */
    int newest;               /* number of the last clip admitted; -1: none */
    struct board_state known; /* what the head decided by last */

    int64_t ticks, busy[SCHEDULE_LEVELS + 1]; /* so far; with a block, by stage */
    int64_t first[SCHEDULE_LEVELS + 1], last[SCHEDULE_LEVELS + 1]; /* such ticks */
    double begin, wall;                                            /* seconds */
};

static struct live_clip *held_clip(const struct line_worker *l, int number)
{
    for (int i = 0; i < l->holds; i++)
        if (l->held[i]->number == number) return l->held[i];
    return NULL;
}

/* ---- what the line asks for ------------------------------------------------------ */

static status fill_noise(void *arg, int clip, int64_t block, int level, float *out)
{
    const struct line_worker *const l = arg;
    const struct group *const t = l->t;
    int64_t const count =
        (int64_t)t->g.policy.frames_per_block * t->g.shape.channels * t->g.latent_h * t->g.latent_w;

    noise_fill(out, count, held_clip(l, clip)->spec.seed, block, level);
    return ST_OK;
}

static int64_t find_context(void *arg, int clip, int64_t block)
{
    return live_clip_context_id(held_clip(arg, clip), block);
}

static bool begins_scene(void *arg, int clip, int64_t block)
{
    return live_clip_begins_scene(held_clip(arg, clip), block);
}

static status fill_context(void *arg, int clip, int64_t block, float *embeds)
{
    const struct line_worker *const l = arg;
    const struct dit_shape *const s = &l->t->g.shape;

    live_clip_context(held_clip(l, clip), block, s->text_len, s->text_dim, embeds);
    return ST_OK;
}

/* ---- a clip that goes on ----------------------------------------------------------- */

static int64_t latent_count(const struct line_worker *l)
{
    const struct engine_group *const g = &l->t->g;
    return (int64_t)g->policy.frames_per_block * g->shape.channels * g->latent_h * g->latent_w;
}

/* What stands behind checkpoint `resumed` of an attempt is read on each rank of the line. */
static status open_resume(struct line_worker *l, struct live_clip *c)
{
    int const frames = l->t->g.policy.frames_per_block;
    int64_t const past = (vae_past() + frames - 1) / frames;

    if (!c->resume_dir) return ST_OK;
    c->resume = calloc(1, sizeof *c->resume);
    if (!c->resume) return fail(ST_NOMEM, "clip %s: no memory", c->spec.name);
    TRY(snapshot_reader_open(c->resume, c->resume_dir, c->resumed));
    if (c->resume->s.latent != latent_count(l))
        return fail(ST_FORMAT, "%s: latents of %lld numbers; this model's have %lld", c->resume_dir,
                    (long long)c->resume->s.latent, (long long)latent_count(l));
    c->entered = c->resumed;
    c->warmed = c->resumed > past ? c->resumed - past : 0;
    return ST_OK;
}

static status fill_given(void *arg, int clip, int64_t block, float *x0)
{
    struct line_worker *const l = arg;
    const struct live_clip *const c = held_clip(l, clip);
    const float *from;

    if (block >= c->resumed) from = c->given + block * latent_count(l);
    else TRY(snapshot_latent(c->resume, block, &from));
    memcpy(x0, from, (size_t)latent_count(l) * sizeof *x0);
    return ST_OK;
}

static status fill_window(void *arg, int clip, int64_t block, float *x)
{
    struct line_worker *const l = arg;
    const float *from;

    TRY(snapshot_window(held_clip(l, clip)->resume, block, &from));
    memcpy(x, from, (size_t)latent_count(l) * sizeof *x);
    return ST_OK;
}

/* On the tail: the decoder sees as many of the finished blocks as later pictures depend on. */
static status warm_decoder(struct line_worker *l, struct live_clip *c, int64_t end)
{
    const float *x0;

    for (; c->warmed < end; c->warmed++) {
        TRY(snapshot_latent(c->resume, c->warmed, &x0));
        TRY(decode_link_send(l->link, DECODE_WARM, c->number, c->warmed, x0));
    }
    return ST_OK;
}

/* ---- what the line hands out --------------------------------------------------------- */

static status send_finished(void *arg, int clip, int64_t block, const float *x0)
{
    struct line_worker *const l = arg;
    struct live_clip *const c = held_clip(l, clip);

    if (c->resume) TRY(warm_decoder(l, c, c->resumed));
    return decode_link_send(l->link, DECODE_BLOCK, clip, block, x0);
}

static bool is_checkpoint(void *arg, int clip, int64_t blocks)
{
    const struct line_worker *const l = arg;
    return clip_checkpoint_due(l->t, held_clip(l, clip), blocks);
}

static status send_window(void *arg, int clip, int64_t block, const float *x)
{
    struct line_worker *const l = arg;
    return decode_link_send(l->link, DECODE_WINDOW, clip, block, x);
}

static bool is_stopped(void *arg)
{
    const struct line_worker *const l = arg;
    struct comm *const world = l->t->world;

    if (l->t->rank->o->stop()) comm_stop(world);
    return comm_stopped(world);
}

/* To rank 0: how the line is supplied; a message that is lost is made good by the next. */
static status send_supply(const struct line_worker *l, int busy, int newest)
{
    struct comm_control const m = { .kind = CONTROL_TICK,
                                    .value = { [TICK_LINE] = l->t->me->line,
                                               [TICK_BUSY] = busy,
                                               [TICK_LEFT] = l->left,
                                               [TICK_ADMITTED] = l->admitted,
                                               [TICK_NEWEST] = newest } };
    return comm_send_control(l->t->world, 0, &m);
}

/* On the head: all that has come to the board joins. */
static status decide_boundary(void *arg, int64_t tick, bool idle, struct line_decision *out)
{
    struct line_worker *const l = arg;
    struct board_state now;

    (void)tick;
    if (idle) TRY(send_supply(l, 0, -1));
    TRY(clip_board_state(l->t->board, l->t->me->line, idle, &l->known, &now));
    *out = (struct line_decision){ .admitted = now.posted, .cut = -1, .over = now.over };
    if (held_clip(l, now.cut)) out->cut = now.cut;
    else if (now.cut > l->newest) now.cuts--; /* it joins only now: at the next boundary */
    l->known = now;
    return ST_OK;
}

static status take_entry(void *arg, int64_t i, struct timeline_entry *out)
{
    struct line_worker *const l = arg;
    struct live_clip *c, **more;

    TRY(clip_board_nth(l->t->board, l->t->me->line, i, &c));
    more = array_grow(l->held, l->holds, &l->room, sizeof(struct live_clip *));
    if (!more) return fail(ST_NOMEM, "%d clips in the line", l->holds + 1);
    l->held = more;
    l->held[l->holds++] = c;
    l->admitted++;
    l->newest = c->number;
    TRY(open_resume(l, c));
    l->left += c->spec.blocks - c->entered;
    bool const goes_on = c->resume && c->resumed >= c->given_blocks;
    *out = (struct timeline_entry){ .clip = c->number,
                                    .end = c->spec.blocks,
                                    .clean = goes_on ? c->resumed : c->given_blocks,
                                    .opening = c->given_blocks,
                                    .goes_on = goes_on && kv_policy_joint(&l->t->g.policy) };
    return ST_OK;
}

/* Clips before the oldest one in the line are through, if they have been in it; all of them are
 * when the line is idle. */
static void release_clips(struct line_worker *l, int oldest)
{
    bool const idle = line_is_idle(l->line);
    int kept = 0;

    for (int i = 0; i < l->holds; i++) {
        struct live_clip *const c = l->held[i];
        if (c->number < oldest || idle) clip_board_release(l->t->board, c);
        else l->held[kept++] = c;
    }
    l->holds = kept;
}

/* Whoever decodes learns that there is nothing to wait for. */
static status tell_idle(struct line_worker *l)
{
    if (!l->link || !line_is_idle(l->line)) return ST_OK;
    return decode_link_send(l->link, DECODE_IDLE, l->newest, 0, NULL);
}

/* The blocks of a cut clip that have not entered never will. If there are any, it will not be
 * made: its encoder hears that from the tail, which no message but the world's end can keep from
 * it, and reports it. */
static status drop_clip(void *arg, int clip)
{
    struct line_worker *const l = arg;
    struct live_clip *const c = held_clip(l, clip);

    if (c->cut || c->entered == c->spec.blocks) return ST_OK;
    c->cut = true;
    l->left -= c->spec.blocks - c->entered;
    if (l->link) TRY(decode_link_send(l->link, DECODE_CUT, clip, c->entered, NULL));
    release_clips(l, -1);
    return tell_idle(l);
}

/* ---- opening --------------------------------------------------------------------- */

static status open_tail(struct line_worker *l)
{
    struct group *const t = l->t;
    struct comm *hop = t->out;

    if (!t->g.roles.line[t->me->line].decode_ranks) {
        TRY(decode_local_open(&l->beside, t));
        hop = decode_local_link(l->beside);
    }
    return decode_link_open(&l->link, &(struct decode_link_config){
                                          .link = hop,
                                          .frames = t->g.policy.frames_per_block,
                                          .latent_h = t->g.latent_h,
                                          .latent_w = t->g.latent_w,
                                          .track = l->track,
                                      });
}

static void name_rows(const struct line_worker *l, const struct split *split)
{
    int const place = l->t->me->place;

    for (int s = split->first[place]; s < split->first[place + 1]; s++) {
        char name[16];
        snprintf(name, sizeof name, s == l->t->g.schedule.levels ? "clean" : "stage %d", s);
        trace_row(l->t->rank->trace, s, name);
    }
}

/* Different embeddings there may be, where that is known: the line keeps no more than these. */
static int contexts_of(const struct work_outlook *o)
{
    int64_t const n = o->texts + o->mixes;
    return o->more || n > INT32_MAX ? 0 : (int)n;
}

static status load_model(struct line_worker *l)
{
    const struct group *const t = l->t;
    const struct engine_group *const g = &t->g;
    struct weight_adapter adapter[MODEL_LORAS];
    char files[DIGEST_HEX];
    struct dit_config const dit = { .weights = t->model.weights,
                                    .outer_key = t->model.outer_key,
                                    .adapter = adapter,
                                    .adapters = workload_adapters(adapter, &t->model),
                                    .shape = g->shape,
                                    .schedule = &g->schedule,
                                    .act = g->act };

    TRY(model_files_key(&t->model, files));
    struct model_request const wanted = { .dit = &dit,
                                          .backend = t->g.o.backend,
                                          .files = files,
                                          .hash_cache = group_hash_cache(t),
                                          .device = t->rank->device };
    TRY(model_pool_acquire(t->rank->pool, &wanted, &l->model));
    return t->g.o.backend->open(
        &l->ctx, &(struct kern_config){ .threads = t->rank->threads,
                                        .device = t->rank->device,
                                        .strict = t->g.o.mode.determinism == LINE_STRICT });
}

/* With the line's other ranks. */
static status open_line(struct line_worker *l)
{
    struct group *const t = l->t;
    struct engine_group *const g = &t->g;
    struct line_config c = { .schedule = &g->schedule,
                             .policy = g->policy,
                             .mode = t->g.o.mode,
                             .latent_h = g->latent_h,
                             .latent_w = g->latent_w,
                             .contexts = contexts_of(&g->outlook),
                             .given = g->outlook.starts > 0,
                             .idle_s = ENGINE_WAIT_S,
                             .comm = t->line_comm,
                             .model = l->model.dit,
                             .ctx = l->ctx,
                             .track = l->track };

    TRY(split_make(&c.split, g->roles.stages, t->line_comm->size));
    TRY(line_open(&l->line, &c));
    name_rows(l, &c.split);
    return ST_OK;
}

/* A disk or a card may hang here already. */
static status watch_loading(struct line_worker *l, status (*load)(struct line_worker *),
                            double patience_s)
{
    const struct engine_rank *const rank = l->t->rank;

    track_begin(l->track, TRACK_LOAD, TRACK_NOWHERE);
    watchdog_add(rank->watch, l->track, patience_s, patience_s);
    status const st = load(l);
    watchdog_drop(rank->watch, l->track);
    track_end(l->track);
    return st;
}

/* What it waits for in here are others, which has a deadline of its own. */
status line_worker_join(struct line_worker *l)
{
    return watch_loading(l, open_line, 2 * l->t->rank->o->deadline_s);
}

status line_worker_open(struct line_worker **out, struct group *t)
{
    struct line_worker *l = calloc(1, sizeof *l);
    status st = ST_OK;

    *out = NULL;
    if (!l) return fail(ST_NOMEM, "line: no memory");
    l->t = t;
    l->newest = -1;
    TRY_OUT(track_open(&l->track, t->rank->trace, TRACK_ROW_LINE, "line"));
    TRY_OUT(watch_loading(l, load_model, t->rank->o->deadline_s));
    if (t->world->rank == roles_tail(&t->g.roles, t->me->line)) TRY_OUT(open_tail(l));
    *out = l;
    l = NULL; /* handed over */
out:
    line_worker_close(&l);
    return st;
}

void line_worker_close(struct line_worker **line)
{
    struct line_worker *const l = *line;

    if (!l) return;
    decode_link_close(&l->link);
    decode_local_close(&l->beside);
    line_close(&l->line);
    model_pool_release(l->t->rank->pool, &l->model);
    if (l->ctx) l->t->g.o.backend->close(&l->ctx);
    track_close(&l->track);
    free(l->held); /* the clips are the board's */
    free(l);
    *line = NULL;
}

const char *line_worker_weights_hash(const struct line_worker *l) { return l->model.hash; }

const char *line_worker_vae_hash(const struct line_worker *l)
{
    return l->beside ? decode_local_vae_hash(l->beside) : NULL;
}

/* ---- running --------------------------------------------------------------------- */

/* Of a clip that goes on its whole window enters in one tick. */
static void count_entry(struct line_worker *l, struct place p)
{
    struct live_clip *const c = held_clip(l, p.clip);

    if (p.block < c->entered) return;
    l->left -= p.block + 1 - c->entered;
    c->entered = p.block + 1;
}

/* Blocks that exist pass the clean stage alone: by then all that came before has left the line.
 * Those of a clip that goes on warm the decoder, as many as it needs; given ones go on to it. */
static status follow_given(struct line_worker *l)
{
    struct place const p = line_place_of(l->line, l->t->g.schedule.levels);
    struct live_clip *const c = p.clip >= 0 && l->link ? held_clip(l, p.clip) : NULL;

    if (c && p.block < c->resumed) return warm_decoder(l, c, p.block + 1);
    if (!c || p.block >= c->given_blocks) return ST_OK;
    return decode_link_send(l->link, DECODE_BLOCK, p.clip, p.block,
                            c->given + p.block * latent_count(l));
}

/* Which stages held a block in the tick that has ended. */
static status count_tick(struct line_worker *l)
{
    int const levels = l->t->g.schedule.levels;
    int busy = 0, oldest = INT32_MAX, newest = -1;

    for (int s = 0; s <= levels; s++) {
        struct place const p = line_place_of(l->line, s);
        if (p.clip < 0) continue;
        if (!l->busy[s]++) l->first[s] = l->ticks;
        l->last[s] = l->ticks;
        busy++;
        if (p.clip < oldest) oldest = p.clip;
        if (p.clip > newest) newest = p.clip;
        count_entry(l, p);
    }
    TRY(follow_given(l));
    l->ticks++;
    release_clips(l, newest >= 0 ? oldest : -1);
    TRY(tell_idle(l));
    if (l->t->me->place) return ST_OK;
    trace_counter(l->t->rank->trace, "stages with a block", busy);
    return send_supply(l, busy, newest);
}

static status run_ticks(struct line_worker *l)
{
    struct line_io const io = { .arg = l,
                                .decide = decide_boundary,
                                .entry = take_entry,
                                .dropped = drop_clip,
                                .noise = fill_noise,
                                .context_id = find_context,
                                .context = fill_context,
                                .cut = begins_scene,
                                .given = fill_given,
                                .window = fill_window,
                                .checkpoint = is_checkpoint,
                                .keep = send_window,
                                .finished = send_finished,
                                .stop = is_stopped };

    l->begin = clock_seconds();
    line_begin(l->line, &io);
    for (bool more = true; more;) {
        TRY(line_tick(l->line, &more));
        if (more) TRY(count_tick(l));
        track_lap(l->track);
    }
    return comm_agree(l->t->line_comm, ST_OK);
}

/* To the decoder: the end, or that it is not to wait for one. */
static status end_link(struct line_worker *l, status st)
{
    if (!l->link || (st != ST_OK && st != ST_CANCELED)) return st;
    struct error const own = *error_last();
    status const ended = decode_link_end(l->link, st == ST_OK ? DECODE_END : DECODE_CANCELED);

    if (ended != ST_OK) return ended;
    if (st != ST_OK) error_adopt(&own);
    return st;
}

status line_worker_run(struct line_worker *l)
{
    const struct engine_options *const o = l->t->rank->o;
    struct watchdog *const watch = l->t->rank->watch;
    status st;

    if (l->beside) TRY(decode_local_start(l->beside));
    watchdog_add(watch, l->track, o->deadline_s, o->stall_s);
    heartbeat_show(l->t->rank->heartbeat, l->track);
    st = end_link(l, run_ticks(l));
    heartbeat_show(l->t->rank->heartbeat, NULL);
    watchdog_drop(watch, l->track);
    if (l->beside) st = decode_local_join(l->beside, st);
    l->wall = clock_seconds() - l->begin;
    return st;
}

void line_worker_stats(const struct line_worker *l, struct rank_stats *a)
{
    a->ticks = (double)l->ticks;
    a->idle = track_seconds(l->track, TRACK_IDLE, -1);
    a->wall = l->wall - a->idle;
    for (int s = 0; s <= l->t->g.schedule.levels; s++) {
        a->stage[s].busy = (double)l->busy[s];
        a->stage[s].span = l->busy[s] ? (double)(l->last[s] - l->first[s] + 1) : 0;
        cpu_wall_add(&a->stage[s].compute, l->track, TRACK_COMPUTE, s);
    }
    cpu_wall_add(&a->exchange, l->track, TRACK_EXCHANGE, -1);
    cpu_wall_add(&a->hand_over, l->track, TRACK_HAND_OVER, -1);
    cpu_wall_add(&a->queue, l->track, TRACK_QUEUE, -1);
    if (l->beside) decode_local_stats(l->beside, a);
}
