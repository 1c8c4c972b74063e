/* comm_gather.c - slices of all ranks to all ranks: by who can, else as parts. */
#include "comm/comm_common.h"

#include <stdlib.h>

static status check(const struct comm *c, const struct comm_shard *shares, int count)
{
    char shape[SHAPE_TEXT];

    if (count < 0) return fail(ST_ARG, "gather: %d tensors", count);
    for (int i = 0; i < count; i++) {
        const struct tensor *const t = &shares[i].t;
        if (t->ndim < 1 || t->dim[0] % c->size)
            return fail(ST_ARG, "gather: %s does not divide by %d ranks", tensor_shape(t, shape),
                        c->size);
    }
    return ST_OK;
}

static bool on_card(const struct comm *c, const struct comm_shard *shares, int count)
{
    for (int i = 0; i < count; i++)
        if (!shares[i].device) return false;
    return c->streamed;
}

/* All to all: a tensor's slices keep their order between two ranks. */
static status by_parts(struct comm *c, const struct comm_shard *shares, int count)
{
    size_t const most = 2 * (size_t)count * (size_t)c->size;
    struct comm_xfer *const part = calloc(most + 1, sizeof *part);
    int n = 0;

    if (!part) return fail(ST_NOMEM, "gather: %zu parts", most);
    for (int i = 0; i < count; i++) {
        struct tensor const own = rules_slice(c, &shares[i].t, c->rank);
        for (int r = 0; r < c->size; r++) {
            struct comm_xfer const p = { .peer = r, .device = shares[i].device };
            if (r == c->rank) continue;
            part[n] = part[n + 1] = p;
            part[n].t = own;
            part[n++].send = true;
            part[n++].t = rules_slice(c, &shares[i].t, r);
        }
    }
    status const st = comm_post(c, part, n);
    free(part);
    return st;
}

status comm_gather(struct comm *c, const struct comm_shard *shares, int count)
{
    TRY(check(c, shares, count));
    if (c->ops->gather && on_card(c, shares, count)) return c->ops->gather(c, shares, count);
    return by_parts(c, shares, count);
}
