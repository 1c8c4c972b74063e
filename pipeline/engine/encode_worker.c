/*
 * encode_worker.c - where a line's pictures go: encoded, committed, reported.
 *
 * A thread of its own takes blocks from a queue of a few slots; whoever brings the next one waits
 * while all are full, so a slow encoder holds the line back instead of filling memory.
 *
 * A clip that fails does not end the thread. A report that cannot be sent does, and ends the
 * world: nobody would learn what became of the clip.
 */
#include "base/slot_queue.h"
#include "base/thread.h"
#include "pipeline/engine/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum waiting_kind {
    WAITING_BLOCK,
    WAITING_WINDOW, /* behind a block, a latent of the window at a checkpoint */
    WAITING_CUT,    /* b.block: so many of the clip come; why */
};

/* What waits in a slot; its record and its pictures stand behind it. */
struct waiting_block {
    enum waiting_kind kind;
    status why;
    struct decode_block b;
    float data[];
};

struct encode_worker {
    struct encode_worker_config c;
    struct slot_queue *queue;
    size_t record; /* floats of a block's */
    struct track *track;
    struct task task;
    struct encode_clips *clips; /* the thread's own, from its start to its end */
};

/* ---- the thread ------------------------------------------------------------------------- */

static status take_waiting(struct encode_worker *e, const struct waiting_block *w)
{
    switch (w->kind) {
    case WAITING_BLOCK: return encode_clips_block(e->clips, &w->b);
    case WAITING_WINDOW: return encode_clips_window(e->clips, w->b.clip, w->b.block, w->b.x0);
    case WAITING_CUT: return encode_clips_cut(e->clips, w->b.clip, w->b.block, w->why);
    }
    return ST_OK;
}

static const struct waiting_block *next_block(struct encode_worker *e)
{
    track_begin(e->track, TRACK_QUEUE, TRACK_NOWHERE);
    const struct waiting_block *const w = slot_queue_peek(e->queue);
    track_end(e->track);
    return w;
}

static status encode_blocks(void *arg)
{
    struct encode_worker *const e = arg;
    const struct engine_rank *const rank = e->c.t->rank;
    const struct waiting_block *w;
    status st = ST_OK;

    watchdog_add(rank->watch, e->track, rank->o->deadline_s, rank->o->deadline_s);
    while (st == ST_OK && (w = next_block(e))) {
        trace_counter(rank->trace, "waiting for encode", slot_queue_count(e->queue));
        track_begin(e->track, TRACK_ENCODE, (struct track_at){ w->b.clip, -1, -1, w->b.block });
        st = take_waiting(e, w);
        track_end(e->track);
        track_lap(e->track);
        slot_queue_pop(e->queue);
    }
    watchdog_drop(rank->watch, e->track);
    struct error const why = *error_last();
    if (st != ST_OK)
        comm_abort(e->c.t->world); /* an outcome may be lost: nobody is to wait for it */
    slot_queue_stop(e->queue);
    encode_clips_leave(e->clips);
    error_adopt(&why);
    return st;
}

/* ---- the bringer's side --------------------------------------------------------------------- */

status encode_worker_open(struct encode_worker **out, const struct encode_worker_config *c)
{
    const struct engine_group *const g = &c->t->g;
    struct encode_worker *e = calloc(1, sizeof *e);
    size_t const pictures = (size_t)(g->policy.frames_per_block * VAE_PICTURES * g->picture_bytes);
    char name[32];
    status st = ST_OK;

    *out = NULL;
    if (!e) return fail(ST_NOMEM, "encoder: no memory");
    e->c = *c;
    e->record = (size_t)group_block_record(g);
    TRY_OUT(encode_clips_open(&e->clips, c));
    TRY_OUT(slot_queue_open(&e->queue, ENCODE_WORKER_SLOTS,
                            sizeof(struct waiting_block) + e->record * sizeof(float) + pictures));
    snprintf(name, sizeof name, "encode line %d", c->line);
    TRY_OUT(track_open(&e->track, c->t->rank->trace, TRACK_ROW_ENCODE + 2 * c->line, name));
    TRY_OUT(task_start(&e->task, "encode", c->t->world->rank, encode_blocks, e));
    *out = e;
    e = NULL; /* handed over */
out:
    encode_worker_close(&e);
    return st;
}

/* The thread is over after this; its failure becomes this thread's. */
static status join_thread(struct encode_worker *e)
{
    if (e->task.started) slot_queue_end(e->queue);
    return task_join(&e->task, ST_OK);
}

void encode_worker_close(struct encode_worker **worker)
{
    struct encode_worker *const e = *worker;

    if (!e) return;
    if (join_thread(e) != ST_OK) error_clear(); /* a failure further on made it close */
    track_close(&e->track);
    slot_queue_close(&e->queue);
    encode_clips_close(&e->clips);
    free(e);
    *worker = NULL;
}

/* Bytes of a block's pictures. */
static size_t bytes_of(const struct encode_worker *e, const struct pictures *p)
{
    const struct engine_group *const g = &e->c.t->g;
    struct pixels_layout const layout =
        pixels_layout((int)g->latent_w * VAE_SCALE, (int)g->latent_h * VAE_SCALE, p->formats);
    return (size_t)(p->count * layout.bytes);
}

/* Record and pictures, where there are any, are copied. why: of a cut. */
static status push_waiting(struct encode_worker *e, enum waiting_kind kind,
                           const struct decode_block *b, status why)
{
    track_begin(e->c.decode, TRACK_QUEUE, (struct track_at){ b->clip, -1, -1, b->block });
    struct waiting_block *const w = slot_queue_reserve(e->queue);
    track_end(e->c.decode);

    if (!w) return join_thread(e);
    w->kind = kind;
    w->why = why;
    w->b = *b;
    if (b->x0) w->b.x0 = memcpy(w->data, b->x0, e->record * sizeof *b->x0);
    if (b->pictures.at)
        w->b.pictures.at = memcpy(w->data + e->record, b->pictures.at, bytes_of(e, &b->pictures));
    slot_queue_push(e->queue);
    return ST_OK;
}

status encode_worker_block(struct encode_worker *e, const struct decode_block *b)
{
    return push_waiting(e, WAITING_BLOCK, b, ST_OK);
}

status encode_worker_window(struct encode_worker *e, int clip, int64_t block, const float *x)
{
    struct decode_block const b = { .clip = clip, .block = block, .x0 = x };
    return push_waiting(e, WAITING_WINDOW, &b, ST_OK);
}

status encode_worker_cut(struct encode_worker *e, int clip, int64_t blocks, status why)
{
    struct decode_block const b = { .clip = clip, .block = blocks };
    return push_waiting(e, WAITING_CUT, &b, why);
}

status encode_worker_end(struct encode_worker *e)
{
    TRY(join_thread(e));
    return clip_report_send(e->c.t, e->c.line, -1, ST_OK, NULL);
}

const struct track *encode_worker_track(const struct encode_worker *e) { return e->track; }

int64_t encode_worker_blocks(const struct encode_worker *e)
{
    return encode_clips_blocks(e->clips);
}

int64_t encode_worker_pictures(const struct encode_worker *e)
{
    return encode_clips_pictures(e->clips);
}
