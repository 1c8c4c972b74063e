/*
 * cost_links.h - what goes over each link between two ranks of a line per tick. Pure.
 *
 * Where blocks go down the line one by one, a tick is the W + 1 ticks a block takes.
 */
#ifndef COST_LINKS_H
#define COST_LINKS_H

#include "cluster/cost.h"
#include "cluster/split.h"

/* From one rank of a line to another: */
struct cost_link {
    double exchanged; /* bytes of keys and values; where heads are shared out also of queries
                         and results */
    double tensors;   /* that these are */
    double latents;   /* bytes handed over */
};

/* Keys and values go from all stages of `from`, or where blocks go one by one, from the clean
 * stage alone; none to a rank without a noise stage, which attends to nobody's. By heads
 * queries, keys and values of all stages of `from` go, for the heads of `to`, and results for
 * the stages of `to`. */
struct cost_link cost_link(const struct cost_shape *s, const struct split *split, int from, int to);

#endif /* COST_LINKS_H */
