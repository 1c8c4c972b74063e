#include "tests/support/mpi_rig.h"

#include "tests/support/rng.h"

#include <stdio.h>

enum { RANKS = 16, DEADLINE_S = 60 };

status rig_share_seed(struct comm *world, uint64_t *seed)
{
    struct comm_xfer parts[RANKS];
    struct tensor const t = { seed, DT_I64, 1, { 1 } };
    bool const gives = world->rank == 0;
    int count = 0;

    if (world->size > RANKS)
        return fail(ST_ARG, "%d ranks; up to %d are tried", world->size, RANKS);
    for (int r = 1; r < world->size; r++)
        if (gives || world->rank == r)
            parts[count++] = (struct comm_xfer){ .t = t, .peer = gives ? r : 0, .send = gives };
    TRY(comm_post(world, parts, count));
    return comm_wait(world);
}

status rig_some(struct comm *world, int size, comm_main main, void *arg)
{
    struct comm *some = NULL;

    TRY(comm_split(world, world->rank < size ? 0 : -1, &some));
    status const st = some ? main(some, arg) : ST_OK;
    if (some) comm_close(&some);
    return st;
}

static struct rig parse(int argc, char **argv)
{
    struct rig r = { .what = "well", .seed = rng_seed(argc, argv) };
    bool const named = argc > 1 && strncmp(argv[1], "--", 2) != 0;

    if (named) r.what = argv[1];
    if (named && argc > 2) r.seeds = atoi(argv[2]);
    return r;
}

int rig_run(int argc, char **argv, rig_main main)
{
    struct rig r = parse(argc, argv);
    struct comm *world = NULL;

    if (comm_launcher_rank() < 0) {
        printf("not started by mpirun\n");
        return RIG_SKIP;
    }
    status st = comm_mpi_init(&world, DEADLINE_S);
    if (st == ST_OK) st = rig_share_seed(world, &r.seed);
    if (st == ST_OK && world->rank == 0)
        printf("%s %s %d --seed %llu\n", argv[0], r.what, r.seeds, (unsigned long long)r.seed);
    if (st == ST_OK) st = main(world, &r);
    if (st != ST_OK && st != ST_PEER)
        fprintf(stderr, "rank %d: %s: %s\n", comm_launcher_rank(), status_name(st),
                error_last()->msg);
    if (!world) return RIG_CODE + (int)st;
    if (st != ST_OK) comm_abort(world);
    return comm_mpi_finalize(&world, st == ST_OK ? 0 : RIG_CODE + (int)st, st != ST_PEER);
}
