/*
 * decode_worker.c - blocks to pictures, for the lines a decode rank serves.
 *
 * A stream per line, each on a thread of its own; they share the decoder's weights, so one at a
 * time computes. The last part of a chain makes the pictures and gives them to an encode worker.
 */
#include "base/clock.h"
#include "base/file_set.h"
#include "base/thread.h"
#include "pipeline/engine/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>

struct decode_stream {
    struct decode_worker *d;
    int line;
    struct comm *in;
    struct vae *vae;
    struct encode_worker *encoder; /* last part only */
    struct track *track;
    struct task task; /* but for the first, which runs on the worker's own thread */
};

struct decode_worker {
    struct group *t;
    struct decode_worker_config c;
    char vae_hash[DIGEST_HEX];
    double begin, wall;   /* seconds */
    pthread_mutex_t turn; /* one stream at a time computes */
    int streams;
    struct decode_stream stream[];
};

static struct vae_config vae_of(const struct group *t, struct vae_range part)
{
    return (struct vae_config){ .backend = t->g.o.backend,
                                .threads = t->rank->threads,
                                .device = t->rank->device,
                                .strict = t->g.o.mode.determinism == LINE_STRICT,
                                .precision = t->g.act,
                                .latent_h = t->g.latent_h,
                                .latent_w = t->g.latent_w,
                                .path = t->model.vae,
                                .part = part,
                                .picture_bytes = t->g.picture_bytes };
}

static status open_stream(struct decode_worker *d, int i)
{
    const struct engine_rank *const rank = d->t->rank;
    struct decode_stream *const w = &d->stream[i];
    struct vae_config const vae = vae_of(d->t, d->c.part);
    char name[32];

    *w = (struct decode_stream){ .d = d, .line = d->c.line + i, .in = d->c.in[i] };
    w->in->deadline_s = ENGINE_WAIT_S; /* an idle line sends nothing, and that is no stall */
    d->streams++;
    snprintf(name, sizeof name, "decode line %d", w->line);
    TRY(track_open(&w->track, d->t->rank->trace, TRACK_ROW_DECODE + 2 * w->line, name));
    track_begin(w->track, TRACK_LOAD, TRACK_NOWHERE);
    watchdog_add(rank->watch, w->track, rank->o->deadline_s, rank->o->deadline_s);
    status const st = i ? vae_open_beside(&w->vae, d->stream[0].vae) : vae_open(&w->vae, &vae);
    watchdog_drop(rank->watch, w->track);
    track_end(w->track);
    if (st != ST_OK || d->c.out) return st;
    return encode_worker_open(&w->encoder, &(struct encode_worker_config){
                                               .t = d->t, .line = w->line, .decode = w->track });
}

status decode_worker_open(struct decode_worker **out, struct group *t,
                          const struct decode_worker_config *c)
{
    struct decode_worker *d = calloc(1, sizeof *d + (size_t)c->lines * sizeof *d->stream);
    status st = ST_OK;

    *out = NULL;
    if (!d) return fail(ST_NOMEM, "decode: %d lines", c->lines);
    d->t = t;
    d->c = *c;
    pthread_mutex_init(&d->turn, NULL);
    TRY_OUT(model_file_hash(t->model.vae, file_set_vae, group_hash_cache(t), d->vae_hash));
    for (int i = 0; i < c->lines; i++) TRY_OUT(open_stream(d, i));
    *out = d;
    d = NULL; /* handed over */
out:
    decode_worker_close(&d);
    return st;
}

void decode_worker_close(struct decode_worker **decode)
{
    struct decode_worker *const d = *decode;

    if (!d) return;
    for (int i = d->streams - 1; i >= 0; i--) { /* the first one's weights go last */
        struct decode_stream *const w = &d->stream[i];
        encode_worker_close(&w->encoder);
        vae_close(&w->vae);
        track_close(&w->track);
    }
    pthread_mutex_destroy(&d->turn);
    free(d);
    *decode = NULL;
}

/* A clip whose blocks come by the line has come, or comes soon, by the feed. */
static status find_formats(void *arg, int clip, unsigned *formats)
{
    const struct decode_stream *const w = arg;
    return clip_board_formats(w->d->t->board, clip, formats);
}

static status take_block(void *arg, const struct decode_block *b)
{
    struct decode_stream *const w = arg;

    if (w->d->t->rank->o->stop()) comm_stop(w->d->t->world);
    return encode_worker_block(w->encoder, b);
}

static status give_window_on(void *arg, int clip, int64_t block, const float *x)
{
    struct decode_stream *const w = arg;
    return encode_worker_window(w->encoder, clip, block, x);
}

static status give_cut_on(void *arg, int clip, int64_t blocks, status why)
{
    struct decode_stream *const w = arg;
    return encode_worker_cut(w->encoder, clip, blocks, why);
}

static status decode_stream(struct decode_stream *w)
{
    const struct decode_worker *const d = w->d;
    const struct engine_group *const g = &d->t->g;
    struct decode_chain_config const c = {
        .vae = w->vae,
        .part = d->c.part,
        .turn = &w->d->turn,
        .in = w->in,
        .out = d->c.out,
        .frames = g->policy.frames_per_block,
        .latent_h = g->latent_h,
        .latent_w = g->latent_w,
        .chosen = group_block_choice(g),
        .formats = find_formats,
        .picture_bytes = g->picture_bytes,
        .block = take_block,
        .window = give_window_on,
        .cut = give_cut_on,
        .arg = w,
        .track = w->track,
    };
    status const st = decode_chain_run(&c);

    if (!w->encoder || (st != ST_OK && st != ST_CANCELED)) return st;
    struct error const why = *error_last();
    status const ended = encode_worker_end(w->encoder);
    if (ended != ST_OK) return ended;
    if (st != ST_OK) error_adopt(&why);
    return st;
}

static status run_stream(void *arg)
{
    struct decode_stream *const w = arg;
    const struct group *const t = w->d->t;
    const struct engine_rank *const rank = t->rank;
    bool const first = t->me->role == ROLE_DECODE && w == w->d->stream;

    watchdog_add(rank->watch, w->track, rank->o->deadline_s, rank->o->stall_s);
    if (first) heartbeat_show(rank->heartbeat, w->track);
    status const st = decode_stream(w);
    if (first) heartbeat_show(rank->heartbeat, NULL);
    watchdog_drop(rank->watch, w->track);
    if (st != ST_OK && st != ST_CANCELED) comm_abort(t->world);
    return st;
}

/* The first stream on this thread, the others on theirs. */
status decode_worker_run(struct decode_worker *d)
{
    status st = ST_OK;

    d->begin = clock_seconds();
    for (int i = 1; i < d->streams && st == ST_OK; i++) {
        char name[32]; /* cut by task_start */
        snprintf(name, sizeof name, "decode %d", d->stream[i].line);
        st = task_start(&d->stream[i].task, name, d->t->world->rank, run_stream, &d->stream[i]);
    }
    if (st == ST_OK) st = run_stream(&d->stream[0]);
    else comm_abort(d->t->world);
    for (int i = 1; i < d->streams; i++) st = task_join(&d->stream[i].task, st);
    d->wall = clock_seconds() - d->begin;
    return st;
}

const char *decode_worker_vae_hash(const struct decode_worker *d) { return d->vae_hash; }

void decode_worker_stats(const struct decode_worker *d, struct rank_stats *a)
{
    bool const beside =
        d->t->me->role == ROLE_LINE; /* the line's own waits count, not this thread's */

    if (!beside) a->wall = d->wall;
    for (int i = 0; i < d->streams; i++) {
        const struct decode_stream *const w = &d->stream[i];
        double const idle = beside ? 0 : track_seconds(w->track, TRACK_IDLE, -1) / d->streams;
        a->idle += idle;
        a->wall -= idle;
        cpu_wall_add(&a->decode, w->track, TRACK_DECODE, -1);
        if (!beside) cpu_wall_add(&a->queue, w->track, TRACK_QUEUE, -1);
        if (!w->encoder) continue;
        cpu_wall_add(&a->encode, encode_worker_track(w->encoder), TRACK_ENCODE, -1);
        a->blocks += (double)encode_worker_blocks(w->encoder);
        a->pictures += (double)encode_worker_pictures(w->encoder);
    }
}
