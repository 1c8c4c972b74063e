/*
 * comm_card.h - a comm whose transfers lie on a card: what callers have in memory of the host goes
 * through memory of the device, over an inner comm that has it attached. Parts whose bytes
 * divide by three stay with the host.
 */
#ifndef COMM_CARD_H
#define COMM_CARD_H

#include "comm/comm.h"

/* [all] Takes `inner` over: closing *out closes it. What is split off has its transfers there too.
 * On failure inner is as it was, but for what is attached. */
status comm_card_open(struct comm **out, struct comm *inner, int device) MUST_USE;

/* The inner one again, in place of the one over it. */
void comm_card_end(struct comm **c);

#endif /* COMM_CARD_H */
