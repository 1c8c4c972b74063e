/* comm_launched.c - what a launcher tells the processes it starts. */
#include "comm/comm.h"

#include <stdlib.h>

int comm_launched_rank(void)
{
    static const char *const names[][2] = {
        { "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_RANK" }, /* Open MPI's mpirun */
        { "PMIX_RANK", "PMIX_RANK" },                       /* srun --mpi=pmix, prte */
        { "PMI_RANK", "PMI_RANK" },                         /* srun --mpi=pmi2, hydra */
        { "SLURM_PROCID", "PMI_FD" },
    };

    for (int i = 0; i < COUNT_OF(names); i++) {
        const char *const rank = getenv(names[i][0]);
        if (rank && getenv(names[i][1])) return (int)strtol(rank, NULL, 10);
    }
    return -1;
}
