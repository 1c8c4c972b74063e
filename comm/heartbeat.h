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

struct render_pulse;

/* silence_s: the longest. stop: asked ten times a second whether this process is to stop;
 * then the world is. Whoever opens, closes. */
status render_pulse_open(struct render_pulse **out, struct comm *world, double silence_s,
                         bool (*stop)(void)) MUST_USE;
void render_pulse_close(struct render_pulse **p); /* NULL is fine; sets NULL */

/* What the signs of life tell of: the track, borrowed until it is dropped (NULL). */
void render_pulse_show(struct render_pulse *p, const struct track *t);

/* Notes of others go to `heard`, on the pulse's thread, until it is NULL: then all that
 * had come have been heard. */
void render_pulse_listen(struct render_pulse *p, void (*heard)(void *arg, const struct comm_note *),
                         void *arg);

/* ST_COMM, with its record, if this rank ended the world because another fell silent. */
status render_pulse_verdict(struct render_pulse *p) MUST_USE;

#endif /* HEARTBEAT_H */
