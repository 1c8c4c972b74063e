/* rank_stats.c - what each rank did, from its threads' tracks, and everyone's at rank 0. */
#include "pipeline/engine/engine_internal.h"

#include <stdlib.h>

void cpu_wall_add(struct cpu_wall *to, const struct track *t, enum track_what what, int stage)
{
    to->wall += track_seconds(t, what, stage);
    to->processor += track_processor(t, what, stage);
}

static struct comm_xfer stats_xfer(const struct rank_stats *a, int peer, bool send)
{
    return (struct comm_xfer){ .t = { .data = (void *)(uintptr_t)a,
                                      .dtype = DT_F64,
                                      .ndim = 1,
                                      .dim = { sizeof *a / sizeof(double) } },
                               .peer = peer,
                               .send = send };
}

status rank_stats_gather(struct group *t, const struct rank_stats *mine, const struct group_run *r)
{
    struct comm *const world = t->world;
    const struct engine_events *const ev = t->rank->events;
    bool const first = world->rank == 0;
    struct rank_stats *const all = calloc((size_t)world->size, sizeof *all);
    struct comm_xfer *const xfer = calloc((size_t)world->size, sizeof *xfer);
    int xfers = 0;
    status st = ST_OK;

    if (!all || !xfer) FAIL_OUT(ST_NOMEM, "statistics of %d ranks", world->size);
    all[world->rank] = *mine;
    if (!first) xfer[xfers++] = stats_xfer(mine, 0, true);
    for (int i = 1; first && i < world->size; i++) xfer[xfers++] = stats_xfer(&all[i], i, false);
    TRY_OUT(comm_post(world, xfer, xfers));
    TRY_OUT(comm_wait(world));
    if (ev && ev->group_end) TRY_OUT(ev->group_end(ev->arg, &t->g, r, all));
out:
    free(all);
    free(xfer);
    return st;
}
