/*
 * comm_mpi_internal.h - ranks as processes: what the files of it share.
 *
 *   callers      post, agree, send_control, ...: write down under the lock what is wanted,
 *                then wait on a condition variable
 *   the thread   the progress engine: turns what is wanted into packets, posts them, tests those
 *                under way, delivers those that are over
 *
 *   comm_mpi_init.c        the table; a world begins    comm_mpi_progress.c  the engine's loop
 *   comm_mpi_finalize.c    a world ends                 comm_mpi_packet.c    MPI's requests
 *   comm_mpi_transfer.c    post, wait                   comm_mpi_group.c     memory, callers' waits
 *   comm_mpi_collective.c  agree, split
 *   comm_mpi_control.c     control messages, stop, abort
 *
 * Only the thread calls MPI; between begin and end only calls that do not block, and none that
 * moves messages with the lock. MPI sees packets, never a caller's memory: a tensor passes
 * through them in pieces, copied under the lock, so whoever holds the lock may take it back.
 */
#ifndef COMM_MPI_INTERNAL_H
#define COMM_MPI_INTERNAL_H

#include "base/thread.h"
#include "comm/comm.h"
#include "comm/comm_internal.h"

#include <mpi.h>

enum {
    PIECE_BYTES = 1 << 20, /* of a tensor in one packet */
    FIRST_BYTES = 2048,    /* in the first, which shows that the peer is there */
    PIECES_MOVING = 2,     /* at once from one rank to another in a group */
    CONTROLS_MOVING = 16   /* at once to one rank */
};

enum packet_kind { PACKET_PIECE, PACKET_CONTRIBUTION, PACKET_CONTROL };

/* A message under way, or to be. */
struct packet {
    struct packet *next;
    enum packet_kind kind;
    bool receive, cancel;
    struct mpi_group *group; /* NULL: none, or it was closed */
    int peer, tag;           /* rank of the world, or MPI_ANY_SOURCE */
    int xfer, piece;         /* PACKET_PIECE: which of the open post */
    int size;                /* bytes: to send, capacity, or what came */
    _Alignas(16) unsigned char bytes[];
};

/* What goes before the bytes of a piece. */
struct piece_head {
    struct tensor whole; /* no data */
};

/* PACKET_CONTRIBUTION: what a rank brings to a collective. */
enum collective { COLLECTIVE_AGREE, COLLECTIVE_SPLIT };
struct contribution {
    bool here; /* where it is kept */
    uint32_t round;
    enum collective collective;
    status st;
    int colour;
    int first_id;                    /* of groups to be made; the group's rank 0's counts */
    int64_t words[COMM_AGREE_WORDS]; /* agree; the group's rank 0's count */
    char reason[ERROR_MESSAGE];      /* sent up to its NUL */
};

/* PACKET_CONTROL: what a rank sends another outside of any group. */
enum msg_kind { MSG_CONTROL, MSG_STOP, MSG_ABORT, MSG_SHUTDOWN };
struct shutdown_msg {
    bool here, own_failure;
    int code;
};
struct control_msg {
    enum msg_kind kind;
    union {
        struct comm_control control;
        struct shutdown_msg shutdown;
    } u;
};

struct posted {
    struct comm_xfer xfer;
    int pieces, asked, done; /* all, of those handed to packets, of those over */
    bool misfit;             /* the peer sends something else: */
    struct tensor sent;
};

struct mpi_group {
    struct comm base; /* first member: a comm * is a mpi_group * here */
    struct mpi_world *world;
    struct mpi_group *next;
    int id;       /* its packets' tags are 2 id and 2 id + 1 */
    int *members; /* [size] ranks of the world */
    int *node;    /* [size] */
    pthread_cond_t changed;
    bool listening; /* for contributions */
    bool closed;    /* by its owner, for the thread to free */
    struct memory memory;
    bool attached; /* transfers may lie there */

    struct posted *posted; /* the open post */
    int count, cap;
    bool open, out_of_step; /* a wait failed: no post may follow */
    int *moving[2];         /* [size] pieces under way: received, sent */

    uint32_t round;                        /* collectives held */
    bool in_collective;                    /* waits in one now */
    struct contribution *contributions[2]; /* [size] to even and odd rounds */
};

enum ending { END_NOT, END_FINALIZE, END_ABORT, END_EXIT };

struct mpi_world {
    struct task task; /* the thread */
    pthread_mutex_t lock;
    pthread_cond_t work;    /* for the thread */
    pthread_cond_t changed; /* for who opens and closes */
    enum { WORLD_OPENS, WORLD_ABANDONED, WORLD_LIVES, WORLD_OVER } phase;
    char trouble[64 + MPI_MAX_ERROR_STRING]; /* MPI failed, or a copy: every wait ends */

    int rank, size, tag_max;
    int *node;
    struct mpi_group *groups; /* the newest first, the world's own last */
    int split_count;          /* group ids this rank has given out */
    int aborted_by;           /* rank, or -1 */
    bool stop;

    struct packet *first, **last; /* to be posted, in order */
    unsigned announce;            /* 1 << enum msg_kind: still to be sent to all */
    struct mailbox mailbox;       /* for this rank */
    struct mailbox **outbox;      /* [size] for others, NULL: never any */
    int *controls_moving;         /* [size] */
    bool listening;
    struct shutdown_msg *shutdown_msg; /* [size] */
    double shutdown_at;                /* when this rank sent its own; 0: not yet */
    double patience_s;                 /* for the others to send theirs */

    /* The thread's alone. */
    MPI_Comm data, control;
    MPI_Request *request; /* [active] */
    struct packet **packet;
    int *index;
    MPI_Status *status;
    int active, capacity;
    double moved_at;         /* when a packet was last posted or over */
    const char *failed_call; /* of MPI; NULL: none */
    int failed_code;
};

static inline struct mpi_group *group_of(struct comm *c) { return (struct mpi_group *)c; }

/* ---- with the lock, but for those that say otherwise ---------------------------------------- */

/* comm_mpi_group.c. Why waits end before their time: an abort, MPI itself. ST_OK: they do not. */
status mpi_broken(const struct mpi_group *g);
void mpi_wake_all(struct mpi_world *w);
/* Wait for something to happen to the group. false: the time is over. */
bool mpi_wait(struct mpi_group *g, const struct timespec *until);

/* NULL, ST_NOMEM: no memory. A group is freed once no packet is its. */
struct mpi_world *mpi_world_new(void);
void mpi_world_free(struct mpi_world *w);
status mpi_group_open(struct mpi_group **out, struct mpi_world *w, int size,
                      const struct comm_ops *ops) MUST_USE;
void mpi_group_free(struct mpi_group *g);

/* comm_mpi_packet.c. For `size` bytes; NULL: no memory. Queueing hands it to the thread. */
struct packet *packet_new(enum packet_kind kind, struct mpi_group *g, int peer, int size);
void packet_queue(struct mpi_world *w, struct packet *p);
void packets_queue(struct mpi_world *w, struct packet *list);
void packets_free(struct packet *list);

/* The thread, without the lock. Give packets to MPI; those there is no memory for are
 * left. Those that are over, but for canceled ones, with what came. */
struct packet *packets_post(struct mpi_world *w, struct packet *list);
struct packet *packets_test(struct mpi_world *w);
int packets_sending(const struct mpi_world *w);
void packets_cancel(struct mpi_world *w); /* all receives */

/* The thread: forget a group that is closed. */
void packets_leave_group(struct mpi_world *w, const struct mpi_group *g);

/* The thread's turns: what is wanted becomes packets; what came is taken. */
void xfers_collect(struct mpi_group *g);
void xfers_deliver(struct mpi_group *g, const struct packet *p);
bool xfers_flow(const struct mpi_group *g); /* is a tensor half over? */
void collective_listen(struct mpi_group *g);
void collective_deliver(struct mpi_group *g, const struct packet *p);
void control_collect(struct mpi_world *w);
void control_deliver(struct mpi_world *w, const struct packet *p);

/* The thread: is it time to end, and how? mpi_end without the lock; it may not return. */
enum ending mpi_choose_ending(const struct mpi_world *w);
void mpi_end(struct mpi_world *w, enum ending how);

/* The thread, without the lock: the engine runs until the world is to end; how. */
enum ending mpi_progress(struct mpi_world *w);

/* ---- comm_ops; without the lock ------------------------------------------------------------- */

status mpi_post(struct comm *c, const struct comm_xfer *xfers, int count);
status mpi_wait_posted(struct comm *c);
status mpi_agree(struct comm *c, status mine, int64_t *words);
status mpi_split(struct comm *c, int colour, struct comm **out);
status mpi_attach(struct comm *c, const struct memory *m);
status mpi_send_control(struct comm *c, int peer, const struct comm_control *control);
bool mpi_poll_control(struct comm *c, struct comm_control *out, int *from);
void mpi_stop(struct comm *c);
bool mpi_stopped(struct comm *c);
void mpi_abort(struct comm *c);
bool mpi_aborted(struct comm *c);
void mpi_close(struct comm **c);

#endif /* COMM_MPI_INTERNAL_H */
