#include "cluster/split.h"

status split_make(struct split *out, int stages, int ranks)
{
    *out = (struct split){ .ranks = ranks, .stages = stages };
    if (ranks < 1 || ranks > stages || ranks > SPLIT_RANKS)
        return fail(ST_ARG, "%d ranks for a line of %d stages; 1 to %d are allowed", ranks, stages,
                    stages < SPLIT_RANKS ? stages : SPLIT_RANKS);
    for (int r = 0; r < ranks; r++)
        out->first[r + 1] = out->first[r] + stages / ranks + (r < stages % ranks);
    return ST_OK;
}

int split_owner(const struct split *s, int stage)
{
    int r = 0;
    while (stage >= s->first[r + 1]) r++;
    return r;
}
