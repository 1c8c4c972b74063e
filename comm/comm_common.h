/* comm_common.h - what every transport checks, decides and says alike. */
#ifndef COMM_COMMON_H
#define COMM_COMMON_H

#include "base/strbuf.h"
#include "comm/comm.h"

#include <time.h>

enum { COMM_RANKS_MAX = 1024 };

/* ST_ARG with the values if the deadline of a new world is no useful time. */
status rules_deadline(double deadline_s) MUST_USE;

/* CLOCK_MONOTONIC, deadline_s from now; times that are no useful ones are cut to those. */
struct timespec rules_until(double deadline_s);

/* ST_ARG if a start is open already, or a part names no other rank of the group. */
status rules_parts(const struct comm *c, const struct comm_xfer *parts, int count,
                   bool open) MUST_USE;

/* ST_ARG if notes are not for this group, or there is no such peer. */
status rules_note(const struct comm *c, int peer, bool is_world) MUST_USE;

/* Do all ranks of the group run on one machine? */
bool rules_one_machine(const struct comm *c);

/* Does a part lie on a card? */
static inline bool rules_on_card(const struct comm_xfer *p, bool attached)
{
    return p->device && attached;
}

/* ST_OK if what `from` sends fits what c receives; ST_ARG with both. `from` is a
 * rank of the world. */
status rules_fit(const struct comm *c, const struct tensor *to, int from,
                 const struct tensor *sent) MUST_USE;

/* A rank's slice of a share. */
static inline struct tensor rules_slice(const struct comm *c, const struct tensor *t, int rank)
{
    int64_t const n = t->dim[0] / c->size;
    return tensor_slice(t, rank * n, n);
}

/* What a rank waits for: "rank 2 waited 5 s for rank 0 to send 3 parts, rank 4 to
 * receive 1 part", "agree: rank 2 waited 5 s for rank 0, rank 4". Frees `who`. */
void rules_add_parts(struct strbuf *who, int world_rank, bool send, int parts);
void rules_add_rank(struct strbuf *who, int world_rank);
status rules_waited(const struct comm *c, const char *call, struct strbuf *who);

/* ST_PEER: `by` aborted the world. */
status rules_aborted(const struct comm *c, int by);

/* The verdict of a meeting, made by adding every rank's status in order of rank. */
struct verdict {
    status st;   /* of the culprit */
    int culprit; /* rank of the group, -1: all are well */
};
void rules_judge(struct verdict *v, int rank, status st); /* begin with { ST_OK, -1 } */

/* What agree returns to a rank that brought `mine`: its own, but a stop gives way to what
 * went wrong, there or in the meeting itself. */
status rules_agreed(status mine, const struct error *own, status met);

/* What a sound rank is told; the culprit is a rank of the world. */
status rules_tell(status verdict, int culprit, const char *reason);

#endif /* COMM_COMMON_H */
