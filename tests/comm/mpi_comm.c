/*
 * mpi_comm.c - the contract of comm.h, over MPI.
 *
 * RANKS 1 2 3 5 8
 *
 *   mpi_comm                        all checks that end well
 *   mpi_comm hunt SEEDS             the same with many seeds, over comms that pause
 *   mpi_comm end NAME ODD           a check that breaks the world
 *   mpi_comm die ODD                a process goes
 *   mpi_comm freeze ODD             a process stands still
 *   mpi_comm tardy ODD              a process comes too late to open the world
 *   mpi_comm leave CODE ODD         one leaves with 9 and has failed, the others with CODE
 *   ... [--seed N] [--delay US]     comms pause so long at most
 *
 * Exit code: 0; 77 where there is no MPI; CODE + status of the failure if it is the
 * one to expect; 1 if anything is wrong.
 */
#include "tests/comm/comm_checks.h"
#include "tests/support/comm_jitter.h"
#include "tests/support/mpi_harness.h"
#include "tests/support/rng.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { CODE = 40, CODE_DEAD = 33, CODE_LEFT = 9, CODE_SKIP = 77 };

struct args {
    const char *what, *name;
    struct comm_random_case drawn;
    int delay_us;
};

static void parse(struct args *a, int argc, char **argv)
{
    const char *word[3] = { "well", NULL, NULL };
    int words = 0;

    *a = (struct args){ .drawn = { .seed = rng_seed(argc, argv), .haste = 1 } };
    for (int i = 1; i < argc; i++) {
        bool const value = i + 1 < argc && !strncmp(argv[i], "--", 2);
        if (!value && words < 3) word[words++] = argv[i];
        if (value && !strcmp(argv[i], "--delay")) a->delay_us = atoi(argv[i + 1]);
        i += value;
    }
    a->what = word[0];
    a->name = words == 3 ? word[1] : word[0];
    if (words > 1) a->drawn.odd = atoi(word[words - 1]);
}

/* All checks, but for stop, which is for good, if there is more to come. */
static status all_well(struct comm *c, struct comm_random_case *drawn, bool more)
{
    for (const struct comm_check *check = comm_checks; check->name; check++) {
        if (c->size < check->ranks_min || (more && check->main == check_stop)) continue;
        status const st = check->main(c, drawn);
        if (st != ST_OK) {
            fprintf(stderr, "rank %d: %s, seed %llu: %s\n", c->rank, check->name,
                    (unsigned long long)drawn->seed, error_last()->msg);
            return st;
        }
    }
    return ST_OK;
}

static status stress(struct comm *world, const struct args *a)
{
    status st = ST_OK;

    for (int i = 0; i < a->drawn.odd && st == ST_OK; i++) {
        uint64_t rng = a->drawn.seed + (uint64_t)i;
        struct comm_random_case drawn = { .seed = rng_next(&rng), .haste = 4 };
        struct comm *c = NULL;
        TRY(comm_jitter_open(&c, world, drawn.seed, 1 + rng_below(&rng, 400)));
        st = all_well(c, &drawn, i + 1 < a->drawn.odd);
        comm_jitter_end(&c);
    }
    return st;
}

static status die(struct comm *c, void *drawn)
{
    const struct comm_random_case *const t = drawn;

    if (c->rank == t->odd) _exit(CODE_DEAD);
    return comm_agree(c, ST_OK);
}

static status freeze(struct comm *c, void *drawn)
{
    const struct comm_random_case *const t = drawn;

    c->deadline_s = 1;
    if (c->rank == t->odd) (void)raise(SIGSTOP);
    return comm_agree(c, ST_OK);
}

static const struct comm_check others[] = {
    { "die", die, 2, ST_COMM, "waited 30 s for rank ", "" },
    { "freeze", freeze, 2, ST_COMM, "waited 1 s for rank ", "" },
    { .name = NULL },
};

static int leave_with(const struct comm *c, const struct args *a, bool *own)
{
    *own = c->rank == a->drawn.odd;
    return *own ? CODE_LEFT : atoi(a->name);
}

static const struct comm_check *find(const struct comm_check *list, const char *name)
{
    while (list->name && strcmp(list->name, name)) list++;
    return list->name ? list : NULL;
}

/* The exit code, and whether this rank failed by itself. */
static int broken(struct comm *c, struct args *a, bool *own)
{
    const struct comm_check *check = find(comm_endings, a->name);
    char want[CHECK_TEXT];

    if (!check) check = find(others, a->name);
    if (!check) {
        fprintf(stderr, "there is no check %s\n", a->name);
        return 2;
    }
    status const st = check->main(c, &a->drawn);
    *own = st != ST_PEER && st != ST_OK;
    if (*own) comm_abort(c);
    if (!*own || (st == check->ends && check_says_why(check, a->drawn.odd, want)))
        return st ? CODE + (int)st : 0;
    fprintf(stderr, "WRONG, rank %d: %s, odd %d: %s: %s\n", c->rank, check->name, a->drawn.odd,
            status_name(st), error_last()->msg);
    return 1;
}

static int run(struct comm *world, struct args *a, bool *own)
{
    struct comm *c = world;
    status const st = harness_share_seed(world, &a->drawn.seed);
    int code = 1;

    *own = st != ST_PEER;
    if (st != ST_OK) return CODE + (int)st; /* another may be ahead and have failed as it should */
    if (world->rank == 0)
        printf("mpi_comm %s --seed %llu\n", a->name, (unsigned long long)a->drawn.seed);
    if (a->delay_us && comm_jitter_open(&c, world, a->drawn.seed, a->delay_us) != ST_OK) return 1;
    if (!strcmp(a->what, "well")) code = all_well(c, &a->drawn, false) != ST_OK;
    else if (!strcmp(a->what, "hunt")) code = stress(c, a) != ST_OK;
    else if (!strcmp(a->what, "leave")) code = leave_with(c, a, own);
    else code = broken(c, a, own);
    if (code == 1) comm_abort(c);
    if (c != world) comm_jitter_end(&c);
    return code;
}

/* Before the world there are no ranks but those the launcher counts. */
static status open_world(struct comm **world, const struct args *a)
{
    const char *const rank = getenv("OMPI_COMM_WORLD_RANK");

    if (strcmp(a->what, "tardy")) return comm_mpi_init(world, 30);
    if (rank && atoi(rank) == a->drawn.odd) check_pause_ms(5000);
    return comm_mpi_init(world, 1);
}

int main(int argc, char **argv)
{
    struct comm *world = NULL;
    struct args a;
    bool own = false;

    parse(&a, argc, argv);
    if (comm_launcher_rank() < 0) {
        printf("not started by mpirun\n");
        return CODE_SKIP;
    }
    status const st = open_world(&world, &a);
    if (st != ST_OK) {
        fprintf(stderr, "%s\n", error_last()->msg);
        return CODE + (int)st;
    }
    if (world->size > CHECK_RANKS) return comm_mpi_finalize(&world, 2, true);
    int const code = run(world, &a, &own);
    return comm_mpi_finalize(&world, code, own);
}
