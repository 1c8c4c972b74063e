#include "tests/support/comm_delay.h"

#include "comm/comm_internal.h"
#include "tests/support/rng.h"

#include <stdatomic.h>

struct delay {
    struct comm base; /* first member: a comm * is a delay * here */
    uint64_t seed;
    atomic_int calls;
    int max_us;
};

static struct delay *delay_of(struct comm *c) { return (struct delay *)c; }

/* Some hesitate long, most do not: that mixes the order of events best. */
static void dawdle(struct comm *c)
{
    struct delay *const d = delay_of(c);
    uint64_t s = d->seed + (uint64_t)atomic_fetch_add(&d->calls, 1) * 2654435761u;

    if (rng_below(&s, 4) == 0) {
        struct timespec const t = { .tv_nsec = 1000L * rng_below(&s, d->max_us + 1) };
        nanosleep(&t, NULL);
    }
}

static status delay_post(struct comm *c, const struct comm_xfer *parts, int count)
{
    dawdle(c);
    status const st = wrap_post(c, parts, count);
    dawdle(c);
    return st;
}

static status delay_wait_posted(struct comm *c)
{
    dawdle(c);
    status const st = wrap_wait(c);
    dawdle(c);
    return st;
}

static status delay_agree(struct comm *c, status mine, int64_t *words)
{
    dawdle(c);
    status const st = wrap_agree(c, mine, words);
    dawdle(c);
    return st;
}

static status delay_split(struct comm *c, int colour, struct comm **out)
{
    struct delay *const d = delay_of(c);
    struct comm *child = NULL;

    *out = NULL;
    dawdle(c);
    TRY(comm_split(wrap_inner(c), colour, &child));
    dawdle(c);
    if (!child) return ST_OK;
    return comm_delay_open(out, child, d->seed ^ 0x5eed5eedu, d->max_us);
}

static status delay_send_control(struct comm *c, int peer, const struct comm_control *note)
{
    dawdle(c);
    return wrap_send_control(c, peer, note);
}

static bool delay_poll_control(struct comm *c, struct comm_control *out, int *from)
{
    dawdle(c);
    return wrap_poll_control(c, out, from);
}

static void delay_stop(struct comm *c)
{
    dawdle(c);
    wrap_stop(c);
}

static bool delay_stopped(struct comm *c)
{
    dawdle(c);
    return wrap_stopped(c);
}

static void delay_abort(struct comm *c)
{
    dawdle(c);
    wrap_abort(c);
    dawdle(c);
}

static bool delay_aborted(struct comm *c)
{
    dawdle(c);
    return wrap_aborted(c);
}

void comm_delay_end(struct comm **c)
{
    struct delay *const d = delay_of(*c);

    *c = d->base.inner;
    free(d);
}

static void delay_close(struct comm **c)
{
    if (!*c) return;
    dawdle(*c);
    comm_delay_end(c);
    comm_close(c);
}

static status delay_attach(struct comm *c, const struct memory *m)
{
    dawdle(c);
    return wrap_attach(c, m);
}

static status delay_synchronize(struct comm *c)
{
    dawdle(c);
    return wrap_synchronize(c);
}

static status delay_alloc(struct comm *c, size_t bytes, void **at)
{
    dawdle(c);
    return wrap_alloc(c, bytes, at);
}

static void delay_free(struct comm *c, void *at)
{
    dawdle(c);
    wrap_free(c, at);
}

static status delay_gather(struct comm *c, const struct comm_shard *shares, int count)
{
    dawdle(c);
    return wrap_gather(c, shares, count);
}

static const struct comm_ops delay_ops = {
    .post = delay_post,
    .wait = delay_wait_posted,
    .agree = delay_agree,
    .split = delay_split,
    .send_control = delay_send_control,
    .poll_control = delay_poll_control,
    .stop = delay_stop,
    .stopped = delay_stopped,
    .abort = delay_abort,
    .aborted = delay_aborted,
    .close = delay_close,
    .attach = delay_attach,
    .synchronize = delay_synchronize,
    .alloc = delay_alloc,
    .free = delay_free,
    .gather = delay_gather,
};

status comm_delay_open(struct comm **out, struct comm *inner, uint64_t seed, int max_us)
{
    struct delay *const d = calloc(1, sizeof *d);

    if (!d) return fail(ST_NOMEM, "a comm that dawdles");
    d->base = *inner;
    d->base.ops = &delay_ops;
    d->base.inner = inner;
    d->seed = seed + (uint64_t)inner->world_rank * 7919;
    d->max_us = max_us;
    *out = &d->base;
    return ST_OK;
}
