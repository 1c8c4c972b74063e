#include "cluster/cost_links.h"

static int stages_of(const struct split *split, int rank)
{
    return split->first[rank + 1] - split->first[rank];
}

/* Stages whose keys and values go whole. */
static int whole(const struct cost_shape *s, const struct split *split, int from, int to)
{
    bool const attends = split->first[to] < split->stages - 1;

    if (!attends) return 0;
    return s->one_by_one ? split->first[from + 1] == split->stages : stages_of(split, from);
}

struct cost_link cost_link(const struct cost_shape *s, const struct split *split, int from, int to)
{
    struct cost_link l = { .latents = to == from + 1 ? s->latent_bytes : 0 };

    if (from == to) return l;
    if (s->heads) {
        int const go = stages_of(split, from), come_back = stages_of(split, to);
        l.exchanged = ((s->kv_bytes + s->q_bytes) * go + s->q_bytes * come_back) / split->ranks;
        l.tensors = 3 * go + come_back;
    } else {
        int const go = whole(s, split, from, to);
        l.exchanged = s->kv_bytes * go;
        l.tensors = 2 * go;
    }
    l.exchanged *= s->layers;
    l.tensors *= s->layers;
    return l;
}
