/* decode_link.c - the sending end: one message is under way at a time, in buffers of its own, so
 * that the line goes on computing while its last block is on its way. */
#include "pipeline/decode/decode_link.h"
#include "pipeline/vae/vae.h"

#include <stdlib.h>
#include <string.h>

struct decode_link {
    struct decode_link_config c;
    int64_t head[DECODE_HEAD];
    struct tensor x0; /* a decode_record; owned */
    bool open;        /* a message is under way */
};

status decode_link_open(struct decode_link **out, const struct decode_link_config *c)
{
    struct decode_link *l = calloc(1, sizeof *l);
    status st = ST_OK;

    *out = NULL;
    if (!l) return fail(ST_NOMEM, "decode link: no memory");
    l->c = *c;
    TRY_OUT(decode_record(&l->x0, c->frames, c->latent_h, c->latent_w, c->chosen));
    l->x0.data = calloc(1, tensor_bytes(&l->x0));
    if (!l->x0.data)
        FAIL_OUT(ST_NOMEM, "decode link: no memory for a latent of %zu bytes",
                 tensor_bytes(&l->x0));
    *out = l;
    l = NULL; /* handed over */
out:
    decode_link_close(&l);
    return st;
}

void decode_link_close(struct decode_link **l)
{
    if (!*l) return;
    if ((*l)->open) comm_abort((*l)->c.link); /* the peer may be in our memory */
    free((*l)->x0.data);
    free(*l);
    *l = NULL;
}

/* Until the message under way has been received. */
static status wait_sent(struct decode_link *l)
{
    if (!l->open) return ST_OK;
    struct track_at at = {
        .clip = (int)l->head[DECODE_CLIP], .block = l->head[DECODE_AT], .stage = -1, .layer = -1
    };
    track_begin(l->c.track, TRACK_QUEUE, at);
    at.stage = DECODE_ARROW;
    if (l->head[DECODE_KIND] <= DECODE_WARM) track_arrow(l->c.track, true, at);
    status const st = comm_wait(l->c.link);
    track_end(l->c.track);
    l->open = false;
    if (st == ST_OK) return ST_OK;
    return fail(st, "sending clip %lld, block %lld to its decoder: %s",
                (long long)l->head[DECODE_CLIP], (long long)l->head[DECODE_AT], error_last()->msg);
}

static status post_block(struct decode_link *l)
{
    struct comm_xfer const part[] = { { .t = decode_head(l->head), .peer = 1, .send = true },
                                      { .t = l->x0, .peer = 1, .send = true } };

    TRY(comm_post(l->c.link, part, COUNT_OF(part)));
    l->open = true;
    return ST_OK;
}

struct tensor decode_head(int64_t head[DECODE_HEAD])
{
    return (struct tensor){ .data = head, .dtype = DT_I64, .ndim = 1, .dim = { DECODE_HEAD } };
}

status decode_record(struct tensor *out, int frames, int64_t latent_h, int64_t latent_w,
                     int64_t chosen)
{
    struct tensor latent;

    TRY(tensor_make(&latent, DT_F32, DIMS(frames, VAE_CHANNELS, latent_h, latent_w)));
    return tensor_make(out, DT_F32, DIMS(tensor_count(&latent) + chosen));
}

status decode_link_send(struct decode_link *l, enum decode_kind kind, int clip, int64_t block,
                        const float *x0)
{
    TRY(wait_sent(l));
    l->head[DECODE_KIND] = kind;
    l->head[DECODE_CLIP] = clip;
    l->head[DECODE_AT] = block;
    if (x0) memcpy(l->x0.data, x0, tensor_bytes(&l->x0));
    return post_block(l);
}

status decode_link_cut(struct decode_link *l, int clip, int64_t blocks, status why)
{
    TRY(wait_sent(l));
    l->head[DECODE_KIND] = DECODE_CUT;
    l->head[DECODE_CLIP] = clip;
    l->head[DECODE_AT] = blocks;
    l->head[DECODE_WHY] = why;
    return post_block(l);
}

status decode_link_end(struct decode_link *l, enum decode_kind kind)
{
    TRY(wait_sent(l));
    l->head[DECODE_KIND] = kind;
    TRY(post_block(l));
    return wait_sent(l);
}
