/* line_worker.c - one rank of a line; its tail sends finished blocks on to be decoded. */
#include "base/clock.h"
#include "comm/heartbeat.h"
#include "pipeline/decode/decode_link.h"
#include "pipeline/dit/noise.h"
#include "pipeline/engine/decode_local.h"

#include <stdio.h>
#include <stdlib.h>

struct line_worker {
    struct batch *t;
    int *clip; /* of the batch, by their number on this line */
    int clips;
    struct timeline_entry *entry; /* as many: all there will be */
    struct kern_ctx *ctx;
    struct pooled_model model;
    struct line *line;
    struct track *track;
    struct decode_link *link;    /* tail only */
    struct decode_local *beside; /* tail only, without decode ranks; else NULL */

    int64_t ticks, busy[SCHEDULE_LEVELS + 1]; /* so far; with a block, by stage */
    int64_t first[SCHEDULE_LEVELS + 1], last[SCHEDULE_LEVELS + 1]; /* such ticks */
    double begin, wall;                                            /* seconds */
};

/* ---- what the line asks for ------------------------------------------------------ */

static status noise(void *arg, int clip, int64_t block, int level, float *out)
{
    const struct line_worker *const l = arg;
    const struct batch *const t = l->t;
    int64_t const count =
        (int64_t)t->policy.frames_per_block * t->shape.channels * t->latent_h * t->latent_w;

    noise_fill(out, count, t->b->clip[l->clip[clip]]->spec->seed, block, level);
    return ST_OK;
}

static int64_t context_id(void *arg, int clip, int64_t block)
{
    const struct line_worker *const l = arg;
    return prompt_bank_id(l->t->prompts, l->clip[clip], block);
}

static status context(void *arg, int clip, int64_t block, float *embeds)
{
    const struct line_worker *const l = arg;
    prompt_bank_fill(l->t->prompts, l->clip[clip], block, embeds);
    return ST_OK;
}

static status finished(void *arg, int clip, int64_t block, const float *x0)
{
    struct line_worker *const l = arg;
    return decode_link_send(l->link, l->clip[clip], block, x0);
}

static int number(void *arg, int clip) { return ((const struct line_worker *)arg)->clip[clip]; }

static bool stop(void *arg)
{
    const struct line_worker *const l = arg;
    struct comm *const world = l->t->world;

    if (l->t->rank->o->stop()) comm_stop(world);
    return comm_stopped(world);
}

/* ---- opening --------------------------------------------------------------------- */

static status take_clips(struct line_worker *l)
{
    const struct batch *const t = l->t;

    l->clip = calloc((size_t)t->b->clips + 1, sizeof *l->clip);
    l->entry = calloc((size_t)t->b->clips + 1, sizeof *l->entry);
    if (!l->entry || !l->clip) return fail(ST_NOMEM, "%d clips", t->b->clips);
    for (int i = 0; i < t->b->clips; i++)
        if (t->line_of[i] == t->me->line) {
            l->entry[l->clips] =
                (struct timeline_entry){ .clip = l->clips, .end = t->b->clip[i]->spec->blocks };
            l->clip[l->clips++] = i;
        }
    return ST_OK;
}

static status open_tail(struct line_worker *l)
{
    const struct batch *const t = l->t;
    struct comm *hop = t->out;

    if (!t->roles.line[t->me->line].decode_ranks) {
        TRY(decode_local_open(&l->beside, l->t));
        hop = decode_local_link(l->beside);
    }
    return decode_link_open(&l->link, &(struct decode_link_config){
                                          .link = hop,
                                          .frames = t->policy.frames_per_block,
                                          .latent_h = t->latent_h,
                                          .latent_w = t->latent_w,
                                          .track = l->track,
                                      });
}

static void name_rows(const struct line_worker *l, const struct split *split)
{
    int const place = l->t->me->place;

    for (int s = split->first[place]; s < split->first[place + 1]; s++) {
        char name[16];
        snprintf(name, sizeof name, s == l->t->schedule.levels ? "clean" : "stage %d", s);
        trace_row(l->t->rank->trace, s, name);
    }
}

static status open_line(struct line_worker *l)
{
    struct batch *const t = l->t;
    const struct model_spec *const card = t->b->clip[0]->card;
    struct dit_config const dit = { .weights = card->weights,
                                    .outer_key = card->outer_key,
                                    .shape = t->shape,
                                    .schedule = &t->schedule,
                                    .act = t->act };
    struct line_config c = { .schedule = &t->schedule,
                             .policy = t->policy,
                             .mode = t->rank->o->mode,
                             .latent_h = t->latent_h,
                             .latent_w = t->latent_w,
                             .contexts = prompt_bank_count(t->prompts),
                             .comm = t->line_comm,
                             .track = l->track };

    track_begin(l->track, TRACK_LOAD, TRACK_NOWHERE);
    TRY(model_pool_acquire(t->rank->store, &dit, t->rank->device, &l->model));
    TRY(t->rank->o->backend->open(
        &l->ctx, &(struct kern_config){ .threads = t->rank->threads,
                                        .device = t->rank->device,
                                        .strict = t->rank->o->mode.determinism == LINE_STRICT }));
    TRY(split_make(&c.split, t->schedule.levels + 1, t->line_comm->size));
    c.model = l->model.dit;
    c.ctx = l->ctx;
    TRY(line_open(&l->line, &c));
    track_end(l->track);
    name_rows(l, &c.split);
    return ST_OK;
}

status line_worker_open(struct line_worker **out, struct batch *t)
{
    struct line_worker *l = calloc(1, sizeof *l);
    status st = ST_OK;

    *out = NULL;
    if (!l) return fail(ST_NOMEM, "line: no memory");
    l->t = t;
    TRY_OUT(track_open(&l->track, t->rank->trace, TRACK_ROW_LINE, "line"));
    TRY_OUT(take_clips(l));
    TRY_OUT(open_line(l));
    if (t->world->rank == roles_tail(&t->roles, t->me->line, t->schedule.levels + 1))
        TRY_OUT(open_tail(l));
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
    model_pool_release(l->t->rank->store, &l->model);
    if (l->ctx) l->t->rank->o->backend->close(&l->ctx);
    track_close(&l->track);
    free(l->entry);
    free(l->clip);
    free(l);
    *line = NULL;
}

const char *line_worker_weights_hash(const struct line_worker *l) { return l->model.hash; }

const char *line_worker_vae_hash(const struct line_worker *l)
{
    return l->beside ? decode_local_vae_hash(l->beside) : NULL;
}

/* ---- running --------------------------------------------------------------------- */

/* Which stages held a block in the tick that was run. */
static status count_tick(struct line_worker *l)
{
    struct comm *const world = l->t->world;
    struct comm_control note = { .kind = CONTROL_TICK, .value = { l->t->me->line } };

    for (int s = 0; s <= l->t->schedule.levels; s++) {
        if (line_place_of(l->line, s).clip < 0) continue;
        if (!l->busy[s]++) l->first[s] = l->ticks;
        l->last[s] = l->ticks;
        note.value[1]++;
    }
    l->ticks++;
    if (!l->t->me->place) trace_counter(l->t->rank->trace, "stages with a block", note.value[1]);
    return l->t->me->place ? ST_OK : comm_send_control(world, 0, &note);
}

static status run_ticks(struct line_worker *l)
{
    struct line_io const io = { .arg = l,
                                .noise = noise,
                                .context_id = context_id,
                                .context = context,
                                .finished = finished,
                                .number = number,
                                .stop = stop };
    bool more = true;

    l->begin = clock_seconds();
    line_begin_list(l->line, l->entry, l->clips, &io);
    while (more) {
        TRY(line_tick(l->line, &more));
        if (more) TRY(count_tick(l));
        track_lap(l->track);
    }
    return ST_OK;
}

/* The decoder hears the end, or that it is not to wait for one. */
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
    heartbeat_show(l->t->rank->pulse, l->track);
    st = end_link(l, run_ticks(l));
    heartbeat_show(l->t->rank->pulse, NULL);
    watchdog_drop(watch, l->track);
    if (l->beside) st = decode_local_join(l->beside, st);
    l->wall = clock_seconds() - l->begin;
    return st;
}

void line_worker_stats(const struct line_worker *l, struct rank_stats *a)
{
    a->ticks = (double)l->ticks;
    a->wall = l->wall;
    for (int s = 0; s <= l->t->schedule.levels; s++) {
        a->stage[s].busy = (double)l->busy[s];
        a->stage[s].span = l->busy[s] ? (double)(l->last[s] - l->first[s] + 1) : 0;
        cpu_wall_add(&a->stage[s].compute, l->track, TRACK_COMPUTE, s);
    }
    cpu_wall_add(&a->exchange, l->track, TRACK_EXCHANGE, -1);
    cpu_wall_add(&a->hand_over, l->track, TRACK_HAND_OVER, -1);
    cpu_wall_add(&a->queue, l->track, TRACK_QUEUE, -1);
    if (l->beside) decode_local_stats(l->beside, a);
}
