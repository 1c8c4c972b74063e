/* comm_mpi_stub.c - in place of comm_mpi where there is no MPI. */
#include "comm/comm.h"

status comm_mpi_init(struct comm **out, double deadline_s)
{
    (void)deadline_s;
    *out = NULL;
    return fail(ST_ARG,
                "a launcher has started this process as rank %d, and it is built without "
                "MPI: start it without the launcher, or build it with MPI=1",
                comm_launcher_rank());
}

int comm_mpi_finalize(struct comm **world, int code, bool own_failure)
{
    (void)own_failure;
    *world = NULL;
    return code;
}
