/*
 * watchdog.h - the watchdog: a thread that feels the pulse of a rank's tracks.
 *
 * Waits for another rank or thread are not its business: they have deadlines of their
 * own, or end with the thread that is waited for. This is for all else that may hang: a
 * loop, a disk, a library. A track without a pulse for longer than its patience is reported
 * once, by a call on the watchdog's thread, which is not expected to return.
 */
#ifndef WATCHDOG_H
#define WATCHDOG_H

#include "base/track.h"

enum { WATCH_TRACKS = 1024 };

struct watch;

struct watch_config {
    void (*expired)(void *arg, const struct track *t, double seconds);
    void *arg;
};

/* Whoever opens, closes. */
status watch_open(struct watch **out, const struct watch_config *c) MUST_USE;
void watch_close(struct watch **w); /* NULL is fine; sets NULL */

/* Tracks are borrowed until dropped. first, least: seconds, see track_patience. Any thread. */
void watch_add(struct watch *w, const struct track *t, double first, double least);
void watch_drop(struct watch *w, const struct track *t);

#endif /* WATCHDOG_H */
