/*
 * encode_worker.c - where a line's pictures go: encoded, committed, reported.
 *
 * A thread of its own takes blocks from a queue of a few slots; whoever brings the next one waits
 * while all are full, so a slow encoder holds the line back instead of filling memory.
 *
 * A clip that fails does not end the thread (encode_clips.c); what does, a report that did not
 * reach rank 0, ends the world, for nobody would learn what became of that clip.
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

/* What waits in a slot; its latent and its pictures stand behind it. */
struct waiting_block {
    enum waiting_kind kind;
    status why;
    struct decode_block b;
    float data[];
};

struct encode_worker {
    struct encode_worker_config c;
    struct slot_queue *queue;
    size_t latent; /* floats of a block's */
    struct track *track;
    struct task task;
    struct encode_clips *clips; /* the thread's own, from its start to its end */
};

/* ---- the thread ------------------------------------------------------------------------- */

static status take_waiting(struct encode_worker *f, const struct waiting_block *w)
{
    switch (w->kind) {
    case WAITING_BLOCK: return encode_clips_block(f->clips, &w->b);
    case WAITING_WINDOW: return encode_clips_window(f->clips, w->b.clip, w->b.block, w->b.x0);
    case WAITING_CUT: return encode_clips_cut(f->clips, w->b.clip, w->b.block, w->why);
    }
    return ST_OK;
}

static const struct waiting_block *next_block(struct encode_worker *f)
{
    track_begin(f->track, TRACK_QUEUE, TRACK_NOWHERE);
    const struct waiting_block *const w = slot_queue_peek(f->queue);
    track_end(f->track);
    return w;
}

static status encode_blocks(void *arg)
{
    struct encode_worker *const f = arg;
    const struct engine_rank *const rank = f->c.t->rank;
    const struct waiting_block *w;
    status st = ST_OK;

    watchdog_add(rank->watch, f->track, rank->o->deadline_s, rank->o->deadline_s);
    while (st == ST_OK && (w = next_block(f))) {
        trace_counter(rank->trace, "waiting for encode", slot_queue_count(f->queue));
        track_begin(f->track, TRACK_ENCODE, (struct track_at){ w->b.clip, -1, -1, w->b.block });
        st = take_waiting(f, w);
        track_end(f->track);
        track_lap(f->track);
        slot_queue_pop(f->queue);
    }
    watchdog_drop(rank->watch, f->track);
    struct error const why = *error_last();
    if (st != ST_OK)
        comm_abort(f->c.t->world); /* an outcome may be lost: nobody is to wait for it */
    slot_queue_stop(f->queue);
    encode_clips_leave(f->clips);
    error_adopt(&why);
    return st;
}

/* ---- the bringer's side --------------------------------------------------------------------- */

status encode_worker_open(struct encode_worker **out, const struct encode_worker_config *c)
{
    const struct engine_group *const g = &c->t->g;
    struct encode_worker *f = calloc(1, sizeof *f);
    size_t const pictures = (size_t)(g->policy.frames_per_block * VAE_PICTURES * g->picture_bytes);
    char name[32];
    status st = ST_OK;

    *out = NULL;
    if (!f) return fail(ST_NOMEM, "encoder: no memory");
    f->c = *c;
    f->latent = (size_t)group_block_latent(g);
    TRY_OUT(encode_clips_open(&f->clips, c));
    TRY_OUT(slot_queue_open(&f->queue, ENCODE_WORKER_SLOTS,
                            sizeof(struct waiting_block) + f->latent * sizeof(float) + pictures));
    snprintf(name, sizeof name, "encode line %d", c->line);
    TRY_OUT(track_open(&f->track, c->t->rank->trace, TRACK_ROW_ENCODE + 2 * c->line, name));
    TRY_OUT(task_start(&f->task, "encode", c->t->world->rank, encode_blocks, f));
    *out = f;
    f = NULL; /* handed over */
out:
    encode_worker_close(&f);
    return st;
}

/* The thread is over after this; its failure becomes this thread's. */
static status join_thread(struct encode_worker *f)
{
    if (f->task.started) slot_queue_end(f->queue);
    return task_join(&f->task, ST_OK);
}

void encode_worker_close(struct encode_worker **worker)
{
    struct encode_worker *const f = *worker;

    if (!f) return;
    if (join_thread(f) != ST_OK) error_clear(); /* a failure further on made it close */
    track_close(&f->track);
    slot_queue_close(&f->queue);
    encode_clips_close(&f->clips);
    free(f);
    *worker = NULL;
}

/* Bytes of a block's. */
static size_t bytes_of(const struct encode_worker *f, const struct pictures *p)
{
    const struct engine_group *const g = &f->c.t->g;
    struct pixels_layout const layout =
        pixels_layout((int)g->latent_w * VAE_SCALE, (int)g->latent_h * VAE_SCALE, p->formats);
    return (size_t)(p->count * layout.bytes);
}

status encode_worker_block(struct encode_worker *f, const struct decode_block *b)
{
    track_begin(f->c.decode, TRACK_QUEUE, (struct track_at){ b->clip, -1, -1, b->block });
    struct waiting_block *const w = slot_queue_reserve(f->queue);
    track_end(f->c.decode);

    if (!w) return join_thread(f);
    unsigned char *const pictures = (unsigned char *)(w->data + f->latent);
    w->kind = WAITING_BLOCK;
    w->b = *b;
    w->b.x0 = memcpy(w->data, b->x0, f->latent * sizeof *b->x0);
    w->b.pictures.at = memcpy(pictures, b->pictures.at, bytes_of(f, &b->pictures));
    slot_queue_push(f->queue);
    return ST_OK;
}

status encode_worker_window(struct encode_worker *f, int clip, int64_t block, const float *x)
{
    struct waiting_block *const w = slot_queue_reserve(f->queue);

    if (!w) return join_thread(f);
    w->kind = WAITING_WINDOW;
    w->b = (struct decode_block){ .clip = clip, .block = block };
    w->b.x0 = memcpy(w->data, x, f->latent * sizeof *x);
    slot_queue_push(f->queue);
    return ST_OK;
}

status encode_worker_cut(struct encode_worker *f, int clip, int64_t blocks, status why)
{
    struct waiting_block *const w = slot_queue_reserve(f->queue);

    if (!w) return join_thread(f);
    w->kind = WAITING_CUT;
    w->why = why;
    w->b = (struct decode_block){ .clip = clip, .block = blocks };
    slot_queue_push(f->queue);
    return ST_OK;
}

status encode_worker_end(struct encode_worker *f)
{
    TRY(join_thread(f));
    return clip_report_send(f->c.t, f->c.line, -1, ST_OK, NULL);
}

const struct track *encode_worker_track(const struct encode_worker *f) { return f->track; }

int64_t encode_worker_blocks(const struct encode_worker *f)
{
    return encode_clips_blocks(f->clips);
}

int64_t encode_worker_pictures(const struct encode_worker *f)
{
    return encode_clips_pictures(f->clips);
}
