/*
 * dispatcher.c - rank 0: clips from the work source to the lines, outcomes back to it.
 *
 * A thread beside whatever rank 0 does. A line is kept supplied: as soon as fewer than two blocks
 * a stage are left that have not entered, the next clip goes to it - to the line with the fewest,
 * if there are several. Before that the clip's prompts are embedded, those of all clips at hand
 * together, and what it begins with is read or encoded, a few clips ahead: each on a thread of its
 * own, and this one goes on meanwhile. Clips are supplied in the order in which they came. What a
 * line has left its head sends with every tick (CONTROL_TICK); a message that is lost is made good
 * by the next one.
 *
 * What becomes of a clip, one that is cut too, is reported by the rank that encodes it
 * (clip_feed.c), which nothing can lose. After a stop the end of a line's encoder settles all of
 * the line that is left. What others report they note in a list (dispatch_list.c).
 *
 * The source is called from this thread alone.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "pipeline/engine/dispatch/dispatch_internal.h"
#include "pipeline/engine/output_formats.h"
#include "pipeline/engine/workload.h"

#include <stdlib.h>

static double const turn_s = 0.1;

struct dispatcher {
    struct group *t;
    struct dispatch_list *list; /* the clips in work */
    struct prompt_bank *prompts;
    struct clip_starts *starts;
    struct task task;

    struct group_verdict refusal; /* why no more clips can be made; ST_OK: they can */
    bool exhausted;               /* the source has no more of the group */
    bool ended, closed;           /* feeds: no more clips; nothing more at all */
    int numbers;                  /* of the render, given out so far */
    double asked_at, stopped_at;  /* the source; 0: no stop. clock_seconds() */
    int64_t done, failed;
    status why; /* of the first that failed */
};

/* ---- what is reported to the source ---------------------------------------------------- */

static void count_failure(struct dispatcher *d, status why)
{
    if (!d->failed++) d->why = why;
    if (d->t->rank->o->fail_fast) comm_stop(d->t->world);
}

static void report_outcome(struct dispatcher *d, const struct dispatch_entry *e)
{
    const struct work_source *const s = d->t->rank->source;

    if (e->st == ST_OK) {
        d->done++;
        s->ops->done(s->arg, e->item.ticket);
        return;
    }
    if (e->st != ST_CANCELED) {
        log_info("clip %s failed: %s", e->item.clip->name, e->why ? e->why : status_name(e->st));
        count_failure(d, e->st);
    }
    s->ops->failed(s->arg, e->item.ticket, e->st, e->why ? e->why : status_name(e->st));
}

/* A clip that failed takes no more of the line's time. */
static status cut_failed_clip(struct dispatcher *d, const struct dispatch_entry *e)
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
        int busy;
        if (dispatch_list_take_busy(d->list, line, &busy)) ev->tick(ev->arg, line, busy);
    }
}

static void show_blocks(const struct dispatcher *d, const struct dispatch_entry *e)
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
    struct dispatch_entry e;
    status st = ST_OK;

    show_ticks(d);
    while (st == ST_OK && dispatch_list_next_change(d->list, &e)) {
        if (e.begun && !e.begun_reported && s->ops->begun) s->ops->begun(s->arg, e.item.ticket);
        if (e.encoded > e.reported) {
            if (s->ops->progress) s->ops->progress(s->arg, e.item.ticket, e.encoded);
            show_blocks(d, &e);
        }
        if (!e.over) continue;
        st = cut_failed_clip(d, &e);
        report_outcome(d, &e);
        free(e.why);
        snapshot_unlock(&e.lock);
    }
    return st;
}

static status withdraw_clips(struct dispatcher *d)
{
    const struct work_source *const s = d->t->rank->source;
    int64_t ticket;

    while (s->ops->withdrawn && (ticket = s->ops->withdrawn(s->arg)) >= 0) {
        int number, line = dispatch_list_withdraw(d->list, ticket, &number);
        if (line >= 0) TRY(clip_feed_cut(d->t, line, number));
    }
    return ST_OK;
}

/* ---- clips from the source ---------------------------------------------------------------- */

/* Clips that no line has are not made, if no more can be. */
static void refuse_waiting(struct dispatcher *d)
{
    if (d->refusal.st == ST_OK) return;
    dispatch_list_refuse_unhanded(d->list, d->refusal.st, d->refusal.why);
}

/* Waits for a clip only if nothing else is to be done. A group that is refused is asked for what
 * there is of it, and ends. */
static status take_clips(struct dispatcher *d)
{
    const struct work_source *const s = d->t->rank->source;
    struct work_item item;
    enum work_next what;

    int const most = d->t->rank->o->ahead + d->t->g.roles.lines - 1;

    while (!d->exhausted && dispatch_list_count_waiting(d->list) < most) {
        TRY(s->ops->next(s->arg, d->t->first, 0, &item, &what));
        if (what != WORK_CLIP) {
            d->exhausted = what != WORK_LATER || d->refusal.st != ST_OK;
            break;
        }
        TRY(dispatch_list_add(d->list, &item));
        refuse_waiting(d);
    }
    return ST_OK;
}

/* ---- clips to the lines -------------------------------------------------------------------- */

/* Of all clips at hand, if one of them lacks any. */
static status ask_for_prompts(struct dispatcher *d)
{
    struct dispatch_entry *waiting[PROMPT_TOGETHER];
    const struct clip_spec *clip[PROMPT_TOGETHER];
    int const n = dispatch_list_find_unhanded(d->list, waiting, PROMPT_TOGETHER);
    bool lack = false;

    for (int i = 0; i < n; i++) {
        clip[i] = waiting[i]->item.clip;
        lack |= !prompt_bank_has(d->prompts, clip[i]);
    }
    return lack ? prompt_bank_ask(d->prompts, clip, n) : ST_OK;
}

/* Those that come next. */
static void ask_for_starts(struct dispatcher *d)
{
    struct dispatch_entry *waiting[STARTS_AHEAD];
    struct work_item item[STARTS_AHEAD];
    int const n = dispatch_list_find_unhanded(d->list, waiting, STARTS_AHEAD);

    for (int i = 0; i < n; i++) item[i] = waiting[i]->item;
    clip_starts_ask(d->starts, item, n);
}

/* Buffers were made for the formats that the source had in view when the group began. */
static status check_clip(const struct dispatcher *d, const struct clip_spec *c)
{
    int64_t const bytes = clip_picture_bytes(c), most = d->t->g.picture_bytes;

    if (clip_recaches(c) && !workload_recaches(&d->t->g.outlook, &d->t->g.policy))
        return fail(ST_FORMAT,
                    "a prompt of it has change: recache, and the line was opened for clips "
                    "without");
    if (bytes <= most) return ST_OK;
    return fail(ST_FORMAT, "its files take %lld bytes of a frame, and the line was opened for %lld",
                (long long)bytes, (long long)most);
}

/* It fails for the last failure, and nothing else does. */
static void refuse_clip(struct dispatcher *d, struct dispatch_entry *e)
{
    struct error const why = *error_last();

    dispatch_list_refuse(d->list, e, why.st, why.msg);
    error_clear();
}

static bool is_prepared(const struct dispatcher *d, const struct dispatch_entry *e)
{
    return prompt_bank_has(d->prompts, e->item.clip) && clip_starts_has(d->starts, e->item.ticket);
}

/* All of a clip that its line needs. */
static status make_live(struct dispatcher *d, const struct dispatch_entry *e,
                        struct live_clip **out)
{
    TRY(check_clip(d, e->item.clip));
    TRY(clip_starts_give(d->starts, e->item.ticket, out));
    return prompt_bank_give(d->prompts, *out);
}

static status supply_line(struct dispatcher *d, struct dispatch_entry *e, int line)
{
    struct live_clip *c = NULL;

    if (make_live(d, e, &c) != ST_OK) {
        refuse_clip(d, e);
        live_clip_free(c);
        return ST_OK;
    }
    dispatch_list_hand(d->list, e, c, line, d->numbers++);
    return clip_feed_send(d->t, c); /* takes it over */
}

/* Clips that come next cannot be made, if it is not for a stop, which is dealt with as
 * everywhere. */
static void note_refusal(struct dispatcher *d, const struct group_verdict *failed)
{
    if (failed->st == ST_OK || failed->st == ST_CANCELED) return;
    d->refusal = *failed;
    refuse_waiting(d);
}

/* Of what was asked for ahead. */
static void collect_answers(struct dispatcher *d)
{
    struct group_verdict failed;

    prompt_bank_collect(d->prompts, &failed);
    note_refusal(d, &failed);
    clip_starts_collect(d->starts, &failed);
    note_refusal(d, &failed);
}

/* Then, while they are supplied, prompts and starts of the clips that come next. */
static status supply_lines(struct dispatcher *d)
{
    struct dispatch_entry *e;
    int line;

    collect_answers(d);
    while (dispatch_list_find_unhanded(d->list, &e, 1) && is_prepared(d, e)) {
        if ((line = dispatch_list_find_line(d->list, 2 * d->t->g.roles.stages)) < 0) break;
        TRY(supply_line(d, e, line));
    }
    ask_for_starts(d);
    return ask_for_prompts(d);
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
    struct dispatch_entry *e;
    return dispatch_list_find_unhanded(d->list, &e, 1) == 0;
}

/* After a stop: the line drains, and what it has is put away. That may take longer than whoever
 * sent the stop will wait. */
static void heed_grace(struct dispatcher *d)
{
    int64_t const grace_ms = dispatch_list_grace(d->list);

    if (!d->stopped_at) d->stopped_at = clock_seconds();
    if (!grace_ms || !d->t->rank->o->overdue) return;
    if ((clock_seconds() - d->stopped_at) * 1000 > (double)grace_ms) d->t->rank->o->overdue();
}

static status run_turn(struct dispatcher *d)
{
    bool const stopped = comm_stopped(d->t->world);

    if (stopped) heed_grace(d);
    else dispatch_list_expire(d->list);
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
    return ST_OK;
}

static status run_dispatcher(void *arg)
{
    struct dispatcher *const d = arg;
    struct comm *const world = d->t->world;
    status st = ST_OK;

    while (st == ST_OK && !dispatch_list_ended(d->list)) {
        st = comm_aborted(world) ? fail(ST_PEER, "another rank has failed") : run_turn(d);
        if (st == ST_OK) dispatch_list_wait(d->list, turn_s);
    }
    dispatch_list_settle(d->list, st == ST_OK ? "stopped" : "the engine failed");
    if (st == ST_OK) st = close_feeds(d);
    if (st != ST_OK && st != ST_PEER) comm_abort(world);
    st = prompt_bank_end(d->prompts, st);
    st = clip_starts_end(d->starts, st);
    struct error const why = *error_last();
    d->closed = true;
    status const reported = report_changes(d);
    if (st != ST_OK) error_adopt(&why);
    return st != ST_OK ? st : reported;
}

static status open_dispatcher(struct dispatcher **out, struct group *t)
{
    struct dispatcher *const d = *out = calloc(1, sizeof *d);

    if (!d) return fail(ST_NOMEM, "dispatcher: no memory");
    d->t = t;
    d->numbers = t->numbers;
    TRY(dispatch_list_open(&d->list));
    t->work = d->list;
    TRY(prompt_bank_open(&d->prompts, t));
    TRY(clip_starts_open(&d->starts, t));
    return dispatch_list_add(d->list, t->first);
}

status dispatcher_open(struct dispatcher **out, struct group *t)
{
    const struct work_source *const s = t->rank->source;
    status const st = open_dispatcher(out, t);

    if (st != ST_OK) s->ops->failed(s->arg, t->first->ticket, st, error_last()->msg);
    return st;
}

status dispatcher_start(struct dispatcher *d)
{
    dispatch_list_set_lines(d->list, d->t->g.roles.lines);
    TRY(prompt_bank_start(d->prompts));
    TRY(clip_starts_start(d->starts));
    heartbeat_listen(d->t->rank->heartbeat, dispatch_list_take_control, d->list);
    return task_start(&d->task, "dispatcher", d->t->world->rank, run_dispatcher, d);
}

status dispatcher_refuse(struct dispatcher *d, struct group_run *r)
{
    const struct work_source *const s = d->t->rank->source;
    const struct group_verdict *const v = &d->t->verdict;
    struct work_item item = *d->t->first;
    enum work_next what;

    dispatch_list_drop(d->list); /* its clip is the first one */
    do {
        s->ops->failed(s->arg, item.ticket, v->st, v->why);
        count_failure(d, v->st);
        if (comm_stopped(d->t->world)) break;
        TRY(s->ops->next(s->arg, d->t->first, 0, &item, &what));
    } while (what == WORK_CLIP);
    r->failed = d->failed;
    r->why = d->why;
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
    r->why = d->why;
    r->numbers = d->numbers;
    r->stopped = !d->exhausted;
    return st;
}

void dispatcher_close(struct dispatcher **dispatcher)
{
    struct dispatcher *const d = *dispatcher;

    if (!d) return;
    d->closed = true; /* what the thread did not settle, if it ever ran, was not made */
    if (d->list) {
        dispatch_list_settle(d->list, comm_stopped(d->t->world) ? "stopped" : "the engine failed");
        if (report_changes(d) != ST_OK) error_clear();
    }
    prompt_bank_close(&d->prompts);
    clip_starts_close(&d->starts);
    dispatch_list_close(&d->list);
    free(d);
    *dispatcher = NULL;
}
