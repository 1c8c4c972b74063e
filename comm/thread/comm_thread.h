/* comm_thread.h - ranks as threads of one process: what its parts share. */
#ifndef COMM_THREAD_H
#define COMM_THREAD_H

#include "comm/comm.h"
#include "comm/comm_common.h"
#include "comm/comm_mailbox.h"

#include <pthread.h>

enum part_state { PART_WAITS, PART_MOVES, PART_DONE };

struct posted {
    struct comm_xfer part;
    enum part_state state;
};

/* What a rank brings to a meeting of its group. */
struct arrival {
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

    struct posted *posted; /* the open start */
    int count, cap;
    bool open;
    int readers; /* peers that are copying out of our parts just now */
    struct memory memory;
    bool attached; /* parts may lie there */

    struct arrival arrival;
    pthread_cond_t changed; /* what this rank waits for may have happened */
};

enum meeting { MEET_AGREE, MEET_SPLIT };

struct group {
    struct world *world;
    struct group *next;
    int living; /* ranks not yet closed */

    uint64_t round; /* meetings held */
    int arrived;
    enum meeting meeting; /* the one those wait for */
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
    struct group *groups; /* the newest first, the world's own last */
    struct inbox *inbox;  /* [size of the world] */
};

static inline struct rank *rank_of(struct comm *c) { return (struct rank *)c; }

/* Down to thread_group_split: call with the lock. */
void thread_wake(struct rank *r);
void thread_wake_all(struct world *w);

/* No part of ours is offered any more, and nobody copies out of one: the memory
 * is the caller's again. The wait is for a memcpy, which ends by itself. */
void thread_take_back(struct rank *me);

/* A group of `size` whose ranks are still to be named. ST_NOMEM. */
status thread_group_open(struct group **out, struct world *w, int size) MUST_USE;
void thread_group_close(struct group **g);

/* Make the groups of a split, by the colours brought. On ST_NOMEM there are none. */
status thread_group_split(struct group *parent) MUST_USE;

/* comm_ops; without the lock. */
status thread_post(struct comm *c, const struct comm_xfer *parts, int count);
status thread_wait_posted(struct comm *c);
status thread_agree(struct comm *c, status mine, int64_t *words);
status thread_split(struct comm *c, int colour, struct comm **out);
status thread_attach(struct comm *c, const struct memory *m);

#endif /* COMM_THREAD_H */
