/* output_formats.h - a job's video files, as those who make pictures and films want them. */
#ifndef OUTPUT_FORMATS_H
#define OUTPUT_FORMATS_H

#include "jobs/spec/job.h"
#include "pipeline/output/av/codec.h"

/* One file of the job; path is its name alone. Borrows from f. */
struct video_config job_format(const struct job *job, const struct format *f);

/* The pixel formats of all files: a set of enum pix. */
unsigned job_formats_set(const struct job *job);

/* Bytes of a picture with those (pixels_layout), at the job's size. */
int64_t job_formats_bytes(const struct job *job);

#endif /* OUTPUT_FORMATS_H */
