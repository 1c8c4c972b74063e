/* clip_folder.h - where a job's clips go: the output folder, each clip's own, what stands there. */
#ifndef CLIP_FOLDER_H
#define CLIP_FOLDER_H

#include "jobs/spec/clip_spec.h"
#include "jobs/spec/job.h"

/* Make the job's output folder now, not when the first clip is half rendered, name it one way
 * however the job spells it, and remove the attempts of killed renders in it (attempts.h). ST_IO
 * for one that cannot be written. */
status clip_folder_open(struct job *job) MUST_USE;

struct clip_folder_rules {
    int on_exists;        /* enum job_exists */
    bool quiet;           /* a person knows what is there: nothing is logged of it */
    bool verify;          /* read every file of a finished clip, not its size alone */
    bool same_numerics;   /* a clip of other numerics is made again, as another version */
    const char *numerics; /* the id of what this render computes with; "": not known */
};

enum clip_folder_state {
    FOLDER_FREE,    /* to be made */
    FOLDER_DONE,    /* this very clip is there, whole */
    FOLDER_DAMAGED, /* it was there: to be set aside, and made again */
};

/* Where the clip `task` goes that is to be OUT/NAME, `base`. *dir, malloc'ed: that place, or under
 * on_exists: version the first of base-v2, base-v3 ... that is free. What is damaged is logged.
 * ST_FORMAT for something else at the place, and for anything under on_exists: error. */
status clip_folder_find(const char *base, const char *task, const struct clip_folder_rules *r,
                        char **dir, enum clip_folder_state *what) MUST_USE;

/* Rename a damaged clip's folder to DIR.damaged-N, the first that is free, and say so. */
status clip_folder_set_aside(const char *dir) MUST_USE;

/* The same for a clip of a job: c->dir is its folder. *there: it is done; a damaged one is set
 * aside. */
status clip_folder_choose(struct clip_spec *c, const struct job *job, bool *there) MUST_USE;

/* Is the folder the finished clip of this very task, with all its files? */
bool clip_folder_is_task(const char *dir, const char *task_id);

/* ST_FORMAT if two of these folders are one, as far as a disk can tell. Sorts them. */
status clip_folder_check_all(const char **dirs, int64_t count) MUST_USE;

#endif /* CLIP_FOLDER_H */
