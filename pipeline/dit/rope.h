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

/* The same with another base than 10000. */
void rope_angles_of_base(float *out, int pairs, double base, int64_t first, int count);

/* LoL's jitter (arXiv 2601.16914, algorithm 1): a head's base, 10000 (1 + sigma e), e uniform in
 * (-1, 1) for each head. Its draws are not published. Here e = (2 w + 1) / 2^32 - 1, w the first
 * word of noise_philox for the counter (head, 2^32 - 1, 0, 0), which noise has none of, and the
 * key (seed, 0). */
double rope_jittered_base(double sigma, uint32_t seed, int head);

#endif /* ROPE_H */
