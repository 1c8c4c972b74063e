/* job_formats.h - a job's video files, as those who make pictures and films want them. */
#ifndef JOB_FORMATS_H
#define JOB_FORMATS_H

#include "jobs/job.h"
#include "pipeline/clip_sink.h"

/* One file. Borrows from f. */
struct clip_format job_format(const struct format *f);

/* The pixel formats of all files: a set of enum pix. */
unsigned job_formats_set(const struct job *job);

/* Bytes of a picture with those (pixels_layout), at the job's size. */
int64_t job_formats_bytes(const struct job *job);

/*
 * What encodes each file of a job, settled. A card's encoder is tried once, if at all, by the
 * first that asks; what the others of a world then do is what that one found.
 */
struct job_encoders {
    bool known, opens; /* was tried or told; opens */
    struct codec_probe probe;
};

/* No format is auto from then on; what became of it is logged. ST_DEVICE with the encoder's own
 * words where nvenc is asked for and does not open. Zeroed before the first call. */
status job_encoders_settle(struct job_encoders *e, struct job *job) MUST_USE;

#endif /* JOB_FORMATS_H */
