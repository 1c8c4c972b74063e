/* engine_comms.c - the groups of ranks that a batch's messages go through. */
#include "pipeline/engine/engine_batch.h"

/* The two ranks of hop `p` of a line: false if the chain is not as long. */
static bool hop_ends(const struct batch *t, int line, int p, int *from, int *to)
{
    const struct role_line *const l = &t->roles.line[line];

    if (p >= l->decode_ranks) return false;
    *to = l->decode + p;
    *from = p ? *to - 1 : roles_tail(&t->roles, line, t->schedule.levels + 1);
    return true;
}

static int chain_longest(const struct batch *t)
{
    int most = 0;

    for (int i = 0; i < t->roles.lines; i++)
        if (t->roles.line[i].decode_ranks > most) most = t->roles.line[i].decode_ranks;
    return most;
}

/* A rank is in one hop of a split at most: so one split for every line a decode rank
 * serves and every place in a chain. */
static status join_hops(struct batch *t, int nth, int p)
{
    int const rank = t->world->rank;
    int colour = -1, from, to;
    struct comm *hop;

    for (int line = 0; line < t->roles.lines; line++)
        if (hop_ends(t, line, p, &from, &to) && line - t->roles.rank[to].line == nth &&
            (rank == from || rank == to))
            colour = line;
    TRY(comm_split(t->world, colour, &hop));
    if (!hop) return ST_OK;
    hop->deadline_s = t->rank->o->deadline_s;
    if (hop->rank) t->in[nth] = hop;
    else t->out = hop;
    return ST_OK;
}

status engine_comms_open(struct batch *t)
{
    int const longest = chain_longest(t);
    int most = 0;

    TRY(comm_split(t->world, t->me->role == ROLE_LINE ? t->me->line : -1, &t->line_comm));
    if (t->line_comm) t->line_comm->deadline_s = t->rank->o->deadline_s;
    for (int i = 0; i < t->roles.ranks; i++)
        if (t->roles.rank[i].role == ROLE_DECODE && t->roles.rank[i].lines > most)
            most = t->roles.rank[i].lines;
    for (int nth = 0; nth < most; nth++)
        for (int p = 0; p < (nth ? 1 : longest); p++) TRY(join_hops(t, nth, p));
    return ST_OK;
}

void engine_comms_close(struct batch *t)
{
    for (int i = 0; i < COUNT_OF(t->in); i++)
        if (t->in[i]) comm_close(&t->in[i]);
    if (t->out) comm_close(&t->out);
    if (t->line_comm) comm_close(&t->line_comm);
}
