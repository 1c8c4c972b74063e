/*
 * finished_clip.h - a finished clip's folder, looked at again: is all of it still there?
 *
 * clip.json lists every file with its size and hash. It may have been through anything since, so
 * nothing in it is taken for granted.
 */
#ifndef FINISHED_CLIP_H
#define FINISHED_CLIP_H

#include "base/base.h"

enum finished_depth {
    FINISHED_RECORD, /* clip.json alone */
    FINISHED_SIZES,  /* and every file's size */
    FINISHED_HASHES, /* and every file's bytes */
};

enum { FINISHED_ID = 65 };

/* The folder in a finished one with what a longer clip goes on from (clip_extension.c). */
#define FINISHED_EXTENSION "extend"

struct finished_clip {
    char task_id[FINISHED_ID], numerics_id[FINISHED_ID]; /* "": not in it */
    int files;                                           /* that it lists */
    int64_t bytes;                                       /* of them */
};

/* ST_FORMAT: the folder has no clip.json that can be read. ST_MISMATCH: it is a clip's, and files
 * are missing or are not what clip.json says; `out` is set, and the message has a line for each. */
status finished_clip_read(struct finished_clip *out, const char *dir,
                          enum finished_depth depth) MUST_USE;

#endif /* FINISHED_CLIP_H */
