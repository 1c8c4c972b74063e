/* rope.h - rotary position angles in three parts: frame, row, column. Pure. */
#ifndef ROPE_H
#define ROPE_H

#include "base/base.h"

/* Of the head_dim/2 complex pairs of a head, the first `time` follow the frame,
 * then `row` the row, then `col` the column. Angles are taken in f64 for each
 * position, so there is no table and no longest clip. */
struct rope_split {
    int time, row, col; /* pairs */
};
struct rope_split rope_split_of(int head_dim); /* c - 2*(c/3), c/3, c/3 */

/* out: [count, pairs, 2] = (cos, sin) of position * 10000^(-i/pairs), for the
 * positions first .. first+count-1. */
void rope_angles(float *out, int pairs, int64_t first, int count);

#endif /* ROPE_H */
