/*
 * watched.h - a comm over another one, for one rank: between start and finish what is
 * to be received is poisoned, so that reading it shows in the clip; what was sent must
 * be the same at finish, or that fails with ST_MISMATCH. Of the other calls it has agree,
 * abort, those of attached memory, and gather, which is watched where it goes by parts.
 */
#ifndef WATCHED_H
#define WATCHED_H

#include "comm/comm.h"

enum { WATCHED_PARTS = 256 };

struct watched {
    struct comm base; /* first member: a comm * is a watched * here */
    struct comm_xfer part[WATCHED_PARTS];
    void *sent[WATCHED_PARTS]; /* copies, of the open start */
    int count;
    bool attached;          /* what lies on a card is not watched */
    long parts;             /* of all starts */
    long finishes, fail_at; /* that finish fails with ST_COMM; 0: none does */
};

/* inner: borrowed. */
void watched_init(struct watched *w, struct comm *inner);
void watched_end(struct watched *w); /* safe on a zeroed one */

#endif /* WATCHED_H */
