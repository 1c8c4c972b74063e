/*
 * timeline.h - which block of which clip stands at which stage at which tick.
 *
 * A pure function of the admitted clips: every rank computes it, none asks.
 * Stages 0..W-1 are the noise levels, stage W is the clean stage. A rolling line
 * takes a new block every tick; a block-by-block line every W+1 ticks. The tick
 * after a clip's last block enters, the next clip's block 0 does.
 */
#ifndef TIMELINE_H
#define TIMELINE_H

#include "pipeline/cache/kv_policy.h"

struct timeline {
    int levels;     /* W */
    int64_t stride; /* ticks between two blocks: 1, or W+1 block by block */
    int clips;
    const int64_t *start; /* [clips + 1]: blocks of all clips before; owned */
};

/* A block's place in the queue: clip < 0 means the stage is idle. */
struct place {
    int clip;
    int64_t block; /* of the clip */
};

/* blocks[i] >= 1: length of clip i. ST_ARG if one is not, or the sum overflows. */
status timeline_make(struct timeline *out, const struct kv_policy *p, const int64_t *blocks,
                     int clips) MUST_USE;
void timeline_free(struct timeline *t);

/* Ticks until every block has had its last level. */
int64_t timeline_ticks(const struct timeline *t);

/* The last block of a clip needs no clean pass: nobody reads it. */
struct place timeline_at(const struct timeline *t, int64_t tick, int stage);

/* The window pass a noise stage takes part in: all noise stages that hold
 * blocks of the same clip. false if the stage is idle. */
struct window {
    int clip;
    int64_t first; /* oldest block */
    int count;     /* blocks */
};
bool timeline_window(const struct timeline *t, int64_t tick, int stage, struct window *out);

/* Share of stage-ticks that hold a block, 0..1, over the whole timeline. */
double timeline_occupancy(const struct timeline *t);

#endif /* TIMELINE_H */
