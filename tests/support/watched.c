#include "tests/support/watched.h"

#include "comm/comm_internal.h"

#include <stdlib.h>
#include <string.h>

static bool on_card(const struct watched *w, const struct comm_xfer *p)
{
    return w->attached && p->device;
}

/* How many parts were sent and are not what they were. */
static int close_parts(struct watched *w)
{
    int n = 0;

    for (int i = 0; i < w->count; i++) {
        const struct tensor *const t = &w->part[i].t;
        if (w->part[i].send && !on_card(w, &w->part[i]))
            n += !w->sent[i] || memcmp(w->sent[i], t->data, tensor_bytes(t)) != 0;
        free(w->sent[i]);
    }
    w->count = 0;
    return n;
}

static status start(struct comm *c, const struct comm_xfer *parts, int count)
{
    struct watched *const w = (struct watched *)c;

    if (count > WATCHED_PARTS) return fail(ST_ARG, "watched: %d parts", count);
    w->count = count;
    w->parts += count;
    for (int i = 0; i < count; i++) {
        const struct tensor *const t = &parts[i].t;
        w->part[i] = parts[i];
        w->sent[i] = NULL;
        if (on_card(w, &parts[i])) continue;
        w->sent[i] = parts[i].send ? malloc(tensor_bytes(t) + 1) : NULL;
        if (!parts[i].send) memset(t->data, 0xff, tensor_bytes(t));
        else if (w->sent[i]) memcpy(w->sent[i], t->data, tensor_bytes(t));
    }
    status const st = wrap_post(c, parts, count);
    if (st != ST_OK) close_parts(w); /* nothing is open, no finish comes */
    return st;
}

static status finish(struct comm *c)
{
    struct watched *const w = (struct watched *)c;
    int const bad = close_parts(w);

    TRY(wrap_wait(c));
    if (bad) return fail(ST_MISMATCH, "%d parts changed while they were sent", bad);
    if (++w->finishes == w->fail_at) return fail(ST_COMM, "the wire broke");
    return ST_OK;
}

static void give_up(struct comm *c)
{
    struct watched *const w = (struct watched *)c;

    wrap_abort(c);
    close_parts(w); /* the memory is the caller's again */
}

static status attach(struct comm *c, const struct memory *m)
{
    TRY(wrap_attach(c, m));
    ((struct watched *)c)->attached = m != NULL;
    return ST_OK;
}

static const struct comm_ops watched_ops = {
    .post = start,
    .wait = finish,
    .agree = wrap_agree,
    .abort = give_up,
    .attach = attach,
    .synchronize = wrap_synchronize,
    .alloc = wrap_alloc,
    .free = wrap_free,
    .gather = wrap_gather,
};

void watched_init(struct watched *w, struct comm *inner)
{
    *w = (struct watched){ .base = *inner };
    w->base.inner = inner;
    w->base.ops = &watched_ops;
}

void watched_end(struct watched *w) { close_parts(w); }
