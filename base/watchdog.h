/*
 * watchdog.h - the watchdog: a thread that checks that a rank's tracks make progress.
 *
 * Waits for another rank or thread are not its business: they have deadlines of their
 * own, or end with the thread that is waited for. This is for all else that may hang: a
 * loop, a disk, a library. A track without progress for longer than its patience is reported
 * once, by a call on the watchdog's thread, which is not expected to return.
 */
#ifndef WATCHDOG_H
#define WATCHDOG_H

#include "base/track.h"

enum { WATCHDOG_TRACKS = 1024 };

struct watchdog;

struct watchdog_config {
    void (*expired)(void *arg, const struct track *t, double seconds);
    /* Asked some five times a second for what else may hang; `running`: seconds in which the
     * process was not suspended. NULL: nothing else. */
    void (*look)(void *arg, double running);
    void *arg;
};

/* Whoever opens, closes. */
status watchdog_open(struct watchdog **out, const struct watchdog_config *c) MUST_USE;
void watchdog_close(struct watchdog **w); /* NULL is fine; sets NULL */

/* Tracks are borrowed until dropped, and watched from now on, however long they have been still.
 * first, least: seconds, see track_patience. Any thread. */
void watchdog_add(struct watchdog *w, const struct track *t, double first, double least);
void watchdog_drop(struct watchdog *w, const struct track *t);

#endif /* WATCHDOG_H */
