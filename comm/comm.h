/*
 * comm.h - a fixed group of ranks that hand tensors to one another.
 *
 *      pipeline/line  (the forward pass, written once)
 *           |
 *      comm.h         start, finish, agree
 *           |
 *      comm_thread    ranks are threads of this process
 *
 * Each call below says who must make it and when it is over:
 *   [one]   this rank alone
 *   [pair]  each `peer` named starts the matching part: same order among the
 *           parts between two ranks, same dtype and byte count
 *   [all]   every rank, in the same order; a rank that stays away hangs the
 *           rest until their deadline
 *   host    over when the call returns
 *
 * Every wait has a deadline (seconds, set when the group is opened). When it
 * passes, the call fails with ST_COMM and says who waited for whom.
 */
#ifndef COMM_H
#define COMM_H

#include "kernels/tensor.h"

struct comm;

/* One tensor that goes to a peer or comes from it. The view is copied, its
 * memory is not: it stays untouched by the caller until finish. */
struct comm_part {
    struct tensor t;
    int peer;  /* another rank, never oneself */
    bool send; /* false: receive into t */
};

struct comm_ops {
    const char *name;

    /* [pair] Put all parts on their way; none waits for another. At most one
     * start is open per rank. parts may be forgotten after the call. */
    status (*start)(struct comm *, const struct comm_part *parts, int count);

    /* [one] host. All parts of the last start are over: what came may be read,
     * what went may be overwritten. Fine without a start. */
    status (*finish)(struct comm *);

    /* [all] host. Every rank brings what happened to it. ST_OK if all are well;
     * its own status for a rank that failed; for the sound ones ST_CANCELED if
     * the others were only canceled, else ST_PEER. The one way a rank may leave
     * a collective phase early. */
    status (*agree)(struct comm *, status mine);

    /* [one] host. Break every wait on every rank: they return ST_PEER. */
    void (*abort)(struct comm *);
    void (*close)(struct comm **); /* [one] host. NULL is fine; sets NULL. */
};

struct comm {
    const struct comm_ops *ops;
    int rank, size;
};

/*
 * comm_thread: `size` ranks that are threads of this process. group[r] is for
 * the thread of rank r alone. size 1 is a group whose calls all return at once.
 */
status comm_thread_open(struct comm **group, int size, double deadline_s) MUST_USE;

/* Run `main` for every rank of a thread group on its own thread (rank 0 on the
 * caller's) and return when all have. The first own failure (not ST_PEER) is
 * returned with its record. A rank that fails aborts the group. */
typedef status (*comm_main)(struct comm *c, void *arg);
status comm_thread_run(struct comm **group, int size, comm_main main, void *arg) MUST_USE;

#endif /* COMM_H */
