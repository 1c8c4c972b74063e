/* cost_reckon.h - one reckoning of the cost model. Private to cluster/cost*.c. */
#ifndef COST_RECKON_H
#define COST_RECKON_H

#include "cluster/cost.h"
#include "cluster/split.h"

/* Sums over the ranks of one machine. */
struct load {
    double work;              /* seconds of cores per block */
    double fill[SPLIT_RANKS]; /* the same while block 0 is at stage i */
};

struct reckon {
    const struct cost_model *m;
    const struct roles *r;
    const int *node;
    struct split split;
    struct load load[ROLES_RANKS]; /* by machine */
};

static inline double most(double a, double b) { return a > b ? a : b; }

/* Seconds of a stage's pass with the keys of `seen` blocks. */
double reckon_pass(const struct cost_model *m, int stage, double seen);

/* What goes into a rank of a line and out of it in a tick where every stage holds a block.
 * exposed: seconds it computes less; moving: seconds of its processors. */
struct reckon_exchange {
    double in, out, crossing; /* bytes; of those that come in, from other machines */
    double exposed, moving;
};
struct reckon_exchange reckon_exchange(const struct reckon *k, const struct role_line *line,
                                       int place);

/* Of a tick: the hand-over to the next rank. */
double reckon_moves(const struct cost_model *m, const struct role_line *line);

/* The rank that a line's blocks are decoded on, and seconds from block to block that it
 * allows. */
int reckon_decoder(const struct reckon *k, int line);
double reckon_decode(const struct reckon *k, int line);

/* Does a GPU decode beside its stages? Then one goes after the other. */
bool reckon_in_turn(const struct reckon *k, int line);

/* Lines that have something to do. */
int reckon_lines(const struct reckon *k);

#endif /* COST_RECKON_H */
