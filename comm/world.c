/*
 * world.c - how the ranks of a command come to be, and how tensors go between them.
 *
 * A command is one function that runs on every rank. Here is decided, once and before it runs,
 * whether ranks are threads or processes and whether NCCL lies over that; nothing above asks.
 * Under a launcher the world's end is part of this: each rank reports its own failure, so that it
 * is said once, and all processes leave with one exit code.
 */
#include "comm/world.h"
#include "base/log.h"

#include <stdlib.h>
#include <unistd.h>

int world_device(const struct comm *world, int devices)
{
    int index = 0; /* among the ranks of its machine */

    for (int r = 0; r < world->rank; r++) index += world->node[r] == world->node[world->rank];
    return devices ? index % devices : 0;
}

static void log_transport(const struct comm *world, const char *how)
{
    if (world->rank == 0 && world->size > 1)
        log_info("%d ranks, tensors go between cards by %s", world->size, how);
}

/* NCCL over the world, if there are cards for it and this build has it. */
static status wrap_in_nccl(const struct world_options *o, struct comm **world, bool shared,
                           const char *otherwise)
{
    struct comm *over = NULL;

    if (!o->devices) return ST_OK;
    if (shared || comm_nccl_absent()) {
        log_transport(*world, otherwise);
        return ST_OK;
    }
    TRY(comm_nccl_open(&over, *world));
    *world = over;
    log_transport(over, "NCCL");
    return ST_OK;
}

static status run_thread_ranks(const struct world_options *o, comm_main main, void *arg)
{
    struct comm **const group = calloc((size_t)o->ranks, sizeof(struct comm *));
    status st = ST_OK;

    if (!group) return fail(ST_NOMEM, "%d ranks", o->ranks);
    TRY_OUT(comm_thread_open(group, o->ranks, o->deadline_s));
    for (int i = 0; i < o->ranks; i++)
        TRY_OUT(wrap_in_nccl(o, &group[i], o->ranks == 1 || o->ranks > o->devices, "copies"));
    TRY_OUT(comm_thread_run(group, o->ranks, main, arg));
out:
    for (int i = 0; i < o->ranks; i++) comm_close(&group[i]);
    free(group);
    return st;
}

static status run_launched_rank(const struct world_options *o, comm_main main, void *arg)
{
    struct comm *world = NULL;

    if (o->ranks != 1)
        return fail(ST_ARG,
                    "--ranks is for a single process; here the launcher sets the number of ranks");
    if (comm_mpi_init(&world, o->deadline_s) != ST_OK) {
        status const why = error_last()->st;
        o->report(why);
        _exit(o->exit_code(why)); /* a thread may still be inside MPI */
    }
    log_set_rank(world->rank);
    struct comm *const inner = world;
    status st = wrap_in_nccl(o, &world, false, "MPI, through host memory: built without NCCL");
    if (st == ST_OK) st = main(world, arg);
    if (st != ST_OK) o->report(st);
    if (st != ST_OK && st != ST_CANCELED) comm_abort(world);
    if (world != inner) comm_nccl_unwrap(&world);
    int const code = comm_mpi_finalize(&world, o->exit_code(st), status_outweighs(st, ST_PEER));
    if (st == ST_OK && code) return fail(ST_PEER, "another rank ended with code %d", code);
    return st;
}

/* Else every task would take itself for the whole world, and all would do the same work. */
static status check_connected(void)
{
    int const tasks = comm_launcher_unconnected();

    if (tasks <= 1) return ST_OK;
    return fail(ST_ARG,
                "srun has started %d tasks and MPI connects none of them: use srun --mpi=pmix; "
                "where each task has work of its own, unset SLURM_STEP_NUM_TASKS",
                tasks);
}

status world_run(const struct world_options *o, comm_main main, void *arg)
{
    TRY(check_connected());
    return comm_launcher_rank() >= 0 ? run_launched_rank(o, main, arg)
                                     : run_thread_ranks(o, main, arg);
}
