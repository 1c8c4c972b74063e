/* clip_folder.h - where a job's clips go: the output folder, each clip's own, what stands there. */
#ifndef CLIP_FOLDER_H
#define CLIP_FOLDER_H

#include "jobs/spec/clip_spec.h"
#include "jobs/spec/job.h"

/* Make the job's output folder now, not when the first clip is half rendered, and name it one way
 * however the job spells it. ST_IO for one that cannot be written. */
status clip_folder_open(struct job *job) MUST_USE;

/* Sets c->dir to the clip's folder, under on_exists: version the first of dir-v2, dir-v3 ... that is
 * free. *there: this very clip stands there already. ST_FORMAT for a folder that holds something
 * else, and under on_exists: error for any. */
status clip_folder_choose(struct clip_spec *c, const struct job *job, bool *there) MUST_USE;

/* Is the folder the finished clip of this very task? */
bool clip_folder_is_task(const char *dir, const char *task_id);

/* ST_FORMAT if two of these folders are one, as far as a disk can tell. Sorts them. */
status clip_folder_check_all(const char **dirs, int64_t count) MUST_USE;

#endif /* CLIP_FOLDER_H */
