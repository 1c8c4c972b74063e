/* comm_wrap.h - what a comm that lies over another one lets through, to its `inner`. */
#ifndef COMM_WRAP_H
#define COMM_WRAP_H

#include "comm/comm.h"

/* The inner one, whose next calls have this one's deadline. */
static inline struct comm *over_inner(struct comm *c)
{
    c->inner->deadline_s = c->deadline_s;
    return c->inner;
}

/* comm_ops. attach: *c is then streamed and gathers as the inner one does. */
status over_post(struct comm *c, const struct comm_xfer *parts, int count);
status over_wait(struct comm *c);
status over_agree(struct comm *c, status mine, int64_t *words);
status over_send_control(struct comm *c, int peer, const struct comm_control *note);
bool over_poll_control(struct comm *c, struct comm_control *out, int *from);
void over_stop(struct comm *c);
bool over_stopped(struct comm *c);
void over_abort(struct comm *c);
bool over_aborted(struct comm *c);
status over_attach(struct comm *c, const struct memory *m);
status over_synchronize(struct comm *c);
status over_alloc(struct comm *c, size_t bytes, void **at);
void over_free(struct comm *c, void *at);
status over_gather(struct comm *c, const struct comm_shard *shares, int count);

#endif /* COMM_WRAP_H */
