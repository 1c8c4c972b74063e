/*
 * render_progress.h - what a person sees of a render: a bar on a terminal, one
 * line every 30 s otherwise.
 */
#ifndef RENDER_PROGRESS_H
#define RENDER_PROGRESS_H

#include "pipeline/timeline.h"

struct render_progress {
    const struct timeline *timeline; /* of the batch; borrowed */
    int clips, clips_done;           /* of the whole render */
    int64_t pictures;                /* made so far in this batch */
    int64_t blocks;                  /* finished so far in this batch */
    double start, last;              /* seconds */
    bool bar, shown;
};

/* A batch begins. clips_done: of the whole render, before it. */
void render_progress_begin(struct render_progress *p, const struct timeline *t, int clips,
                           int clips_done);

/* A block of a clip is finished and its pictures are out. */
void render_progress_block(struct render_progress *p, const char *name, struct place at,
                           int pictures);

/* Leave the terminal's line. */
void render_progress_end(struct render_progress *p);

#endif /* RENDER_PROGRESS_H */
