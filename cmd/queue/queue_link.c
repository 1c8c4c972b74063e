/*
 * queue_link.c - the thread that speaks with the queue.
 *
 * A turn: tell what has ended, beat when it is due, claim when fewer clips wait here than wanted,
 * sleep until somebody wakes it. A call that is not answered is made again in a later turn, with
 * pauses that double up to half a minute. A world that lost its lease joins anew; what it held is
 * withdrawn from the engine, and what is finished all the same is reported all the same.
 */
#include "base/clock.h"
#include "base/log.h"
#include "cmd/queue/cmd_queue_internal.h"
#include "pipeline/engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double const turn_s = 0.25, idle_s = 15, soon_s = 1, most_pause_s = 30, sticky_s = 1800,
                    last_words_s = 20;

/* ---- answers ---- */

static void end_early(struct queue_link *l, status st, const char *why)
{
    if (l->end == ST_OK) {
        l->end = st;
        snprintf(l->end_why, sizeof l->end_why, "%s", why);
    }
    pthread_mutex_lock(&l->lock);
    l->over = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

static void note_away(struct queue_link *l)
{
    double const now = clock_seconds();

    if (!l->away_since) {
        log_warn("queue: no answer (%s); rendering what is held", queue_error(l->q));
        l->away_since = now;
        l->pause = soon_s;
    } else if (l->pause < most_pause_s) {
        l->pause *= 2;
    }
    pthread_mutex_lock(&l->lock);
    bool const idle = !l->held;
    pthread_mutex_unlock(&l->lock);
    if (idle && now - l->away_since > l->c.patience_s)
        end_early(l, ST_CANCELED, "the queue was unreachable for too long");
}

static void note_back(struct queue_link *l)
{
    if (l->away_since)
        log_info("queue: reachable again, after %.0f s", clock_seconds() - l->away_since);
    l->away_since = 0;
    l->pause = 0;
}

/* With the lock. It is another's by now, or nobody's. */
static void lose_clip(struct queue_link *l, const struct queue_clip *c)
{
    struct held_clip *next;

    for (struct held_clip *h = l->held; h; h = next) {
        next = h->next;
        if (h->q.job != c->job || h->q.index != c->index || h->q.attempt != c->attempt) continue;
        l->counts.lost++;
        h->q.lost = true;
        if (h->state == HELD_READY) held_remove(l, h);
    }
}

/* What the last call found of the clips: those that are lost leave the thread's list. */
static void take_marks(struct queue_link *l)
{
    int kept = 0;

    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < l->n; i++) {
        struct queue_clip *const c = &l->mine[i];
        for (struct held_clip *h = l->held; h && c->stop; h = h->next)
            if (h->q.job == c->job && h->q.index == c->index && h->q.attempt == c->attempt) {
                h->q.stop = true;
                if (h->state == HELD_READY) held_end(l, h, QUEUE_END_CANCEL, "");
            }
        if (c->lost) lose_clip(l, c);
        if (c->lost) queue_clip_free(c);
        else l->mine[kept++] = *c;
    }
    l->n = kept;
    pthread_mutex_unlock(&l->lock);
}

static enum queue_answer rejoin_queue(struct queue_link *l)
{
    log_warn("queue: %s; joining again", queue_error(l->q));
    if (queue_link_identify(l) != ST_OK) {
        error_clear();
        return QUEUE_DOWN;
    }
    return queue_join(l->q, &l->world);
}

/* False: no answer, nothing more in this turn. */
static bool take_answer(struct queue_link *l, enum queue_answer a)
{
    if (a == QUEUE_OK || a == QUEUE_LOST) take_marks(l);
    if (a == QUEUE_LOST) a = rejoin_queue(l);
    if (a == QUEUE_OK) note_back(l);
    if (a == QUEUE_DOWN) note_away(l);
    if (a == QUEUE_REFUSED) end_early(l, ST_FORMAT, queue_error(l->q));
    return a == QUEUE_OK;
}

/* ---- telling ---- */

static void forget_mine(struct queue_link *l, const struct queue_clip *c)
{
    for (int i = 0; i < l->n; i++) {
        struct queue_clip *const m = &l->mine[i];
        if (m->job != c->job || m->index != c->index || m->attempt != c->attempt) continue;
        queue_clip_free(m);
        memmove(m, m + 1, (size_t)(--l->n - i) * sizeof *m);
        return;
    }
}

static struct held_clip *find_ended(struct queue_link *l)
{
    struct held_clip *h;

    pthread_mutex_lock(&l->lock);
    for (h = l->held; h && h->state != HELD_ENDED;) h = h->next;
    pthread_mutex_unlock(&l->lock);
    return h;
}

/* Only this thread takes ended clips off the list. */
static bool report_ends(struct queue_link *l)
{
    struct held_clip *h;

    while ((h = find_ended(l))) {
        enum queue_answer const a = queue_end(l->q, &h->q, h->how, h->why);
        if (a == QUEUE_DOWN) return take_answer(l, a);
        note_back(l);
        if (a == QUEUE_REFUSED) log_error("queue: %s", queue_error(l->q));
        if (h->how == QUEUE_END_HOST && a == QUEUE_OK)
            end_early(l, ST_IO, h->why && h->why[0] ? h->why : "this machine cannot render");
        forget_mine(l, &h->q);
        pthread_mutex_lock(&l->lock);
        held_remove(l, h);
        pthread_mutex_unlock(&l->lock);
    }
    return true;
}

static bool send_beat(struct queue_link *l)
{
    bool drain = false;

    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < l->n; i++)
        for (const struct held_clip *h = l->held; h; h = h->next)
            if (h->q.job == l->mine[i].job && h->q.index == l->mine[i].index)
                l->mine[i].blocks_done = h->q.blocks_done;
    pthread_mutex_unlock(&l->lock);
    l->beaten = clock_seconds();
    bool const answered = take_answer(l, queue_beat(l->q, l->mine, l->n, &drain));
    l->drain = l->drain || drain;
    return answered;
}

/* ---- jobs ---- */

static void drop_jobs(struct queue_link *l)
{
    struct held_job **at = &l->jobs;

    pthread_mutex_lock(&l->lock);
    while (*at) {
        struct held_job *const j = *at;
        if (j->users || j->id == l->leader) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        queue_job_free(&j->x);
        free(j);
    }
    pthread_mutex_unlock(&l->lock);
}

static status load_job(struct queue_link *l, int64_t id, struct held_job **out)
{
    char *spec = NULL, name[32];
    status st = ST_OK;

    for (*out = l->jobs; *out && (*out)->id != id;) *out = (*out)->next;
    if (*out) return ST_OK;
    struct held_job *const j = calloc(1, sizeof *j);
    if (!j) return fail(ST_NOMEM, "a job: no memory");
    snprintf(name, sizeof name, "%lld", (long long)id);
    TRY_OUT(queue_check_answer(l->q, queue_job_spec(l->q, id, &spec)));
    TRY_OUT(queue_job_expand(&j->x, spec, name));
    j->id = id;
    j->next = l->jobs;
    *out = l->jobs = j;
out:
    free(spec);
    if (st != ST_OK) free(j);
    return st;
}

/* How a clip that cannot be handed over ends; false: it can. */
static bool find_fault(const struct queue_link *l, struct held_clip *h, enum queue_end *how,
                       char *why, size_t size)
{
    struct engine_options asked;
    const char *words = NULL;
    struct clip_spec *const c =
        h->job && h->q.index < h->job->x.clips.count ? &h->job->x.clips.clip[h->q.index] : NULL;

    if (held_check_folder(&h->q, how, &words)) {
        snprintf(why, size, "%s: %s", h->q.folder, words);
        return true;
    }
    *how = h->job ? QUEUE_END_SPEC : QUEUE_END_HOST;
    if (!h->job) {
        snprintf(why, size, "%.*s", (int)size - 1, error_last()->msg);
        return true;
    }
    if (!c || strcmp(c->task_id, h->q.task) != 0) {
        snprintf(why, size,
                 "it is task %s here, and was %s when it was submitted: the program, the card or "
                 "the model's files have changed; submit it again",
                 c ? c->task_id : "none", h->q.task);
        return true;
    }
    if (engine_adapt_options(&asked, l->c.engine, &c->numerics) != ST_OK) {
        *how = QUEUE_END_UNABLE;
        snprintf(why, size, "not on this machine: %.*s", (int)size - 32, error_last()->msg);
        return true;
    }
    if (!c->dir) c->dir = strdup(h->q.folder);
    h->spec = c;
    return false;
}

static void hold_clip(struct queue_link *l, const struct queue_clip *c)
{
    struct held_clip *const h = calloc(1, sizeof *h);
    enum queue_end how = QUEUE_END_HOST;
    char why[QUEUE_MESSAGE] = "";

    if (!h) return; /* it stays claimed, and is given back with the rest */
    h->q = *c;
    h->q.folder = strdup(c->folder);
    if (load_job(l, c->job, &h->job) != ST_OK) h->job = NULL;
    bool const fault = !h->q.folder || find_fault(l, h, &how, why, sizeof why);
    error_clear();
    pthread_mutex_lock(&l->lock);
    if (h->job) h->job->users++;
    h->ticket = ++l->tickets;
    h->state = HELD_READY;
    struct held_clip **at = &l->held;
    while (*at) at = &(*at)->next;
    *at = h;
    if (fault) held_end(l, h, how, why);
    if (fault && how == QUEUE_END_SPEC) l->counts.failed++;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    if (fault && how != QUEUE_END_DONE) log_error("queue: %s: %s", c->folder, why);
}

/* ---- claiming ---- */

/* What to ask the queue for. */
struct claim_request {
    int hold;                /* clips to have then, those held already included */
    char group[QUEUE_GROUP]; /* "": any */
    bool any;                /* more are wanted */
};

static struct claim_request plan_claim(struct queue_link *l)
{
    struct claim_request w = { .hold = l->n };

    pthread_mutex_lock(&l->lock);
    int const ready = held_count(l, HELD_READY);
    bool const sticks = clock_seconds() - l->group_since < sticky_s;
    w.any = !l->over && !l->closing && !l->c.stopped() && ready < l->c.ahead;
    w.hold = l->n + l->c.ahead - ready;
    snprintf(w.group, sizeof w.group, "%s", sticks || l->n ? l->group : "");
    pthread_mutex_unlock(&l->lock);
    return w;
}

static bool is_due(const struct queue_link *l, double every_s)
{
    return l->news || clock_seconds() - l->asked >= every_s;
}

/* The end of this world, where the queue has said so. */
static void heed_claim(struct queue_link *l, enum queue_claimed what)
{
    pthread_mutex_lock(&l->lock);
    bool const idle = !l->held;
    l->other_group = what == QUEUE_OTHER_GROUP;
    if (what == QUEUE_DRAIN || (what == QUEUE_EMPTY && idle && !l->c.stay)) l->over = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    if (what == QUEUE_DRAIN) log_info("queue: this world is to end");
    if (what == QUEUE_BLOCKED && idle && !l->c.stay)
        end_early(l, ST_IO, "this machine has failed too often, and takes no clips for a while");
    bool const soon = what == QUEUE_CLAIMED || what == QUEUE_OTHER_GROUP;
    /* Nobody tells of a lease that has run out: it is looked for. */
    double const lease = l->c.lease_ms / 1000.0, often = lease < idle_s ? lease : idle_s;
    double const pause = soon ? turn_s : what == QUEUE_LATER ? soon_s : often;
    l->pause = pause * (0.75 + 0.5 * rand() / RAND_MAX); /* worlds must not ask all at once */
}

static void ask_for_clips(struct queue_link *l, const struct claim_request *w)
{
    enum queue_claimed what;
    int const before = l->n;

    l->asked = clock_seconds();
    l->news = false;
    enum queue_answer const a = queue_claim(l->q, w->group, w->hold, l->mine, &l->n, &what);
    for (int i = before; i < l->n; i++) hold_clip(l, &l->mine[i]);
    if (take_answer(l, a) && a == QUEUE_OK) heed_claim(l, what);
}

/* ---- the thread ---- */

static void give_up_ready(struct queue_link *l)
{
    struct held_clip *next;

    pthread_mutex_lock(&l->lock);
    for (struct held_clip *h = l->held; h; h = next) {
        next = h->next;
        if (h->state == HELD_READY) held_end(l, h, QUEUE_END_PREEMPT, "the world ends");
    }
    l->over = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

/* What has ended is reported if the queue answers in time; others find the folders that stand. */
static void leave_with_reports(struct queue_link *l)
{
    double const end = clock_seconds() + last_words_s;
    enum queue_answer a = QUEUE_DOWN;

    give_up_ready(l);
    while (a == QUEUE_DOWN && clock_seconds() < end) {
        if (report_ends(l)) a = queue_leave(l->q);
        if (a == QUEUE_DOWN) {
            struct timespec const t = { 0, 500000000 };
            nanosleep(&t, NULL);
        }
    }
    if (a != QUEUE_OK) log_warn("queue: left without deregistering: %s", queue_error(l->q));
}

/* Nothing is in work, or nothing of it is waited for any more: what is held goes back, and the
 * process ends. */
static void end_process(struct queue_link *l, const char *when)
{
    log_info("work: stopped %s; its clips are handed back", when);
    leave_with_reports(l);
    _exit(l->c.stopped_code);
}

static void take_turn(struct queue_link *l)
{
    struct claim_request const w = plan_claim(l);

    if (l->c.until && time(NULL) >= l->c.until) l->c.stop();
    if (l->c.stopped() && l->c.loading()) end_process(l, "while loading");
    if (l->c.stopped() && l->c.overdue()) end_process(l, "longer ago than run.grace");
    if (l->drain || l->c.stopped()) give_up_ready(l);
    if (l->away_since && !is_due(l, l->pause)) return;
    l->asked = l->away_since ? clock_seconds() : l->asked;
    if (!report_ends(l)) return;
    pthread_mutex_lock(&l->lock);
    bool const urgent = l->urgent;
    l->urgent = false;
    pthread_mutex_unlock(&l->lock);
    if (urgent || l->away_since || clock_seconds() - l->beaten >= l->c.lease_ms / 4000.0)
        if (!send_beat(l)) return;
    if (w.any && !l->drain && is_due(l, urgent ? 0 : l->pause)) ask_for_clips(l, &w);
    drop_jobs(l);
}

/* With no clips, wait on the database; else on the engine. While the database is away, urgent work
 * waits too: spinning would keep the lock from the engine. */
static void sleep_a_turn(struct queue_link *l)
{
    bool news = false;

    pthread_mutex_lock(&l->lock);
    bool const idle = !l->held && !l->over && !l->away_since;
    bool const at_once = l->closing || (l->urgent && !l->away_since);
    if (!idle && !at_once) condvar_wait_for(&l->woken, &l->lock, turn_s);
    pthread_mutex_unlock(&l->lock);
    if (l->away_since) return;
    enum queue_answer const a = queue_wait(l->q, idle ? (int)(turn_s * 1000) : 0, &news);
    l->news = l->news || (a == QUEUE_OK && news);
}

static bool is_closing(struct queue_link *l)
{
    pthread_mutex_lock(&l->lock);
    bool const closing = l->closing;
    pthread_mutex_unlock(&l->lock);
    return closing;
}

static status speak_with_queue(void *arg)
{
    struct queue_link *const l = arg;

    while (!is_closing(l)) {
        take_turn(l);
        sleep_a_turn(l);
    }
    leave_with_reports(l);
    return ST_OK;
}

status queue_link_open(struct queue_link **out, const struct queue_link_config *c)
{
    struct queue_link *const l = calloc(1, sizeof *l);

    *out = l;
    if (!l) return fail(ST_NOMEM, "the queue: no memory");
    l->c = *c;
    pthread_mutex_init(&l->lock, NULL);
    condvar_init(&l->changed);
    condvar_init(&l->woken);
    TRY(queue_link_identify(l));
    enum queue_answer const a = queue_open(&l->q, c->url, false);
    TRY(queue_check_answer(l->q, a));
    TRY(queue_check_answer(l->q, queue_join(l->q, &l->world)));
    l->news = true;
    return task_start(&l->task, "queue", 0, speak_with_queue, l);
}

status queue_link_close(struct queue_link **link, struct queue_link_counts *counts)
{
    struct queue_link *const l = *link;

    *counts = (struct queue_link_counts){ 0 };
    if (!l) return ST_OK;
    pthread_mutex_lock(&l->lock);
    l->closing = true;
    pthread_cond_broadcast(&l->woken);
    pthread_mutex_unlock(&l->lock);
    status st = task_join(&l->task, ST_OK);
    while (l->held) held_remove(l, l->held);
    l->leader = 0;
    drop_jobs(l);
    for (int i = 0; i < l->n; i++) queue_clip_free(&l->mine[i]);
    queue_close(&l->q);
    *counts = l->counts;
    if (st == ST_OK && l->end != ST_OK) st = fail(l->end, "queue: %s", l->end_why);
    pthread_cond_destroy(&l->changed);
    pthread_cond_destroy(&l->woken);
    pthread_mutex_destroy(&l->lock);
    free(l);
    *link = NULL;
    return st;
}
