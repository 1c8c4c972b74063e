/*
 * timeline.h - which block of which clip stands at which stage at which tick.
 *
 * A pure function of what was admitted and when: every rank computes it, none asks. Stages
 * 0..W-1 are the noise levels, stage W is the clean stage. A rolling line takes a new block
 * every tick; a block-by-block line when the one before has had its clean pass. There a block may
 * have fewer levels than W: it then takes the last stages, so that every block is finished at
 * stage W-1. A clip joins at the boundary of a tick; the tick after its last block has entered, the
 * next one's first block does, if it is there by then.
 */
#ifndef TIMELINE_H
#define TIMELINE_H

#include "pipeline/cache/kv_policy.h"

/*
 * One clip's way through the line. Its first `clean` blocks exist already (given, or rendered
 * before a stop): they pass the clean stage alone, one a tick, and leave their keys and
 * values; the others pass all stages. A clip with such blocks enters when the one before it has
 * left the line, for there is one cache.
 */
struct timeline_entry {
    int clip;        /* what whoever admits calls it; >= 0, no other one's that is in the line */
    int64_t blocks;  /* of the clip */
    int64_t clean;   /* the first so many pass the clean stage alone */
    int64_t opening; /* the clip's first block that is not given: it has the opening's levels */
    bool chosen;     /* what a policy chose for its clean ones is known (line_io.chosen) */
    bool goes_on;    /* joint, behind a checkpoint: in the tick of the last clean one the blocks
                           behind it stand at all levels, as they did when it was made */
    int64_t start;   /* tick at which the first one enters; timeline_admit sets it */
};

struct timeline {
    int levels;                   /* W: noise stages; no block has more levels */
    int usual, opening;           /* levels of a block, and of a clip's opening one */
    int64_t stride;               /* ticks between two blocks: 1, or usual+1 block by block */
    struct timeline_entry *entry; /* [entries], rising by start; owned */
    int entries, room;
};

/* Nobody is in it. opening: levels of a clip's first block that is not given, and usual those of
 * all others; the larger is p->levels. Where p is joint they are the same. */
void timeline_open(struct timeline *out, const struct kv_policy *p, int usual, int opening);
void timeline_free(struct timeline *t);

/* At the boundary before `tick`: the clip enters then, or as soon as the one before it lets it.
 * ST_ARG for an entry without blocks to render, or past what can be counted. */
status timeline_admit(struct timeline *t, int64_t tick, const struct timeline_entry *e) MUST_USE;

/* At the boundary before `tick`: blocks of the clip that have not entered never will. Those that
 * come behind it move up. */
void timeline_cut(struct timeline *t, int64_t tick, int clip);

/* Entries that are through before `tick` are forgotten, but for the one that the next to come
 * depends on: memory does not grow with time. */
void timeline_forget(struct timeline *t, int64_t tick);

/* The first tick from which on nothing stands at any stage. */
int64_t timeline_ticks(const struct timeline *t);

/* A block's place in the line: clip < 0 means the stage is idle. The last block of a clip needs
 * no clean pass: nobody reads it. */
struct place {
    int clip;
    int64_t block; /* of the clip */
};
struct place timeline_at(const struct timeline *t, int64_t tick, int stage);

/* Is this block of a clip, which has begun, its opening one? */
bool timeline_opens(const struct timeline *t, int64_t tick, int clip, int64_t block);

/* Is this the tick in which a clip that goes on has its window again? *clip: which. */
bool timeline_resumes(const struct timeline *t, int64_t tick, int *clip);

/* Has the block at the clean stage come there alone? false too if none is there. */
bool timeline_given(const struct timeline *t, int64_t tick);

/* Does a block of the clip, which has begun, stand at this noise stage in this tick or later? */
bool timeline_comes(const struct timeline *t, int64_t tick, int stage, int clip);

/* The window pass a noise stage takes part in: all noise stages that hold
 * blocks of the same clip. false if the stage is idle. */
struct window {
    int clip;
    int64_t first; /* oldest block */
    int count;     /* blocks */
};
bool timeline_window(const struct timeline *t, int64_t tick, int stage, struct window *out);

#endif /* TIMELINE_H */
