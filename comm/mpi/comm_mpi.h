/*
 * comm_mpi.h - ranks as processes: what its parts share.
 *
 *   callers      start, agree, note, ...: write down under the lock what is wanted,
 *                then wait on a condition variable
 *   the thread   loop: turns what is wanted into packets, posts them, tests those
 *                under way, delivers those that are over
 *
 * Only the thread calls MPI; between begin and end only calls that do not block, and
 * none that moves messages with the lock.
 * MPI sees packets, never a caller's memory: a tensor passes through them in
 * pieces, copied under the lock, so whoever holds the lock may take it back.
 *
 *   comm_mpi_world.c   groups and the world as memory
 *   comm_mpi_transfer.c   start, finish          comm_mpi_progress.c     the thread
 *   comm_mpi_collective.c    agree, split           comm_mpi_packet.c   posting, testing
 *   comm_mpi_control.c    notes, stop, abort     comm_mpi_init.c, comm_mpi_finalize.c
 */
#ifndef COMM_MPI_H
#define COMM_MPI_H

#include "comm/comm.h"
#include "comm/comm_common.h"
#include "comm/comm_mailbox.h"

#include <mpi.h>
#include <pthread.h>

enum {
    PIECE_BYTES = 1 << 20, /* of a tensor in one packet */
    FIRST_BYTES = 2048,    /* in the first, which shows that the peer is there */
    PIECES_MOVING = 2,     /* at once from one rank to another in a group */
    NOTES_MOVING = 16      /* at once to one rank */
};

enum packet_kind { PACKET_PIECE, PACKET_ARRIVAL, PACKET_TOLD };

/* A message under way, or to be. */
struct packet {
    struct packet *next;
    enum packet_kind kind;
    bool receive, cancel;
    struct mpi_group *group; /* NULL: none, or it was closed */
    int peer, tag;           /* rank of the world, or MPI_ANY_SOURCE */
    int part, piece;         /* PACKET_PIECE: which of the open start */
    int size;                /* bytes: to send, room, or what came */
    _Alignas(16) unsigned char bytes[];
};

/* What goes before the bytes of a piece. */
struct piece_head {
    struct tensor whole; /* no data */
};

/* PACKET_ARRIVAL: what a rank brings to a meeting. */
enum meeting { MEET_AGREE, MEET_SPLIT };
struct arrival {
    bool here; /* where it is kept */
    uint32_t round;
    enum meeting meeting;
    status st;
    int colour;
    int first_id;                    /* of groups to be made; the group's rank 0's counts */
    int64_t words[COMM_AGREE_WORDS]; /* agree; the group's rank 0's count */
    char reason[ERROR_MESSAGE];      /* sent up to its NUL */
};

/* PACKET_TOLD: what a rank tells another outside of any group. */
enum told_kind { TOLD_NOTE, TOLD_STOP, TOLD_ABORT, TOLD_GOODBYE };
struct goodbye {
    bool here, own_failure;
    int code;
};
struct told {
    enum told_kind kind;
    union {
        struct comm_control note;
        struct goodbye goodbye;
    } u;
};

struct posted {
    struct comm_xfer part;
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
    bool listening; /* for arrivals */
    bool closed;    /* by its owner, for the thread to free */
    struct memory memory;
    bool attached; /* parts may lie there */

    struct posted *posted; /* the open start */
    int count, cap;
    bool open, out_of_step; /* a finish failed: no start may follow */
    int *moving[2];         /* [size] pieces under way: received, sent */

    uint32_t round;             /* meetings held */
    bool meets;                 /* waits in one now */
    struct arrival *brought[2]; /* [size] to even and odd meetings */
};

enum ending { END_NOT, END_FINALIZE, END_ABORT, END_EXIT };

struct mpi_world {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;    /* for the thread */
    pthread_cond_t changed; /* for who opens and leaves */
    struct error error;     /* why opening failed */
    enum { WORLD_OPENS, WORLD_ABANDONED, WORLD_LIVES, WORLD_OVER } phase;
    char trouble[64 + MPI_MAX_ERROR_STRING]; /* MPI failed, or a copy: every wait ends */

    int rank, size, tag_max;
    int *node;
    struct mpi_group *groups; /* the newest first, the world's own last */
    int split_count;          /* group ids this rank has given out */
    int aborted_by;           /* rank, or -1 */
    bool stop;

    struct packet *first, **last; /* to be posted, in order */
    unsigned tell;                /* 1 << enum told_kind: still to be told to all */
    struct inbox inbox, **notes;  /* for this rank; [size] for others, NULL: never any */
    int *notes_moving;            /* [size] */
    bool listening;
    struct goodbye *goodbye; /* [size] */
    double left_at;          /* when this rank said its own; 0: not yet */
    double patience_s;       /* for the others to say theirs */

    /* The thread's alone. */
    MPI_Comm data, control;
    MPI_Request *request; /* [active] */
    struct packet **packet;
    int *index;
    MPI_Status *status;
    int active, room;
    double moved_at;         /* when a packet was last posted or over */
    const char *failed_call; /* of MPI; NULL: none */
    int failed_code;
};

static inline struct mpi_group *group_of(struct comm *c) { return (struct mpi_group *)c; }

/* ---- all below: call with the lock, but for those that say otherwise --------- */

/* Why waits end before their time: an abort, MPI itself. ST_OK: they do not. */
status mpi_broken(const struct mpi_group *g);
void mpi_wake_all(struct mpi_world *w);

/* Wait for something to happen to the group. false: the time is over. */
bool mpi_wait(struct mpi_group *g, const struct timespec *until);

/* ST_NOMEM. Freed once no packet is its. */
status mpi_group_open(struct mpi_group **out, struct mpi_world *w, int size) MUST_USE;
void mpi_group_free(struct mpi_group *g);

/* Room for `size` bytes; NULL: no memory. Queueing hands it to the thread. */
struct packet *packet_new(enum packet_kind kind, struct mpi_group *g, int peer, int size);
void packet_queue(struct mpi_world *w, struct packet *p);
void packets_free(struct packet *list);

/* The thread, without the lock. Give packets to MPI; those there is no room for are
 * left. Those that are over, but for canceled ones, with what came. */
struct packet *packets_post(struct mpi_world *w, struct packet *list);
struct packet *packets_test(struct mpi_world *w);
int packets_sending(const struct mpi_world *w);
void packets_cancel(struct mpi_world *w); /* all receives */

/* The thread: forget a group that is closed. */
void packets_leave_group(struct mpi_world *w, const struct mpi_group *g);

/* The thread's turns: what is wanted becomes packets; what came is taken. */
void parts_collect(struct mpi_group *g);
void parts_deliver(struct mpi_group *g, const struct packet *p);
bool parts_flow(const struct mpi_group *g); /* is a part half over? */
void meet_listen(struct mpi_group *g);
void meet_deliver(struct mpi_group *g, const struct packet *p);
void tell_collect(struct mpi_world *w);
void tell_deliver(struct mpi_world *w, const struct packet *p);

/* The thread: is it time to end, and how? */
enum ending leave_consider(const struct mpi_world *w);

/* The thread, without the lock: the world in MPI's hands. */
status mpi_begin(struct mpi_world *w) MUST_USE;
void mpi_end(struct mpi_world *w, enum ending how);
void *mpi_thread(void *world);
void mpi_world_free(struct mpi_world *w);

/* comm_ops; without the lock. */
status mpi_post(struct comm *c, const struct comm_xfer *parts, int count);
status mpi_wait_posted(struct comm *c);
status mpi_agree(struct comm *c, status mine, int64_t *words);
status mpi_split(struct comm *c, int colour, struct comm **out);
status mpi_attach(struct comm *c, const struct memory *m);
status mpi_send_control(struct comm *c, int peer, const struct comm_control *note);
bool mpi_poll_control(struct comm *c, struct comm_control *out, int *from);
void mpi_stop(struct comm *c);
bool mpi_stopped(struct comm *c);
void mpi_abort(struct comm *c);
bool mpi_aborted(struct comm *c);
void mpi_close(struct comm **c);

#endif /* COMM_MPI_H */
