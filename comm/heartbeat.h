/*
 * heartbeat.h - heartbeats between ranks, and the control messages that arrive beside them.
 *
 * A thread of every rank sends a heartbeat twice a second to the rank before it, with what the
 * rank is doing, and expects those of the rank behind it. A process that is stopped or cut off
 * falls silent; the rank that expects its heartbeats says so and ends the world. So waits for a
 * rank that lives may be long: it has its own watchdog (watchdog.h) for what hangs inside it. And
 * whatever a rank does, or if it has nothing to do, a stop asked of its process is passed on to
 * all.
 */
#ifndef HEARTBEAT_H
#define HEARTBEAT_H

#include "base/track.h"
#include "comm/comm.h"

/* comm_control.kind, and what the values are. */
enum control_kind {
    CONTROL_HEARTBEAT,      /* open, what, clip, stage, layer, block of struct track_state */
    CONTROL_LAST_HEARTBEAT, /* the same; the rank sends no more */
    CONTROL_OTHER,          /* kinds from here on are for whoever listens */
};

struct heartbeat;

/* [all] silence_s: how long the rank behind may be silent. stop: asked ten times a second whether
 * this process is to stop; then the world is. Whoever opens, closes. */
status heartbeat_open(struct heartbeat **out, struct comm *world, double silence_s,
                      bool (*stop)(void)) MUST_USE;
void heartbeat_close(struct heartbeat **h); /* NULL is fine; sets NULL */

/* What the heartbeats say this rank is doing: the track, borrowed until it is dropped (NULL). */
void heartbeat_show(struct heartbeat *h, const struct track *t);

/* Control messages that are no heartbeats go to `received`, on the heartbeat's thread, until it is
 * NULL: then all that had arrived have been handed over. */
void heartbeat_listen(struct heartbeat *h, void (*received)(void *arg, const struct comm_control *),
                      void *arg);

/* ST_COMM, with its record, if this rank ended the world because another fell silent. */
status heartbeat_verdict(struct heartbeat *h) MUST_USE;

#endif /* HEARTBEAT_H */
