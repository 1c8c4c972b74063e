/*
 * queue_source.c - the clips that this world holds, as a work source.
 *
 * Called by the engine's dispatcher alone. Nothing here waits for the database: what is asked for
 * is on the list or comes later, and what is told is put on it.
 */
#include "base/clock.h"
#include "cmd/queue/cmd_queue_internal.h"
#include "pipeline/dit/dit.h"
#include "pipeline/engine/output_formats.h"

#include <stdio.h>
#include <string.h>

/* ---- handing over ---- */

/* The oldest ready clip, of this group; "": of any. */
static struct held_clip *find_ready(const struct queue_link *l, const char *group)
{
    for (struct held_clip *h = l->held; h; h = h->next)
        if (h->state == HELD_READY && (!group[0] || !strcmp(h->q.group, group))) return h;
    return NULL;
}

static struct work_item item_of(const struct held_clip *h)
{
    return (struct work_item){ h->ticket, h->spec, &h->job->x.model };
}

/* With the lock. */
static enum work_next choose_next(struct queue_link *l, const struct work_item *group,
                                  struct work_item *out)
{
    struct held_clip *const h = find_ready(l, group ? l->group : "");

    if (h) {
        *out = item_of(h);
        h->state = HELD_GIVEN;
        if (!group) {
            snprintf(l->group, sizeof l->group, "%s", h->q.group);
            l->leader = h->q.job;
            l->group_since = clock_seconds();
            l->other_group = false;
        }
        l->urgent = true;
        pthread_cond_signal(&l->woken);
        return WORK_CLIP;
    }
    if (group && (l->other_group || find_ready(l, ""))) return WORK_OTHER;
    return l->over ? WORK_END : WORK_LATER;
}

static status give_clip(void *arg, const struct work_item *group, double wait_s,
                        struct work_item *out, enum work_next *what)
{
    struct queue_link *const l = arg;

    pthread_mutex_lock(&l->lock);
    if (!group) l->leader = 0; /* what began the last group may go */
    *what = choose_next(l, group, out);
    if (*what == WORK_LATER && wait_s > 0) {
        condvar_wait_for(&l->changed, &l->lock, wait_s);
        *what = choose_next(l, group, out);
    }
    pthread_mutex_unlock(&l->lock);
    return ST_OK;
}

/* Others of the group may come at any time, with given blocks or a recache
 * too; all have files of the same formats (name_group). */
static status look_out(void *arg, const struct work_item *first, struct work_outlook *out)
{
    struct queue_link *const l = arg;
    struct dit_shape shape;

    *out = (struct work_outlook){ .more = true, .formats = clip_pixel_formats(first->clip) };
    TRY(dit_shape_read(&shape, first->model->config));
    pthread_mutex_lock(&l->lock);
    for (const struct held_clip *h = l->held; h; h = h->next) {
        if (h->state == HELD_ENDED || strcmp(h->q.group, l->group) != 0) continue;
        work_outlook_add(out, h->spec);
        out->texts += h->spec->prompts;
    }
    pthread_mutex_unlock(&l->lock);
    out->starts = out->recaches = 1; /* of those that may come */
    out->tokens = out->texts * shape.text_len;
    return ST_OK;
}

/* ---- what becomes of them ---- */

static void note_begun(void *arg, int64_t ticket)
{
    struct queue_link *const l = arg;

    pthread_mutex_lock(&l->lock);
    struct held_clip *const h = held_find(l, ticket);
    if (h && h->q.blocks_done < 0) h->q.blocks_done = 0;
    l->urgent = true;
    pthread_cond_signal(&l->woken);
    pthread_mutex_unlock(&l->lock);
}

static void note_progress(void *arg, int64_t ticket, int64_t blocks)
{
    struct queue_link *const l = arg;

    pthread_mutex_lock(&l->lock);
    struct held_clip *const h = held_find(l, ticket);
    if (h) h->q.blocks_done = blocks;
    pthread_mutex_unlock(&l->lock);
}

static void note_done(void *arg, int64_t ticket)
{
    struct queue_link *const l = arg;

    pthread_mutex_lock(&l->lock);
    struct held_clip *const h = held_find(l, ticket);
    if (h) {
        h->q.blocks_done = h->q.blocks;
        l->counts.done++;
        held_end(l, h, QUEUE_END_DONE, "");
    }
    pthread_mutex_unlock(&l->lock);
}

/* A canceled clip was wanted no more, its world was told to stop, or the engine broke down. */
static enum queue_end end_of_canceled(const struct queue_link *l, const struct held_clip *h)
{
    if (h->q.stop) return QUEUE_END_CANCEL;
    return l->c.stopped() ? QUEUE_END_PREEMPT : QUEUE_END_CRASH;
}

static enum queue_end end_of_failure(const struct queue_link *l, const struct held_clip *h,
                                     status st)
{
    switch (st) {
    case ST_CANCELED: return end_of_canceled(l, h);
    case ST_FORMAT:
    case ST_ARG: return QUEUE_END_SPEC;
    case ST_IO: return QUEUE_END_HOST;
    case ST_COMM:
    case ST_PEER: return QUEUE_END_CRASH;
    default: return QUEUE_END_ERROR;
    }
}

static void note_failed(void *arg, int64_t ticket, status st, const char *why)
{
    struct queue_link *const l = arg;

    pthread_mutex_lock(&l->lock);
    struct held_clip *const h = held_find(l, ticket);
    if (h) {
        enum queue_end how = end_of_failure(l, h, st);
        held_check_folder(&h->q, &how, &why); /* another world was first */
        if (how == QUEUE_END_PREEMPT) l->counts.handed_back++;
        else if (how != QUEUE_END_DONE && how != QUEUE_END_CANCEL && !h->q.lost) l->counts.failed++;
        if (h->q.lost && how != QUEUE_END_DONE) held_remove(l, h);
        else held_end(l, h, how, why);
    }
    pthread_mutex_unlock(&l->lock);
}

static int64_t find_withdrawn(void *arg)
{
    struct queue_link *const l = arg;
    int64_t ticket = -1;

    pthread_mutex_lock(&l->lock);
    for (struct held_clip *h = l->held; h && ticket < 0; h = h->next) {
        if (h->state != HELD_GIVEN || h->withdrawn || !(h->q.stop || h->q.lost)) continue;
        h->withdrawn = true;
        ticket = h->ticket;
    }
    pthread_mutex_unlock(&l->lock);
    return ticket;
}

static const struct work_source_ops source_ops = {
    .next = give_clip,
    .outlook = look_out,
    .begun = note_begun,
    .progress = note_progress,
    .done = note_done,
    .failed = note_failed,
    .withdrawn = find_withdrawn,
};

struct work_source queue_link_source(struct queue_link *l)
{
    return (struct work_source){ .ops = &source_ops, .arg = l };
}
