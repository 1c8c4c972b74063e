#include "comm/comm_wrap.h"

status over_start(struct comm *c, const struct comm_part *parts, int count)
{
    return over_inner(c)->ops->start(c->inner, parts, count);
}

status over_finish(struct comm *c) { return over_inner(c)->ops->finish(c->inner); }

status over_agree(struct comm *c, status mine) { return over_inner(c)->ops->agree(c->inner, mine); }

status over_note(struct comm *c, int peer, const struct comm_note *note)
{
    return c->inner->ops->note(c->inner, peer, note);
}

bool over_hear(struct comm *c, struct comm_note *out, int *from)
{
    return c->inner->ops->hear(c->inner, out, from);
}

void over_stop(struct comm *c) { c->inner->ops->stop(c->inner); }
bool over_stopped(struct comm *c) { return c->inner->ops->stopped(c->inner); }
void over_abort(struct comm *c) { c->inner->ops->abort(c->inner); }
bool over_aborted(struct comm *c) { return c->inner->ops->aborted(c->inner); }

status over_attach(struct comm *c, const struct memory *m)
{
    status const st = comm_attach(over_inner(c), m);

    c->streamed = c->inner->streamed;
    c->gathers = c->inner->gathers;
    return st;
}

status over_settle(struct comm *c) { return comm_settle(over_inner(c)); }

status over_alloc(struct comm *c, size_t bytes, void **at)
{
    return comm_alloc(over_inner(c), bytes, at);
}

void over_free(struct comm *c, void *at) { comm_free(over_inner(c), at); }

status over_gather(struct comm *c, const struct comm_share *shares, int count)
{
    return comm_gather(over_inner(c), shares, count);
}
