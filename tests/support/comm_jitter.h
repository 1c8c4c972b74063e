/* comm_jitter.h - a comm that pauses: calls sleep before and after, at random. */
#ifndef COMM_JITTER_H
#define COMM_JITTER_H

#include "comm/comm.h"

/* Takes `inner` over: closing *out closes it. What is split off pauses too. Sleeps of
 * 0..max_us, drawn from the seed. ST_NOMEM. */
status comm_jitter_open(struct comm **out, struct comm *inner, uint64_t seed, int max_us) MUST_USE;

/* The inner one again, in place of the one that pauses, which is freed. */
void comm_jitter_end(struct comm **c);

#endif /* COMM_JITTER_H */
