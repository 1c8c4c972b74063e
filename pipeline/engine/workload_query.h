/*
 * workload_query.h - what the planner is asked of a group of clips and a world.
 *
 * `plan` asks it of a world that need not exist, `render` of the one that it runs in; both fill
 * the same query, so that they come to the same choice.
 */
#ifndef WORKLOAD_QUERY_H
#define WORKLOAD_QUERY_H

#include "cluster/planner.h"
#include "pipeline/engine/footprint.h"

struct world_facts {
    struct topo topo;    /* its machines, and their memory if that is known */
    int ranks, threads;  /* of the world; that a rank computes with on a processor */
    const int *node;     /* [ranks]: machine of each; NULL: as topo_nodes says. Borrowed */
    bool shared_weights; /* ranks are threads of one process: one holds the transformer for all */
    int ranks_per_line;  /* 0: choose */
    int decode_ranks;    /* -1: choose */
    bool cross_nodes;
    enum plan_goal goal;
};

/* The machines of a world that runs, this one standing for all: sets topo from ranks and node.
 * devices: cards of a machine that ranks compute on; 0: the processor, of so many cores. */
status world_facts_topo(struct world_facts *w, int devices, int cores) MUST_USE;

/* Fill the query and the cost model, from estimated speeds; measured ones may then take the
 * place of cost->parts. Sets what of `bytes` depends on the world. The query points to cost and
 * bytes, and borrows node. ST_ARG for a size that the decoder does not take. */
status workload_query(struct plan_query *out, struct cost_model *cost, struct plan_bytes *bytes,
                      const struct world_facts *w) MUST_USE;

#endif /* WORKLOAD_QUERY_H */
