#include "pipeline/engine/role_planner.h"
#include "kernels/kern_device.h"

#include <stdio.h>

/* A rank's bytes; of ranks that are threads the first holds the transformer for all. */
static uint64_t bytes_of(void *arg, const struct roles *r, int rank)
{
    const struct plan_request *const w = arg;
    struct plan_rank_bytes b;

    plan_bytes_rank(&b, w->bytes, r, rank);
    if (w->devices) return b.card;
    return w->threads_world && rank > 0 ? b.all - b.arena[PLAN_WEIGHTS] : b.all;
}

/* Ranks that share a card have each a part of its memory. */
static status read_card(struct topo *t, const struct plan_request *w)
{
    struct kern_device card;
    int here = 0;

    TRY(kern_device_about(&card, 0));
    for (int i = 0; i < w->ranks; i++) here += w->node[i] == w->node[0];
    int const sharing = (here + w->devices - 1) / w->devices;
    t->memory = card.memory / (uint64_t)(sharing > 1 ? sharing : 1);
    return ST_OK;
}

static status read_topo(struct topo *t, const struct plan_request *w)
{
    struct topo here;
    char text[64];
    int nodes = 1;

    for (int i = 0; i < w->ranks; i++)
        if (w->node[i] >= nodes) nodes = w->node[i] + 1;
    snprintf(text, sizeof text, "node:%d %s:%d", nodes, w->devices ? "gpu" : "cpu",
             w->devices ? w->devices : w->cores);
    TRY(topo_from_string(t, text));
    if (w->devices) return read_card(t, w);
    topo_of_machine(&here);
    t->memory = here.memory;
    return ST_OK;
}

status plan_choose(const struct plan_request *w, int *ranks_per_line, int *decode_ranks)
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
                                  .bytes = bytes_of,
                                  .arg = (void *)(uintptr_t)w,
                                  .node = w->node };
    struct cost_facts const facts = workload_facts(w->bytes->model, w->bytes->mode);

    TRY(read_topo(&m.topo, w));
    TRY(cost_facts_shape(&m.shape, &facts));
    m.shape.clips = w->clips;
    cost_facts_work(&work, &facts);
    cost_estimate(&m.parts, &work, m.topo.kind, w->threads);
    TRY(planner_choose(&p, &q));
    *ranks_per_line = p.best.ranks_per_line;
    *decode_ranks = p.best.decode_ranks;
    return ST_OK;
}
