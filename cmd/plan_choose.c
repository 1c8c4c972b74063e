#include "cmd/plan_choose.h"

#include <stdio.h>

status plan_choose(const struct plan_wish *w, int *ranks_per_line, int *decode_ranks)
{
    struct cost_model m;
    struct cost_work work;
    struct planner p;
    struct plan_query const q = { .model = &m,
                                  .ranks = w->ranks,
                                  .ranks_per_line = w->ranks_per_line,
                                  .decode_ranks = w->decode_ranks,
                                  .cross_nodes = w->cross_nodes,
                                  .goal = w->goal,
                                  .node = w->node };
    char topo[64];
    int nodes = 1;

    for (int i = 0; i < w->ranks; i++)
        if (w->node[i] >= nodes) nodes = w->node[i] + 1;
    snprintf(topo, sizeof topo, "node:%d cpu:%d", nodes, w->cores);
    TRY(topo_from_string(&m.topo, topo));
    TRY(cost_facts_shape(&m.shape, &w->facts));
    m.shape.clips = w->clips;
    cost_facts_work(&work, &w->facts);
    cost_estimate(&m.parts, &work, m.topo.kind, w->threads);
    TRY(planner_choose(&p, &q));
    *ranks_per_line = p.best.ranks_per_line;
    *decode_ranks = p.best.decode_ranks;
    return ST_OK;
}
