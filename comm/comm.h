/*
 * comm.h - a fixed group of ranks that hand tensors to one another.
 *
 *      pipeline/line  (the forward pass, written once)
 *           |
 *      comm.h         post, gather, wait, agree, split
 *       /       \
 *  comm_thread  comm_mpi    ranks are threads of this process | processes under mpirun
 *       \       /
 *       comm_nccl           over either: tensors go from card to card
 *
 * The group of all ranks is the world. Groups split from it serve one purpose each
 * (a line; a line's way to its decoder), so that their messages never mix. An
 * abort or a stop is the whole world's, whichever group it is asked on.
 *
 * Each call below says who must make it and when it is over:
 *   [one]   this rank alone
 *   [pair]  each `peer` named posts the matching transfer: same order among the
 *           transfers between two ranks, same dtype and byte count
 *   [all]   every rank, in the same order; a rank that stays away hangs the
 *           rest until their deadline
 *   host    over when the call returns
 *   stream  over when the work queued so far on the attached memory's stream is
 *
 * Every wait has a deadline. When it passes, the call fails with ST_COMM and says
 * who waited for whom. Ranks in messages are ranks of the world. After a failed
 * post, gather, wait or split, and after an agree that did not take place, the ranks
 * are out of step: abort and close are what is left.
 *
 * Threads of a rank may each use a comm of their own; post, gather, wait, agree and
 * split of one comm are for one thread at a time.
 */
#ifndef COMM_H
#define COMM_H

#include "kernels/memory.h"
#include "kernels/tensor.h"

struct comm;

/* One tensor that goes to a peer or comes from it. The view is copied, its
 * memory is not: it stays untouched by the caller until wait, abort or close of
 * this comm; of a streamed one also by work on the card that comes before. */
struct comm_xfer {
    struct tensor t;
    int peer;    /* another rank, never oneself */
    bool send;   /* false: receive into t */
    bool device; /* t lies in the attached memory; both ranks say the same. False, or nothing is
                    attached: in the host's */
};

/* One tensor of which each rank has a slice: [size * n, ...], slice `rank` of n is this one's.
 * View and memory as those of a transfer; on all ranks of one dtype and shape. */
struct comm_shard {
    struct tensor t;
    bool device; /* as in comm_xfer */
};

/* A control message: a few numbers for another rank, such as progress and counts. `kind` and the
 * values mean what the ranks agree on. */
enum { COMM_CONTROL_VALUES = 6, COMM_CONTROLS = 1024 };
struct comm_control {
    int64_t kind, value[COMM_CONTROL_VALUES];
};

/* What rank 0 of a group may hand out with an agree: a decision for all, a few numbers. */
enum { COMM_AGREE_WORDS = 4 };

struct comm_ops {
    /* [pair] Put all transfers on their way; none waits for another. At most one post is open per
     * rank. xfers may be forgotten after the call. Of a streamed comm, transfers on the card go
     * when what is queued on the stream has run; of any other, the caller has waited for that. */
    status (*post)(struct comm *, const struct comm_xfer *xfers, int count);

    /* [one] host. All transfers of the last post are over: what came may be read, what went may
     * be overwritten. Fine without a post. Of a streamed comm, transfers on the card: [one]
     * stream. A failure behind that shows in synchronize, and in all calls that follow. */
    status (*wait)(struct comm *);

    /* [all] host. Every rank brings what happened to it. ST_OK if all are well;
     * its own status for a rank that failed; for the sound and the canceled ones
     * ST_CANCELED if nothing worse happened to any, else ST_PEER. The one way a
     * rank may leave a collective phase early.
     * words: NULL on all ranks, or [COMM_AGREE_WORDS] on all. With ST_OK everyone has what
     * rank 0 of the group brought; else they stay as they were. */
    status (*agree)(struct comm *, status mine, int64_t *words);

    /* [all] host. Ranks of one colour >= 0 form a group, in order of rank; colour -1:
     * *out is NULL. The deadline is inherited. Closed before what it was split from;
     * by each rank for itself. */
    status (*split)(struct comm *, int colour, struct comm **out);

    /* [one] host. Leave a control message for `peer` (oneself is fine) and go on. Of more than
     * COMM_CONTROLS unread ones the oldest are lost. World only. */
    status (*send_control)(struct comm *, int peer, const struct comm_control *);
    /* [one] host. Take the oldest one left for this rank; false: none. World only;
     * any thread of the rank. */
    bool (*poll_control)(struct comm *, struct comm_control *out, int *from);

    /* [one] host. Ask every rank of the world to stop when it suits; and whether
     * anybody asked. Both from any thread. */
    void (*stop)(struct comm *);
    bool (*stopped)(struct comm *);

    /* [one] host. Break every wait on every rank of the world: they return ST_PEER,
     * now and for good. Any thread. */
    void (*abort)(struct comm *);
    bool (*aborted)(struct comm *); /* has anybody? Any thread. */

    void (*close)(struct comm **); /* [one] host. NULL is fine; sets NULL. */

    /* NULL in a transport to which all memory is alike, and that gathers by transfers; described
     * below. gather: what comm_gather hands it, of a streamed comm and on the card alone. */
    status (*attach)(struct comm *, const struct memory *);
    status (*synchronize)(struct comm *);
    status (*alloc)(struct comm *, size_t bytes, void **at);
    void (*free)(struct comm *, void *at);
    status (*gather)(struct comm *, const struct comm_shard *shards, int count);
};

struct comm {
    const struct comm_ops *ops;
    int rank, size;
    int world_rank;     /* of this rank, for messages */
    const int *node;    /* [size]: the machine each rank runs on, numbered from 0 */
    double deadline_s;  /* longest wait; the rank's thread may change it between calls */
    bool streamed;      /* post, gather and wait keep to the attached memory's stream */
    bool gathers;       /* on the card gather has engines of its own: better than transfers. The
                          same on all ranks */
    struct comm *inner; /* what this one lies over; NULL: nothing */
};

/* The calls of the table, as it describes them. */
static inline MUST_USE status comm_post(struct comm *c, const struct comm_xfer *xfers, int count)
{
    return c->ops->post(c, xfers, count);
}
static inline MUST_USE status comm_wait(struct comm *c) { return c->ops->wait(c); }
static inline MUST_USE status comm_agree(struct comm *c, status mine)
{
    return c->ops->agree(c, mine, NULL);
}
static inline MUST_USE status comm_agree_on(struct comm *c, status mine,
                                            int64_t words[COMM_AGREE_WORDS])
{
    return c->ops->agree(c, mine, words);
}
static inline MUST_USE status comm_split(struct comm *c, int colour, struct comm **out)
{
    return c->ops->split(c, colour, out);
}
static inline MUST_USE status comm_send_control(struct comm *c, int peer,
                                                const struct comm_control *m)
{
    return c->ops->send_control(c, peer, m);
}
static inline bool comm_poll_control(struct comm *c, struct comm_control *out, int *from)
{
    return c->ops->poll_control(c, out, from);
}
static inline void comm_stop(struct comm *c) { c->ops->stop(c); }
static inline bool comm_stopped(struct comm *c) { return c->ops->stopped(c); }
static inline void comm_abort(struct comm *c) { c->ops->abort(c); }
static inline bool comm_aborted(struct comm *c) { return c->ops->aborted(c); }
static inline void comm_close(struct comm **c) /* NULL is fine; sets NULL */
{
    if (*c) (*c)->ops->close(c);
}

/* [all] host. From now on transfers may lie in this memory; another takes its place. Copied;
 * the stream lives until wait was called for the last time. NULL: the host's alone.
 * ST_ARG if ranks share a card and the transport has no way for that. */
static inline MUST_USE status comm_attach(struct comm *c, const struct memory *m)
{
    return c->ops->attach ? c->ops->attach(c, m) : ST_OK;
}

/* [one] host. All that wait left to the stream is over, and went well: what the stream has made
 * of it may be handed out. Sent on over another comm before that it may be anything, if this one
 * failed; agree tells. */
static inline MUST_USE status comm_synchronize(struct comm *c)
{
    return c->ops->synchronize ? c->ops->synchronize(c) : ST_OK;
}

/* [all] host. As many bytes on all ranks, of the attached memory, from which transfers and gathers
 * go fastest; not initialised. *at is NULL if any memory is as good here: then it is the caller's
 * to find. ST_ARG if ranks ask for different counts; ST_NOMEM on a rank that cannot have it;
 * ST_COMM if it cannot be made known to the peers. Then no rank has it: there is no second
 * best. It lasts until comm_free, or until other memory is attached or the comm closed. */
static inline MUST_USE status comm_alloc(struct comm *c, size_t bytes, void **at)
{
    *at = NULL;
    return c->ops->alloc ? c->ops->alloc(c, bytes, at) : ST_OK;
}

/* [one] host. Back it goes, once all that is queued on the stream has run; nothing comes or goes
 * there any more, on any rank. NULL is fine. */
static inline void comm_free(struct comm *c, void *at)
{
    if (at) c->ops->free(c, at);
}

/* [all] As post, and over at wait like it: then every rank has all slices of all shards.
 * Between the two the own slice is only read, and the others not even that. Where ops has no
 * gather of its own the slices travel as transfers. Best in memory of comm_alloc, at one place on
 * all ranks. ST_ARG if a tensor's rows do not divide by the ranks. */
status comm_gather(struct comm *c, const struct comm_shard *shards, int count) MUST_USE;

/* [all] host. Rank `root`'s bytes to everyone: *bytes is malloc'ed on the others, and ends
 * in a NUL that *len does not count. */
status comm_broadcast(struct comm *c, int root, char **bytes, size_t *len) MUST_USE;

/* [all] host. ST_ARG, on the ranks where it is so, if `mine` differs from rank 0's: lines of text;
 * both first ones that differ are named. ST_PEER on the others. */
status comm_check_same(struct comm *c, const char *mine) MUST_USE;

/* [all] host. Everyone's numbers added up, at rank 0; those of the others stay. */
status comm_reduce_sum(struct comm *c, double *number, int count) MUST_USE;

/*
 * comm_thread: `size` ranks that are threads of this process. group[r] is for
 * the thread of rank r alone. size 1 is a group whose calls all return at once.
 */
status comm_thread_open(struct comm **group, int size, double deadline_s) MUST_USE;

/* Run `main` for every rank of a thread group on its own thread (rank 0 on the
 * caller's) and return when all have. The first own failure (not ST_PEER) is
 * returned with its record, ST_CANCELED only if there is none. A rank that fails
 * aborts the group. */
typedef status (*comm_main)(struct comm *c, void *arg);
status comm_thread_run(struct comm **group, int size, comm_main main, void *arg) MUST_USE;

/* For one rank's part of something without the others: ops of a comm in which all that is
 * posted is over at once, nothing goes or comes, and all agree. It has no other ops. */
extern const struct comm_ops comm_null;

/*
 * comm_mpi: ranks are processes that mpirun or srun has started; tensors pass through
 * host memory. One thread of the process, the world's own, makes every MPI call, so any
 * thread may use a comm and messages move on while ranks compute.
 */
/* The rank that a launcher has started this process as; -1: none has. */
int comm_launcher_rank(void);

/* How many it says it has started; -1: none has, or it does not say. */
int comm_launcher_size(void);

/* Tasks of the Slurm step that this process is of, where nothing connects them, as under a plain
 * srun; -1: none has started it, or they are connected. */
int comm_launcher_unconnected(void);

/* [all] The world. On failure *out is NULL: ST_ARG if MPI knows of fewer ranks than the
 * launcher, which is then not of this MPI. Whoever opens, leaves. */
status comm_mpi_init(struct comm **out, double deadline_s) MUST_USE;

/* [all] host. The end of the world, with this rank's exit code: closes it and returns
 * if all bring the same code and nobody failed; ends all processes otherwise, with
 * the code of a rank that failed by itself (not ST_PEER's), after giving the others
 * two seconds to tidy up. A sound rank that nobody joins within the deadline ends all
 * with 71. Sets NULL. Returns the code to exit with. */
int comm_mpi_finalize(struct comm **world, int code, bool own_failure);

/*
 * comm_nccl: a world of either kind whose groups, once memory is attached, send what lies on
 * cards by NCCL, from one card to another: each rank of such a group has a card of its own.
 * All else passes through the inner comm. Such a group is streamed.
 * One thread per rank, the world's own, makes NCCL's calls. NCCL does not see whether the two
 * sides of a transfer have the same size: the contract does. Closing a group with memory attached
 * waits for the others to do so too, until the deadline.
 */
/* Why this build has none; NULL: it has. */
const char *comm_nccl_absent(void);

/* [one] Takes the world over: closing *out closes it. ST_ARG if absent, and then the world is
 * as it was. */
status comm_nccl_open(struct comm **out, struct comm *world) MUST_USE;

/* [one] The inner world again, in place of the one over it; for comm_mpi_finalize. */
void comm_nccl_unwrap(struct comm **c);

#endif /* COMM_H */
