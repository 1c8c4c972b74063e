/*
 * noise.h - counter-based Gaussian noise.
 *
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy
 * as 1, 2, 3; SC 2011) keyed by the seed and counted by (block, level, element),
 * so any rank can draw any part at any time and gets the same numbers. The
 * normal transform uses only operations that IEEE 754 fixes to the bit.
 */
#ifndef NOISE_H
#define NOISE_H

#include "base/base.h"

/* Recorded in clip.json; changes whenever the numbers would. */
#define NOISE_SCHEME "philox4x32-10/box-muller-1"

/* out[i] ~ N(0, 1): the noise that takes `block` of a clip to `level`
 * (level 0: the pure noise it begins as), elements 0..count-1, count <= 2^33. */
void noise_fill(float *out, int64_t count, uint64_t seed, int64_t block, int level);

/* The generator itself: four words for a counter and a key. */
void noise_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

#endif /* NOISE_H */
