/*
 * world.h - the ranks a command runs on: threads of this process, or the processes
 * that mpirun or srun has started. The command is the same code for both.
 */
#ifndef WORLD_H
#define WORLD_H

#include "comm/comm.h"

struct world_options {
    int ranks;   /* threads; under a launcher it must be 1: the launcher says how many */
    int devices; /* cards of this machine that ranks compute on; 0: on the processor */
    double deadline_s;
    void (*report)(status st);   /* under a launcher: says a rank's failure, and clears it */
    int (*exit_code)(status st); /* under a launcher: what this process ends with */
};

/* The card of this rank: ranks of a machine take turns. 0 where there are none. */
int world_device(const struct comm *world, int devices);

/* Run `main` on every rank. How tensors go between ranks is decided here, and logged where
 * there are cards: by NCCL between processes and between threads that each have a card, by
 * copies between threads that share cards, through host memory where a build has no NCCL.
 * The first failure comes back; under a launcher it has been said already by the rank it is
 * of and the record is clear, and a failure of any rank has ended them all. */
status world_run(const struct world_options *o, comm_main main, void *arg) MUST_USE;

#endif /* WORLD_H */
