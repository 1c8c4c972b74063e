/* plan_choose.h - the planner's choice for a world of CPU ranks that is there already. */
#ifndef PLAN_CHOOSE_H
#define PLAN_CHOOSE_H

#include "cluster/planner.h"
#include "cmd/cost_facts.h"

struct plan_wish {
    struct cost_facts facts;
    int ranks, threads; /* of the world; of a rank */
    const int *node;    /* [ranks] */
    int cores;          /* of a machine */
    int clips;          /* there are to make */
    bool cross_nodes;
    int ranks_per_line; /* 0: choose */
    int decode_ranks;   /* -1: choose */
    enum plan_goal goal;
};

/* From estimated speeds; memory is not looked at. All ranks that ask the same get the same
 * answer. ST_ARG if what is settled is not possible. */
status plan_choose(const struct plan_wish *w, int *ranks_per_line, int *decode_ranks) MUST_USE;

#endif /* PLAN_CHOOSE_H */
