/* queue_select.h - jobs and clips as people name them: harbour-dawn, harbour-dawn/17, harbour-*. */
#ifndef QUEUE_SELECT_H
#define QUEUE_SELECT_H

#include "jobs/queue/queue.h"

/* A job that was named, and of it one clip or all. */
struct selected {
    int64_t job;
    char uid[96];
    int64_t first, last; /* clips; -1, -1: all */
};

struct selection {
    struct selected *at;
    int count;
};

/* A name is the job's number in the queue (name and 8 digits), or its name: the newest job that is
 * not closed, else the newest; with * or ? all whose name or number fits. Behind a slash: a clip,
 * or clips 3-7. ST_ARG names what nothing fits; ST_IO, ST_FORMAT: the queue. Whoever selects,
 * frees. */
status queue_select(struct selection *out, struct queue *q, char *const *names, int count) MUST_USE;
void queue_select_free(struct selection *s); /* safe on a zeroed one; zeroes it */

#endif /* QUEUE_SELECT_H */
