/* comm_jitter.c - calls go to the inner comm with a pause before, after, or none: orders of events
 * come up that an idle machine never shows. A pause follows from the seed and the call's number. */
#include "tests/support/comm_jitter.h"

#include "comm/comm_internal.h"
#include "tests/support/rng.h"

#include <stdatomic.h>

struct jitter {
    struct comm base; /* first member: a comm * is a jitter * here */
    uint64_t seed;
    atomic_int calls;
    int max_us;
};

static struct jitter *jitter_of(struct comm *c) { return (struct jitter *)c; }

/* Some hesitate long, most do not: that mixes the order of events best. */
static void pause_at_random(struct comm *c)
{
    struct jitter *const d = jitter_of(c);
    uint64_t s = d->seed + (uint64_t)atomic_fetch_add(&d->calls, 1) * 2654435761u;

    if (rng_below(&s, 4) == 0) {
        struct timespec const t = { .tv_nsec = 1000L * rng_below(&s, d->max_us + 1) };
        nanosleep(&t, NULL);
    }
}

static status jitter_post(struct comm *c, const struct comm_xfer *xfers, int count)
{
    pause_at_random(c);
    status const st = wrap_post(c, xfers, count);
    pause_at_random(c);
    return st;
}

static status jitter_wait_posted(struct comm *c)
{
    pause_at_random(c);
    status const st = wrap_wait(c);
    pause_at_random(c);
    return st;
}

static status jitter_agree(struct comm *c, status mine, int64_t *words)
{
    pause_at_random(c);
    status const st = wrap_agree(c, mine, words);
    pause_at_random(c);
    return st;
}

static status jitter_split(struct comm *c, int colour, struct comm **out)
{
    struct jitter *const d = jitter_of(c);
    struct comm *child = NULL;

    *out = NULL;
    pause_at_random(c);
    TRY(comm_split(wrap_inner(c), colour, &child));
    pause_at_random(c);
    if (!child) return ST_OK;
    return comm_jitter_open(out, child, d->seed ^ 0x5eed5eedu, d->max_us);
}

static status jitter_send_control(struct comm *c, int peer, const struct comm_control *control)
{
    pause_at_random(c);
    return wrap_send_control(c, peer, control);
}

static bool jitter_poll_control(struct comm *c, struct comm_control *out, int *from)
{
    pause_at_random(c);
    return wrap_poll_control(c, out, from);
}

static void jitter_stop(struct comm *c)
{
    pause_at_random(c);
    wrap_stop(c);
}

static bool jitter_stopped(struct comm *c)
{
    pause_at_random(c);
    return wrap_stopped(c);
}

static void jitter_abort(struct comm *c)
{
    pause_at_random(c);
    wrap_abort(c);
    pause_at_random(c);
}

static bool jitter_aborted(struct comm *c)
{
    pause_at_random(c);
    return wrap_aborted(c);
}

void comm_jitter_end(struct comm **c)
{
    struct jitter *const d = jitter_of(*c);

    *c = d->base.inner;
    free(d);
}

static void jitter_close(struct comm **c)
{
    if (!*c) return;
    pause_at_random(*c);
    comm_jitter_end(c);
    comm_close(c);
}

static status jitter_attach(struct comm *c, const struct memory *m)
{
    pause_at_random(c);
    return wrap_attach(c, m);
}

static status jitter_synchronize(struct comm *c)
{
    pause_at_random(c);
    return wrap_synchronize(c);
}

static status jitter_alloc(struct comm *c, size_t bytes, void **at)
{
    pause_at_random(c);
    return wrap_alloc(c, bytes, at);
}

static void jitter_free(struct comm *c, void *at)
{
    pause_at_random(c);
    wrap_free(c, at);
}

static status jitter_gather(struct comm *c, const struct comm_shard *shards, int count)
{
    pause_at_random(c);
    return wrap_gather(c, shards, count);
}

static const struct comm_ops jitter_ops = {
    .post = jitter_post,
    .wait = jitter_wait_posted,
    .agree = jitter_agree,
    .split = jitter_split,
    .send_control = jitter_send_control,
    .poll_control = jitter_poll_control,
    .stop = jitter_stop,
    .stopped = jitter_stopped,
    .abort = jitter_abort,
    .aborted = jitter_aborted,
    .close = jitter_close,
    .attach = jitter_attach,
    .synchronize = jitter_synchronize,
    .alloc = jitter_alloc,
    .free = jitter_free,
    .gather = jitter_gather,
};

status comm_jitter_open(struct comm **out, struct comm *inner, uint64_t seed, int max_us)
{
    struct jitter *const d = calloc(1, sizeof *d);

    if (!d) return fail(ST_NOMEM, "a comm that pauses");
    d->base = *inner;
    d->base.ops = &jitter_ops;
    d->base.inner = inner;
    d->seed = seed + (uint64_t)inner->world_rank * 7919;
    d->max_us = max_us;
    *out = &d->base;
    return ST_OK;
}
