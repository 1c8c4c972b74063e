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

#endif /* JOB_FORMATS_H */
