/* render_list.h - what a render has to do: the clips of all jobs given, less what is done. */
#ifndef RENDER_LIST_H
#define RENDER_LIST_H

#include "comm/comm.h"
#include "jobs/spec/clip.h"

/* One clip to make. Everything but dir belongs to the list's jobs. */
struct render_clip {
    const struct job *job;
    const struct model_spec *card;
    const char *model_id; /* 64 hex digits; see card_fingerprint */
    const struct clip_spec *spec;
    char *dir; /* where it will appear; owned */
};

struct render_list {
    struct render_clip *clip;
    int count, skipped; /* skipped: stood there already (on_exists: skip) */

    struct render_source *source; /* the jobs, their cards and their clips */
    int sources;
    struct job_file *file;
    int files;
};

/* [all] Read and validate all job files and expand them, on every rank. Rank 0 alone
 * looks at the disk: it hashes the models, makes the output folders and finds what
 * stands there (a finished clip of the same task is skipped), settles what encodes
 * (job_encoders_settle), and tells the others.
 * precision: "f32" or "bf16" to overrule the jobs, or NULL. ST_FORMAT at the key that
 * is wrong, for a clip that is there under on_exists: error, for a folder that holds
 * something else, for two clips with the same folder, or if the files read differently
 * on two ranks; ST_IO for an output folder that cannot be written. */
status render_list_open(struct render_list *out, struct comm *world, char *const *paths, int count,
                        const char *precision) MUST_USE;
void render_list_close(struct render_list *l); /* safe on a zeroed one; zeroes it */

#endif /* RENDER_LIST_H */
