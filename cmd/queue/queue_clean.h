/* queue_clean.h - what killed worlds have left beside the clips of a queue's jobs. */
#ifndef QUEUE_CLEAN_H
#define QUEUE_CLEAN_H

#include "jobs/queue/queue.h"
#include "pipeline/output/attempts.h"

/* Sweep (attempts.h) every output folder of the queue's jobs. *folders: how many there are. */
status queue_clean(struct queue *q, struct attempts_found *found, int *folders) MUST_USE;

#endif /* QUEUE_CLEAN_H */
