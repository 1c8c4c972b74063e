/*
 * nccl_harness.h - comm_nccl on stand-ins of CUDA and NCCL: which checks of the contract it passes,
 * and exchanges in which something goes wrong.
 */
#ifndef NCCL_HARNESS_H
#define NCCL_HARNESS_H

#include "tests/comm/comm_checks.h"
#include "tests/standin/standin_nccl.h"

enum { HARNESS_CARDS = 8 };

/* comm_checks and comm_endings hold over comm_card over comm_nccl, but for those of transfers that
 * do not fit, which NCCL does not see, and of a small one that nobody takes: it is gone at once. */
bool nccl_harness_holds(const struct comm_check *check);

/* Rank r over comm_nccl with card r attached, by comm_card. Takes c over, closed by closing
 * *out; on failure c is as it was. */
status nccl_harness_open(struct comm **out, struct comm *c) MUST_USE;
/* The inner one again. */
void nccl_harness_end(struct comm **c);

/*
 * A life: memory attached, some of NCCL's own, in it ROUNDS exchanges and gatherings that nobody
 * waits for, a synchronize, an agreement; then with other memory a group of some, one of all, the
 * end. What came is right if it ends well. ST_MISMATCH if it is not, or if it took longer than
 * it may, or if a piece of NCCL's memory is left.
 */
struct nccl_life {
    double deadline_s;
    int rounds;
    int passes; /* of what comes from comm to comm, unseen; 0: a brief life, without groups */
};
status nccl_live(struct comm *c, void *life);

/* Calls of NCCL that a rank makes in a life that goes well, at most. */
enum { NCCL_LIFE_CALLS = 96 };

#endif /* NCCL_HARNESS_H */
