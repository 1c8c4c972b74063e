/*
 * engine_comms.c - the groups of ranks that a group's messages go through: one for each purpose,
 * so that messages never mix and each may have its own thread and its own longest wait.
 */
#include "pipeline/engine/engine_internal.h"

/* Does the rank need the line's clips? */
static bool serves_line(const struct group *t, int rank, int line)
{
    const struct role_line *const l = &t->g.roles.line[line];

    return (rank >= l->first && rank < l->first + l->ranks) ||
           rank == roles_encoder(&t->g.roles, line);
}

/* The two ranks of link `p` of a line: false if the chain is not as long. */
static bool find_link(const struct group *t, int line, int p, int *from, int *to)
{
    const struct role_line *const l = &t->g.roles.line[line];

    if (p >= l->decode_ranks) return false;
    *to = l->decode + p;
    *from = p ? *to - 1 : roles_tail(&t->g.roles, line);
    return true;
}

static int longest_chain(const struct group *t)
{
    int most = 0;

    for (int i = 0; i < t->g.roles.lines; i++)
        if (t->g.roles.line[i].decode_ranks > most) most = t->g.roles.line[i].decode_ranks;
    return most;
}

/* A rank is in one link of a split at most: so one split for every line a decode rank
 * serves and every place in a chain. */
static status split_links(struct group *t, int nth, int p)
{
    int const rank = t->world->rank;
    int colour = -1, from, to;
    struct comm *link;

    for (int line = 0; line < t->g.roles.lines; line++)
        if (find_link(t, line, p, &from, &to) && line - t->g.roles.rank[to].line == nth &&
            (rank == from || rank == to))
            colour = line;
    TRY(comm_split(t->world, colour, &link));
    if (!link) return ST_OK;
    link->deadline_s = t->rank->o->deadline_s;
    if (link->rank) t->in[nth] = link;
    else t->out = link;
    return ST_OK;
}

static status open_links(struct group *t)
{
    int const longest = longest_chain(t);
    int most = 0;

    for (int i = 0; i < t->g.roles.ranks; i++)
        if (t->g.roles.rank[i].role == ROLE_DECODE && t->g.roles.rank[i].lines > most)
            most = t->g.roles.rank[i].lines;
    for (int nth = 0; nth < most; nth++)
        for (int p = 0; p < (nth ? 1 : longest); p++) TRY(split_links(t, nth, p));
    return ST_OK;
}

/* Rank 0 and whoever else is in; alone it needs no group. */
static status split_off(struct group *t, bool in, bool others, struct comm **out)
{
    int const rank = t->world->rank;

    TRY(comm_split(t->world, others && (rank == 0 || in) ? 0 : -1, out));
    if (*out) (*out)->deadline_s = ENGINE_WAIT_S;
    return ST_OK;
}

static status open_feed(struct group *t, int line)
{
    int const rank = t->world->rank, encoder = roles_encoder(&t->g.roles, line);
    bool others = false;

    for (int r = 1; r < t->world->size; r++) others = others || serves_line(t, r, line);
    TRY(split_off(t, serves_line(t, rank, line), others, &t->feeds[line]));
    return split_off(t, rank == encoder, encoder != 0, &t->reports[line]);
}

status engine_comms_open(struct group *t)
{
    int const text = t->g.roles.text;

    TRY(comm_split(t->world, t->me->role == ROLE_LINE ? t->me->line : -1, &t->line_comm));
    if (t->line_comm) t->line_comm->deadline_s = t->rank->o->deadline_s;
    TRY(open_links(t));
    for (int line = 0; line < t->g.roles.lines; line++) TRY(open_feed(t, line));
    return split_off(t, t->world->rank == text, text != 0, &t->texts);
}

void engine_comms_close(struct group *t)
{
    comm_close(&t->texts);
    for (int i = 0; i < COUNT_OF(t->feeds); i++) {
        comm_close(&t->reports[i]);
        comm_close(&t->feeds[i]);
        comm_close(&t->in[i]);
    }
    comm_close(&t->out);
    comm_close(&t->line_comm);
}
