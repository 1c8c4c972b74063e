/* cost_internal.h - one reckoning of the cost model. Private to cluster/cost*.c. */
#ifndef COST_INTERNAL_H
#define COST_INTERNAL_H

#include "cluster/cost.h"
#include "cluster/split.h"

/* What threads on a machine have to do in the time of a block; each of a task's threads
 * is busy for its seconds. */
enum { RECKON_TASKS = 3 * ROLES_RANKS };
struct reckon_tasks {
    int count;
    struct reckon_task {
        int machine, threads;
        double seconds;
    } task[RECKON_TASKS];
};

struct reckon {
    const struct cost_model *m;
    const struct roles *r;
    const int *node;
    struct split split;
};

static inline double most(double a, double b) { return a > b ? a : b; }

void reckon_task(struct reckon_tasks *t, int machine, double seconds, int threads);

/* Until all tasks of each machine are done, when threads share its cores evenly and one
 * thread has one core at most: what is left alone does not use the others. Sorts. */
void reckon_share(struct reckon_tasks *t, int cores, double seconds[ROLES_RANKS]);

/* Decoding and encoding a block of each line that does[]. */
void reckon_pictures(const struct reckon *k, struct reckon_tasks *t, const bool does[ROLES_RANKS]);

/* Seconds that a rank of a line computes in a tick. seen: of each stage the blocks whose keys
 * its pass has; 0: nothing stands there. */
enum { RECKON_STAGES = 64 };
double reckon_computes(const struct reckon *k, int place, const double seen[RECKON_STAGES]);

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

#endif /* COST_INTERNAL_H */
