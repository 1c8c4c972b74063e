/* render.h - what the files of `render` share: its options and one batch of clips. */
#ifndef RENDER_H
#define RENDER_H

#include "cmd/render_list.h"
#include "kernels/kern.h"

struct render_options {
    const struct kern_backend *backend;
    const char *precision; /* "f32" or "bf16", overrules the jobs; NULL: as they say */
    int ranks, threads;
    double deadline_s;
    const char *prompt_cache; /* folder; NULL: none */
    bool (*stop)(void);       /* a person asked to stop */
};

/* Clips that go down one line: the same card, precision and size. */
struct render_batch {
    const struct render_options *o;
    const struct render_clip *const *clip;
    int clips;
    int all_clips, clips_done; /* of the whole render, for people */
};

/* Load the model, render all clips back to back, commit each as it ends.
 * ST_CANCELED after a stop: clips that are committed stay. */
status render_batch_run(const struct render_batch *b) MUST_USE;

#endif /* RENDER_H */
