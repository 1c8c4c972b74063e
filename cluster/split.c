/* split.c - stages over the ranks of a line, evenly, the first ranks with one more. */
#include "cluster/split.h"

#include "base/strbuf.h"

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

status split_heads(int heads, int ranks)
{
    struct strbuf fit = { 0 };

    if (heads % ranks == 0) return ST_OK;
    for (int i = 1; i <= heads && i <= SPLIT_RANKS; i++)
        if (heads % i == 0) strbuf_addf(&fit, i > 1 ? ", %d" : "%d", i);
    status const st = fail(ST_ARG,
                           "by heads %d ranks cannot share a line: the model has %d heads; "
                           "%s ranks are allowed",
                           ranks, heads, fit.s ? fit.s : "other");
    strbuf_free(&fit);
    return st;
}

int split_owner(const struct split *s, int stage)
{
    int r = 0;
    while (stage >= s->first[r + 1]) r++;
    return r;
}
