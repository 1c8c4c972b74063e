/*
 * comm_wrap.c - the calls of a comm that lies over another one, passed on.
 *
 * comm_nccl lies over threads or MPI, and the comms of tests over anything: each replaces the
 * rows it changes and takes the others from here.
 */
#include "comm/comm_internal.h"

status wrap_post(struct comm *c, const struct comm_xfer *xfers, int count)
{
    return comm_post(wrap_inner(c), xfers, count);
}

status wrap_wait(struct comm *c) { return comm_wait(wrap_inner(c)); }

status wrap_agree(struct comm *c, status mine, int64_t *words)
{
    return comm_agree_on(wrap_inner(c), mine, words);
}

status wrap_send_control(struct comm *c, int peer, const struct comm_control *control)
{
    return comm_send_control(c->inner, peer, control);
}

bool wrap_poll_control(struct comm *c, struct comm_control *out, int *from)
{
    return comm_poll_control(c->inner, out, from);
}

void wrap_stop(struct comm *c) { comm_stop(c->inner); }
bool wrap_stopped(struct comm *c) { return comm_stopped(c->inner); }
void wrap_abort(struct comm *c) { comm_abort(c->inner); }
bool wrap_aborted(struct comm *c) { return comm_aborted(c->inner); }

status wrap_attach(struct comm *c, const struct memory *m)
{
    status const st = comm_attach(wrap_inner(c), m);

    c->streamed = c->inner->streamed;
    c->gathers = c->inner->gathers;
    return st;
}

status wrap_synchronize(struct comm *c) { return comm_synchronize(wrap_inner(c)); }

status wrap_alloc(struct comm *c, size_t bytes, void **at)
{
    return comm_alloc(wrap_inner(c), bytes, at);
}

void wrap_free(struct comm *c, void *at) { comm_free(wrap_inner(c), at); }

status wrap_gather(struct comm *c, const struct comm_shard *shards, int count)
{
    return comm_gather(wrap_inner(c), shards, count);
}
