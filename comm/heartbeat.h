/*
 * heartbeat.h - signs of life between ranks, and the ear for what they tell.
 *
 * A thread of every rank sends a sign of life twice a second to the rank before it,
 * with what the rank is doing, and listens for those of the rank behind it. A process
 * that is stopped or cut off falls silent; whoever listens for it says so and ends the
 * world. So waits for a rank that lives may be long: it has its own watchdog (watchdog.h)
 * for what hangs inside it. And whatever a rank does, or if it has nothing to do, a stop
 * asked of its process is passed on to all.
 */
#ifndef HEARTBEAT_H
#define HEARTBEAT_H

#include "base/track.h"
#include "comm/comm.h"

struct heartbeat;

/* silence_s: the longest. stop: asked ten times a second whether this process is to stop;
 * then the world is. Whoever opens, closes. */
status heartbeat_open(struct heartbeat **out, struct comm *world, double silence_s,
                      bool (*stop)(void)) MUST_USE;
void heartbeat_close(struct heartbeat **p); /* NULL is fine; sets NULL */

/* What the signs of life tell of: the track, borrowed until it is dropped (NULL). */
void heartbeat_show(struct heartbeat *p, const struct track *t);

/* Notes of others go to `heard`, on the pulse's thread, until it is NULL: then all that
 * had come have been heard. */
void heartbeat_listen(struct heartbeat *p, void (*heard)(void *arg, const struct comm_control *),
                      void *arg);

/* ST_COMM, with its record, if this rank ended the world because another fell silent. */
status heartbeat_verdict(struct heartbeat *p) MUST_USE;

#endif /* HEARTBEAT_H */
