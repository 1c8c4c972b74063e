/* job_encoders.h - what encodes each file of a job, settled before anything is rendered. */
#ifndef JOB_ENCODERS_H
#define JOB_ENCODERS_H

#include "jobs/spec/job.h"
#include "pipeline/output/av/codec.h"

/* Does a card's encoder open? It is tried once, if at all, by the first job that asks; the
 * other ranks of a world receive what one of them found. Zeroed before the first job. */
struct job_encoders {
    bool known; /* tried, or told */
    struct codec_probe probe;
};

/* No format is auto from then on; what became of it is logged. ST_DEVICE with the encoder's own
 * words where nvenc is asked for and does not open. */
status job_encoders_settle(struct job_encoders *e, struct job *job) MUST_USE;

#endif /* JOB_ENCODERS_H */
