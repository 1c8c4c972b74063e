/*
 * slot_queue.h - a few slots between two threads: one fills them, one empties them.
 *
 *   filler: slot_queue_reserve -> fill it -> slot_queue_push ... slot_queue_end
 *   taker:  slot_queue_peek -> use it -> slot_queue_pop  ... slot_queue_stop
 *
 * When all slots are full the filler waits, so a slow taker holds it back. The end
 * travels both ways: after slot_queue_end the taker gets what is left, then NULL; after
 * slot_queue_stop the filler gets NULL.
 */
#ifndef SLOT_QUEUE_H
#define SLOT_QUEUE_H

#include "base/base.h"

struct slot_queue;

/* slots >= 1 of `bytes` each. Whoever opens, closes, when neither side is in a call. */
status slot_queue_open(struct slot_queue **out, int slots, size_t bytes) MUST_USE;
void slot_queue_close(struct slot_queue **q); /* NULL is fine; sets NULL */

void *
slot_queue_reserve(struct slot_queue *q); /* waits for an empty slot; NULL: the taker has stopped */
void slot_queue_push(struct slot_queue *q); /* the slot from slot_queue_reserve is full */
void slot_queue_end(struct slot_queue *q);  /* nothing more will come */

void *slot_queue_peek(struct slot_queue *q); /* waits for the oldest full slot; NULL: the end */
void slot_queue_pop(struct slot_queue *q);   /* the slot from slot_queue_peek is empty */
void slot_queue_stop(struct slot_queue *q);  /* nothing more will be taken */

int slot_queue_count(struct slot_queue *q); /* full slots */

#endif /* SLOT_QUEUE_H */
