/*
 * queue_job.h - a job file's job on its way into the queue and out of it.
 *
 * The queue keeps the job's own text, with where it stood, and of each clip its task id and
 * folder. A world expands the text again and refuses a clip of which it reckons another task id:
 * the program, the card or the model's files have changed since.
 */
#ifndef QUEUE_JOB_H
#define QUEUE_JOB_H

#include "cmd/prompt_lengths.h"
#include "jobs/queue/queue.h"
#include "jobs/spec/model_spec.h"

/* ---- in ---- */

struct queue_submission {
    bool held;
};

/* What became of one job. */
struct queue_submitted {
    const char *name, *uid;
    int64_t id, clips;
    bool fresh;
};

/* All jobs of the files, validated as `render` does before anything is submitted: models hashed,
 * encoders settled, output folders made. Each job enters the queue at once or not at all. `each` is
 * told of every one. Failures as those of work_list_open, and of the queue. */
status queue_jobs_submit(struct queue *q, char *const *paths, int count,
                         const struct queue_submission *s,
                         void (*each)(void *arg, const struct queue_submitted *s),
                         void *arg) MUST_USE;

/* ---- out ---- */

/* A job as a world renders it. */
struct queue_expanded {
    struct model_spec model;
    struct clip_list clips;
};

/* From the text that queue_job_spec gives; `name` for messages. ST_FORMAT for what cannot be
 * rendered, ST_DEVICE for an encoder that does not open here. Whoever expands, frees. */
status queue_job_expand(struct queue_expanded *out, const char *spec, const char *name) MUST_USE;
void queue_job_free(struct queue_expanded *x); /* safe on a zeroed one; zeroes it */

#endif /* QUEUE_JOB_H */
