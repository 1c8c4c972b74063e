/*
 * line_worker.c - one rank of a line: its model, its stages, the loop of ticks.
 *
 * The clips that the line works on are line_clips.c's, which the line asks for what it needs. The
 * line's tail also has the link to whoever decodes: another rank, or a thread beside it.
 */
#include "base/clock.h"
#include "pipeline/decode/decode_link.h"
#include "pipeline/engine/engine_internal.h"
#include "pipeline/engine/workload.h"

#include <stdio.h>
#include <stdlib.h>

struct line_worker {
    struct group *t;
    struct kern_ctx *ctx;
    struct pooled_model model;
    struct line *line;
    struct line_clips *clips;
    struct track *track;
    struct decode_link *link;    /* tail only */
    struct decode_local *beside; /* tail only, without decode ranks; else NULL */

    int64_t ticks, busy[SCHEDULE_LEVELS + 1]; /* so far; with a block, by stage */
    int64_t first[SCHEDULE_LEVELS + 1], last[SCHEDULE_LEVELS + 1]; /* such ticks */
    double begin, wall;                                            /* seconds */
};

/* ---- opening --------------------------------------------------------------------- */

static status open_tail(struct line_worker *l)
{
    struct group *const t = l->t;
    struct comm *link = t->out;

    if (!t->g.roles.line[t->me->line].decode_ranks) {
        TRY(decode_local_open(&l->beside, t));
        link = decode_local_link(l->beside);
    }
    return decode_link_open(&l->link, &(struct decode_link_config){
                                          .link = link,
                                          .frames = t->g.policy.frames_per_block,
                                          .latent_h = t->g.latent_h,
                                          .latent_w = t->g.latent_w,
                                          .chosen = group_block_choice(&t->g),
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

static status acquire_model(struct line_worker *l)
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
                             .contexts = workload_contexts(&g->outlook),
                             .given = g->outlook.starts > 0,
                             .recache = workload_recaches(&g->outlook, &g->policy),
                             .idle_s = ENGINE_WAIT_S,
                             .comm = t->line_comm,
                             .model = l->model.dit,
                             .ctx = l->ctx,
                             .track = l->track };

    TRY(split_make(&c.split, g->roles.stages, t->line_comm->size));
    TRY(line_open(&l->line, &c));
    TRY(line_clips_open(&l->clips, t, l->line, l->link, l->track));
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
    TRY_OUT(track_open(&l->track, t->rank->trace, TRACK_ROW_LINE, "line"));
    TRY_OUT(watch_loading(l, acquire_model, t->rank->o->deadline_s));
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
    line_clips_close(&l->clips);
    line_close(&l->line);
    model_pool_release(l->t->rank->pool, &l->model);
    if (l->ctx) l->t->g.o.backend->close(&l->ctx);
    track_close(&l->track);
    free(l);
    *line = NULL;
}

const char *line_worker_weights_hash(const struct line_worker *l) { return l->model.hash; }

const char *line_worker_vae_hash(const struct line_worker *l)
{
    return l->beside ? decode_local_vae_hash(l->beside) : NULL;
}

/* ---- running --------------------------------------------------------------------- */

/* Which stages held a block in the tick that has ended. */
static void count_stages(struct line_worker *l)
{
    int busy = 0;

    for (int s = 0; s <= l->t->g.schedule.levels; s++) {
        if (line_place_of(l->line, s).clip < 0) continue;
        if (!l->busy[s]++) l->first[s] = l->ticks;
        l->last[s] = l->ticks;
        busy++;
    }
    l->ticks++;
    if (!l->t->me->place) trace_counter(l->t->rank->trace, "stages with a block", busy);
}

static status run_ticks(struct line_worker *l)
{
    struct line_io const io = line_clips_io(l->clips);

    l->begin = clock_seconds();
    line_begin(l->line, &io);
    for (bool more = true; more;) {
        TRY(line_tick(l->line, &more));
        if (more) {
            count_stages(l);
            TRY(line_clips_follow(l->clips));
        }
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
