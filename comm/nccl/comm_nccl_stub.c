/* comm_nccl_stub.c - in place of comm_nccl where there is no NCCL. */
#include "comm/comm.h"

const char *comm_nccl_absent(void) { return "built without NCCL"; }

status comm_nccl_open(struct comm **out, struct comm *world)
{
    (void)world;
    *out = NULL;
    return fail(ST_ARG, "%s", comm_nccl_absent());
}

void comm_nccl_unwrap(struct comm **c) { (void)c; }
