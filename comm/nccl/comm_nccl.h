/*
 * comm_nccl.h - tensors from card to card: what its parts share.
 *
 *   callers      start, finish, attach, ...: write down under the lock what is wanted,
 *                then wait on a condition variable
 *   the thread   one per rank: makes NCCL's calls, none of which blocks, and looks after
 *                what is under way: is it over, late, has it failed, has anybody aborted?
 *
 *   compute stream  --- ready ------------------------ finish: awaits over ---->
 *   a group's own          \-- all parts of a start -- over --/
 *
 *   comm_nccl_init.c    worlds and groups
 *   comm_nccl_attach.c  a communicator's beginning
 *   comm_nccl_memory.c  memory of NCCL's: made, registered, let go
 *   comm_nccl_transfer.c   start, gather, finish, settle
 *   comm_nccl_progress.c  the thread: its turns
 *   comm_nccl_monitor.c   the thread: what is under way
 *   comm_nccl_finalize.c     abort, close
 *   comm_nccl_version.c what NCCL has in which version
 *
 * How a communicator ends: in order, when nothing of it is under way (NCCL_ENDS; the others end
 * it too, as what they have not read yet may lie on this card, and are waited for until the
 * deadline); else by force (NCCL_BREAKS), which frees what waits on the card, but for a gather
 * by copy engines: that waits for its peers in the card itself, and ends with the process. What
 * NCCL does not do within NCCL_PATIENCE_S is left behind, with its thread and all it looks at.
 */
#ifndef COMM_NCCL_H
#define COMM_NCCL_H

#include "comm/comm_common.h"
#include "comm/comm_wrap.h"

#include <nccl.h>
#include <pthread.h>

enum {
    NCCL_STARTS = 64,   /* under way in one group */
    NCCL_BUFFERS = 8,   /* of one group */
    NCCL_PATIENCE_S = 3 /* for a call that should not block */
};

/* What lies on the card of one start, or of one gather. */
enum start_state { START_ASKED, START_LAUNCHES, START_MOVES, START_OVER };
struct nccl_post {
    struct comm_xfer *part;   /* [parts]; 0 of a gather */
    struct comm_shard *share; /* [shares]; 0 of any other start */
    int parts, shares, part_cap, share_cap;
    void *ready, *over; /* events: of the compute stream, of the group's */
    enum start_state state;
    double deadline_s;
    double since; /* when the compute stream had come here; 0: it has not */
};

/* What memory of NCCL's goes through. */
enum buffer_state {
    BUFFER_NONE,
    BUFFER_WANTED, /* for the thread to make */
    BUFFER_MADE,   /* unknown to the communicator */
    BUFFER_ASKED,  /* for the thread to register */
    BUFFER_BEGINS, /* the peers are waited for */
    BUFFER_THERE,
    BUFFER_LEAVES /* for the thread to let go */
};
struct nccl_buffer {
    enum buffer_state state;
    bool window; /* symmetric: all ranks are on one machine, where NCCL has such */
    void *at, *handle;
    size_t bytes;
    ncclResult_t code; /* of its making */
    double since;      /* it began */
};

/* What a communicator goes through. */
enum nccl_phase {
    NCCL_BARE,   /* there is none */
    NCCL_WANTED, /* for the thread to begin */
    NCCL_BEGINS, /* the peers are waited for */
    NCCL_LIVES,
    NCCL_ENDS,   /* the peers are waited for */
    NCCL_BREAKS, /* failed, for the thread to abort */
    NCCL_BROKEN
};

struct nccl_group {
    struct comm base; /* first member: a comm * is a nccl_group * here */
    struct nccl_world *world;
    struct nccl_group *next;
    pthread_cond_t changed;

    struct memory memory;
    int *members; /* [size] ranks of the world */
    ncclUniqueId id;
    void *stream;

    enum nccl_phase phase;
    ncclComm_t nccl;   /* the thread's */
    double since;      /* of the phase */
    bool end, give_up; /* wanted: close; abort */
    struct error why;  /* it broke; ST_PEER: the world is aborted */

    struct comm_xfer *host_part; /* the open start's, for the inner comm */
    int host_count, part_cap;
    bool open, out_of_step; /* a finish failed: no start may follow */
    bool on_card;           /* the open start has parts on the card: start[last] */
    int first, under_way, last;
    struct nccl_post start[NCCL_STARTS]; /* a ring, from `first` */
    struct nccl_buffer buffer[NCCL_BUFFERS];
};

struct nccl_world {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;    /* for the thread */
    pthread_cond_t changed; /* the thread has ended */
    bool asked;             /* something new is wanted of the thread */
    bool over, ended;       /* the thread's end is wanted; has come */
    double moved_at;        /* when the thread last saw something happen */
    struct nccl_group *groups;
};

static inline struct nccl_group *nccl_of(struct comm *c) { return (struct nccl_group *)c; }

/* What NCCL says of a call; ST_OK too if it is still at it. */
status nccl_checked(ncclComm_t c, const char *call, ncclResult_t code);

/* Is it done with what it was asked, has it failed since? */
status nccl_asked(ncclComm_t c, bool *done);

/* By version. Has NCCL copy engines gather? What communicators are configured like; a
 * buffer, as its `window` says. */
extern const bool nccl_has_engines;
void nccl_configure(ncclConfig_t *c);
ncclResult_t nccl_register(ncclComm_t c, struct nccl_buffer *b);
ncclResult_t nccl_deregister(ncclComm_t c, struct nccl_buffer *b);

/* ---- with the lock ---------------------------------------------------------------- */

void nccl_ask(struct nccl_world *w); /* the thread to look again */

/* Wait for the phase to change, or for a start; false: the time is over. */
bool nccl_wait(struct nccl_group *g, const struct timespec *until);

/* ST_OK, or why the communicator is broken, once nothing of it moves any more. */
status nccl_broken(struct nccl_group *g);

/* ST_COMM: the others did not come in time. */
status nccl_waited_for_all(const struct nccl_group *g, const char *call, double deadline_s);

/* It fails for the reason on record: waits end, and the thread aborts it. */
void nccl_break(struct nccl_group *g, status st);

/* The thread, lock released meanwhile. */
void nccl_abort_now(struct nccl_group *g);
void nccl_end_now(struct nccl_group *g);
bool nccl_watch(struct nccl_group *g);         /* is anything under way? */
bool nccl_buffers(struct nccl_group *g);       /* a step of each; is any at something? */
void nccl_buffers_leave(struct nccl_group *g); /* all registrations, as long as it lives */
void nccl_buffers_lost(struct nccl_group *g);  /* the communicator is no more */

/* ---- without the lock -------------------------------------------------------------- */

void *nccl_thread(void *world);

status nccl_group_open(struct nccl_group **out, struct nccl_world *w, struct comm *inner) MUST_USE;

/* End the communicator, and forget what was attached. */
void nccl_detach(struct nccl_group *g);

/* Memory back, of a group without a communicator. */
void nccl_free_all(struct nccl_group *g);

/* [all] Over the inner comm: `each` bytes of every rank, in order of rank, to all. */
status nccl_tell(struct nccl_group *g, void *all, size_t each) MUST_USE;

/* What every wait comes to after an abort: with the inner comm's words. */
status nccl_peer_aborted(struct nccl_group *g);

/* comm_ops; without the lock. */
status nccl_post(struct comm *c, const struct comm_xfer *parts, int count);
status nccl_wait_posted(struct comm *c);
status nccl_synchronize(struct comm *c);
status nccl_attach(struct comm *c, const struct memory *m);
status nccl_alloc(struct comm *c, size_t bytes, void **at);
void nccl_free(struct comm *c, void *at);
status nccl_gather(struct comm *c, const struct comm_shard *shares, int count);
void nccl_abort(struct comm *c);
void nccl_close(struct comm **c);

#endif /* COMM_NCCL_H */
