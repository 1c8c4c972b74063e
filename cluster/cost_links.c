#include "cluster/cost_links.h"

int cost_link_blocks(const struct cost_shape *s, const struct split *split, int from, int to)
{
    bool const attends = split->first[to] < split->stages - 1;

    if (from == to || !attends) return 0;
    if (!s->one_by_one) return split->first[from + 1] - split->first[from];
    return split->first[from + 1] == split->stages;
}

struct cost_link cost_link(const struct cost_shape *s, const struct split *split, int from, int to)
{
    return (struct cost_link){
        .keys = s->kv_bytes * s->layers * cost_link_blocks(s, split, from, to),
        .latents = to == from + 1 ? s->latent_bytes : 0,
    };
}
