#include "tests/support/comm_card.h"

#include "comm/comm_internal.h"
#include "kernels/cuda/cuda_dev.h"

#include <stdlib.h>

enum { XFERS = 256 };

struct card {
    struct comm base; /* first member: a comm * is a card * here */
    struct memory memory;
    struct comm_xfer host[XFERS], card[XFERS];
    int count;
};

static struct card *card_of(struct comm *c) { return (struct card *)c; }

static void free_xfers(struct card *k)
{
    for (int i = 0; i < k->count; i++)
        if (k->card[i].device) cuda_dev_free(k->card[i].t.data);
    k->count = 0;
}

static status upload_sent(struct card *k, const struct comm_xfer *xfer)
{
    struct comm_xfer *const p = &k->card[k->count];
    size_t const n = tensor_bytes(&xfer->t);

    *p = k->host[k->count] = *xfer;
    p->device = n % 3 != 0 || n == 0;
    k->count++;
    if (!p->device) return ST_OK;
    p->t.data = NULL;
    TRY(cuda_dev_alloc(n, &p->t.data));
    return xfer->send ? cuda_dev_upload(p->t.data, xfer->t.data, n, k->memory.stream) : ST_OK;
}

static status card_post(struct comm *c, const struct comm_xfer *xfers, int count)
{
    struct card *const k = card_of(c);
    status st = ST_OK;

    if (k->count) return wrap_post(c, xfers, count); /* refused there */
    if (count > XFERS) return fail(ST_ARG, "card: %d transfers", count);
    TRY(cuda_dev_select(k->memory.device));
    for (int i = 0; i < count && st == ST_OK; i++) st = upload_sent(k, &xfers[i]);
    if (st == ST_OK) st = wrap_post(c, count < 0 ? xfers : k->card, count);
    if (st != ST_OK) free_xfers(k);
    return st;
}

static status download_received(struct card *k)
{
    for (int i = 0; i < k->count; i++) {
        const struct comm_xfer *const p = &k->card[i];
        if (p->device && !p->send)
            TRY(cuda_dev_download(k->host[i].t.data, p->t.data, tensor_bytes(&p->t),
                                  k->memory.stream));
    }
    return ST_OK;
}

static status card_wait(struct comm *c)
{
    struct card *const k = card_of(c);
    status st = wrap_wait(c);

    if (st == ST_OK) st = wrap_synchronize(c);
    if (st == ST_OK) st = download_received(k);
    free_xfers(k);
    return st;
}

static status card_split(struct comm *c, int colour, struct comm **out)
{
    struct comm *child = NULL;

    *out = NULL;
    TRY(comm_split(wrap_inner(c), colour, &child));
    if (!child) return ST_OK;
    status const st = comm_card_open(out, child, card_of(c)->memory.device);
    if (st != ST_OK) comm_close(&child);
    return st;
}

void comm_card_end(struct comm **c)
{
    struct card *const k = card_of(*c);

    *c = k->base.inner;
    if (k->count) comm_abort(k->base.inner); /* only an open post is left here */
    free_xfers(k);
    cuda_stream_close(&k->memory.stream);
    free(k);
}

/* The inner comm goes first: it may still be at the transfers. */
static void card_close(struct comm **c)
{
    if (!*c) return;
    struct card *const k = card_of(*c);

    comm_close(&k->base.inner);
    free_xfers(k);
    cuda_stream_close(&k->memory.stream);
    free(k);
    *c = NULL;
}

static const struct comm_ops card_ops = {
    .post = card_post,
    .wait = card_wait,
    .agree = wrap_agree,
    .split = card_split,
    .send_control = wrap_send_control,
    .poll_control = wrap_poll_control,
    .stop = wrap_stop,
    .stopped = wrap_stopped,
    .abort = wrap_abort,
    .aborted = wrap_aborted,
    .close = card_close,
};

status comm_card_open(struct comm **out, struct comm *inner, int device)
{
    struct card *const k = calloc(1, sizeof *k);
    status st = ST_OK;

    *out = NULL;
    if (!k) return fail(ST_NOMEM, "a comm on a card");
    k->memory.device = device;
    TRY_OUT(cuda_dev_select(device));
    TRY_OUT(cuda_stream_open(&k->memory.stream, false));
    TRY_OUT(comm_attach(inner, &k->memory));
    k->base = *inner;
    k->base.ops = &card_ops;
    k->base.streamed = false;
    k->base.inner = inner;
    *out = &k->base;
    return ST_OK;
out:
    cuda_stream_close(&k->memory.stream);
    free(k);
    return st;
}
