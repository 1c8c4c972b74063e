/*
 * slot_queue.h - a few slots between two threads: one fills them, one empties them.
 *
 *   filler: queue_room -> fill it -> queue_push ... queue_end
 *   taker:  queue_front -> use it -> queue_pop  ... queue_stop
 *
 * When all slots are full the filler waits, so a slow taker holds it back. The end
 * travels both ways: after queue_end the taker gets what is left, then NULL; after
 * queue_stop the filler gets NULL.
 */
#ifndef SLOT_QUEUE_H
#define SLOT_QUEUE_H

#include "base/base.h"

struct queue;

/* slots >= 1 of `bytes` each. Whoever opens, closes, when neither side is in a call. */
status queue_open(struct queue **out, int slots, size_t bytes) MUST_USE;
void queue_close(struct queue **q); /* NULL is fine; sets NULL */

void *queue_room(struct queue *q); /* waits for an empty slot; NULL: the taker has stopped */
void queue_push(struct queue *q);  /* the slot from queue_room is full */
void queue_end(struct queue *q);   /* nothing more will come */

void *queue_front(struct queue *q); /* waits for the oldest full slot; NULL: the end */
void queue_pop(struct queue *q);    /* the slot from queue_front is empty */
void queue_stop(struct queue *q);   /* nothing more will be taken */

int queue_count(struct queue *q); /* full slots */

#endif /* SLOT_QUEUE_H */
