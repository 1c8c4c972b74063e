/*
 * render_progress.h - what a person sees of a render: a bar on a terminal, one
 * line every 30 s otherwise.
 */
#ifndef RENDER_PROGRESS_H
#define RENDER_PROGRESS_H

#include "cluster/roles.h"
#include "jobs/spec/clip_spec.h"

struct render_progress {
    int clips, clips_done; /* of the whole render */
    int64_t pictures;      /* made so far in this batch */
    int64_t blocks, done;  /* of this batch: all, and those whose pictures are out */
    int lines, stages_each, stages[ROLES_RANKS]; /* stages that hold a block, by line */
    double start, last;                          /* seconds */
    bool bar, shown;
};

/* A batch begins. of: clips, clips_done, blocks, lines and stages_each. */
void render_progress_begin(struct render_progress *p, const struct render_progress *of);

/* So many more blocks and pictures of a clip are out; `block` is the newest. */
void render_progress_blocks(struct render_progress *p, const struct clip_spec *clip, int64_t block,
                            int64_t blocks, int64_t pictures);

/* Leave the terminal's line. */
void render_progress_end(struct render_progress *p);

#endif /* RENDER_PROGRESS_H */
