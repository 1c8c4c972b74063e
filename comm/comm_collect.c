/*
 * comm_collect.c - collectives made of post, wait and agree, the same over every transport.
 *
 * They are for what is small and rare: job texts, settings that must be equal, sums of a run.
 * All go straight from or to one rank; there is no tree.
 */
#include "comm/comm.h"

#include <stdlib.h>
#include <string.h>

static struct comm_xfer transfer_of(void *data, enum dtype dtype, size_t count, int peer, bool send)
{
    return (struct comm_xfer){
        .t = { .data = data, .dtype = dtype, .ndim = 1, .dim = { (int64_t)count } },
        .peer = peer,
        .send = send,
    };
}

/* The same memory from the root to all, or here from the root. */
static status send_from_root(struct comm *c, int root, void *data, enum dtype dtype, size_t count)
{
    bool const mine = c->rank == root;
    int const n = mine ? c->size - 1 : 1;
    struct comm_xfer *const xfers = calloc((size_t)n + 1, sizeof *xfers);
    status st = ST_OK;

    if (!xfers) return fail(ST_NOMEM, "%d transfers", n);
    for (int i = 0; i < n; i++)
        xfers[i] = transfer_of(data, dtype, count, mine ? i + (i >= root) : root, mine);
    TRY_OUT(comm_post(c, xfers, n));
    TRY_OUT(comm_wait(c));
out:
    free(xfers);
    return st;
}

status comm_broadcast(struct comm *c, int root, char **bytes, size_t *len)
{
    int64_t n = (int64_t)*len;

    TRY(send_from_root(c, root, &n, DT_I64, 1));
    if (c->rank != root) {
        *len = (size_t)n;
        *bytes = calloc(1, *len + 1);
        if (!*bytes) return fail(ST_NOMEM, "%lld bytes from rank %d", (long long)n, root);
    }
    return send_from_root(c, root, *bytes, DT_U8, *len);
}

static int line_bytes(const char *at) { return (int)strcspn(at, "\n"); }

static status compare_lines(int rank, const char *a, const char *b)
{
    while (*a && *b) {
        int const n = line_bytes(a), m = line_bytes(b);
        if (n != m || strncmp(a, b, (size_t)n) != 0)
            return fail(ST_ARG,
                        "rank %d has `%.*s` and rank 0 `%.*s`: all ranks must have the same", rank,
                        n, a, m, b);
        a += n + (a[n] != '\0');
        b += m + (b[m] != '\0');
    }
    return ST_OK;
}

status comm_check_same(struct comm *c, const char *mine)
{
    char *first = (char *)(uintptr_t)mine; /* only read, where it is rank 0's own */
    size_t len = strlen(mine);
    status st = comm_broadcast(c, 0, &first, &len);

    if (st == ST_OK) st = comm_agree(c, compare_lines(c->rank, mine, first));
    if (first != mine) free(first);
    return st;
}

status comm_reduce_sum(struct comm *c, double *number, int count)
{
    bool const mine = c->rank == 0;
    int const n = mine ? c->size - 1 : 1;
    struct comm_xfer *const xfers = calloc((size_t)c->size, sizeof *xfers);
    double *const other = calloc((size_t)(c->size * count), sizeof *other);
    status st = xfers && other ? ST_OK : fail(ST_NOMEM, "%d numbers", c->size * count);

    TRY_OUT(st);
    for (int i = 0; i < n; i++)
        xfers[i] = transfer_of(mine ? other + (ptrdiff_t)i * count : number, DT_F64, (size_t)count,
                               mine ? i + 1 : 0, !mine);
    TRY_OUT(comm_post(c, xfers, n));
    TRY_OUT(comm_wait(c));
    for (int i = 0; mine && i < n * count; i++) number[i % count] += other[i];
out:
    free(xfers);
    free(other);
    return st;
}
