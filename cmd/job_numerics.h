/* job_numerics.h - what jobs and options ask for beside one another of how clips are computed. */
#ifndef JOB_NUMERICS_H
#define JOB_NUMERICS_H

#include "cmd/backend.h"
#include "jobs/spec/job.h"

/* What the options give of what a job may ask for. */
struct clip_numerics job_numerics_given(const struct backend_request *r);

/* ST_FORMAT at the job's key that an option contradicts: neither is what was meant for sure. */
status job_numerics_check(const struct job *job, const struct clip_numerics *given) MUST_USE;

#endif /* JOB_NUMERICS_H */
