/*
 * comm_nccl_internal.h - tensors from card to card: what the files of it share.
 *
 *   callers      post, wait, attach, ...: write down under the lock what is wanted,
 *                then wait on a condition variable
 *   the thread   one per rank: makes NCCL's calls, none of which blocks, and looks after
 *                what is under way: is it over, late, has it failed, has anybody aborted?
 *
 *   compute stream  --- ready -------------------------- wait: awaits over ---->
 *   a group's own          \-- all transfers of a post -- over --/
 *
 *   comm_nccl_init.c      the table; worlds and groups
 *   comm_nccl_attach.c    a communicator begins
 *   comm_nccl_transfer.c  post, gather, wait, synchronize
 *   comm_nccl_memory.c    memory of NCCL's: allocated, registered, released
 *   comm_nccl_finalize.c  abort, detach, close
 *   comm_nccl_wait.c      how callers wait, what a failure comes to
 *   comm_nccl_progress.c  the thread: its turns
 *   comm_nccl_monitor.c   the thread: what is under way
 *   comm_nccl_version.c   what NCCL has in which version
 *
 * The life of a communicator (enum nccl_phase):
 *
 *   init      comm_nccl_open starts the thread; groups have no communicator yet (NCCL_BARE).
 *   attach    [all] Rank 0's id and everybody's card go round over the inner comm, so that two
 *             ranks on one card are found before NCCL is asked; then the thread begins the
 *             communicator (NCCL_WANTED, NCCL_BEGINS) until NCCL says it is there (NCCL_LIVES).
 *   post      An event marks where the compute stream is, and the post goes into a ring. The thread
 *             launches it on the group's stream behind that event and records `over` after it.
 *   wait      The compute stream is told to wait for `over`; the host goes on. It first waits for
 *             the launch, as an event that is not recorded yet counts as over.
 *   monitor   The thread asks the events how far each post is. What is not over a deadline after
 *             the compute stream came to it, what NCCL reports later and an abort by anybody
 *             break the communicator, as the card itself would wait for ever.
 *   finalize  In order, when nothing of it is under way (NCCL_ENDS; the others end it too, as
 *             what they have not read yet may lie on this card, and are waited for until the
 *             deadline); else by force.
 *   abort     By force (NCCL_BREAKS, NCCL_BROKEN): ncclCommAbort frees what waits on the card, but
 *             for a gather by copy engines: that waits for its peers in the card itself, and
 *             ends with the process.
 *
 * What must hold: NCCL is entered by the thread alone and without the lock; what the thread is at
 * is not freed. What NCCL does not do within NCCL_PATIENCE_S is left behind, with its thread and
 * all it looks at.
 */
#ifndef COMM_NCCL_INTERNAL_H
#define COMM_NCCL_INTERNAL_H

#include "base/thread.h"
#include "comm/comm_internal.h"

#include <nccl.h>

enum {
    NCCL_POSTS = 64,    /* under way in one group */
    NCCL_BUFFERS = 8,   /* of one group */
    NCCL_PATIENCE_S = 3 /* for a call that should not block */
};

/* What lies on the card of one post, or of one gather. */
enum post_state { POST_ASKED, POST_LAUNCHES, POST_MOVES, POST_OVER };
struct nccl_post {
    struct comm_xfer *xfer;   /* [xfers]; 0 of a gather */
    struct comm_shard *shard; /* [shards]; 0 of any other post */
    int xfers, shards, xfer_cap, shard_cap;
    void *ready, *over; /* events: of the compute stream, of the group's */
    enum post_state state;
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

    struct comm_xfer *host_xfer; /* the open post's, for the inner comm */
    int host_count, xfer_cap;
    bool open, out_of_step; /* a wait failed: no post may follow */
    bool on_card;           /* the open post has transfers on the card: posts[last] */
    int first, under_way, last;
    struct nccl_post posts[NCCL_POSTS]; /* a ring, from `first` */
    struct nccl_buffer buffer[NCCL_BUFFERS];
};

struct nccl_world {
    struct task task; /* the thread */
    pthread_mutex_t lock;
    pthread_cond_t work;    /* for the thread */
    pthread_cond_t changed; /* the thread has ended */
    bool asked;             /* something new is wanted of the thread */
    bool over, ended;       /* the thread's end is wanted; has come */
    double moved_at;        /* when the thread last saw something happen */
    struct nccl_group *groups;
};

static inline struct nccl_group *nccl_of(struct comm *c) { return (struct nccl_group *)c; }

/* ---- comm_nccl_version.c -------------------------------------------------------------------- */

/* Has NCCL copy engines gather? What communicators are configured like; a buffer, as its
 * `window` says. */
extern const bool nccl_has_engines;
void nccl_configure(ncclConfig_t *c);
ncclResult_t nccl_register(ncclComm_t c, struct nccl_buffer *b);
ncclResult_t nccl_deregister(ncclComm_t c, struct nccl_buffer *b);

/* ---- comm_nccl_wait.c, without the lock ------------------------------------------------------ */

/* What NCCL says of a call; ST_OK too if it is still at it. */
status nccl_checked(ncclComm_t c, const char *call, ncclResult_t code);

/* Is it done with what it was asked, has it failed since? */
status nccl_asked(ncclComm_t c, bool *done);

/* [all] Over the inner comm: `each` bytes of every rank, in order of rank, to all. */
status nccl_exchange(struct nccl_group *g, void *all, size_t each) MUST_USE;

/* What every wait comes to after an abort: with the inner comm's words. */
status nccl_fail_aborted(struct nccl_group *g);

/* ---- comm_nccl_wait.c, with the lock --------------------------------------------------------- */

void nccl_ask(struct nccl_world *w); /* the thread to look again */

/* Wait for the phase to change, or for a post; false: the time is over. */
bool nccl_wait(struct nccl_group *g, const struct timespec *until);

void nccl_enter(struct nccl_group *g, enum nccl_phase phase);

/* It fails for the reason on record: waits end, and the thread aborts it. */
void nccl_break(struct nccl_group *g, status st);

/* ST_OK, or why the communicator is broken, once nothing of it moves any more. */
status nccl_broken(struct nccl_group *g);

/* ST_COMM: the others did not come in time. */
status nccl_fail_waited(const struct nccl_group *g, const char *call, double deadline_s);

/* ---- the thread ------------------------------------------------------------------------------ */

/* With the lock, released while NCCL is called. */
bool nccl_watch(struct nccl_group *g);         /* is anything under way? */
bool nccl_buffers(struct nccl_group *g);       /* a step of each; is any at something? */
void nccl_buffers_leave(struct nccl_group *g); /* all registrations, as long as it lives */
void nccl_buffers_lost(struct nccl_group *g);  /* the communicator is no more */

status nccl_progress(void *world); /* all of it; without the lock */

/* ---- callers, without the lock --------------------------------------------------------------- */

/* End the communicator, and forget what was attached. */
void nccl_detach(struct nccl_group *g);

/* Memory back, of a group without a communicator. */
void nccl_free_all(struct nccl_group *g);

/* comm_ops. */
status nccl_post(struct comm *c, const struct comm_xfer *xfers, int count);
status nccl_wait_posted(struct comm *c);
status nccl_synchronize(struct comm *c);
status nccl_attach(struct comm *c, const struct memory *m);
status nccl_alloc(struct comm *c, size_t bytes, void **at);
void nccl_free(struct comm *c, void *at);
status nccl_gather(struct comm *c, const struct comm_shard *shards, int count);
void nccl_abort(struct comm *c);
void nccl_close(struct comm **c);

#endif /* COMM_NCCL_INTERNAL_H */
