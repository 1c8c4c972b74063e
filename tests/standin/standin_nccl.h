/*
 * standin_nccl.h - the stand-in for NCCL: the calls comm_nccl makes, over sockets of this
 * machine, between processes and threads. For tests alone.
 *
 * A communicator is non-blocking: a thread of its own finds the peers and moves the bytes, a
 * group at a time, in random steps with random pauses. What is sent lies on a stand-in card.
 * What NCCL leaves undefined ends the process: two sides of different size, what all ranks call
 * in another order, windows of other sizes, gatherings at other places of them.
 */
#ifndef STANDIN_NCCL_H
#define STANDIN_NCCL_H

#include <stdbool.h>
#include <stdint.h>

enum standin_fault {
    STANDIN_NONE,
    STANDIN_REFUSE, /* the call fails */
    STANDIN_DIE,    /* the process is killed in the call */
    STANDIN_LOSE,   /* from the call on the rank neither sends nor takes */
    STANDIN_BLOCK,  /* the call returns after block_ms only */
    STANDIN_LATER,  /* an asynchronous error is told, at the at'th poll */
};

/* For all communicators of the process that begin from now on. */
struct standin_plan {
    uint64_t seed;
    int delay_us; /* pauses up to this */
    bool silent;  /* that a peer is gone is never told, as over shared memory */
    enum standin_fault fault;
    int rank; /* whose fault it is */
    long at;  /* which of its calls, from 1; polls are not counted */
    int block_ms;
};
void standin_nccl_plan(const struct standin_plan *plan);

/* Calls of that rank so far; the call in which its fault happened, or NULL. What is told at a
 * poll happens in ncclCommGetAsyncError, or in ncclCommFinalize, once that was called. */
long standin_nccl_calls(void);
const char *standin_nccl_faulted(void);

/* Tensors gathered by this process since the plan. */
long standin_nccl_gatherings(void);

/* Pieces of memory of ncclMemAlloc that were not given back. */
int standin_nccl_memory(void);

#endif /* STANDIN_NCCL_H */
