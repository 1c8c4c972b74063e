/*
 * dispatcher.c - rank 0: clips from the work source to the lines, outcomes back to it.
 *
 * A thread beside whatever rank 0 does. A line is kept supplied: as soon as fewer than two blocks
 * a stage are left that have not entered, the next clip goes to it - to the line with the fewest,
 * if there are several. Before that the clip's prompts are embedded, those
 * of all clips at hand together. What a line has left its head sends with every
 * tick (CONTROL_TICK); a message that is lost is made good by the next one.
 *
 * What becomes of a clip, one that is cut too, is reported by the rank that encodes it
 * (clip_feed.c), which nothing can lose. After a stop the end of a line's encoder settles all of
 * the line that is left.
 *
 * The source is called from this thread alone.
 */
#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/thread.h"
#include "jobs/spec/spec_json.h"
#include "pipeline/engine/engine_internal.h"
#include "pipeline/engine/output_formats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double const turn_s = 0.1;

/* A clip that the source gave and whose outcome has not been reported to it. */
struct entry {
    struct work_item item;
    int number, line;          /* -1: waits to be handed over */
    int64_t nth;               /* clip of its line */
    int64_t encoded, reported; /* blocks; of those the source knows */
    bool begun, begun_reported;
    bool over; /* `st` and `why` say what became of it */
    status st;
    char *why;
};

/* What a line's head has said last. */
struct supply {
    int64_t handed;         /* clips, by this thread */
    int64_t admitted, left; /* clips; blocks of them that have not entered */
    bool ended;             /* its encoder */
    int busy, shown;        /* stages with a block; that events know */
};

struct dispatcher {
    struct group *t;
    struct prompt_bank *prompts;
    struct clip_starts *starts;
    struct task task;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    struct entry **entry; /* [entries], in the order they came */
    int entries, room;
    struct supply line[ROLES_RANKS];

    /* the thread's own */
    bool exhausted;     /* the source has no more of the group */
    bool ended, closed; /* feeds: no more clips; nothing more at all */
    int numbers;        /* of the render, given out so far */
    double asked_at;    /* the source, clock_seconds() */
    int64_t done, failed;
};

/* ---- what others report, on their threads --------------------------------------------- */

static struct entry *find_entry(const struct dispatcher *d, int number)
{
    for (int i = 0; i < d->entries; i++)
        if (d->entry[i]->number == number) return d->entry[i];
    return NULL;
}

static void settle_entry(struct entry *e, status st, const char *why)
{
    if (e->over) return;
    e->over = true;
    e->st = st;
    e->why = why && *why ? strdup(why) : NULL;
}

/* Clips of the line that nobody has reported will not be. */
static void settle_line(struct dispatcher *d, int line)
{
    for (int i = 0; i < d->entries; i++)
        if (d->entry[i]->line == line) settle_entry(d->entry[i], ST_CANCELED, "stopped");
}

/* With the lock. Up to and with this block it is encoded. */
static void note_encoded(struct entry *e, int64_t block)
{
    e->begun = true;
    if (block >= e->encoded) e->encoded = block + 1;
}

static void take_report(struct dispatcher *d, int line, const struct clip_report *r)
{
    pthread_mutex_lock(&d->lock);
    struct entry *const e = r->number >= 0 ? find_entry(d, r->number) : NULL;

    if (r->number < 0) {
        d->line[line].ended = true;
        settle_line(d, line);
    } else if (e) {
        if (r->st == ST_OK) note_encoded(e, e->item.clip->blocks - 1);
        settle_entry(e, (status)r->st, r->why);
    }
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

static void receive_tick(struct dispatcher *d, const int64_t value[])
{
    int const line = (int)value[TICK_LINE];

    d->line[line].busy = (int)value[TICK_BUSY];
    d->line[line].left = value[TICK_LEFT];
    d->line[line].admitted = value[TICK_ADMITTED];
    for (int i = 0; i < d->entries; i++) { /* the one whose block stands at stage 0 has begun */
        struct entry *const e = d->entry[i];
        if (e->line == line && e->number <= value[TICK_NEWEST])
            e->begun = true; /* line >= 0: it has one */
    }
}

static void receive_block(struct dispatcher *d, const int64_t value[])
{
    struct entry *const e = find_entry(d, (int)value[BLOCK_CLIP]);

    if (e) note_encoded(e, value[BLOCK_NUMBER]);
}

static void receive_control(void *arg, const struct comm_control *m)
{
    struct dispatcher *const d = arg;

    pthread_mutex_lock(&d->lock);
    if (m->kind == CONTROL_TICK) receive_tick(d, m->value);
    if (m->kind == CONTROL_BLOCK) receive_block(d, m->value);
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

/* ---- what is reported to the source ---------------------------------------------------- */

static void count_failure(struct dispatcher *d)
{
    d->failed++;
    if (d->t->rank->o->fail_fast) comm_stop(d->t->world);
}

static void report_outcome(struct dispatcher *d, const struct entry *e)
{
    const struct work_source *const s = d->t->rank->source;

    if (e->st == ST_OK) {
        d->done++;
        s->ops->done(s->arg, e->item.ticket);
        return;
    }
    if (e->st != ST_CANCELED) {
        log_info("clip %s failed: %s", e->item.clip->name, e->why ? e->why : status_name(e->st));
        count_failure(d);
    }
    s->ops->failed(s->arg, e->item.ticket, e->st, e->why ? e->why : status_name(e->st));
}

/* The next entry with news for the source, a copy; one that is over is taken off the list. */
static bool next_change(struct dispatcher *d, struct entry *out)
{
    bool found = false;

    pthread_mutex_lock(&d->lock);
    for (int i = 0; i < d->entries && !found; i++) {
        struct entry *const e = d->entry[i];
        found = e->over || e->begun != e->begun_reported || e->encoded > e->reported;
        if (!found) continue;
        *out = *e;
        e->begun_reported = e->begun;
        e->reported = e->encoded;
        if (!e->over) break;
        memmove(d->entry + i, d->entry + i + 1, (size_t)(d->entries - i - 1) * sizeof *d->entry);
        d->entries--;
        free(e);
    }
    pthread_mutex_unlock(&d->lock);
    return found;
}

/* A clip that failed takes no more of the line's time. */
static status cut_failed_clip(struct dispatcher *d, const struct entry *e)
{
    bool const runs = e->line >= 0 && e->st != ST_OK && e->st != ST_CANCELED && !d->closed;
    return runs ? clip_feed_cut(d->t, e->line, e->number) : ST_OK;
}

/* For people; with no lock held, since whoever writes it down may be held up. */
static void show_ticks(struct dispatcher *d)
{
    const struct engine_events *const ev = d->t->rank->events;

    if (!ev || !ev->tick) return;
    for (int line = 0; line < d->t->g.roles.lines; line++) {
        pthread_mutex_lock(&d->lock);
        int const busy = d->line[line].busy;
        bool const news = busy != d->line[line].shown;
        d->line[line].shown = busy;
        pthread_mutex_unlock(&d->lock);
        if (news) ev->tick(ev->arg, line, busy);
    }
}

static void show_blocks(const struct dispatcher *d, const struct entry *e)
{
    const struct engine_events *const ev = d->t->rank->events;
    int const frames = e->item.clip->frames_per_block;

    if (!ev || !ev->blocks) return;
    ev->blocks(ev->arg, e->item.clip, e->encoded - 1, e->encoded - e->reported,
               clip_first_picture(e->encoded, frames) - clip_first_picture(e->reported, frames));
}

static status report_changes(struct dispatcher *d)
{
    const struct work_source *const s = d->t->rank->source;
    struct entry e;
    status st = ST_OK;

    show_ticks(d);
    while (st == ST_OK && next_change(d, &e)) {
        if (e.begun && !e.begun_reported && s->ops->begun) s->ops->begun(s->arg, e.item.ticket);
        if (e.encoded > e.reported) {
            if (s->ops->progress) s->ops->progress(s->arg, e.item.ticket, e.encoded);
            show_blocks(d, &e);
        }
        if (!e.over) continue;
        st = cut_failed_clip(d, &e);
        report_outcome(d, &e);
        free(e.why);
    }
    return st;
}

static status withdraw_clips(struct dispatcher *d)
{
    const struct work_source *const s = d->t->rank->source;
    int64_t ticket;

    while (s->ops->withdrawn && (ticket = s->ops->withdrawn(s->arg)) >= 0) {
        int line = -1, number = -1;
        pthread_mutex_lock(&d->lock);
        for (int i = 0; i < d->entries; i++) {
            struct entry *const e = d->entry[i];
            if (e->item.ticket != ticket || e->over) continue;
            line = e->line;
            number = e->number;
            if (line < 0) settle_entry(e, ST_CANCELED, "withdrawn");
        }
        pthread_mutex_unlock(&d->lock);
        if (line >= 0) TRY(clip_feed_cut(d->t, line, number));
    }
    return ST_OK;
}

/* ---- clips from the source ---------------------------------------------------------------- */

static status add_entry(struct dispatcher *d, const struct work_item *item)
{
    struct entry *const e = calloc(1, sizeof *e);
    status st = ST_OK;

    if (!e) return fail(ST_NOMEM, "clip %s", item->clip->name);
    *e = (struct entry){ .item = *item, .number = -1, .line = -1 };
    pthread_mutex_lock(&d->lock);
    struct entry **const more = array_grow(d->entry, d->entries, &d->room, sizeof(struct entry *));
    if (more) {
        d->entry = more;
        d->entry[d->entries++] = e;
    } else st = fail(ST_NOMEM, "%d clips in work", d->entries + 1);
    pthread_mutex_unlock(&d->lock);
    if (st != ST_OK) free(e);
    return st;
}

/* Clips taken from the source whose first block has not entered a line. */
static int count_waiting(struct dispatcher *d)
{
    int n = 0;

    pthread_mutex_lock(&d->lock);
    for (int i = 0; i < d->entries; i++) n += !d->entry[i]->begun && !d->entry[i]->over;
    pthread_mutex_unlock(&d->lock);
    return n;
}

/* Waits for a clip only if nothing else is to be done. */
static status take_clips(struct dispatcher *d)
{
    const struct work_source *const s = d->t->rank->source;
    struct work_item item;
    enum work_next what;

    while (!d->exhausted && count_waiting(d) < d->t->rank->o->ahead) {
        TRY(s->ops->next(s->arg, d->t->first, 0, &item, &what));
        if (what == WORK_CLIP) TRY(add_entry(d, &item));
        else d->exhausted = what != WORK_LATER;
        if (what != WORK_CLIP) break;
    }
    return ST_OK;
}

/* ---- clips to the lines -------------------------------------------------------------------- */

/* Blocks that the line still can let in, and clips that it has not admitted yet. With the lock. */
static int64_t blocks_left(const struct dispatcher *d, int line)
{
    int64_t n = d->line[line].left;

    for (int i = 0; i < d->entries; i++) {
        const struct entry *const e = d->entry[i];
        if (e->line == line && !e->over && e->nth >= d->line[line].admitted)
            n += e->item.clip->blocks;
    }
    return n;
}

/* The line that will run out of blocks first; -1: none needs a clip yet. */
static int find_line_to_supply(struct dispatcher *d)
{
    int64_t least = 2 * d->t->g.roles.stages;
    int line = -1;

    pthread_mutex_lock(&d->lock);
    for (int i = 0; i < d->t->g.roles.lines; i++) {
        int64_t const left = blocks_left(d, i);
        if (left >= least) continue;
        least = left;
        line = i;
    }
    pthread_mutex_unlock(&d->lock);
    return line;
}

/* What a live clip is made of is what the other ranks read, too. */
static status make_live(struct live_clip **out, const struct clip_spec *spec)
{
    struct strbuf json = { 0 };
    struct live_clip *c = calloc(1, sizeof *c);
    status st = ST_OK;

    *out = NULL;
    if (!c) return fail(ST_NOMEM, "clip %s", spec->name);
    TRY_OUT(clip_spec_to_json(&json, spec));
    TRY_OUT(clip_spec_from_json(&c->spec, json.s, json.len));
    c->formats = clip_pixel_formats(&c->spec);
    *out = c;
    c = NULL; /* handed over */
out:
    strbuf_free(&json);
    live_clip_free(c);
    return st;
}

/* The oldest clips that wait to be handed over. Only this thread takes entries off the list, so
 * they stay where they are without the lock. */
static int collect_waiting(struct dispatcher *d, struct entry *out[], int most)
{
    int n = 0;

    pthread_mutex_lock(&d->lock);
    for (int i = 0; i < d->entries && n < most; i++)
        if (d->entry[i]->line < 0 && !d->entry[i]->over) out[n++] = d->entry[i];
    pthread_mutex_unlock(&d->lock);
    return n;
}

static status embed_waiting(struct dispatcher *d)
{
    struct entry *waiting[PROMPT_TOGETHER];
    const struct clip_spec *clip[PROMPT_TOGETHER];
    int const n = collect_waiting(d, waiting, PROMPT_TOGETHER);

    for (int i = 0; i < n; i++) clip[i] = waiting[i]->item.clip;
    return prompt_bank_embed(d->prompts, clip, n);
}

static void refuse_clip(struct dispatcher *d, struct entry *e, const char *why)
{
    pthread_mutex_lock(&d->lock);
    settle_entry(e, ST_FORMAT, why);
    pthread_mutex_unlock(&d->lock);
}

static status hand_to_line(struct dispatcher *d, struct entry *e, struct live_clip *c, int line)
{
    pthread_mutex_lock(&d->lock);
    e->encoded = e->reported = c->resumed;
    c->number = e->number = d->numbers++;
    c->line = e->line = line;
    e->nth = d->line[line].handed++;
    pthread_mutex_unlock(&d->lock);
    return clip_feed_send(d->t, c);
}

/* Buffers were made for the formats that the source had in view when the group began. */
static status check_clip(const struct dispatcher *d, const struct clip_spec *c)
{
    int64_t const bytes = clip_picture_bytes(c), most = d->t->g.picture_bytes;

    if (bytes <= most) return ST_OK;
    return fail(ST_FORMAT, "its files take %lld bytes of a frame, and the line was opened for %lld",
                (long long)bytes, (long long)most);
}

static status supply_line(struct dispatcher *d, struct entry *e, int line)
{
    struct live_clip *c = NULL;
    char *why = NULL;
    status st = ST_OK;

    if (check_clip(d, e->item.clip) != ST_OK || make_live(&c, e->item.clip) != ST_OK) {
        refuse_clip(d, e, error_last()->msg);
        error_clear();
        return ST_OK;
    }
    if (!prompt_bank_has(d->prompts, e->item.clip)) TRY_OUT(embed_waiting(d));
    TRY_OUT(prompt_bank_give(d->prompts, c, &why));
    if (!why) TRY_OUT(clip_starts_give(d->starts, c, &why));
    if (why) refuse_clip(d, e, why);
    else {
        TRY_OUT(clip_find_resume(d->t, c));
        st = hand_to_line(d, e, c, line);
        c = NULL; /* handed over */
    }
out:
    live_clip_free(c);
    free(why);
    return st;
}

/* Then, while they are supplied, the prompts of those that come next. */
static status supply_lines(struct dispatcher *d)
{
    struct entry *e;
    int line;

    while ((line = find_line_to_supply(d)) >= 0 && collect_waiting(d, &e, 1))
        TRY(supply_line(d, e, line));
    if (!collect_waiting(d, &e, 1) || prompt_bank_has(d->prompts, e->item.clip)) return ST_OK;
    return embed_waiting(d);
}

static status end_feeds(struct dispatcher *d)
{
    if (d->ended) return ST_OK;
    d->ended = true;
    for (int line = 0; line < d->t->g.roles.lines; line++) TRY(clip_feed_end(d->t, line));
    return ST_OK;
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* However often this thread wakes, the source is asked ten times a second at most. */
static status poll_source(struct dispatcher *d, bool for_clips)
{
    d->asked_at = clock_seconds();
    TRY(withdraw_clips(d));
    return for_clips ? take_clips(d) : ST_OK;
}

/* Nothing waits to be handed over. */
static bool all_handed(struct dispatcher *d)
{
    struct entry *e;
    return collect_waiting(d, &e, 1) == 0;
}

static bool encoders_ended(struct dispatcher *d)
{
    bool all = true;

    pthread_mutex_lock(&d->lock);
    for (int i = 0; i < d->t->g.roles.lines; i++) all = all && d->line[i].ended;
    pthread_mutex_unlock(&d->lock);
    return all;
}

static status run_turn(struct dispatcher *d)
{
    bool const stopped = comm_stopped(d->t->world);

    TRY(report_changes(d));
    if (clock_seconds() - d->asked_at >= turn_s) TRY(poll_source(d, !stopped && !d->ended));
    if (!stopped && !d->ended) TRY(supply_lines(d));
    if (stopped || (d->exhausted && all_handed(d))) TRY(end_feeds(d));
    return ST_OK;
}

/* Every line has ended: whoever listens to this rank may end, too. */
static status close_feeds(struct dispatcher *d)
{
    for (int line = 0; line < d->t->g.roles.lines; line++) TRY(clip_feed_finish(d->t, line));
    return prompt_request_end(d->t);
}

static status run_dispatcher(void *arg)
{
    struct dispatcher *const d = arg;
    struct comm *const world = d->t->world;
    status st = ST_OK;

    while (st == ST_OK && !encoders_ended(d)) {
        st = comm_aborted(world) ? fail(ST_PEER, "another rank has failed") : run_turn(d);
        pthread_mutex_lock(&d->lock);
        if (st == ST_OK) condvar_wait_for(&d->changed, &d->lock, turn_s);
        pthread_mutex_unlock(&d->lock);
    }
    pthread_mutex_lock(&d->lock);
    for (int i = 0; i < d->entries; i++)
        settle_entry(d->entry[i], ST_CANCELED, st == ST_OK ? "stopped" : "the engine failed");
    pthread_mutex_unlock(&d->lock);
    if (st == ST_OK) st = close_feeds(d);
    struct error const why = *error_last();
    if (st != ST_OK && st != ST_PEER) comm_abort(world);
    d->closed = true;
    status const reported = report_changes(d);
    if (st != ST_OK) error_adopt(&why);
    return st != ST_OK ? st : reported;
}

status dispatcher_open(struct dispatcher **out, struct group *t)
{
    struct dispatcher *const d = calloc(1, sizeof *d);

    *out = NULL;
    if (!d) return fail(ST_NOMEM, "dispatcher: no memory");
    d->t = t;
    d->numbers = t->numbers;
    t->report = take_report;
    pthread_mutex_init(&d->lock, NULL);
    condvar_init(&d->changed);
    *out = d;
    TRY(prompt_bank_open(&d->prompts, t));
    TRY(clip_starts_open(&d->starts, t));
    return add_entry(d, t->first);
}

status dispatcher_start(struct dispatcher *d)
{
    heartbeat_listen(d->t->rank->heartbeat, receive_control, d);
    return task_start(&d->task, "dispatcher", d->t->world->rank, run_dispatcher, d);
}

status dispatcher_refuse(struct dispatcher *d, struct group_run *r)
{
    const struct work_source *const s = d->t->rank->source;
    const struct group_verdict *const v = &d->t->verdict;
    struct work_item item = *d->t->first;
    enum work_next what;

    free(d->entry[--d->entries]); /* its clip is the first one */
    do {
        s->ops->failed(s->arg, item.ticket, v->st, v->why);
        count_failure(d);
        if (comm_stopped(d->t->world)) break;
        TRY(s->ops->next(s->arg, d->t->first, 0, &item, &what));
    } while (what == WORK_CLIP);
    r->failed = d->failed;
    r->refused = v->st == ST_FORMAT || v->st == ST_ARG ? d->failed : 0;
    r->numbers = d->numbers;
    return ST_OK;
}

status dispatcher_join(struct dispatcher *d, status st, struct group_run *r)
{
    st = task_join(&d->task, st);
    heartbeat_listen(d->t->rank->heartbeat, NULL, NULL);
    r->done = d->done;
    r->failed = d->failed;
    r->numbers = d->numbers;
    r->stopped = !d->exhausted;
    return st;
}

void dispatcher_close(struct dispatcher **dispatcher)
{
    struct dispatcher *const d = *dispatcher;

    if (!d) return;
    d->closed = true; /* what the thread did not settle, if it ever ran, was not made */
    for (int i = 0; i < d->entries; i++)
        settle_entry(d->entry[i], ST_CANCELED,
                     comm_stopped(d->t->world) ? "stopped" : "the engine failed");
    if (report_changes(d) != ST_OK) error_clear();
    prompt_bank_close(&d->prompts);
    clip_starts_close(&d->starts);
    for (int i = 0; i < d->entries; i++) {
        free(d->entry[i]->why);
        free(d->entry[i]);
    }
    free(d->entry);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    free(d);
    *dispatcher = NULL;
}
