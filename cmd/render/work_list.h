/*
 * work_list.h - the clips of job files, less what is done, as a work source.
 *
 * For rank 0 alone: it reads the jobs and their cards, and looks at the disk. All clips are
 * known before the first one is rendered.
 */
#ifndef WORK_LIST_H
#define WORK_LIST_H

#include "pipeline/engine/work_source.h"

struct work_list;

/* A job file, or a job's text under a path that need not be there (job_parse). */
struct work_job {
    const char *path;
    const char *text; /* NULL: the file's */
};

/* Read and validate all jobs and cards, hash the models, settle what encodes, make the output
 * folders, expand the jobs and leave out what stands there already: a finished clip of the same
 * task (on_exists: skip). Clips are in the order of their priority, then in that of the jobs.
 * precision: "f32" or "bf16" to overrule the jobs, or NULL. ST_FORMAT at the key that is wrong,
 * for a clip that is there under on_exists: error, for a folder that holds something else, for
 * two clips with the same folder; ST_IO for an output folder that cannot be written; ST_DEVICE
 * for a card's encoder that is asked for and does not open. One bad job ends all: nothing is
 * rendered. */
status work_list_open(struct work_list **out, const struct work_job *jobs, int count,
                      const char *precision) MUST_USE;
void work_list_close(struct work_list **l); /* NULL is fine; sets NULL */

/* Hands the clips over, one group after another. It never waits. Borrows from l. */
struct work_source work_list_source(struct work_list *l);

struct work_counts {
    int64_t clips; /* to make, from the start */
    int64_t skipped;
    int64_t done, failed; /* by now */
};
struct work_counts work_list_counts(const struct work_list *l);

/* A clip that was not made. Borrowed from the list. */
struct work_failure {
    const struct clip_spec *clip;
    status st;
    const char *why;
};

/* Failure i of counts.failed, in the order they came. */
struct work_failure work_list_failure(const struct work_list *l, int64_t i);

#endif /* WORK_LIST_H */
