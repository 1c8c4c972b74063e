/* queue_json.h - the queue's rows as JSON, for programs and for the page of `serve`. */
#ifndef QUEUE_JSON_H
#define QUEUE_JSON_H

#include "jobs/queue/queue.h"

#include <jansson.h>

/* "running", "held", "waiting" ...: what a person wants to know of a job first. */
const char *queue_job_state(const struct queue_job_status *s);
extern const char *const queue_job_states[]; /* all of them; NULL ends it */

/* "working", "drains", or "silent": it has let its lease run out; silent first. */
const char *queue_world_state(const struct queue_world_status *s, int64_t now_ms);

static inline double queue_hours(int64_t ms) { return (double)ms / 3600000; }

/* New objects, texts by json_from_text; NULL for want of memory. */
json_t *queue_job_json(const struct queue_job_status *s);
json_t *queue_world_json(const struct queue_world_status *s, int64_t now_ms);
json_t *queue_owner_json(const struct queue_owner *o);

/* Without the folder, which is the caller's to show or not. */
json_t *queue_clip_json(const struct queue_clip_status *s);

#endif /* QUEUE_JSON_H */
