#include "cluster/cost_links.h"

/* Stages of a rank whose keys and values leave it: where blocks go one by one, only the
 * clean stage's. */
static int leaving(const struct cost_shape *s, const struct split *split, int rank)
{
    int const stages = split->first[rank + 1] - split->first[rank];

    if (!s->one_by_one) return stages;
    return split->first[rank + 1] == split->stages;
}

struct cost_link cost_link(const struct cost_shape *s, const struct split *split, int from, int to)
{
    bool const attends = split->first[to] < split->stages - 1; /* has a noise stage */
    struct cost_link out = { 0 };

    if (from == to) return out;
    if (attends) out.keys = s->kv_bytes * s->layers * leaving(s, split, from);
    if (to == from + 1) out.latents = s->latent_bytes;
    return out;
}
