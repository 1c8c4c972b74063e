/*
 * roles.h - what each rank of a world does. Pure.
 *
 *   ranks   0  1  2  3  4  5 | 6  7 | 8  9 10 11 12 13 | 14 15
 *           line 0, 6 ranks  | its  | line 1, 6 ranks  | its
 *                            | decode chain            | decode chain
 *
 * A line's ranks and those that decode for it stand side by side, so that they
 * share a machine when mpirun fills machines in order. With fewer decode ranks than
 * lines a decode rank serves several lines that stand before it. With none, each
 * line decodes on the rank its finished blocks come out of.
 */
#ifndef ROLES_H
#define ROLES_H

#include "base/base.h"
#include "base/strbuf.h"

enum { ROLES_RANKS = 256, ROLES_CHAIN = 8 /* that decode for one line */, ROLES_WHY = 192 };

enum role { ROLE_LINE, ROLE_DECODE, ROLE_IDLE };

struct roles_config {
    int ranks;          /* of the world: 1..ROLES_RANKS */
    int stages;         /* W + 1 */
    int ranks_per_line; /* 1..stages */
    int decode_ranks;   /* 0: decode beside the line */
    const int *node;    /* [ranks]: machine of each rank; NULL: all on one. Ranks of one
                           machine that do not stand side by side count as two machines */
    bool cross_nodes;   /* a line may span machines: they count as one */
};

struct role_at {
    enum role role;
    int line;            /* ROLE_LINE: its line. ROLE_DECODE: the first line it serves */
    int lines;           /* ROLE_DECODE: how many, from `line` on; > 1 only in a chain of one */
    int place;           /* ROLE_LINE: rank within the line. ROLE_DECODE: place in the chain */
    char why[ROLES_WHY]; /* ROLE_IDLE: why, and what would use it; else empty */
};

/* One line's ranks, of the world. */
struct role_line {
    int first, ranks;         /* first .. first+ranks-1 */
    int decode, decode_ranks; /* its chain: decode .. decode+decode_ranks-1; 0 ranks: beside
                                 the line */
};

struct roles {
    int ranks, lines, decode_ranks, idle;
    int stages; /* of each line: W + 1 */
    struct role_at rank[ROLES_RANKS];
    struct role_line line[ROLES_RANKS];
    int text; /* the rank that embeds prompts: the first decode rank, else the first line's first */
};

/*
 * As many lines as there is room for beside the decode ranks asked for. Each machine's
 * decode ranks serve its own lines, as evenly as it goes; a machine that got none
 * decodes beside its lines. Ranks that are left over are idle.
 * ST_ARG says what does not fit and what would.
 */
status roles_make(struct roles *out, const struct roles_config *c) MUST_USE;

/* There is work for so many lines: the ranks of those beyond are idle. */
void roles_limit(struct roles *r, int lines);

/* The line that the next clip goes to, as the cost model has it: of those with the fewest blocks
 * so far, the first.
 * blocks: [lines]. */
int roles_next_line(const int64_t *blocks, int lines);

/* The rank that hands out a line's finished blocks: the owner of stage W-1. */
int roles_tail(const struct roles *r, int line);

/* Who turns a line's blocks into pictures: the ranks of its chain; without any, its tail. From the
 * last of them come the pictures, and it encodes them. */
bool roles_decodes(const struct roles *r, int rank);
int roles_encoder(const struct roles *r, int line);

/* The role map, for people: a line of text per group of ranks.
 *   ranks 0-5   line 0    stages 0 | 1 | 2 | 3 | 4 | clean
 *   ranks 6-7   decode    line 0, in a chain of 2; prompts on rank 6
 *   rank  8     idle      1 rank left is too few for ... */
void roles_print(struct strbuf *out, const struct roles *r);

#endif /* ROLES_H */
