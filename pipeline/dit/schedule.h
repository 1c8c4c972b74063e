/* schedule.h - noise levels: which timestep and sigma each stage works at. Pure. */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include "base/base.h"

enum { SCHEDULE_LEVELS = 16 }; /* the most a line may have */

/* Flow matching with 1000 base steps: s_i = (1000 - i)/1000 shifted to
 * sigma = shift*s / (1 + (shift-1)*s), timestep = 1000*sigma (float32). */
struct schedule {
    int levels;  /* W: noise levels, from pure noise down; the most that any block has */
    int usual;   /* levels of a block: the table's first entries */
    int opening; /* of a clip's first block that is not given: the last entries; the same ones
                    unless schedule_set_opening says others */
    int entries;
    float timestep[2 * SCHEDULE_LEVELS];
    float sigma[2 * SCHEDULE_LEVELS];
};

/* steps: `levels` numbers in 1..1000, falling. With warp, step d stands for the
 * timestep at index 1000 - d of the shifted table; without, the step is the
 * timestep itself and sigma is that of the nearest table entry. ST_ARG names
 * the step that does not fit. */
status schedule_make(struct schedule *out, const double *steps, int levels, bool warp,
                     double shift) MUST_USE;

/* Other steps for the opening block, of the same table. */
status schedule_set_opening(struct schedule *s, const double *steps, int levels, bool warp,
                            double shift) MUST_USE;

/* The entry of a block's level. */
int schedule_entry(const struct schedule *s, bool opening, int level);

#endif /* SCHEDULE_H */
