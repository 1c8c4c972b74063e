/* queue_show.h - what is in the queue, as tables for people and as JSON for programs. */
#ifndef QUEUE_SHOW_H
#define QUEUE_SHOW_H

#include "cmd/queue/queue_select.h"

/* All jobs and the worlds that live: {"jobs": [...], "worlds": [...]}. */
status queue_show_all(struct queue *q, bool json) MUST_USE;

/* The clips of what was selected: {"jobs": [{..., "clips": [...]}]}. */
status queue_show_clips(struct queue *q, const struct selection *s, bool json) MUST_USE;

/* Events; of what was selected, with attempts where clips were. One a line. *after: those behind
 * this number, and becomes the last one shown. */
status queue_show_log(struct queue *q, const struct selection *s, bool json,
                      int64_t *after) MUST_USE;

/* Clear the terminal. */
void queue_show_clear(void);

#endif /* QUEUE_SHOW_H */
