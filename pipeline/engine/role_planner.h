/* role_planner.h - the planner's choice for a world that is there already. */
#ifndef ROLE_PLANNER_H
#define ROLE_PLANNER_H

#include "cluster/planner.h"
#include "pipeline/engine/footprint.h"

struct plan_request {
    struct plan_bytes *bytes;
    bool threads_world; /* ranks are threads of one process: they share the transformer */
    int ranks, threads; /* of the world; of a rank */
    const int *node;    /* [ranks] */
    int cores;          /* of a machine */
    int devices;        /* cards of a machine that ranks compute on; 0: the processor */
    int clips;          /* there are to make */
    bool cross_nodes;
    int ranks_per_line; /* 0: choose */
    int decode_ranks;   /* -1: choose */
    enum plan_goal goal;
};

/* From estimated speeds, and within this machine's memory if anything is. ST_ARG if what is
 * settled is not possible. */
status plan_choose(const struct plan_request *w, int *ranks_per_line, int *decode_ranks) MUST_USE;

#endif /* ROLE_PLANNER_H */
