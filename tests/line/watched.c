#include "tests/line/watched.h"

#include <stdlib.h>
#include <string.h>

static bool on_card(const struct watched *w, const struct comm_part *p)
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

/* What the caller may have set goes with it. */
static struct watched *call(struct comm *c)
{
    struct watched *const w = (struct watched *)c;
    w->inner->deadline_s = c->deadline_s;
    return w;
}

static status start(struct comm *c, const struct comm_part *parts, int count)
{
    struct watched *const w = call(c);

    if (count > WATCHED_PARTS) return fail(ST_ARG, "watched: %d parts", count);
    w->count = count;
    for (int i = 0; i < count; i++) {
        const struct tensor *const t = &parts[i].t;
        w->part[i] = parts[i];
        w->sent[i] = NULL;
        if (on_card(w, &parts[i])) continue;
        w->sent[i] = parts[i].send ? malloc(tensor_bytes(t) + 1) : NULL;
        if (!parts[i].send) memset(t->data, 0xff, tensor_bytes(t));
        else if (w->sent[i]) memcpy(w->sent[i], t->data, tensor_bytes(t));
    }
    status const st = w->inner->ops->start(w->inner, parts, count);
    if (st != ST_OK) close_parts(w); /* nothing is open, no finish comes */
    return st;
}

static status finish(struct comm *c)
{
    struct watched *const w = call(c);
    int const bad = close_parts(w);

    TRY(w->inner->ops->finish(w->inner));
    if (bad) return fail(ST_MISMATCH, "%d parts changed while they were sent", bad);
    if (++w->finishes == w->fail_at) return fail(ST_COMM, "the wire broke");
    return ST_OK;
}

static status agree(struct comm *c, status mine)
{
    struct watched *const w = call(c);
    return w->inner->ops->agree(w->inner, mine);
}

static void give_up(struct comm *c)
{
    struct watched *const w = (struct watched *)c;

    w->inner->ops->abort(w->inner);
    close_parts(w); /* the memory is the caller's again */
}

static status attach(struct comm *c, const struct memory *m)
{
    struct watched *const w = call(c);

    TRY(comm_attach(w->inner, m));
    w->attached = m != NULL;
    w->base.streamed = w->inner->streamed;
    return ST_OK;
}

static status settle(struct comm *c) { return comm_settle(call(c)->inner); }
static void enroll(struct comm *c, void *at, size_t bytes)
{
    comm_enroll(call(c)->inner, at, bytes);
}
static void dismiss(struct comm *c, void *at) { comm_dismiss(call(c)->inner, at); }

static const struct comm_ops watched_ops = {
    .start = start,
    .finish = finish,
    .agree = agree,
    .abort = give_up,
    .attach = attach,
    .settle = settle,
    .enroll = enroll,
    .dismiss = dismiss,
};

void watched_init(struct watched *w, struct comm *inner)
{
    *w = (struct watched){ .base = *inner, .inner = inner };
    w->base.ops = &watched_ops;
}

void watched_end(struct watched *w) { close_parts(w); }
