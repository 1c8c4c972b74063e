#include "tests/support/mpi_harness.h"

#include "tests/support/rng.h"

#include <stdio.h>

enum { RANKS = 16, DEADLINE_S = 60 };

status harness_share_seed(struct comm *world, uint64_t *seed)
{
    struct comm_xfer xfers[RANKS];
    struct tensor const t = { seed, DT_I64, 1, { 1 } };
    bool const gives = world->rank == 0;
    int count = 0;

    if (world->size > RANKS)
        return fail(ST_ARG, "%d ranks; up to %d are tried", world->size, RANKS);
    for (int r = 1; r < world->size; r++)
        if (gives || world->rank == r)
            xfers[count++] = (struct comm_xfer){ .t = t, .peer = gives ? r : 0, .send = gives };
    TRY(comm_post(world, xfers, count));
    return comm_wait(world);
}

status harness_run_some(struct comm *world, int size, comm_main main, void *arg)
{
    struct comm *some = NULL;

    TRY(comm_split(world, world->rank < size ? 0 : -1, &some));
    status const st = some ? main(some, arg) : ST_OK;
    comm_close(&some);
    return st;
}

static struct harness parse(int argc, char **argv)
{
    struct harness r = { .what = "well", .seed = rng_seed(argc, argv) };
    bool const named = argc > 1 && strncmp(argv[1], "--", 2) != 0;

    if (named) r.what = argv[1];
    if (named && argc > 2) r.seeds = atoi(argv[2]);
    return r;
}

int harness_run(int argc, char **argv, harness_main main)
{
    struct harness r = parse(argc, argv);
    struct comm *world = NULL;

    if (comm_launcher_rank() < 0) {
        printf("not started by mpirun\n");
        return HARNESS_SKIP;
    }
    status st = comm_mpi_init(&world, DEADLINE_S);
    if (st == ST_OK) st = harness_share_seed(world, &r.seed);
    if (st == ST_OK && world->rank == 0)
        printf("%s %s %d --seed %llu\n", argv[0], r.what, r.seeds, (unsigned long long)r.seed);
    if (st == ST_OK) st = main(world, &r);
    if (st != ST_OK && st != ST_PEER)
        fprintf(stderr, "rank %d: %s: %s\n", comm_launcher_rank(), status_name(st),
                error_last()->msg);
    if (!world) return HARNESS_CODE + (int)st;
    if (st != ST_OK) comm_abort(world);
    return comm_mpi_finalize(&world, st == ST_OK ? 0 : HARNESS_CODE + (int)st, st != ST_PEER);
}
