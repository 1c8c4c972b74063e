/*
 * comm_poison.h - a comm over another one, for one rank: between post and wait what is
 * to be received is poisoned, so that reading it shows in the clip; what was sent must
 * be the same at wait, or that fails with ST_MISMATCH. Of the other calls it has agree,
 * abort, those of attached memory, and gather, which is poisoned where it goes by transfers.
 */
#ifndef COMM_POISON_H
#define COMM_POISON_H

#include "comm/comm.h"

enum { COMM_POISON_XFERS = 256 };

struct comm_poison {
    struct comm base; /* first member: a comm * is a comm_poison * here */
    struct comm_xfer xfer[COMM_POISON_XFERS];
    void *sent[COMM_POISON_XFERS]; /* copies, of the open post */
    int count;
    bool attached;       /* what lies on a card is not poisoned */
    long xfers;          /* of all posts */
    long waits, fail_at; /* that wait fails with ST_COMM; 0: none does */
};

/* inner: borrowed. */
void comm_poison_init(struct comm_poison *w, struct comm *inner);
void comm_poison_end(struct comm_poison *w); /* safe on a zeroed one */

#endif /* COMM_POISON_H */
