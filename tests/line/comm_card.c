#include "tests/line/comm_card.h"

#include "kernels/cuda/cuda_dev.h"

#include <stdlib.h>

enum { PARTS = 256 };

struct card {
    struct comm base; /* first member: a comm * is a card * here */
    struct comm *inner;
    struct memory memory;
    struct comm_part host[PARTS], card[PARTS];
    int count;
};

static struct card *card_of(struct comm *c) { return (struct card *)c; }

static struct comm *call(struct comm *c)
{
    struct comm *const inner = card_of(c)->inner;
    inner->deadline_s = c->deadline_s;
    return inner;
}

static void free_parts(struct card *k)
{
    for (int i = 0; i < k->count; i++)
        if (k->card[i].device) cuda_dev_free(k->card[i].t.data);
    k->count = 0;
}

static status stage(struct card *k, const struct comm_part *part)
{
    struct comm_part *const p = &k->card[k->count];
    size_t const n = tensor_bytes(&part->t);

    *p = k->host[k->count] = *part;
    p->device = n % 3 != 0 || n == 0;
    k->count++;
    if (!p->device) return ST_OK;
    p->t.data = NULL;
    TRY(cuda_dev_alloc(n, &p->t.data));
    return part->send ? cuda_dev_upload(p->t.data, part->t.data, n, k->memory.stream) : ST_OK;
}

static status start(struct comm *c, const struct comm_part *parts, int count)
{
    struct card *const k = card_of(c);
    struct comm *const inner = call(c);
    status st = ST_OK;

    if (k->count) return inner->ops->start(inner, parts, count); /* refused there */
    if (count > PARTS) return fail(ST_ARG, "card: %d parts", count);
    TRY(cuda_dev_select(k->memory.device));
    for (int i = 0; i < count && st == ST_OK; i++) st = stage(k, &parts[i]);
    if (st == ST_OK) st = inner->ops->start(inner, count < 0 ? parts : k->card, count);
    if (st != ST_OK) free_parts(k);
    return st;
}

static status take(struct card *k)
{
    for (int i = 0; i < k->count; i++) {
        const struct comm_part *const p = &k->card[i];
        if (p->device && !p->send)
            TRY(cuda_dev_download(k->host[i].t.data, p->t.data, tensor_bytes(&p->t),
                                  k->memory.stream));
    }
    return ST_OK;
}

static status finish(struct comm *c)
{
    struct card *const k = card_of(c);
    struct comm *const inner = call(c);
    status st = inner->ops->finish(inner);

    if (st == ST_OK) st = comm_settle(inner);
    if (st == ST_OK) st = take(k);
    free_parts(k);
    return st;
}

static status agree(struct comm *c, status mine)
{
    struct comm *const inner = call(c);
    return inner->ops->agree(inner, mine);
}

static status split(struct comm *c, int colour, struct comm **out)
{
    struct comm *const inner = call(c);
    struct comm *child = NULL;

    *out = NULL;
    TRY(inner->ops->split(inner, colour, &child));
    if (!child) return ST_OK;
    status const st = comm_card_open(out, child, card_of(c)->memory.device);
    if (st != ST_OK) child->ops->close(&child);
    return st;
}

static status note(struct comm *c, int peer, const struct comm_note *n)
{
    return card_of(c)->inner->ops->note(card_of(c)->inner, peer, n);
}

static bool hear(struct comm *c, struct comm_note *out, int *from)
{
    return card_of(c)->inner->ops->hear(card_of(c)->inner, out, from);
}

static void stop(struct comm *c) { card_of(c)->inner->ops->stop(card_of(c)->inner); }
static bool stopped(struct comm *c) { return card_of(c)->inner->ops->stopped(card_of(c)->inner); }
static void give_up(struct comm *c) { card_of(c)->inner->ops->abort(card_of(c)->inner); }
static bool aborted(struct comm *c) { return card_of(c)->inner->ops->aborted(card_of(c)->inner); }

void comm_card_end(struct comm **c)
{
    struct card *const k = card_of(*c);

    *c = k->inner;
    if (k->count) k->inner->ops->abort(k->inner); /* only an open start is left here */
    free_parts(k);
    cuda_stream_close(&k->memory.stream);
    free(k);
}

/* The inner comm goes first: it may still be at the parts. */
static void close(struct comm **c)
{
    if (!*c) return;
    struct card *const k = card_of(*c);

    k->inner->ops->close(&k->inner);
    free_parts(k);
    cuda_stream_close(&k->memory.stream);
    free(k);
    *c = NULL;
}

static const struct comm_ops card_ops = {
    .start = start,
    .finish = finish,
    .agree = agree,
    .split = split,
    .note = note,
    .hear = hear,
    .stop = stop,
    .stopped = stopped,
    .abort = give_up,
    .aborted = aborted,
    .close = close,
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
    k->inner = inner;
    *out = &k->base;
    return ST_OK;
out:
    cuda_stream_close(&k->memory.stream);
    free(k);
    return st;
}
