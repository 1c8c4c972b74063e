/*
 * watchdog.c - a thread that looks at tracks and reports those that have not moved for too long.
 *
 * A process that was stopped (SIGSTOP, a suspended machine) must not report itself: when the thread
 * finds that it has not run for a while itself, all idle times start again.
 */
#include "base/watchdog.h"
#include "base/clock.h"
#include "base/thread.h"

#include <stdlib.h>
#include <time.h>

enum { LOOK_MS = 200, STOOD_STILL_S = 1 };

struct watchdog {
    struct watchdog_config c;
    struct task task;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closing;
    double looked_at, since; /* since: this process runs without having been stopped */
    struct watched {
        const struct track *track;
        double first, least;
        double added; /* clock_seconds() */
    } of[WATCHDOG_TRACKS];
};

/* While the whole process was stopped nothing in it hung. */
static void check_tracks(struct watchdog *w)
{
    double const now = clock_seconds();

    if (now - w->looked_at > STOOD_STILL_S) w->since = now;
    w->looked_at = now;
    for (int i = 0; i < WATCHDOG_TRACKS; i++) {
        const struct track *const t = w->of[i].track;
        if (!t) continue;
        double const since = w->since > w->of[i].added ? w->since : w->of[i].added;
        double const still = track_idle(t), idle = still < now - since ? still : now - since;
        struct track_state const s = track_state(t);
        if (s.open && track_waits(s.what)) continue;
        if (!(idle > track_patience(t, w->of[i].first, w->of[i].least))) continue;
        w->of[i].track = NULL;
        w->c.expired(w->c.arg, t, idle);
    }
}

static status watch_main(void *arg)
{
    struct watchdog *const w = arg;

    pthread_mutex_lock(&w->lock);
    while (!w->closing) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_MS * 1000000L;
        if (until.tv_nsec >= 1000000000L) until.tv_sec++, until.tv_nsec -= 1000000000L;
        pthread_cond_timedwait(&w->changed, &w->lock, &until);
        check_tracks(w);
        if (w->c.look) w->c.look(w->c.arg, w->looked_at - w->since);
    }
    pthread_mutex_unlock(&w->lock);
    return ST_OK;
}

static void free_watchdog(struct watchdog *w)
{
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

status watchdog_open(struct watchdog **out, const struct watchdog_config *c)
{
    struct watchdog *const w = calloc(1, sizeof *w);

    *out = NULL;
    if (!w) return fail(ST_NOMEM, "watchdog: no memory");
    w->c = *c;
    w->looked_at = w->since = clock_seconds();
    pthread_mutex_init(&w->lock, NULL);
    condvar_init(&w->changed);
    status const st = task_start(&w->task, "watchdog", -1, watch_main, w);
    if (st == ST_OK) *out = w;
    else free_watchdog(w);
    return st;
}

void watchdog_close(struct watchdog **watch)
{
    struct watchdog *const w = *watch;

    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    task_join(&w->task, ST_OK);
    free_watchdog(w);
    *watch = NULL;
}

void watchdog_add(struct watchdog *w, const struct track *t, double first, double least)
{
    pthread_mutex_lock(&w->lock);
    for (int i = 0; i < WATCHDOG_TRACKS; i++)
        if (!w->of[i].track) {
            w->of[i] = (struct watched){ t, first, least, clock_seconds() };
            break;
        }
    pthread_mutex_unlock(&w->lock);
}

void watchdog_drop(struct watchdog *w, const struct track *t)
{
    pthread_mutex_lock(&w->lock);
    for (int i = 0; i < WATCHDOG_TRACKS; i++)
        if (w->of[i].track == t) w->of[i].track = NULL;
    pthread_mutex_unlock(&w->lock);
}
