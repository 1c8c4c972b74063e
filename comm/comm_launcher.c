/* comm_launcher.c - what the processes that a launcher started read from their environment. */
#include "comm/comm.h"

#include <stdlib.h>

/* rank: believed only where `sign` is there too, which a script's own shell has not got. */
static const struct launcher {
    const char *rank, *sign, *size;
} launchers[] = {
    { "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_RANK",
      "OMPI_COMM_WORLD_SIZE" },                           /* Open MPI's mpirun */
    { "PMIX_RANK", "PMIX_RANK", "SLURM_STEP_NUM_TASKS" }, /* srun --mpi=pmix, prte */
    { "PMI_RANK", "PMI_RANK", "PMI_SIZE" },               /* srun --mpi=pmi2, hydra */
    { "SLURM_PROCID", "PMI_FD", "SLURM_STEP_NUM_TASKS" },
};

static const struct launcher *find_launcher(void)
{
    for (int i = 0; i < COUNT_OF(launchers); i++)
        if (getenv(launchers[i].rank) && getenv(launchers[i].sign)) return &launchers[i];
    return NULL;
}

static int read_number(const char *name)
{
    const char *const text = name ? getenv(name) : NULL;
    return text ? (int)strtol(text, NULL, 10) : -1;
}

int comm_launcher_rank(void)
{
    const struct launcher *const l = find_launcher();
    return l ? read_number(l->rank) : -1;
}

int comm_launcher_size(void)
{
    const struct launcher *const l = find_launcher();
    return l ? read_number(l->size) : -1;
}

int comm_launcher_unconnected(void)
{
    bool const task = getenv("SLURM_STEP_ID") && getenv("SLURM_PROCID");
    return !find_launcher() && task ? read_number("SLURM_STEP_NUM_TASKS") : -1;
}
