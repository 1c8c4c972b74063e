/* cost_internal.h - what the files of the cost model share. */
#ifndef COST_INTERNAL_H
#define COST_INTERNAL_H

#include "cluster/cost.h"

/* What threads on a machine have to do in the time of a block; each of a task's threads
 * is busy for its seconds. */
enum { COST_TASKS = 3 * ROLES_RANKS };
struct cost_tasks {
    int count;
    struct cost_task {
        int machine, threads;
        double seconds;
    } task[COST_TASKS];
};

struct cost_query {
    const struct cost_model *m;
    const struct roles *r;
    const int *node;
    struct split split;
};

static inline double most(double a, double b) { return a > b ? a : b; }

void cost_task(struct cost_tasks *t, int machine, double seconds, int threads);

/* Until all tasks of each machine are done, when threads share its cores evenly and one
 * thread has one core at most: what is left alone does not use the others. Sorts. */
void cost_share_cores(struct cost_tasks *t, int cores, double seconds[ROLES_RANKS]);

/* Decoding and encoding a block of each line that does[]. */
void cost_add_pictures(const struct cost_query *k, struct cost_tasks *t,
                       const bool does[ROLES_RANKS]);

/* Seconds that a rank of a line computes in a tick. seen: of each stage the blocks whose keys
 * its pass has; 0: nothing stands there. */
enum { COST_STAGES = 64 };
double cost_tick_compute(const struct cost_query *k, int place, const double seen[COST_STAGES]);

/* What goes into a rank of a line and out of it in a tick where every stage holds a block.
 * exposed: seconds it computes less; moving: seconds of its processors. */
struct cost_tick_exchange {
    double in, out, crossing; /* bytes; of those that come in, from other machines */
    double exposed, moving;
};
struct cost_tick_exchange cost_tick_exchange(const struct cost_query *k,
                                             const struct role_line *line, int place);

/* Of a tick: the hand-over to the next rank. */
double cost_hand_over(const struct cost_model *m, const struct role_line *line);

/* The rank that a line's blocks are decoded on, and seconds from block to block that it
 * allows. */
int cost_decoder_rank(const struct cost_query *k, int line);
double cost_decode_seconds(const struct cost_query *k, int line);

/* Does a GPU decode beside its stages? Then one goes after the other. */
bool cost_decodes_in_turn(const struct cost_query *k, int line);

#endif /* COST_INTERNAL_H */
