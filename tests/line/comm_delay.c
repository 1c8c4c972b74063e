#include "tests/line/comm_delay.h"

#include "tests/rng.h"

#include <stdatomic.h>

struct delay {
    struct comm base; /* first member: a comm * is a delay * here */
    struct comm *inner;
    uint64_t seed;
    atomic_int calls;
    int max_us;
};

static struct delay *delay_of(struct comm *c) { return (struct delay *)c; }

/* Some hesitate long, most do not: that mixes the order of events best. */
static struct comm *dawdle(struct comm *c)
{
    struct delay *const d = delay_of(c);
    uint64_t s = d->seed + (uint64_t)atomic_fetch_add(&d->calls, 1) * 2654435761u;

    if (rng_below(&s, 4) == 0) {
        struct timespec const t = { .tv_nsec = 1000L * rng_below(&s, d->max_us + 1) };
        nanosleep(&t, NULL);
    }
    return d->inner;
}

/* What the caller may have set goes with it. */
static struct comm *call(struct comm *c)
{
    struct comm *const inner = dawdle(c);
    inner->deadline_s = c->deadline_s;
    return inner;
}

static status delay_start(struct comm *c, const struct comm_part *parts, int count)
{
    struct comm *const inner = call(c);
    status const st = inner->ops->start(inner, parts, count);
    dawdle(c);
    return st;
}

static status delay_finish(struct comm *c)
{
    struct comm *const inner = call(c);
    status const st = inner->ops->finish(inner);
    dawdle(c);
    return st;
}

static status delay_agree(struct comm *c, status mine)
{
    struct comm *const inner = call(c);
    status const st = inner->ops->agree(inner, mine);
    dawdle(c);
    return st;
}

static status delay_split(struct comm *c, int colour, struct comm **out)
{
    struct delay *const d = delay_of(c);
    struct comm *const inner = call(c);
    struct comm *child = NULL;

    *out = NULL;
    TRY(inner->ops->split(inner, colour, &child));
    dawdle(c);
    if (!child) return ST_OK;
    return comm_delay_open(out, child, d->seed ^ 0x5eed5eedu, d->max_us);
}

static status delay_note(struct comm *c, int peer, const struct comm_note *note)
{
    struct comm *const inner = dawdle(c);
    return inner->ops->note(inner, peer, note);
}

static bool delay_hear(struct comm *c, struct comm_note *out, int *from)
{
    struct comm *const inner = dawdle(c);
    return inner->ops->hear(inner, out, from);
}

static void delay_stop(struct comm *c)
{
    struct comm *const inner = dawdle(c);
    inner->ops->stop(inner);
}

static bool delay_stopped(struct comm *c)
{
    struct comm *const inner = dawdle(c);
    return inner->ops->stopped(inner);
}

static void delay_abort(struct comm *c)
{
    struct comm *const inner = dawdle(c);
    inner->ops->abort(inner);
    dawdle(c);
}

static bool delay_aborted(struct comm *c)
{
    struct comm *const inner = dawdle(c);
    return inner->ops->aborted(inner);
}

void comm_delay_end(struct comm **c)
{
    struct delay *const d = delay_of(*c);

    *c = d->inner;
    free(d);
}

static void delay_close(struct comm **c)
{
    if (!*c) return;
    dawdle(*c);
    comm_delay_end(c);
    (*c)->ops->close(c);
}

static status delay_attach(struct comm *c, const struct memory *m)
{
    struct comm *const inner = call(c);

    TRY(comm_attach(inner, m));
    c->streamed = inner->streamed;
    return ST_OK;
}

static status delay_settle(struct comm *c) { return comm_settle(call(c)); }
static void delay_enroll(struct comm *c, void *at, size_t n) { comm_enroll(dawdle(c), at, n); }
static void delay_dismiss(struct comm *c, void *at) { comm_dismiss(dawdle(c), at); }

static const struct comm_ops delay_ops = {
    .start = delay_start,
    .finish = delay_finish,
    .agree = delay_agree,
    .split = delay_split,
    .note = delay_note,
    .hear = delay_hear,
    .stop = delay_stop,
    .stopped = delay_stopped,
    .abort = delay_abort,
    .aborted = delay_aborted,
    .close = delay_close,
    .attach = delay_attach,
    .settle = delay_settle,
    .enroll = delay_enroll,
    .dismiss = delay_dismiss,
};

status comm_delay_open(struct comm **out, struct comm *inner, uint64_t seed, int max_us)
{
    struct delay *const d = calloc(1, sizeof *d);

    if (!d) return fail(ST_NOMEM, "a comm that dawdles");
    d->base = *inner;
    d->base.ops = &delay_ops;
    d->inner = inner;
    d->seed = seed + (uint64_t)inner->world_rank * 7919;
    d->max_us = max_us;
    *out = &d->base;
    return ST_OK;
}
