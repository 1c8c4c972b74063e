/*
 * comm_checks.h - the contract of comm.h as work for ranks, over any transport.
 *
 * Every rank runs `main` of a check with the same random case. It returns ST_OK if all it
 * saw was right; ST_MISMATCH says what was not.
 */
#ifndef COMM_CHECKS_H
#define COMM_CHECKS_H

#include "comm/comm.h"

enum { CHECK_RANKS = 8 }; /* at most */

struct comm_random_case {
    uint64_t seed;
    int odd;   /* the rank that does what the others do not */
    int haste; /* do this many times less of it */
};

struct comm_check {
    const char *name;
    comm_main main;
    int ranks_min;
    status ends;            /* what the run comes to */
    const char *why, *then; /* its message has why, the odd rank and then; or just why */
};

/* Does the last failure say why? `want` gets what it should have. */
enum { CHECK_TEXT = 128 };
bool check_says_why(const struct comm_check *check, int odd, char want[CHECK_TEXT]);

/* Those that leave the world as it was, but for stop, the last. A NULL name ends. */
extern const struct comm_check comm_checks[];
/* Those after which it is broken. */
extern const struct comm_check comm_endings[];

status check_exchange(struct comm *c, void *drawn);
status check_large(struct comm *c, void *drawn);
status check_gather(struct comm *c, void *drawn);
status check_votes(struct comm *c, void *drawn);
status check_many_votes(struct comm *c, void *drawn);
status check_agreed_words(struct comm *c, void *drawn);
status check_groups(struct comm *c, void *drawn);
status check_two_threads(struct comm *c, void *drawn);
status check_controls(struct comm *c, void *drawn);
status check_controls_overflow(struct comm *c, void *drawn);
status check_refusals(struct comm *c, void *drawn);
status check_closed_early(struct comm *c, void *drawn);
status check_late(struct comm *c, void *drawn);
status check_stop(struct comm *c, void *drawn);

/* Hand one number to the next rank and take one from the one before. */
status check_ring(struct comm *c);
void check_pause_ms(double ms);

#endif /* COMM_CHECKS_H */
