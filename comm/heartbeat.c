/*
 * heartbeat.c - one thread per rank that sends, receives and judges heartbeats.
 *
 * The ranks form a ring: rank r sends to r - 1 and expects r + 1. One neighbour is enough, as
 * an abort reaches all ranks, and it keeps the cost of a rank the same in any world.
 *
 * Who falls silent must not be blamed for what happened to the listener: a process that was
 * itself suspended, or had to wait for a processor, finds old heartbeats when it goes on. So
 * silence is counted in the listener's own turns, and one that comes late counts for no more than a
 * quarter of what is too long. It must not begin anew either: on a machine with much else to do
 * turns come late again and again. A rank that ends says so in its last heartbeat, and its silence
 * after that means nothing.
 */
#include "comm/heartbeat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

#include <stdlib.h>
#include <time.h>

enum { TURN_MS = 100 };

static double const interval_s = 0.45; /* of heartbeats: every fifth turn, or the first late one */
static double const turn_most_s = 1;   /* that a turn counts for, and no more than a quarter */

struct heartbeat {
    struct comm *world;
    double silence_s;
    bool (*stop)(void);
    struct task task;

    pthread_mutex_t lock; /* of what follows */
    bool closing;
    const struct track *track;
    void (*received)(void *arg, const struct comm_control *);
    void *arg;
    status st; /* a rank fell silent */
    struct error error;

    /* the thread's own */
    bool expecting; /* heartbeats of the rank behind */
    double sent_at; /* the last one sent, clock_seconds() */
    double silent;  /* seconds since the last one arrived, as they count */
    double turn_at; /* this thread's last turn, clock_seconds() */
    struct track_state last;
};

static int rank_before(const struct comm *w) { return (w->rank + w->size - 1) % w->size; }
static int rank_behind(const struct comm *w) { return (w->rank + 1) % w->size; }

/* With the lock. */
static void send_heartbeat(struct heartbeat *h, enum control_kind kind)
{
    struct track_state const s =
        h->track ? track_state(h->track) : (struct track_state){ .at = TRACK_NOWHERE };

    h->sent_at = h->turn_at;
    struct comm_control const control = {
        .kind = kind, .value = { s.open, s.what, s.at.clip, s.at.stage, s.at.layer, s.at.block }
    };

    if (comm_send_control(h->world, rank_before(h->world), &control) != ST_OK) error_clear();
}

static void take_heartbeat(struct heartbeat *h, const struct comm_control *control)
{
    h->silent = 0;
    h->last = (struct track_state){ .open = control->value[0] != 0,
                                    .what = (enum track_what)control->value[1],
                                    .at = { .clip = (int)control->value[2],
                                            .stage = (int)control->value[3],
                                            .layer = (int)control->value[4],
                                            .block = control->value[5] } };
    if (control->kind == CONTROL_LAST_HEARTBEAT) h->expecting = false;
}

/* With the lock. */
static void take_all_controls(struct heartbeat *h)
{
    struct comm_control control;
    int from;

    while (comm_poll_control(h->world, &control, &from)) {
        if (control.kind == CONTROL_HEARTBEAT || control.kind == CONTROL_LAST_HEARTBEAT)
            take_heartbeat(h, &control);
        else if (h->received) h->received(h->arg, &control);
    }
}

/* With the lock, before what has arrived is taken. */
static void count_turn(struct heartbeat *h)
{
    double const now = clock_seconds(), quarter = h->silence_s / 4;
    double const most = quarter < turn_most_s ? quarter : turn_most_s;
    double const passed = now - h->turn_at;

    h->turn_at = now;
    h->silent += passed < most ? passed : most;
}

/* With the lock. */
static void check_silence(struct heartbeat *h)
{
    char words[TRACK_TEXT_BYTES];

    if (!h->expecting || comm_aborted(h->world) || !(h->silent > h->silence_s)) return;
    h->expecting = false;
    h->st = fail(ST_COMM, "rank %d sent no heartbeat for %.0f s; the last one said: %s",
                 rank_behind(h->world), h->silent, track_words(h->last, words));
    h->error = *error_last();
    /* At once: what the others hold up is let go of before they end, and that may take its time. */
    log_warn("rank %d sent no heartbeat for %.0f s: the world ends", rank_behind(h->world),
             h->silent);
    comm_abort(h->world);
}

static status run_heartbeat(void *arg)
{
    struct heartbeat *const h = arg;
    struct timespec const pause = { .tv_nsec = TURN_MS * 1000000L };

    for (;;) {
        pthread_mutex_lock(&h->lock);
        bool const over = h->closing;
        count_turn(h);
        take_all_controls(h);
        if (over) send_heartbeat(h, CONTROL_LAST_HEARTBEAT);
        else if (h->turn_at - h->sent_at >= interval_s) send_heartbeat(h, CONTROL_HEARTBEAT);
        if (!over) check_silence(h);
        pthread_mutex_unlock(&h->lock);
        if (over) return ST_OK;
        if (h->stop()) comm_stop(h->world);
        nanosleep(&pause, NULL);
    }
}

status heartbeat_open(struct heartbeat **out, struct comm *world, double silence_s,
                      bool (*stop)(void))
{
    struct heartbeat *const h = calloc(1, sizeof *h);

    *out = NULL;
    if (!h) return fail(ST_NOMEM, "heartbeat: no memory");
    h->world = world;
    h->silence_s = silence_s;
    h->stop = stop;
    h->expecting = world->size > 1;
    h->turn_at = clock_seconds();
    h->sent_at = h->turn_at - interval_s; /* the first at once */
    h->last.at = TRACK_NOWHERE;
    pthread_mutex_init(&h->lock, NULL);
    status const st = task_start(&h->task, "heartbeat", world->rank, run_heartbeat, h);
    if (st != ST_OK) {
        pthread_mutex_destroy(&h->lock);
        free(h);
        return st;
    }
    *out = h;
    return ST_OK;
}

void heartbeat_close(struct heartbeat **heartbeat)
{
    struct heartbeat *const h = *heartbeat;

    if (!h) return;
    pthread_mutex_lock(&h->lock);
    h->closing = true;
    pthread_mutex_unlock(&h->lock);
    (void)task_join(&h->task, ST_OK);
    pthread_mutex_destroy(&h->lock);
    free(h);
    *heartbeat = NULL;
}

void heartbeat_show(struct heartbeat *h, const struct track *t)
{
    pthread_mutex_lock(&h->lock);
    h->track = t;
    pthread_mutex_unlock(&h->lock);
}

void heartbeat_listen(struct heartbeat *h, void (*received)(void *arg, const struct comm_control *),
                      void *arg)
{
    pthread_mutex_lock(&h->lock);
    take_all_controls(h);
    h->received = received;
    h->arg = arg;
    pthread_mutex_unlock(&h->lock);
}

status heartbeat_verdict(struct heartbeat *h)
{
    pthread_mutex_lock(&h->lock);
    status const st = h->st;
    if (st != ST_OK) error_adopt(&h->error);
    pthread_mutex_unlock(&h->lock);
    return st;
}
