#include "tests/support/comm_poison.h"

#include "comm/comm_internal.h"

#include <stdlib.h>
#include <string.h>

static bool is_on_card(const struct comm_poison *w, const struct comm_xfer *p)
{
    return w->attached && p->device;
}

/* How many transfers were sent and are not what they were. */
static int close_xfers(struct comm_poison *w)
{
    int n = 0;

    for (int i = 0; i < w->count; i++) {
        const struct tensor *const t = &w->xfer[i].t;
        if (w->xfer[i].send && !is_on_card(w, &w->xfer[i]))
            n += !w->sent[i] || memcmp(w->sent[i], t->data, tensor_bytes(t)) != 0;
        free(w->sent[i]);
    }
    w->count = 0;
    return n;
}

static status poison_post(struct comm *c, const struct comm_xfer *xfers, int count)
{
    struct comm_poison *const w = (struct comm_poison *)c;

    if (count > COMM_POISON_XFERS) return fail(ST_ARG, "comm_poison: %d transfers", count);
    w->count = count;
    w->xfers += count;
    for (int i = 0; i < count; i++) {
        const struct tensor *const t = &xfers[i].t;
        w->xfer[i] = xfers[i];
        w->sent[i] = NULL;
        if (is_on_card(w, &xfers[i])) continue;
        w->sent[i] = xfers[i].send ? malloc(tensor_bytes(t) + 1) : NULL;
        if (!xfers[i].send) memset(t->data, 0xff, tensor_bytes(t));
        else if (w->sent[i]) memcpy(w->sent[i], t->data, tensor_bytes(t));
    }
    status const st = wrap_post(c, xfers, count);
    if (st != ST_OK) close_xfers(w); /* nothing is open, no wait comes */
    return st;
}

static status check_wait(struct comm *c)
{
    struct comm_poison *const w = (struct comm_poison *)c;
    int const bad = close_xfers(w);

    TRY(wrap_wait(c));
    if (bad) return fail(ST_MISMATCH, "%d tensors changed while they were sent", bad);
    if (++w->waits == w->fail_at) return fail(ST_COMM, "the wire broke");
    return ST_OK;
}

static void poison_abort(struct comm *c)
{
    struct comm_poison *const w = (struct comm_poison *)c;

    wrap_abort(c);
    close_xfers(w); /* the memory is the caller's again */
}

static status poison_attach(struct comm *c, const struct memory *m)
{
    TRY(wrap_attach(c, m));
    ((struct comm_poison *)c)->attached = m != NULL;
    return ST_OK;
}

static const struct comm_ops comm_poison_ops = {
    .post = poison_post,
    .wait = check_wait,
    .agree = wrap_agree,
    .abort = poison_abort,
    .attach = poison_attach,
    .synchronize = wrap_synchronize,
    .alloc = wrap_alloc,
    .free = wrap_free,
    .gather = wrap_gather,
};

void comm_poison_init(struct comm_poison *w, struct comm *inner)
{
    *w = (struct comm_poison){ .base = *inner };
    w->base.inner = inner;
    w->base.ops = &comm_poison_ops;
}

void comm_poison_end(struct comm_poison *w) { close_xfers(w); }
