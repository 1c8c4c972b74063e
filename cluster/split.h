/* split.h - which rank owns which stages. Pure. */
#ifndef SPLIT_H
#define SPLIT_H

#include "base/base.h"

enum { SPLIT_RANKS = 32 };

/* Rank r owns stages first[r] .. first[r+1]-1, contiguous, in order. The earlier
 * ranks take one more where it does not come out even. */
struct split {
    int ranks, stages;
    int first[SPLIT_RANKS + 1];
};

/* ST_ARG unless 1 <= ranks <= stages: a rank without a stage would be idle. */
status split_make(struct split *out, int stages, int ranks) MUST_USE;

/* ST_ARG unless a model's heads can be shared out to a line's ranks; says how many can. */
status split_heads(int heads, int ranks) MUST_USE;

int split_owner(const struct split *s, int stage);

#endif /* SPLIT_H */
