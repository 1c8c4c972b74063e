/* job_workload.h - job files as one workload, for `plan` and `bench`: nothing is loaded. */
#ifndef JOB_WORKLOAD_H
#define JOB_WORKLOAD_H

#include "pipeline/engine/workload.h"

struct job_workload {
    struct workload work; /* borrows what follows; this struct is not to be copied */
    struct model_spec model;
    struct clip_spec first; /* the first job's first clip */
    int64_t *clip_blocks;   /* [work.known.clips] */
};

/* What options say: "f32" or "bf16" to overrule the jobs, or NULL; numerics. */
struct job_workload_options {
    const char *precision;
    struct clip_numerics given;
};

/* Prompts are cleaned and their tokens counted. ST_FORMAT at what is wrong in a job, its card or
 * config.json, for files of the card that are missing but the text encoder's, for numerics that the
 * options contradict, or if the jobs differ in card, precision, numerics or size.
 * job_workload_close frees, also after a failure. */
status job_workload_open(struct job_workload *out, char *const *paths, int count,
                         const struct job_workload_options *o) MUST_USE;
void job_workload_close(struct job_workload *m); /* safe on a zeroed one; zeroes it */

#endif /* JOB_WORKLOAD_H */
