/*
 * mpi_harness.h - what every test under mpirun does: open the world, share a seed, run, leave.
 *
 *   PROGRAM [WHAT [SEEDS]] [--seed N]
 */
#ifndef MPI_HARNESS_H
#define MPI_HARNESS_H

#include "comm/comm.h"

/* Exit codes: 0; one of these; HARNESS_CODE + status of the failure that ended the world. */
enum { HARNESS_CODE = 40, HARNESS_SKIP = 77 /* there is no mpirun around it */ };

struct harness {
    const char *what; /* "well" if nothing is given */
    int seeds;
    uint64_t seed; /* rank 0's */
};

typedef status (*harness_main)(struct comm *world, const struct harness *r);

/* Returns what to exit with. A failure of `main` is said, but for ST_PEER. */
int harness_run(int argc, char **argv, harness_main main);

/* [all] Rank 0's seed is everybody's. */
status harness_share_seed(struct comm *world, uint64_t *seed) MUST_USE;

/* The first `size` ranks of the world run `main`; all come here. */
status harness_run_some(struct comm *world, int size, comm_main main, void *arg) MUST_USE;

#endif /* MPI_HARNESS_H */
