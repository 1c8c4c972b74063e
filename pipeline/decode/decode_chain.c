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
    int now;              /* the message in work */
    bool begun;           /* a message has come */
    bool units, ends;     /* takes units; gives pictures */
    bool sends;           /* a start is open on the hop that goes out */
    unsigned char *bytes; /* of a block's pictures; last part only */
    struct vae_out out;   /* of the call in work */
    int pictures;         /* of the block, so far */
};

static struct track_at at(const struct chain *s)
{
    const int64_t *const head = s->message[s->now].head;
    return (struct track_at){
        .clip = (int)head[DECODE_CLIP], .block = head[DECODE_AT], .stage = -1, .layer = -1
    };
}

static status wait_for(const struct chain *s, struct comm *hop)
{
    track_begin(s->c->track, TRACK_QUEUE, at(s));
    status st = comm_wait(hop);
    if (st == ST_OK) st = comm_synchronize(hop);
    track_end(s->c->track);
    if (st == ST_OK) return ST_OK;
    if (!s->begun) return fail(st, "decode: before the first block: %s", error_last()->msg);
    return fail(st, "decode: behind clip %d, block %lld: %s", at(s).clip, (long long)at(s).block,
                error_last()->msg);
}

/* ---- in ---------------------------------------------------------------------------- */

static status await_message(struct chain *s, int which)
{
    struct message *const m = &s->message[which];
    struct comm_xfer const part[] = { { .t = decode_head(m->head), .peer = 0 },
                                      { .t = m->x0, .peer = 0 } };
    return comm_post(s->c->in, part, COUNT_OF(part));
}

static status await_unit(struct chain *s, int which, bool first)
{
    struct comm_xfer const part = { .t = vae_inbox(s->c->vae, which, first),
                                    .peer = 0,
                                    .device = true };
    return comm_post(s->c->in, &part, 1);
}

/* ---- out --------------------------------------------------------------------------- */

static status settle_out(struct chain *s)
{
    if (!s->sends) return ST_OK;
    s->sends = false;
    return wait_for(s, s->c->out);
}

static status send_out(struct chain *s, const struct comm_xfer *part, int count)
{
    TRY(settle_out(s));
    TRY(comm_post(s->c->out, part, count));
    s->sends = true;
    return ST_OK;
}

static status forward(struct chain *s)
{
    struct message *const m = &s->message[s->now];
    struct comm_xfer const part[] = { { .t = decode_head(m->head), .peer = 1, .send = true },
                                      { .t = m->x0, .peer = 1, .send = true } };
    return s->c->out ? send_out(s, part, COUNT_OF(part)) : ST_OK;
}

static status unit_out(void *arg, const struct tensor *unit)
{
    struct chain *const s = arg;
    struct comm_xfer const part = { .t = *unit, .peer = 1, .send = true, .device = true };

    track_end(s->c->track);
    status const st = send_out(s, &part, 1);
    track_begin(s->c->track, TRACK_DECODE, at(s));
    return st;
}

/* ---- a block ----------------------------------------------------------------------- */

/* The arrow from the line ends here. */
static void show_arrival(const struct chain *s)
{
    struct track_at where = at(s);

    where.stage = DECODE_ARROW;
    track_begin(s->c->track, TRACK_DECODE, at(s));
    if (!s->units) track_arrow(s->c->track, false, where);
    track_end(s->c->track);
}

static void take_turn(const struct chain *s)
{
    track_begin(s->c->track, TRACK_QUEUE, at(s));
    pthread_mutex_lock(s->c->turn);
    track_end(s->c->track);
}

/* All latent frames of a block if they become pictures here, one if they leave as units,
 * or one unit in an inbox. */
static status decode(struct chain *s, const float *latent, int inbox)
{
    if (!latent) return vae_decode_unit(s->c->vae, inbox, &s->out);
    return vae_decode_latents(s->c->vae, latent, s->ends ? s->c->frames : 1, &s->out);
}

static int64_t picture_bytes(const struct chain *s)
{
    const struct decode_chain_config *const c = s->c;
    return pixels_layout((int)c->latent_w * VAE_SCALE, (int)c->latent_h * VAE_SCALE, s->out.formats)
        .bytes;
}

static status compute(struct chain *s, const float *latent, int inbox)
{
    if (s->ends) s->out.pixels = s->bytes + s->pictures * picture_bytes(s);
    take_turn(s);
    track_begin(s->c->track, TRACK_DECODE, at(s));
    status const st = decode(s, latent, inbox);
    track_end(s->c->track);
    pthread_mutex_unlock(s->c->turn);
    s->pictures += s->out.pictures;
    return st;
}

static status take_latents(struct chain *s)
{
    const struct message *const m = &s->message[s->now];
    int64_t const frame = tensor_count(&m->x0) / s->c->frames;
    int const calls = s->ends ? 1 : s->c->frames;

    TRY(await_message(s, !s->now));
    for (int i = 0; i < calls; i++) TRY(compute(s, (const float *)m->x0.data + i * frame, 0));
    return ST_OK;
}

/* Units come one behind the other; behind the last, the next block's message. */
static status take_units(struct chain *s)
{
    bool const starts = s->message[s->now].head[DECODE_AT] == 0;
    int units = 0;

    for (int i = 0; i < s->c->frames; i++) units += vae_units(s->c->part, starts && !i);
    TRY(await_unit(s, 0, starts));
    for (int i = 0; i < units; i++) {
        TRY(wait_for(s, s->c->in));
        TRY(i + 1 < units ? await_unit(s, (i + 1) % 2, false) : await_message(s, !s->now));
        TRY(compute(s, NULL, i % 2));
    }
    return ST_OK;
}

static status run_block(struct chain *s)
{
    struct message *const m = &s->message[s->now];

    s->out = (struct vae_out){ .unit = s->ends ? NULL : unit_out, .arg = s };
    s->pictures = 0;
    if (s->ends) TRY(s->c->formats(s->c->arg, at(s).clip, &s->out.formats));
    show_arrival(s);
    TRY(forward(s));
    if (m->head[DECODE_AT] == 0) {
        take_turn(s);
        status const st = vae_reset(s->c->vae);
        pthread_mutex_unlock(s->c->turn);
        TRY(st);
    }
    TRY(s->units ? take_units(s) : take_latents(s));
    if (!s->ends) return ST_OK;
    return s->c->block(s->c->arg, &(struct decode_block){
                                      .clip = at(s).clip,
                                      .block = at(s).block,
                                      .x0 = m->x0.data,
                                      .pictures = { s->bytes, s->pictures, s->out.formats },
                                  });
}

static status run(struct chain *s)
{
    TRY(await_message(s, 0));
    for (;;) {
        const int64_t *const head = s->message[s->now].head;
        TRY(wait_for(s, s->c->in));
        s->begun = true;
        if (head[DECODE_KIND] != DECODE_BLOCK) break;
        TRY(run_block(s));
        track_lap(s->c->track);
        s->now = !s->now;
    }
    TRY(forward(s));
    TRY(settle_out(s));
    if (s->message[s->now].head[DECODE_KIND] == DECODE_END) return ST_OK;
    return fail(ST_CANCELED, "stopped behind the last block that was decoded");
}

static status open(struct chain *s)
{
    const struct decode_chain_config *const c = s->c;
    struct tensor x0;

    TRY(tensor_make(&x0, DT_F32, DIMS(c->frames, VAE_CHANNELS, c->latent_h, c->latent_w)));
    for (int i = 0; i < COUNT_OF(s->message); i++) {
        s->message[i].x0 = x0;
        s->message[i].x0.data = malloc(tensor_bytes(&x0));
        if (!s->message[i].x0.data) return fail(ST_NOMEM, "decode: a latent");
    }
    if (s->units) TRY(comm_attach(c->in, vae_memory(c->vae)));
    if (!s->ends) TRY(comm_attach(c->out, vae_memory(c->vae)));
    if (!s->ends) return ST_OK;
    s->bytes = malloc((size_t)(c->frames * VAE_PICTURES * c->picture_bytes));
    return s->bytes ? ST_OK : fail(ST_NOMEM, "decode: pictures of a block");
}

/* Peers may be in our memory, on either hop. */
static void take_back(const struct decode_chain_config *c)
{
    comm_abort(c->in);
    if (c->out) comm_abort(c->out);
}

status decode_chain_run(const struct decode_chain_config *c)
{
    struct chain s = { .c = c, .units = c->part.first > 0, .ends = !c->out };
    status st = open(&s);

    if (st == ST_OK) st = run(&s);
    if (st != ST_OK && st != ST_CANCELED) take_back(c);
    for (int i = 0; i < COUNT_OF(s.message); i++) free(s.message[i].x0.data);
    free(s.bytes);
    return st;
}
