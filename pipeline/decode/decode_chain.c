/*
 * decode_chain.c - the loop of one part of the decoder.
 *
 * The protocol of a link, seen from the receiver. Blocks come as
 *
 *     message, unit, unit, ...      message, unit, unit, ...      message of kind END
 *
 * with units only behind a part of the decoder, and behind messages that are decoded; from the
 * line's tail a message stands alone.
 * How many units follow is never sent: both ends take it from the block's number, for a clip's
 * first frame gives fewer (vae_units). What must hold:
 *
 * - Exactly one receive is posted ahead of the one in work: while block n is computed its
 *   successor's message (or the next unit) is already on its way into the other buffer. That is
 *   what hides the transfer, and what holds a fast sender back after two.
 * - The receive that is posted last before computing the last unit of a block is the next
 *   message's, so the order of posts is the order of the stream, on both ends.
 * - A message is passed on before its units, and the end is passed on too, so that every part
 *   learns how the line ended from the one before it.
 * - At most one send is out. The next waits for it: the vae has two outboxes, and the one being
 *   filled is never the one being sent.
 * - After a failure both links are aborted before anything is freed: a peer may still be inside
 *   this rank's memory. After a stop there is nothing under way, so nothing is aborted.
 */
#include "pipeline/decode/decode_chain.h"

#include <stdlib.h>

/* A block's head and latent. There are two: one in work, one under way. */
struct message {
    int64_t head[DECODE_HEAD];
    struct tensor x0;
};

struct chain {
    const struct decode_chain_config *c;
    struct message message[2];
    int now;          /* the message in work */
    bool begun;       /* a message has been received */
    bool idle;        /* there is no work until the next message: none has come, or it said so */
    bool takes_units; /* not the first part: units come in, else latents */
    bool is_last;     /* the last part: pictures go out, else units */
    bool sending;     /* something is posted on `out` and not waited for yet */
    unsigned char *bytes; /* of a block's pictures; last part only */
    struct vae_out out;   /* of the call in work */
    int pictures;         /* of the block, so far */
    int64_t clip;         /* of the block before; -1: there was none */
    bool is_first;        /* the block in work is the first of its clip to come here */
};

static struct track_at now_at(const struct chain *s)
{
    const int64_t *const head = s->message[s->now].head;
    return (struct track_at){
        .clip = (int)head[DECODE_CLIP], .block = head[DECODE_AT], .stage = -1, .layer = -1
    };
}

static status wait_link(const struct chain *s, struct comm *link)
{
    track_begin(s->c->track, s->idle ? TRACK_IDLE : TRACK_QUEUE, now_at(s));
    status st = comm_wait(link);
    if (st == ST_OK) st = comm_synchronize(link);
    track_end(s->c->track);
    if (st == ST_OK) return ST_OK;
    if (!s->begun) return fail(st, "decode: waiting for the first block: %s", error_last()->msg);
    return fail(st, "decode: waiting after clip %d, block %lld: %s", now_at(s).clip,
                (long long)now_at(s).block, error_last()->msg);
}

/* ---- in ---------------------------------------------------------------------------- */

static status post_message(struct chain *s, int which)
{
    struct message *const m = &s->message[which];
    struct comm_xfer const part[] = { { .t = decode_head(m->head), .peer = 0 },
                                      { .t = m->x0, .peer = 0 } };
    return comm_post(s->c->in, part, COUNT_OF(part));
}

static status post_unit(struct chain *s, int which, bool first)
{
    struct comm_xfer const part = { .t = vae_inbox(s->c->vae, which, first),
                                    .peer = 0,
                                    .device = true };
    return comm_post(s->c->in, &part, 1);
}

/* ---- out --------------------------------------------------------------------------- */

static status wait_sent(struct chain *s)
{
    if (!s->sending) return ST_OK;
    s->sending = false;
    return wait_link(s, s->c->out);
}

static status post_out(struct chain *s, const struct comm_xfer *part, int count)
{
    TRY(wait_sent(s));
    TRY(comm_post(s->c->out, part, count));
    s->sending = true;
    return ST_OK;
}

static status forward_message(struct chain *s)
{
    struct message *const m = &s->message[s->now];
    struct comm_xfer const part[] = { { .t = decode_head(m->head), .peer = 1, .send = true },
                                      { .t = m->x0, .peer = 1, .send = true } };
    return s->c->out ? post_out(s, part, COUNT_OF(part)) : ST_OK;
}

static status send_unit(void *arg, const struct tensor *unit)
{
    struct chain *const s = arg;
    struct comm_xfer const part = { .t = *unit, .peer = 1, .send = true, .device = true };

    track_end(s->c->track);
    status const st = post_out(s, &part, 1);
    track_begin(s->c->track, TRACK_DECODE, now_at(s));
    return st;
}

/* ---- a block ----------------------------------------------------------------------- */

/* The arrow from the line ends here. */
static void show_arrival(const struct chain *s)
{
    struct track_at where = now_at(s);

    where.stage = DECODE_ARROW;
    track_begin(s->c->track, TRACK_DECODE, now_at(s));
    if (!s->takes_units) track_arrow(s->c->track, false, where);
    track_end(s->c->track);
}

static void take_turn(const struct chain *s)
{
    track_begin(s->c->track, TRACK_QUEUE, now_at(s));
    pthread_mutex_lock(s->c->turn);
    track_end(s->c->track);
}

/* One call of the vae: all latent frames of a block if they become pictures here, one frame if it
 * leaves as units, or (latent NULL) one unit in an inbox. */
static status decode_call(struct chain *s, const float *latent, int inbox)
{
    if (!latent) return vae_decode_unit(s->c->vae, inbox, &s->out);
    return vae_decode_latents(s->c->vae, latent, s->is_last ? s->c->frames : 1, &s->out);
}

static int64_t layout_bytes(const struct chain *s)
{
    const struct decode_chain_config *const c = s->c;
    return pixels_layout((int)c->latent_w * VAE_SCALE, (int)c->latent_h * VAE_SCALE, s->out.formats)
        .bytes;
}

static status compute_pictures(struct chain *s, const float *latent, int inbox)
{
    if (s->is_last) s->out.pixels = s->bytes + s->pictures * layout_bytes(s);
    take_turn(s);
    track_begin(s->c->track, TRACK_DECODE, now_at(s));
    status const st = decode_call(s, latent, inbox);
    track_end(s->c->track);
    pthread_mutex_unlock(s->c->turn);
    s->pictures += s->out.pictures;
    return st;
}

static status decode_latents(struct chain *s)
{
    const struct message *const m = &s->message[s->now];
    int64_t const frame = VAE_CHANNELS * s->c->latent_h * s->c->latent_w;
    int const calls = s->is_last ? 1 : s->c->frames;

    TRY(post_message(s, !s->now));
    for (int i = 0; i < calls; i++)
        TRY(compute_pictures(s, (const float *)m->x0.data + i * frame, 0));
    return ST_OK;
}

/* Units follow one another; after the last comes the next block's message. */
static status decode_units(struct chain *s)
{
    bool const is_first = s->is_first;
    int units = 0;

    for (int i = 0; i < s->c->frames; i++) units += vae_units(s->c->part, is_first && !i);
    TRY(post_unit(s, 0, is_first));
    for (int i = 0; i < units; i++) {
        TRY(wait_link(s, s->c->in));
        TRY(i + 1 < units ? post_unit(s, (i + 1) % 2, false) : post_message(s, !s->now));
        TRY(compute_pictures(s, NULL, i % 2));
    }
    return ST_OK;
}

static status reset_decoder(struct chain *s)
{
    take_turn(s);
    status const st = vae_reset(s->c->vae);
    pthread_mutex_unlock(s->c->turn);
    return st;
}

/* Nothing to decode: it goes on to the last part, which hands it over. */
static status pass_message_on(struct chain *s)
{
    const struct message *const m = &s->message[s->now];

    TRY(forward_message(s));
    TRY(post_message(s, !s->now));
    if (!s->is_last || m->head[DECODE_KIND] == DECODE_IDLE) return ST_OK;
    if (m->head[DECODE_KIND] == DECODE_CUT)
        return s->c->cut(s->c->arg, now_at(s).clip, now_at(s).block, (status)m->head[DECODE_WHY]);
    return s->c->window(s->c->arg, now_at(s).clip, now_at(s).block, m->x0.data);
}

static status take_block(struct chain *s)
{
    struct message *const m = &s->message[s->now];

    s->out = (struct vae_out){ .unit = s->is_last ? NULL : send_unit, .arg = s };
    s->pictures = 0;
    if (s->is_last) TRY(s->c->formats(s->c->arg, now_at(s).clip, &s->out.formats));
    show_arrival(s);
    TRY(forward_message(s));
    s->is_first = m->head[DECODE_CLIP] != s->clip || m->head[DECODE_AT] == 0;
    s->clip = m->head[DECODE_CLIP];
    if (s->is_first) TRY(reset_decoder(s));
    TRY(s->takes_units ? decode_units(s) : decode_latents(s));
    if (!s->is_last || m->head[DECODE_KIND] == DECODE_WARM) return ST_OK;
    return s->c->block(s->c->arg, &(struct decode_block){
                                      .clip = now_at(s).clip,
                                      .block = now_at(s).block,
                                      .x0 = m->x0.data,
                                      .pictures = { s->bytes, s->pictures, s->out.formats },
                                  });
}

static status run_chain(struct chain *s)
{
    TRY(post_message(s, 0));
    for (;;) {
        const int64_t *const head = s->message[s->now].head;
        TRY(wait_link(s, s->c->in));
        s->begun = true;
        s->idle = false;
        if (head[DECODE_KIND] >= DECODE_END) break;
        bool const is_block = decode_is_block(head[DECODE_KIND]);
        TRY(is_block ? take_block(s) : pass_message_on(s));
        if (is_block) track_lap(s->c->track);
        s->idle = head[DECODE_KIND] == DECODE_IDLE;
        s->now = !s->now;
    }
    TRY(forward_message(s));
    TRY(wait_sent(s));
    if (s->message[s->now].head[DECODE_KIND] == DECODE_END) return ST_OK;
    return fail(ST_CANCELED, "stopped after the last decoded block");
}

static status open_chain(struct chain *s)
{
    const struct decode_chain_config *const c = s->c;
    struct tensor x0;

    TRY(decode_record(&x0, c->frames, c->latent_h, c->latent_w, c->chosen));
    for (int i = 0; i < COUNT_OF(s->message); i++) {
        s->message[i].x0 = x0;
        s->message[i].x0.data = malloc(tensor_bytes(&x0));
        if (!s->message[i].x0.data) return fail(ST_NOMEM, "decode: no memory for a latent");
    }
    if (s->takes_units) TRY(comm_attach(c->in, vae_memory(c->vae)));
    if (!s->is_last) TRY(comm_attach(c->out, vae_memory(c->vae)));
    if (!s->is_last) return ST_OK;
    s->bytes = malloc((size_t)(c->frames * VAE_PICTURES * c->picture_bytes));
    return s->bytes ? ST_OK : fail(ST_NOMEM, "decode: no memory for pictures of a block");
}

/* Peers may be reading or writing our memory, on either link. */
static void abort_links(const struct decode_chain_config *c)
{
    comm_abort(c->in);
    if (c->out) comm_abort(c->out);
}

status decode_chain_run(const struct decode_chain_config *c)
{
    struct chain s = {
        .c = c, .clip = -1, .idle = true, .takes_units = c->part.first > 0, .is_last = !c->out
    };
    status st = open_chain(&s);

    if (st == ST_OK) st = run_chain(&s);
    if (st != ST_OK && st != ST_CANCELED) abort_links(c);
    for (int i = 0; i < COUNT_OF(s.message); i++) free(s.message[i].x0.data);
    free(s.bytes);
    return st;
}
