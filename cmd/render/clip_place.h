/* clip_place.h - where a clip's folder will be, and what stands there already. */
#ifndef CLIP_PLACE_H
#define CLIP_PLACE_H

#include "base/base.h"

struct clip_place_rules {
    int on_exists;        /* enum job_exists */
    bool told;            /* a person knows what is there: nothing is said of it */
    bool verify;          /* read every file of a finished clip, not its size alone */
    bool same_numerics;   /* a clip of other numerics is made again, as another version */
    const char *numerics; /* the id of what this render computes with; "": not known */
};

enum clip_place {
    PLACE_FREE,    /* to be made */
    PLACE_DONE,    /* this very clip is there, whole */
    PLACE_DAMAGED, /* it was there: to be set aside, and made again */
};

/* Where the clip `task` goes that is to be OUT/NAME, `base`. *dir, malloc'ed: that place, or under
 * on_exists: version the first of base-v2, base-v3 ... that is free. What is damaged is told.
 * ST_FORMAT for something else at the place, and for anything under on_exists: error. */
status clip_place_find(const char *base, const char *task, const struct clip_place_rules *r,
                       char **dir, enum clip_place *what) MUST_USE;

/* Rename a damaged clip's folder to DIR.damaged-N, the first that is free, and say so. */
status clip_place_set_aside(const char *dir) MUST_USE;

#endif /* CLIP_PLACE_H */
