#include "comm/comm_wrap.h"

status over_post(struct comm *c, const struct comm_xfer *parts, int count)
{
    return comm_post(over_inner(c), parts, count);
}

status over_wait(struct comm *c) { return comm_wait(over_inner(c)); }

status over_agree(struct comm *c, status mine, int64_t *words)
{
    return comm_agree_on(over_inner(c), mine, words);
}

status over_send_control(struct comm *c, int peer, const struct comm_control *note)
{
    return comm_send_control(c->inner, peer, note);
}

bool over_poll_control(struct comm *c, struct comm_control *out, int *from)
{
    return comm_poll_control(c->inner, out, from);
}

void over_stop(struct comm *c) { comm_stop(c->inner); }
bool over_stopped(struct comm *c) { return comm_stopped(c->inner); }
void over_abort(struct comm *c) { comm_abort(c->inner); }
bool over_aborted(struct comm *c) { return comm_aborted(c->inner); }

status over_attach(struct comm *c, const struct memory *m)
{
    status const st = comm_attach(over_inner(c), m);

    c->streamed = c->inner->streamed;
    c->gathers = c->inner->gathers;
    return st;
}

status over_synchronize(struct comm *c) { return comm_synchronize(over_inner(c)); }

status over_alloc(struct comm *c, size_t bytes, void **at)
{
    return comm_alloc(over_inner(c), bytes, at);
}

void over_free(struct comm *c, void *at) { comm_free(over_inner(c), at); }

status over_gather(struct comm *c, const struct comm_shard *shares, int count)
{
    return comm_gather(over_inner(c), shares, count);
}
