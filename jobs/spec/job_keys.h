/* job_keys.h - the key tables of a job, and where job.c finds what they read. */
#ifndef JOB_KEYS_H
#define JOB_KEYS_H

#include "jobs/spec/job.h"

/* What is read before it is held together. */
struct job_draft {
    struct job job;
    int version;
    const char *model, *dir;
    const struct tree_node *prompt, *prompts, *axes, *formats;
};

/* What a missing key means. */
extern const struct job_draft job_defaults;

extern const struct field_table job_table;        /* reads into a struct job_draft */
extern const struct field_table job_prompt_table; /* reads into a struct job_prompt */

#endif /* JOB_KEYS_H */
