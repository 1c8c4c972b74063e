/*
 * roles.c - ranks become lines, decode chains and idle ranks.
 *
 * Each machine is filled by itself: as many lines as fit, then lines are taken away, where that
 * frees most, until the decode ranks asked for have room; decode ranks go where there are fewest
 * per line. A rank that is left over gets the sentence that says why, and which option would use
 * it.
 */
#include "cluster/roles.h"

#include "cluster/split.h"

#include <stdio.h>

/* Neighbouring ranks of one machine, and how many of them do what. */
struct machine {
    int first, ranks;
    int lines, decode_ranks;
};

struct machines {
    int count, lines, decode_ranks;
    struct machine at[ROLES_RANKS];
};

static void machines_of(struct machines *m, const struct roles_config *c)
{
    bool const one = c->node == NULL || c->cross_nodes;

    m->count = 0;
    for (int r = 0; r < c->ranks; r++) {
        if (r == 0 || (!one && c->node[r] != c->node[r - 1]))
            m->at[m->count++] = (struct machine){ .first = r };
        m->at[m->count - 1].ranks++;
    }
}

/* Ranks of a machine that could decode if it had so many lines. */
static int spare_ranks(const struct machine *m, int lines, int ranks_per_line)
{
    int const left = m->ranks - lines * ranks_per_line;
    return left < lines * ROLES_CHAIN ? left : lines * ROLES_CHAIN;
}

/* What one line less would add to that. */
static int spare_gained(const struct machine *m, int ranks_per_line)
{
    if (m->lines < 2) return 0;
    return spare_ranks(m, m->lines - 1, ranks_per_line) - spare_ranks(m, m->lines, ranks_per_line);
}

/* Every machine's lines: as many as fit and leave room for the decode ranks. False:
 * there is no such room. */
static bool place_lines(struct machines *m, int ranks_per_line, int decode_ranks)
{
    int room = 0;

    m->lines = 0;
    for (int i = 0; i < m->count; i++) {
        m->at[i].lines = m->at[i].ranks / ranks_per_line;
        m->lines += m->at[i].lines;
        room += spare_ranks(&m->at[i], m->at[i].lines, ranks_per_line);
    }
    while (room < decode_ranks) {
        struct machine *most = &m->at[0];
        for (int i = 1; i < m->count; i++) {
            int const more =
                spare_gained(&m->at[i], ranks_per_line) - spare_gained(most, ranks_per_line);
            if (more > 0 || (more == 0 && m->at[i].lines >= most->lines)) most = &m->at[i];
        }
        if (spare_gained(most, ranks_per_line) <= 0) return false;
        room += spare_gained(most, ranks_per_line);
        most->lines--, m->lines--;
    }
    return m->lines > 0;
}

/* Next to whoever has fewest per line. */
static void place_decode(struct machines *m, int ranks_per_line, int decode_ranks)
{
    m->decode_ranks = decode_ranks;
    for (int i = 0; i < m->count; i++) m->at[i].decode_ranks = 0;
    for (int d = 0; d < decode_ranks; d++) {
        struct machine *least = NULL;
        for (int i = 0; i < m->count; i++) {
            struct machine *const at = &m->at[i];
            if (at->decode_ranks == spare_ranks(at, at->lines, ranks_per_line)) continue;
            if (least == NULL || at->decode_ranks * least->lines < least->decode_ranks * at->lines)
                least = at;
        }
        if (least) least->decode_ranks++;
    }
}

static int idle_of(const struct machine *m, int ranks_per_line)
{
    return m->ranks - m->lines * ranks_per_line - m->decode_ranks;
}

/* Would machine i have no idle rank with these numbers? */
static bool uses_all(struct machines *m, int i, int ranks_per_line, int decode_ranks)
{
    if (!place_lines(m, ranks_per_line, decode_ranks)) return false;
    place_decode(m, ranks_per_line, decode_ranks);
    return idle_of(&m->at[i], ranks_per_line) == 0;
}

/* The nearest --ranks-per-line, and the least --decode-ranks with as many lines,
 * that leave nobody of machine i idle; 0: none. */
static void what_would_use(const struct machines *now, const struct roles_config *c, int i,
                           int *ranks_per_line, int *decode_ranks)
{
    struct machines m = *now;

    *ranks_per_line = *decode_ranks = 0;
    for (int by = 1; by < c->stages && *ranks_per_line == 0; by++) {
        if (c->ranks_per_line - by >= 1 && uses_all(&m, i, c->ranks_per_line - by, c->decode_ranks))
            *ranks_per_line = c->ranks_per_line - by;
        else if (c->ranks_per_line + by <= c->stages &&
                 uses_all(&m, i, c->ranks_per_line + by, c->decode_ranks))
            *ranks_per_line = c->ranks_per_line + by;
    }
    for (int d = c->decode_ranks + 1; d < c->ranks && *decode_ranks == 0; d++)
        if (uses_all(&m, i, c->ranks_per_line, d) && m.lines == now->lines) *decode_ranks = d;
}

static void say_why(char why[ROLES_WHY], const struct machines *m, const struct roles_config *c,
                    int i)
{
    const struct machine *const at = &m->at[i];
    int const left = idle_of(at, c->ranks_per_line);
    int len, ranks_per_line, decode_ranks;

    len = snprintf(why, ROLES_WHY, "%d rank%s%s%s %s too few for %s line of %d", left,
                   left == 1 ? "" : "s", at->lines > 0 ? " left" : "",
                   m->count > 1 ? " on its machine" : "", left == 1 ? "is" : "are",
                   at->lines > 0 ? "another" : "a", c->ranks_per_line);
    what_would_use(m, c, i, &ranks_per_line, &decode_ranks);
    if (ranks_per_line > 0)
        len +=
            snprintf(why + len, (size_t)(ROLES_WHY - len), "; --ranks-per-line %d", ranks_per_line);
    if (decode_ranks > 0)
        len += snprintf(why + len, (size_t)(ROLES_WHY - len), "%s--decode-ranks %d",
                        ranks_per_line > 0 ? " or " : "; ", decode_ranks);
    if (ranks_per_line > 0 || decode_ranks > 0)
        snprintf(why + len, (size_t)(ROLES_WHY - len), " would use %s", left == 1 ? "it" : "them");
}

static void assign_line(struct roles *out, int first, int ranks)
{
    for (int p = 0; p < ranks; p++)
        out->rank[first + p] =
            (struct role_at){ .role = ROLE_LINE, .line = out->lines, .lines = 1, .place = p };
    out->line[out->lines++] = (struct role_line){ .first = first, .ranks = ranks };
}

/* A chain at `first` for the `lines` lines added last. */
static void assign_chain(struct roles *out, int first, int ranks, int lines)
{
    int const line = out->lines - lines;

    for (int p = 0; p < ranks; p++)
        out->rank[first + p] =
            (struct role_at){ .role = ROLE_DECODE, .line = line, .lines = lines, .place = p };
    for (int l = line; l < out->lines; l++)
        out->line[l].decode = first, out->line[l].decode_ranks = ranks;
    if (out->decode_ranks == 0) out->text = first;
    out->decode_ranks += ranks;
}

/* Groups of neighbouring lines, each with the chain that decodes for it behind it. */
static int assign_machine(struct roles *out, const struct machine *m, int ranks_per_line)
{
    bool const beside = m->decode_ranks == 0;
    int const groups = beside || m->decode_ranks > m->lines ? m->lines : m->decode_ranks;
    int at = m->first;

    for (int g = 0; g < groups; g++) {
        int const lines = m->lines / groups + (g < m->lines % groups);
        int const chain = m->decode_ranks / groups + (g < m->decode_ranks % groups);
        for (int l = 0; l < lines; l++, at += ranks_per_line) assign_line(out, at, ranks_per_line);
        if (!beside) assign_chain(out, at, chain, lines);
        at += chain;
    }
    return at;
}

static int most_decode(const struct machine *m, int ranks_per_line)
{
    int most = 0;

    for (int lines = 1; lines * ranks_per_line <= m->ranks; lines++)
        if (spare_ranks(m, lines, ranks_per_line) > most)
            most = spare_ranks(m, lines, ranks_per_line);
    return most;
}

/* Neither lines nor decode ranks fit as asked. */
static status no_place(const struct machines *m, const struct roles_config *c)
{
    int widest = 0, room = 0;

    for (int i = 0; i < m->count; i++) {
        if (m->at[i].ranks > widest) widest = m->at[i].ranks;
        room += most_decode(&m->at[i], c->ranks_per_line);
    }
    if (widest < c->ranks_per_line && m->count == 1)
        return fail(ST_ARG, "--ranks-per-line %d: there are %d ranks in all; 1 to %d are allowed",
                    c->ranks_per_line, c->ranks, widest);
    if (widest < c->ranks_per_line)
        return fail(ST_ARG,
                    "--ranks-per-line %d: no machine has more than %d ranks side by side; 1 to %d "
                    "are allowed, or --cross-nodes",
                    c->ranks_per_line, widest, widest);
    return fail(ST_ARG,
                "--decode-ranks %d: %d ranks in lines of %d%s have room for at most %d; 0 to %d "
                "are allowed, or fewer --ranks-per-line",
                c->decode_ranks, c->ranks, c->ranks_per_line,
                m->count > 1 ? " that stay on one machine" : "", room, room);
}

status roles_make(struct roles *out, const struct roles_config *c)
{
    struct machines m;
    struct split split;

    *out = (struct roles){ .ranks = c->ranks, .stages = c->stages };
    if (c->ranks < 1 || c->ranks > ROLES_RANKS)
        return fail(ST_ARG, "%d ranks; 1 to %d are allowed", c->ranks, ROLES_RANKS);
    TRY(split_make(&split, c->stages, c->ranks_per_line));
    if (c->decode_ranks < 0)
        return fail(ST_ARG, "--decode-ranks %d; 0 or more are allowed", c->decode_ranks);

    machines_of(&m, c);
    if (!place_lines(&m, c->ranks_per_line, c->decode_ranks)) return no_place(&m, c);
    place_decode(&m, c->ranks_per_line, c->decode_ranks);
    for (int i = 0; i < m.count; i++) {
        int const end = m.at[i].first + m.at[i].ranks;
        int const idle = assign_machine(out, &m.at[i], c->ranks_per_line);
        if (idle < end) {
            out->rank[idle].role = ROLE_IDLE;
            say_why(out->rank[idle].why, &m, c, i);
        }
        for (int r = idle + 1; r < end; r++) out->rank[r] = out->rank[idle];
        out->idle += end - idle;
    }
    if (out->decode_ranks == 0) out->text = out->line[0].first;
    return ST_OK;
}

int roles_tail(const struct roles *r, int line)
{
    const struct role_line *const l = &r->line[line];
    struct split split;

    if (split_make(&split, r->stages, l->ranks) != ST_OK) return l->first;
    return l->first + split_owner(&split, r->stages - 2);
}

bool roles_decodes(const struct roles *r, int rank)
{
    const struct role_at *const at = &r->rank[rank];

    if (at->role != ROLE_LINE) return at->role == ROLE_DECODE;
    return !r->line[at->line].decode_ranks && rank == roles_tail(r, at->line);
}

int roles_encoder(const struct roles *r, int line)
{
    const struct role_line *const l = &r->line[line];

    return l->decode_ranks ? l->decode + l->decode_ranks - 1 : roles_tail(r, line);
}

static void make_idle(struct roles *r, int rank, int lines)
{
    struct role_at *const at = &r->rank[rank];

    *at = (struct role_at){ .role = ROLE_IDLE };
    snprintf(at->why, sizeof at->why, "there %s only %d clip%s, and a clip goes down one line",
             lines == 1 ? "is" : "are", lines, lines == 1 ? "" : "s");
    r->idle++;
}

void roles_limit(struct roles *r, int lines)
{
    if (lines < 1 || lines >= r->lines) return;
    for (int i = 0; i < r->ranks; i++) {
        struct role_at *const at = &r->rank[i];
        if (at->role == ROLE_IDLE) continue;
        if (at->role == ROLE_DECODE && at->line < lines && at->line + at->lines > lines)
            at->lines = lines - at->line;
        if (at->line < lines) continue;
        if (at->role == ROLE_DECODE) r->decode_ranks--;
        make_idle(r, i, lines);
    }
    r->lines = lines;
}

int roles_next_line(const int64_t *blocks, int lines)
{
    int least = 0;

    for (int l = 1; l < lines; l++)
        if (blocks[l] < blocks[least]) least = l;
    return least;
}
