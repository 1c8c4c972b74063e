/*
 * comm_thread_internal.h - ranks as threads of one process: what the files of it share.
 *
 *   comm_thread_group.c       groups as memory, waking who waits in them
 *   comm_thread_transfer.c    post, wait: a receiver copies out of the sender's memory
 *   comm_thread_collective.c  agree, split: the last rank to arrive decides for all
 *   comm_thread.c             worlds, control messages, stop, abort, close
 *   comm_thread_run.c         a function on every rank, each on its thread
 *
 * One lock guards everything of a world but the tensors' memory. Whoever waits does so on a
 * condition variable of its own place in the group, until a deadline, an abort or what it waits
 * for; so an event wakes those it concerns and nobody else. A tensor is copied without the lock,
 * straight from the sender's memory to the receiver's: `readers` counts the copies under way from
 * a rank, and that rank gets its memory back only when there are none.
 */
#ifndef COMM_THREAD_INTERNAL_H
#define COMM_THREAD_INTERNAL_H

#include "comm/comm.h"
#include "comm/comm_internal.h"

#include <pthread.h>

enum xfer_state { XFER_WAITS, XFER_COPIES, XFER_DONE };

struct posted {
    struct comm_xfer xfer;
    enum xfer_state state;
};

/* What a rank brings to a collective of its group. */
struct contribution {
    bool here;
    status st;
    const struct error *error; /* the rank's own copy */
    const int64_t *words;      /* agree: the rank's own, or NULL */
    int colour;
    struct rank *child; /* what a split made for it */
};

/* One rank's place in one group. */
struct rank {
    struct comm base; /* first member: a comm * is a rank * here */
    struct group *group;

    struct posted *posted; /* the open post */
    int count, cap;
    bool open;
    int readers; /* peers that are copying out of our memory just now */
    struct memory memory;
    bool attached; /* transfers may lie there */

    struct contribution contribution;
    pthread_cond_t changed; /* what this rank waits for may have happened */
};

enum collective { COLLECTIVE_AGREE, COLLECTIVE_SPLIT };

struct group {
    struct world *world;
    struct group *next;
    int living; /* ranks not yet closed */

    uint64_t round; /* collectives held */
    int arrived;
    enum collective collective; /* the one those that have arrived call */
    struct verdict verdict;
    char reason[ERROR_MESSAGE];      /* the culprit's message */
    int64_t words[COMM_AGREE_WORDS]; /* rank 0's */

    int size;
    struct rank ranks[];
};

/* Everything but the tensors' memory is under `lock`. */
struct world {
    pthread_mutex_t lock;
    int aborted_by; /* rank, or -1 */
    bool stop;
    struct group *groups;    /* the newest first, the world's own last */
    struct mailbox *mailbox; /* [size of the world] */
};

static inline struct rank *rank_of(struct comm *c) { return (struct rank *)c; }

/* ---- with the lock ------------------------------------------------------------------------ */

void thread_wake(struct rank *r);
void thread_wake_all(struct world *w);

/* Nothing of this rank is offered any more, and nobody copies out of it: the memory
 * is the caller's again. The wait is for a memcpy, which ends by itself. */
void thread_take_back(struct rank *me);

/* A group of `size` whose ranks are still to be named. ST_NOMEM. */
status thread_group_open(struct group **out, struct world *w, int size,
                         const struct comm_ops *ops) MUST_USE;
void thread_group_close(struct group **g);

/* Make the groups of a split, by the colours brought. On ST_NOMEM there are none. */
status thread_group_split(struct group *parent) MUST_USE;

/* ---- comm_ops; without the lock ------------------------------------------------------------ */

status thread_post(struct comm *c, const struct comm_xfer *xfers, int count);
status thread_wait_posted(struct comm *c);
status thread_attach(struct comm *c, const struct memory *m);
status thread_agree(struct comm *c, status mine, int64_t *words);
status thread_split(struct comm *c, int colour, struct comm **out);

#endif /* COMM_THREAD_INTERNAL_H */
