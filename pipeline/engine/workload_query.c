/* workload_query.c - workload, footprint and world into one question to the planner. */
#include "pipeline/engine/workload_query.h"
#include "kernels/kern_device.h"

#include <stdio.h>

/* Ranks that share a card have each a part of its memory. */
static status read_device(struct world_facts *w, int devices)
{
    struct kern_device device;
    int here = 0;

    TRY(kern_device_about(&device, 0));
    for (int i = 0; i < w->ranks; i++) here += w->node[i] == w->node[0];
    int const sharing = (here + devices - 1) / devices;
    w->topo.memory = device.memory / (uint64_t)(sharing > 1 ? sharing : 1);
    return ST_OK;
}

status world_facts_topo(struct world_facts *w, int devices, int cores)
{
    struct topo here;
    char text[64];
    int nodes = 1;

    for (int i = 0; i < w->ranks; i++)
        if (w->node[i] >= nodes) nodes = w->node[i] + 1;
    snprintf(text, sizeof text, "node:%d %s:%d", nodes, devices ? "gpu" : "cpu",
             devices ? devices : cores);
    TRY(topo_from_string(&w->topo, text));
    if (devices) return read_device(w, devices);
    topo_of_machine(&here);
    w->topo.memory = here.memory;
    return ST_OK;
}

status workload_query(struct plan_query *out, struct cost_model *cost, struct plan_bytes *bytes,
                      const struct world_facts *w)
{
    struct cost_work work;

    bytes->cards = w->topo.kind == TOPO_GPU;
    bytes->shared_weights = w->shared_weights;
    cost->topo = w->topo;
    TRY(workload_shape(&cost->shape, bytes->model, bytes->mode));
    plan_work(&work, bytes);
    cost_estimate(&cost->parts, &work, w->topo.kind, w->threads);
    *out = (struct plan_query){ .model = cost,
                                .ranks = w->ranks,
                                .ranks_per_line = w->ranks_per_line,
                                .decode_ranks = w->decode_ranks,
                                .cross_nodes = w->cross_nodes,
                                .goal = w->goal,
                                .bytes = plan_bytes_all,
                                .arg = bytes,
                                .node = w->node };
    return ST_OK;
}
