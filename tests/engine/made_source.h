/*
 * made_source.h - a work source made up by a test: clips that come when they are told to, and a
 * record of what the engine says of each.
 */
#ifndef MADE_SOURCE_H
#define MADE_SOURCE_H

#include "pipeline/engine/work_source.h"

#include <stdatomic.h>

/* Asked so often in vain it gives up and has no more clips: a test shall fail, not hang. */
enum { MADE_CLIPS = 64, MADE_PATIENCE = 3000 };

struct made_clip {
    struct clip_spec spec; /* texts are the test's */
    const struct model_spec *model;
    int64_t after_blocks; /* comes once so many blocks of all clips are encoded */
    int after_begun;      /* and once so many clips have begun */
    int after_asked;      /* and once the source was asked so often in vain since it was told that
                             a clip is done or has failed */
    int after_told;       /* and once so many clips are done or have failed */
    int64_t withdraw_at;  /* wanted no more once so many of its blocks are encoded; -1 */
    atomic_bool *withdraw_if; /* and once this is set; or NULL */

    /* what the engine has said, and when: clock_seconds() */
    bool given, withdrawn;
    int begun, done, failed;
    double given_at, told_at;
    int64_t blocks;
    status st;
    char why[256];
};

struct made_source {
    struct made_clip clip[MADE_CLIPS];
    int clips;
    int view;       /* the outlook knows the first so many clips; 0: all */
    bool more;      /* the outlook says that others may come */
    int64_t blocks; /* encoded so far, of all clips */
    int begun, asked_in_vain, told;
    bool gave_up;
    void (*opening)(int64_t ticket);           /* a group begins with this clip; or NULL */
    void (*moving)(int64_t ticket);            /* the engine says that more is encoded; or NULL */
    void (*failing)(int64_t ticket);           /* the engine says that it failed; or NULL */
    bool (*left)(const struct made_source *s); /* asked when a clip has failed; or NULL */
    int lefts;                                 /* how often it said yes */
    atomic_bool *stop;                         /* set once stop_at blocks are encoded; or NULL */
    int64_t stop_at;
};

struct work_source made_source_of(struct made_source *s);

#endif /* MADE_SOURCE_H */
