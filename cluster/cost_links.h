/*
 * cost_links.h - what goes over each link between two ranks of a line per tick. Pure.
 *
 * Where blocks go down the line one by one, a tick is the W + 1 ticks a block takes.
 */
#ifndef COST_LINKS_H
#define COST_LINKS_H

#include "cluster/cost.h"
#include "cluster/split.h"

struct cost_link {
    double keys;    /* bytes of keys and values */
    double latents; /* bytes handed over */
};

/* From one rank of a line to another. */
struct cost_link cost_link(const struct cost_shape *s, const struct split *split, int from, int to);

#endif /* COST_LINKS_H */
