/* render_list.h - what a render has to do: the clips of all jobs given, less what is done. */
#ifndef RENDER_LIST_H
#define RENDER_LIST_H

#include "jobs/clip.h"

/* One clip to make. Everything but dir belongs to the list's jobs. */
struct render_clip {
    const struct job *job;
    const struct card *card;
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

/* Read and validate all job files, expand them, make the output folders and look at
 * what stands there: a finished clip of the same task is skipped. precision: "f32" or "bf16" to overrule the jobs,
 * or NULL. ST_FORMAT at the key that is wrong, for a clip that is there under
 * on_exists: error, for a folder that holds something else, or for two clips with the
 * same folder; ST_IO for an output folder that cannot be written. */
status render_list_open(struct render_list *out, char *const *paths, int count,
                        const char *precision) MUST_USE;
void render_list_close(struct render_list *l); /* safe on a zeroed one; zeroes it */

#endif /* RENDER_LIST_H */
