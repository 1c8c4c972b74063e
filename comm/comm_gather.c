/*
 * comm_gather.c - the slices of all ranks to all ranks.
 *
 * A transport that gathers by itself (NCCL, on the card) is handed the shards; over any other
 * they travel as sends and receives of slices. The bytes are the same: nothing is added up.
 */
#include "comm/comm_internal.h"

#include <stdlib.h>

static status check_shards(const struct comm *c, const struct comm_shard *shards, int count)
{
    char shape[SHAPE_TEXT];

    if (count < 0) return fail(ST_ARG, "gather: %d tensors", count);
    for (int i = 0; i < count; i++) {
        const struct tensor *const t = &shards[i].t;
        if (t->ndim < 1 || t->dim[0] % c->size)
            return fail(ST_ARG, "gather: %s does not divide by %d ranks", tensor_shape(t, shape),
                        c->size);
    }
    return ST_OK;
}

static bool all_on_card(const struct comm *c, const struct comm_shard *shards, int count)
{
    for (int i = 0; i < count; i++)
        if (!shards[i].device) return false;
    return c->streamed;
}

/* All to all: a tensor's slices keep their order between two ranks. */
static status gather_by_xfers(struct comm *c, const struct comm_shard *shards, int count)
{
    size_t const most = 2 * (size_t)count * (size_t)c->size;
    struct comm_xfer *const xfers = calloc(most + 1, sizeof *xfers);
    int n = 0;

    if (!xfers) return fail(ST_NOMEM, "gather: %zu transfers", most);
    for (int i = 0; i < count; i++) {
        struct tensor const own = comm_shard_slice(c, &shards[i].t, c->rank);
        for (int r = 0; r < c->size; r++) {
            struct comm_xfer const x = { .peer = r, .device = shards[i].device };
            if (r == c->rank) continue;
            xfers[n] = xfers[n + 1] = x;
            xfers[n].t = own;
            xfers[n++].send = true;
            xfers[n++].t = comm_shard_slice(c, &shards[i].t, r);
        }
    }
    status const st = comm_post(c, xfers, n);
    free(xfers);
    return st;
}

status comm_gather(struct comm *c, const struct comm_shard *shards, int count)
{
    TRY(check_shards(c, shards, count));
    if (c->ops->gather && all_on_card(c, shards, count)) return c->ops->gather(c, shards, count);
    return gather_by_xfers(c, shards, count);
}
