/*
 * comm_internal.h - what the transports share: checks, failures and verdicts that are the same
 * over all of them, mailboxes, cards, and the calls a comm that lies over another passes on.
 */
#ifndef COMM_INTERNAL_H
#define COMM_INTERNAL_H

#include "base/strbuf.h"
#include "comm/comm.h"

#include <time.h>

enum { COMM_RANKS_MAX = 1024 };

/* ---- comm_common.c: checks -------------------------------------------------------------- */

/* ST_ARG with the value if the deadline of a new world is not in (0, 1e6] s. */
status comm_check_deadline(double deadline_s) MUST_USE;

/* ST_ARG if a post is open already, or a transfer names no other rank of the group. */
status comm_check_post(const struct comm *c, const struct comm_xfer *xfers, int count,
                       bool open) MUST_USE;

/* ST_ARG if control messages are not for this group, or there is no such peer. */
status comm_check_control(const struct comm *c, int peer, bool is_world) MUST_USE;

/* ST_OK if what `from` sends fits what c receives; ST_ARG with both. `from` is a
 * rank of the world. */
status comm_check_fit(const struct comm *c, const struct tensor *to, int from,
                      const struct tensor *sent) MUST_USE;

/* ---- comm_common.c: times, places, slices ----------------------------------------------- */

/* CLOCK_MONOTONIC, s seconds from now; what is not in [0, 1e6] is cut to that. */
struct timespec comm_time_after(double s);

/* Do all ranks of the group run on one machine? */
bool comm_one_machine(const struct comm *c);

/* Does the tensor of a transfer lie on a card? */
static inline bool comm_xfer_on_card(const struct comm_xfer *x, bool attached)
{
    return x->device && attached;
}

/* A rank's slice of a sharded tensor. */
static inline struct tensor comm_shard_slice(const struct comm *c, const struct tensor *t, int rank)
{
    int64_t const n = t->dim[0] / c->size;
    return tensor_slice(t, rank * n, n);
}

/* ---- comm_common.c: failures ------------------------------------------------------------ */

/* A deadline has passed: ST_COMM, "rank 2 waited 5 s for rank 0 to send 3 tensors, rank 4 to
 * receive 1 tensor" or "rank 2 waited 5 s for rank 0, rank 4 in agree". The list of those it
 * waited for is built first; comm_fail_waited frees it. call: NULL for transfers. */
void comm_list_xfers(struct strbuf *who, int world_rank, bool send, int count);
void comm_list_rank(struct strbuf *who, int world_rank);
status comm_fail_waited(const struct comm *c, const char *call, struct strbuf *who);

/* ST_PEER: `by` aborted the world. */
status comm_fail_aborted(const struct comm *c, int by);

/* The verdict of an agree, made by adding every rank's status in order of rank. */
struct verdict {
    status st;   /* of the culprit */
    int culprit; /* rank of the group, -1: all are well */
};
void verdict_add(struct verdict *v, int rank, status st); /* begin with { ST_OK, -1 } */

/* What a sound rank gets from it; the culprit is a rank of the world. */
status verdict_status(status verdict, int culprit, const char *reason);

/* What agree returns to a rank that brought `mine`, with its record `own`: its own status, but
 * a stop gives way to what went wrong, there or in the agree itself (`verdict`). */
status comm_agree_result(status mine, const struct error *own, status verdict);

/* ---- comm_common.c: mailboxes ----------------------------------------------------------- */

/* The last COMM_CONTROLS control messages, oldest first. Callers lock. */
struct mailbox {
    struct {
        struct comm_control control;
        int from;
    } slot[COMM_CONTROLS];
    int first, count;
};

void mailbox_put(struct mailbox *b, const struct comm_control *control, int from);
bool mailbox_take(struct mailbox *b, struct comm_control *out, int *from); /* false: none */

/* ---- comm_device.c: what a transport asks of a card beside streams and events ------------ */

/* host. From anywhere to anywhere, between cards too; any thread, and without regard to any
 * stream: what is read is there already. ST_DEVICE. */
status device_copy(const struct memory *m, void *to, const void *from, size_t bytes) MUST_USE;

/* Which card it is, whatever its number is here: its place on the machine's bus. ST_DEVICE. */
enum { DEVICE_PLACE = 32 };
status device_place(int device, char place[DEVICE_PLACE]) MUST_USE;

/* ---- comm_wrap.c: what a comm over another one passes on, to its `inner` ------------------ */

/* The inner one, whose next calls have this one's deadline. */
static inline struct comm *wrap_inner(struct comm *c)
{
    c->inner->deadline_s = c->deadline_s;
    return c->inner;
}

/* comm_ops. attach: *c is then streamed and gathers as the inner one does. */
status wrap_post(struct comm *c, const struct comm_xfer *xfers, int count);
status wrap_wait(struct comm *c);
status wrap_agree(struct comm *c, status mine, int64_t *words);
status wrap_send_control(struct comm *c, int peer, const struct comm_control *control);
bool wrap_poll_control(struct comm *c, struct comm_control *out, int *from);
void wrap_stop(struct comm *c);
bool wrap_stopped(struct comm *c);
void wrap_abort(struct comm *c);
bool wrap_aborted(struct comm *c);
status wrap_attach(struct comm *c, const struct memory *m);
status wrap_synchronize(struct comm *c);
status wrap_alloc(struct comm *c, size_t bytes, void **at);
void wrap_free(struct comm *c, void *at);
status wrap_gather(struct comm *c, const struct comm_shard *shards, int count);

#endif /* COMM_INTERNAL_H */
