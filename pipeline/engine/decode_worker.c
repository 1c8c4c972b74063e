/* decode_worker.c - blocks to pictures to films, for the lines a decode rank serves. */
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "pipeline/decode/decode_chain.h"
#include "pipeline/engine/encode_worker.h"
#include "pipeline/engine/engine_batch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* One line's way through this rank: a thread of its own. */
struct decode_stream {
    struct decode_worker *d;
    int line;
    struct comm *in;
    struct vae *vae;
    struct encode_worker *film; /* last part only */
    struct track *track;
    pthread_t thread;
    bool runs;
    status st;
    struct error error;
};

struct decode_worker {
    struct batch *t;
    struct decode_worker_config c;
    char vae_hash[DIGEST_HEX];
    double begin, wall;   /* seconds */
    pthread_mutex_t turn; /* one way at a time computes: they share the weights' place */
    int ways;
    struct decode_stream way[];
};

static struct vae_config vae_of(const struct batch *t, struct vae_range part)
{
    return (struct vae_config){ .backend = t->rank->o->backend,
                                .threads = t->rank->threads,
                                .device = t->rank->device,
                                .strict = t->rank->o->mode.determinism == LINE_STRICT,
                                .precision = t->act,
                                .latent_h = t->latent_h,
                                .latent_w = t->latent_w,
                                .path = t->b->clip[0]->card->vae,
                                .part = part,
                                .picture_bytes = t->picture_bytes };
}

static status open_film(struct decode_worker *d, struct decode_stream *w)
{
    const struct batch *const t = d->t;
    struct encode_worker_config const film = {
        .clip = t->b->clip,
        .world = t->world,
        .line = w->line,
        .frames_per_block = t->policy.frames_per_block,
        .latent_h = t->latent_h,
        .latent_w = t->latent_w,
        .picture_bytes = t->picture_bytes,
        .facts = { .o = t->rank->o,
                   .world = t->world,
                   .roles = &t->roles,
                   .line = w->line,
                   .precision = t->act == DT_F32 ? "f32" : "bf16",
                   .weights_hash = t->weights_hash,
                   .text_hash = prompt_bank_encoder_hash(t->prompts),
                   .vae_hash = t->vae_hash },
        .trace = t->rank->trace,
        .watch = t->rank->watch,
        .deadline_s = t->rank->o->deadline_s,
        .decode = w->track,
    };
    return encode_worker_open(&w->film, &film);
}

static status open_way(struct decode_worker *d, int i)
{
    struct decode_stream *const w = &d->way[i];
    struct vae_config const vae = vae_of(d->t, d->c.part);
    char name[32];

    *w = (struct decode_stream){ .d = d, .line = d->c.line + i, .in = d->c.in[i] };
    d->ways++;
    snprintf(name, sizeof name, "decode line %d", w->line);
    TRY(track_open(&w->track, d->t->rank->trace, TRACK_ROW_DECODE + 2 * w->line, name));
    track_begin(w->track, TRACK_LOAD, TRACK_NOWHERE);
    TRY(i ? vae_open_beside(&w->vae, d->way[0].vae) : vae_open(&w->vae, &vae));
    track_end(w->track);
    return d->c.out ? ST_OK : open_film(d, w);
}

status decode_worker_open(struct decode_worker **out, struct batch *t,
                          const struct decode_worker_config *c)
{
    struct decode_worker *d = calloc(1, sizeof *d + (size_t)c->lines * sizeof *d->way);
    status st = ST_OK;

    *out = NULL;
    if (!d) return fail(ST_NOMEM, "decode: %d lines", c->lines);
    d->t = t;
    d->c = *c;
    pthread_mutex_init(&d->turn, NULL);
    TRY_OUT(digest_file(t->b->clip[0]->card->vae, d->vae_hash));
    for (int i = 0; i < c->lines; i++) TRY_OUT(open_way(d, i));
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
    for (int i = d->ways - 1; i >= 0; i--) { /* the first one's weights go last */
        struct decode_stream *const w = &d->way[i];
        encode_worker_close(&w->film);
        vae_close(&w->vae);
        track_close(&w->track);
    }
    pthread_mutex_destroy(&d->turn);
    free(d);
    *decode = NULL;
}

static status block(void *arg, const struct decode_block *b)
{
    struct decode_stream *const w = arg;
    struct comm *const world = w->d->t->world;

    if (w->d->t->rank->o->stop()) comm_stop(world);
    return encode_worker_block(w->film, b);
}

static status run_way(struct decode_stream *w)
{
    const struct decode_worker *const d = w->d;
    const struct batch *const t = d->t;
    struct decode_chain_config const c = {
        .vae = w->vae,
        .part = d->c.part,
        .turn = &w->d->turn,
        .in = w->in,
        .out = d->c.out,
        .frames = t->policy.frames_per_block,
        .latent_h = t->latent_h,
        .latent_w = t->latent_w,
        .formats = t->formats,
        .picture_bytes = t->picture_bytes,
        .block = block,
        .arg = w,
        .track = w->track,
    };
    status st = decode_chain_run(&c);

    if (!w->film || (st != ST_OK && st != ST_CANCELED)) return st;
    status const filmed = encode_worker_end(w->film);
    return filmed != ST_OK ? filmed : st;
}

static void *way_main(void *arg)
{
    struct decode_stream *const w = arg;
    const struct engine_rank *const rank = w->d->t->rank;
    struct comm *const world = w->d->t->world;
    bool const first = w->d->t->me->role == ROLE_DECODE && w == w->d->way;

    log_set_rank(world->rank);
    watchdog_add(rank->watch, w->track, rank->o->deadline_s, rank->o->stall_s);
    if (first) heartbeat_show(rank->pulse, w->track);
    w->st = run_way(w);
    if (first) heartbeat_show(rank->pulse, NULL);
    watchdog_drop(rank->watch, w->track);
    if (w->st == ST_OK) return NULL;
    w->error = *error_last();
    if (w->st != ST_CANCELED) comm_abort(world);
    return NULL;
}

/* The first way on this thread, the others on theirs. */
status decode_worker_run(struct decode_worker *d)
{
    status st = ST_OK;

    d->begin = clock_seconds();
    for (int i = 1; i < d->ways && st == ST_OK; i++) {
        struct decode_stream *const w = &d->way[i];
        if (pthread_create(&w->thread, NULL, way_main, w))
            st = fail(ST_NOMEM, "cannot start a thread for line %d", w->line);
        else w->runs = true;
    }
    if (st == ST_OK) way_main(&d->way[0]);
    else comm_abort(d->t->world);
    for (int i = 0; i < d->ways; i++) {
        struct decode_stream *const w = &d->way[i];
        if (w->runs) pthread_join(w->thread, NULL);
        if (!status_outweighs(w->st, st)) continue;
        st = w->st;
        error_adopt(&w->error);
    }
    d->wall = clock_seconds() - d->begin;
    return st;
}

const char *decode_worker_vae_hash(const struct decode_worker *d) { return d->vae_hash; }

void decode_worker_stats(const struct decode_worker *d, struct rank_stats *a)
{
    bool const beside = a->wall > 0; /* the line's own waits count, not this thread's */

    if (!beside) a->wall = d->wall;
    for (int i = 0; i < d->ways; i++) {
        const struct decode_stream *const w = &d->way[i];
        cpu_wall_add(&a->decode, w->track, TRACK_DECODE, -1);
        if (!beside) cpu_wall_add(&a->queue, w->track, TRACK_QUEUE, -1);
        if (!w->film) continue;
        cpu_wall_add(&a->encode, encode_worker_track(w->film), TRACK_ENCODE, -1);
        a->blocks += (double)encode_worker_blocks(w->film);
        a->pictures += (double)encode_worker_pictures(w->film);
    }
}
