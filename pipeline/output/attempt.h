/*
 * attempt.h - a private folder beside a folder to be, and the one rename.
 *
 * The file system's rule is all the locking there is: a folder cannot be renamed
 * onto one that is not empty. It holds on NFS too, where the answer to a rename
 * may be lost; so a failed rename is judged by what stands at the target.
 */
#ifndef ATTEMPT_H
#define ATTEMPT_H

#include "base/base.h"

/* All malloc'ed; attempt_close frees them. */
struct attempt {
    char *target;   /* OUT/NAME */
    char *parent;   /* OUT */
    char *shelf;    /* OUT/.attempts */
    char *own;      /* OUT/.attempts/NAME.PID.xxxxxx, readable for the owner only */
    char *dir;      /* own/NAME: fill this one */
    const char *id; /* the last part of `own` */
};

/* Make the folders. ST_ARG if target is there already or is no name for a folder;
 * ST_IO with the path that cannot be made. */
status attempt_open(struct attempt *a, const char *target) MUST_USE;

/* fsync dir, rename it to target, fsync around it. *won is false if a folder that
 * is not this one stands at target: not an error. All files in dir are closed and
 * fsynced before. */
status attempt_publish(struct attempt *a, bool *won) MUST_USE;

/* Remove what is left of the private folder, and the shelf if it is empty.
 * Safe on a zeroed one; zeroes it. */
void attempt_close(struct attempt *a);

#endif /* ATTEMPT_H */
