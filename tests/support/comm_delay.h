/* comm_delay.h - a comm that dawdles: calls sleep before and after, at random. */
#ifndef COMM_DELAY_H
#define COMM_DELAY_H

#include "comm/comm.h"

/* Takes `inner` over: closing *out closes it. What is split off dawdles too. Sleeps of
 * 0..max_us, drawn from the seed. ST_NOMEM. */
status comm_delay_open(struct comm **out, struct comm *inner, uint64_t seed, int max_us) MUST_USE;

/* The inner one again, in place of the dawdler, which is freed. */
void comm_delay_end(struct comm **c);

#endif /* COMM_DELAY_H */
