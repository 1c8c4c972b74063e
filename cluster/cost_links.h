/*
 * cost_links.h - what goes over each link between two ranks of a line per tick. Pure.
 *
 * Where blocks go down the line one by one, a tick is the W + 1 ticks a block takes.
 */
#ifndef COST_LINKS_H
#define COST_LINKS_H

#include "cluster/cost.h"
#include "cluster/split.h"

/* Blocks whose keys and values of a layer go from one rank to another: of all stages of
 * `from`, or where blocks go one by one, of the clean stage alone; none to a rank without
 * a noise stage, which attends to nobody's. */
int cost_link_blocks(const struct cost_shape *s, const struct split *split, int from, int to);

struct cost_link {
    double keys;    /* bytes of keys and values */
    double latents; /* bytes handed over */
};

/* From one rank of a line to another. */
struct cost_link cost_link(const struct cost_shape *s, const struct split *split, int from, int to);

#endif /* COST_LINKS_H */
