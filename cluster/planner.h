/*
 * planner.h - which roles a world's ranks should have. Pure.
 *
 * Every number of ranks per line and of decode ranks is tried, with no more lines than
 * there are clips; what does not fit into memory is left out. Of those within 1 % of the
 * best figure of all, fewest idle ranks are best; of these, those within 1 % of the best by
 * throughput or latency, whichever is not the goal; then least memory; then the shorter
 * line and fewer decode ranks.
 */
#ifndef PLANNER_H
#define PLANNER_H

#include "cluster/cost.h"

enum plan_goal { PLAN_THROUGHPUT, PLAN_LATENCY };

struct plan_query {
    const struct cost_model *model;
    int ranks;
    int ranks_per_line; /* 0: any */
    int decode_ranks;   /* -1: any */
    bool cross_nodes;
    enum plan_goal goal;
    const int *node; /* [ranks]: machine of each rank; NULL: as topo_nodes says */

    /* Bytes a rank would hold; NULL: memory is not looked at. */
    uint64_t (*bytes)(void *arg, const struct roles *r, int rank);
    void *arg;
};

struct plan {
    int ranks_per_line, decode_ranks; /* 0 ranks per line: there is none */
    int idle;                         /* ranks */
    struct cost cost;
    uint64_t rank_bytes; /* of the rank that holds most */
    uint64_t node_bytes; /* of the machine that holds most */
    bool fits;           /* into the topology's memory, if that is known */
};

/* What sets a plan apart from the last that it was compared with. */
enum plan_by { PLAN_BY_GOAL, PLAN_BY_IDLE, PLAN_BY_OTHER, PLAN_BY_MEMORY };

struct planner {
    struct plan best;
    enum plan_by decided; /* on `best` */
    struct plan line;     /* the best with several ranks per line */
    struct plan replicas; /* the best with one */
    struct plan next;     /* the best with other ranks per line than `best` */
    struct plan larger;   /* better than `best`, and does not fit */
};

/* The roles and cost of one choice. ST_ARG if there are no such roles. */
status planner_try(struct plan *out, struct roles *roles, const struct plan_query *q,
                   int ranks_per_line, int decode_ranks) MUST_USE;

/* Sets p->cost.all of a plan that the query allows; see cost_run. */
status planner_run(struct plan *p, const struct plan_query *q) MUST_USE;

/* ST_ARG if nothing the query allows is possible. Where nothing fits, best is what
 * needs least memory, with fits false. */
status planner_choose(struct planner *out, const struct plan_query *q) MUST_USE;

/* Why `best`, in a sentence or two; no line end. */
void planner_why(struct strbuf *out, const struct planner *p, const struct plan_query *q);

#endif /* PLANNER_H */
