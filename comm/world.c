#include "comm/world.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int world_device(const struct comm *world, int devices)
{
    int place = 0;

    for (int r = 0; r < world->rank; r++) place += world->node[r] == world->node[world->rank];
    return devices ? place % devices : 0;
}

static void say_transport(const struct comm *world, const char *how)
{
    if (world->rank == 0 && world->size > 1)
        log_info("%d ranks, tensors go between cards by %s", world->size, how);
}

/* NCCL over the world, if there are cards for it and this build has it. */
static status over_cards(const struct world_options *o, struct comm **world, bool shared,
                         const char *otherwise)
{
    struct comm *over = NULL;

    if (!o->devices) return ST_OK;
    if (shared || comm_nccl_absent()) {
        say_transport(*world, otherwise);
        return ST_OK;
    }
    TRY(comm_nccl_open(&over, *world));
    *world = over;
    say_transport(over, "NCCL");
    return ST_OK;
}

static status on_threads(const struct world_options *o, comm_main main, void *arg)
{
    struct comm **const group = calloc((size_t)o->ranks, sizeof(struct comm *));
    status st = ST_OK;

    if (!group) return fail(ST_NOMEM, "%d ranks", o->ranks);
    TRY_OUT(comm_thread_open(group, o->ranks, o->deadline_s));
    for (int i = 0; i < o->ranks; i++)
        TRY_OUT(over_cards(o, &group[i], o->ranks == 1 || o->ranks > o->devices, "copies"));
    TRY_OUT(comm_thread_run(group, o->ranks, main, arg));
out:
    for (int i = 0; i < o->ranks; i++)
        if (group[i]) comm_close(&group[i]);
    free(group);
    return st;
}

static status under_launcher(const struct world_options *o, comm_main main, void *arg)
{
    struct comm *world = NULL;

    if (o->ranks != 1)
        return fail(ST_ARG, "--ranks is of a single process; the launcher says how many there are");
    if (comm_mpi_init(&world, o->deadline_s) != ST_OK) {
        status const why = error_last()->st;
        o->report(why);
        _exit(o->exit_code(why)); /* a thread may still be inside MPI */
    }
    log_set_rank(world->rank);
    struct comm *const inner = world;
    status st = over_cards(o, &world, false, "MPI, through host memory: built without NCCL");
    if (st == ST_OK) st = main(world, arg);
    if (st != ST_OK) o->report(st);
    if (st != ST_OK && st != ST_CANCELED) comm_abort(world);
    if (world != inner) comm_nccl_unwrap(&world);
    int const code = comm_mpi_finalize(&world, o->exit_code(st), status_outweighs(st, ST_PEER));
    if (st == ST_OK && code) return fail(ST_PEER, "another rank ended with code %d", code);
    return st;
}

status world_run(const struct world_options *o, comm_main main, void *arg)
{
    return comm_launcher_rank() >= 0 ? under_launcher(o, main, arg) : on_threads(o, main, arg);
}

static struct comm_xfer part_of(void *data, enum dtype dtype, size_t count, int peer, bool send)
{
    return (struct comm_xfer){
        .t = { .data = data, .dtype = dtype, .ndim = 1, .dim = { (int64_t)count } },
        .peer = peer,
        .send = send,
    };
}

/* The same memory from the root to all, or here from the root. */
static status spread(struct comm *world, int root, void *data, enum dtype dtype, size_t count)
{
    bool const mine = world->rank == root;
    int const parts = mine ? world->size - 1 : 1;
    struct comm_xfer *const part = calloc((size_t)parts + 1, sizeof *part);
    status st = ST_OK;

    if (!part) return fail(ST_NOMEM, "%d parts", parts);
    for (int i = 0; i < parts; i++)
        part[i] = part_of(data, dtype, count, mine ? i + (i >= root) : root, mine);
    TRY_OUT(comm_post(world, part, parts));
    TRY_OUT(comm_wait(world));
out:
    free(part);
    return st;
}

status comm_broadcast(struct comm *world, int root, char **bytes, size_t *len)
{
    int64_t n = (int64_t)*len;

    TRY(spread(world, root, &n, DT_I64, 1));
    if (world->rank != root) {
        *len = (size_t)n;
        *bytes = calloc(1, *len + 1);
        if (!*bytes) return fail(ST_NOMEM, "%lld bytes from rank %d", (long long)n, root);
    }
    return spread(world, root, *bytes, DT_U8, *len);
}

static int line_length(const char *at) { return (int)strcspn(at, "\n"); }

static status compare_lines(int rank, const char *a, const char *b)
{
    while (*a && *b) {
        int const n = line_length(a), m = line_length(b);
        if (n != m || strncmp(a, b, (size_t)n) != 0)
            return fail(ST_ARG, "rank %d has `%.*s` and rank 0 `%.*s`: ranks must be alike", rank,
                        n, a, m, b);
        a += n + (a[n] != '\0');
        b += m + (b[m] != '\0');
    }
    return ST_OK;
}

status comm_check_same(struct comm *world, const char *mine)
{
    char *first = (char *)(uintptr_t)mine; /* only read, where it is rank 0's own */
    size_t len = strlen(mine);
    status st = comm_broadcast(world, 0, &first, &len);

    if (st == ST_OK) st = comm_agree(world, compare_lines(world->rank, mine, first));
    if (first != mine) free(first);
    return st;
}

status comm_reduce_sum(struct comm *world, double *number, int count)
{
    bool const mine = world->rank == 0;
    int const parts = mine ? world->size - 1 : 1;
    struct comm_xfer *const part = calloc((size_t)world->size, sizeof *part);
    double *const other = calloc((size_t)(world->size * count), sizeof *other);
    status st = part && other ? ST_OK : fail(ST_NOMEM, "%d numbers", world->size * count);

    TRY_OUT(st);
    for (int i = 0; i < parts; i++)
        part[i] = part_of(mine ? other + (ptrdiff_t)i * count : number, DT_F64, (size_t)count,
                          mine ? i + 1 : 0, !mine);
    TRY_OUT(comm_post(world, part, parts));
    TRY_OUT(comm_wait(world));
    for (int i = 0; mine && i < parts * count; i++) number[i % count] += other[i];
out:
    free(part);
    free(other);
    return st;
}
