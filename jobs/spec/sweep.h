/*
 * sweep.h - how the axes of a sweep combine: "seed * place * (steps, shift)".
 *
 * `*` is the product, the last factor running fastest; `( , )` walks axes of equal
 * length side by side. Every axis stands in it exactly once.
 */
#ifndef SWEEP_H
#define SWEEP_H

#include "jobs/spec/axis.h"

enum { SWEEP_PARTS = 64, SWEEP_CLIPS = 200000 };

/* A part of the expression: an axis (axis >= 0), a product or a zip of parts. */
struct sweep_part {
    int axis;
    bool zip;
    int first, next; /* parts, -1: none */
    int64_t count;   /* of combinations, at most SWEEP_CLIPS */
};

struct sweep {
    struct sweep_part part[SWEEP_PARTS];
    int parts, root; /* root -1: no axes, one combination */
};

/* Parse `combine`, or NULL for the product of all axes in their order. Axes must be
 * loaded. ST_FORMAT at `node`. */
status sweep_make(struct sweep *out, const struct tree_node *node, const char *combine,
                  const struct axis *axis, int axes) MUST_USE;

int64_t sweep_count(const struct sweep *s); /* at least 1 */

/* The value of every axis in combination i: `value[axis]` is a place in axis.value. */
void sweep_pick(const struct sweep *s, int64_t i, int value[AXIS_COUNT]);

#endif /* SWEEP_H */
