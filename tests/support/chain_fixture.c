#include "tests/support/chain_fixture.h"

#include "pipeline/decode/decode_chain.h"
#include "tests/support/comm_jitter.h"
#include "tests/support/comm_poison.h"
#include "tests/support/rng.h"

#include <stdio.h>

enum { DELAY_US = 300, WAIT_S = 20 };

/* libzip sets the time zone in each thread that opens a file. */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

static const unsigned formats[CHAIN_CLIPS] = { 1u << PIX_YUV420P,
                                               1u << PIX_YUV444P10 | 1u << PIX_YUV422P };

/* To floats, unless its pictures are for a fixture. */
static struct vae_config decoder(const struct chain_clips *c)
{
    return (struct vae_config){ .backend = kern_backend_find("cpu"),
                                .threads = 1,
                                .precision = DT_BF16,
                                .latent_h = c->clip[0].h,
                                .latent_w = c->clip[0].w,
                                .path = SMALL MODEL };
}

struct vae_config chain_vae(const struct chain_clips *c)
{
    struct vae_config config = decoder(c);

    config.picture_bytes = c->layout[1].bytes; /* the larger one */
    return config;
}

status chain_clips_open(struct chain_clips *c)
{
    struct vae *vae = NULL;

    *c = (struct chain_clips){ 0 };
    c->clip[0] = clip_open(SMALL);
    c->clip[1] = reversed(&c->clip[0]);
    struct vae_config const config = decoder(c);
    TRY(vae_open(&vae, &config));
    status st = ST_OK;
    for (int i = 0; i < CHAIN_CLIPS; i++) {
        const struct clip *const clip = &c->clip[i];
        TRY_OUT(vae_reset(vae));
        float *const rgb = decode(vae, clip, 1);
        c->layout[i] =
            pixels_layout((int)clip->w * VAE_SCALE, (int)clip->h * VAE_SCALE, formats[i]);
        c->want[i] = as_bytes(rgb, clip->pictures, &c->layout[i]);
        free(rgb);
    }
out:
    vae_close(&vae);
    return st;
}

void chain_clips_close(struct chain_clips *c)
{
    for (int i = 0; i < CHAIN_CLIPS; i++) free_bytes(&c->want[i]);
    clip_close_reversed(&c->clip[1]);
    clip_close(&c->clip[0]);
}

void chain_fixture_open(struct chain_fixture *s, const struct chain_clips *clips, int parts)
{
    *s = (struct chain_fixture){ .clips = clips,
                                 .parts = parts,
                                 .frames = 1,
                                 .wait_s = WAIT_S,
                                 .stop_after = -1,
                                 .fail_send = -1,
                                 .fail_block = -1,
                                 .fail_rank = -1 };
    for (int i = 0; i < CHAIN_CLIPS; i++)
        s->bytes[i] = room_for_bytes(clips->clip[i].pictures, &clips->layout[i]);
}

void chain_fixture_close(struct chain_fixture *s)
{
    for (int i = 0; i < CHAIN_CLIPS; i++) free(s->bytes[i]);
}

static int blocks_each(const struct chain_fixture *s)
{
    return s->clips->clip[0].frames / s->frames;
}

static int blocks_of(const struct chain_fixture *s) { return CHAIN_CLIPS * blocks_each(s); }

static void draw_fault(struct chain_fixture *s, uint64_t *rng)
{
    switch (rng_below(rng, 3)) {
    case 0: s->fail_send = rng_below(rng, blocks_of(s)); break;
    case 1: s->fail_block = rng_below(rng, blocks_of(s)); break;
    default:
        s->fail_rank = rng_below(rng, s->parts + 1);
        s->fail_wait = 1 + rng_below(rng, 2 * blocks_of(s));
    }
}

void chain_fixture_draw(struct chain_fixture *s, const struct chain_clips *clips, uint64_t seed,
                        int parts, bool faults)
{
    uint64_t rng = seed;

    chain_fixture_open(s, clips, parts ? parts : 1 + rng_below(&rng, CHAIN_PARTS));
    s->seed = seed;
    s->delay_us = 1 + rng_below(&rng, DELAY_US);
    if (rng_below(&rng, 3) == 0) s->stop_after = rng_below(&rng, blocks_of(s));
    if (faults) draw_fault(s, &rng);
}

const char *chain_fixture_words(const struct chain_fixture *s, char buf[CHAIN_TEXT])
{
    snprintf(buf, CHAIN_TEXT,
             "seed %llu: %d parts, stop after %d blocks, fault at send %d, block %d, wait %ld of "
             "rank %d, %d us",
             (unsigned long long)s->seed, s->parts, s->stop_after, s->fail_send, s->fail_block,
             s->fail_wait, s->fail_rank, s->delay_us);
    return buf;
}

/* ---- ranks -------------------------------------------------------------------------- */

static status meet_fault(struct chain_fixture *s, const char *what)
{
    atomic_store(&s->met, true);
    return fail(ST_IO, "%s fails", what);
}

static status block(void *arg, const struct decode_block *b)
{
    struct chain_fixture *const s = arg;
    int const at = b->clip;
    const struct clip *const c = &s->clips->clip[at];
    int64_t const bytes = s->clips->layout[at].bytes;
    struct timespec const pause = { .tv_nsec = s->slow_ms * 1000000L };
    int64_t const count = s->frames * latent_count(c);

    nanosleep(&pause, NULL);
    if (atomic_load(&s->shown) == s->fail_block) return meet_fault(s, "the last part");
    if (memcmp(b->x0, c->latents + b->block * count, (size_t)count * sizeof *b->x0))
        return fail(ST_MISMATCH, "clip %d, block %lld: another latent", at, (long long)b->block);
    if (b->pictures.formats != formats[at])
        return fail(ST_MISMATCH, "clip %d, block %lld: other formats", at, (long long)b->block);
    if (s->pictures[at] + b->pictures.count > c->pictures)
        return fail(ST_MISMATCH, "clip %d, block %lld: too many pictures", at, (long long)b->block);
    memcpy(s->bytes[at] + s->pictures[at] * bytes, b->pictures.at,
           (size_t)(b->pictures.count * bytes));
    s->pictures[at] += b->pictures.count;
    atomic_fetch_add(&s->shown, 1);
    return ST_OK;
}

static status send_block(struct chain_fixture *s, struct decode_link *link, int number)
{
    int const at = number / blocks_each(s), i = number % blocks_each(s);
    const struct clip *const c = &s->clips->clip[at];

    if (number == s->fail_send) return meet_fault(s, "the tail");
    TRY(decode_link_send(link, DECODE_BLOCK, at, i, c->latents + i * s->frames * latent_count(c)));
    int const ahead = atomic_fetch_add(&s->sent, 1) + 1 - atomic_load(&s->shown);
    if (ahead > atomic_load(&s->ahead)) atomic_store(&s->ahead, ahead);
    return ST_OK;
}

/* For a word that a decoder never says. */
static status wait_in_vain(struct comm *link)
{
    int64_t word[DECODE_HEAD];
    struct comm_xfer const part = { .t = decode_head(word), .peer = 1 };

    TRY(comm_post(link, &part, 1));
    return comm_wait(link);
}

status chain_tail_run(struct chain_fixture *s, struct comm *out)
{
    struct decode_link_config const c = { .link = out,
                                          .frames = s->frames,
                                          .latent_h = s->clips->clip[0].h,
                                          .latent_w = s->clips->clip[0].w };
    struct decode_link *link = NULL;
    bool const stops = s->stop_after >= 0;
    int const end = stops ? s->stop_after : blocks_of(s);
    status st = ST_OK;

    if (s->silent) return wait_in_vain(out);
    TRY_OUT(decode_link_open(&link, &c));
    for (int i = 0; i < end; i++) TRY_OUT(send_block(s, link, i));
    TRY_OUT(decode_link_end(link, stops ? DECODE_CANCELED : DECODE_END));
    if (stops) st = fail(ST_CANCELED, "the tail was told to stop");
out:
    decode_link_close(&link);
    return st;
}

/* Did the wait that is to fail? */
static void check_and_end_poison(struct chain_fixture *s, struct comm_poison *w)
{
    if (w->fail_at && w->waits >= w->fail_at) atomic_store(&s->met, true);
    comm_poison_end(w);
}

static status find_formats(void *arg, int clip, unsigned *out)
{
    (void)arg;
    *out = formats[clip];
    return ST_OK;
}

static status run_poisoned(struct chain_stream *w, struct track *track)
{
    const struct clip *const c = &w->fixture->clips->clip[0];

    return decode_chain_run(
        &(struct decode_chain_config){ .vae = w->vae,
                                       .part = w->part,
                                       .turn = w->turn,
                                       .in = &w->poison[0].base,
                                       .out = w->out ? &w->poison[1].base : NULL,
                                       .frames = w->fixture->frames,
                                       .latent_h = c->h,
                                       .latent_w = c->w,
                                       .track = track,
                                       .formats = find_formats,
                                       .picture_bytes = w->fixture->clips->layout[1].bytes,
                                       .block = block,
                                       .arg = w->fixture });
}

status chain_stream_run(struct chain_stream *w)
{
    struct track *track = NULL;

    TRY(track_open(&track, NULL, TRACK_ROW_DECODE, "decode"));
    comm_poison_init(&w->poison[0], w->in);
    if (w->out) comm_poison_init(&w->poison[1], w->out);
    w->poison[0].base.deadline_s = w->fixture->wait_s;
    w->poison[1].base.deadline_s = w->fixture->wait_s;
    if (w->fails) w->poison[0].fail_at = w->fixture->fail_wait;
    status const st = run_poisoned(w, track);
    check_and_end_poison(w->fixture, &w->poison[0]);
    if (w->out) check_and_end_poison(w->fixture, &w->poison[1]);
    track_close(&track);
    return st;
}

static status open_part(struct chain_fixture *s, int p, struct chain_stream *w)
{
    struct vae_range part[VAE_PARTS_MAX] = { { 0, 0 } };
    struct vae_config config = chain_vae(s->clips);
    struct vae_size size = { .latent_h = config.latent_h, .latent_w = config.latent_w };

    if (s->parts > 1) {
        TRY(vae_base(&size.base, config.path));
        TRY(vae_parts(part, s->parts, &size));
    }
    config.part = w->part = part[p];
    return vae_open(&w->vae, &config);
}

static status run_part(struct chain_fixture *s, struct comm *c, struct comm *in, struct comm *out)
{
    pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    struct chain_stream *const w = calloc(1, sizeof *w);

    if (!w) return fail(ST_NOMEM, "a way");
    *w = (struct chain_stream){
        .fixture = s, .in = in, .out = out, .turn = &turn, .fails = c->rank == s->fail_rank
    };
    pthread_mutex_lock(&opening);
    status st = open_part(s, c->rank - 1, w);
    pthread_mutex_unlock(&opening);
    if (st == ST_OK) st = chain_stream_run(w);
    vae_close(&w->vae);
    free(w);
    return st;
}

static status run_tail(struct chain_fixture *s, struct comm *link)
{
    struct comm_poison *const w = calloc(1, sizeof *w);

    if (!w) return fail(ST_NOMEM, "a link");
    comm_poison_init(w, link);
    if (s->fail_rank == 0) w->fail_at = s->fail_wait;
    status const st = chain_tail_run(s, &w->base);
    check_and_end_poison(s, w);
    free(w);
    return st;
}

/* Link p joins ranks p and p + 1. */
static status join_and_run(struct chain_fixture *s, struct comm *c)
{
    struct comm *in = NULL, *out = NULL;
    status st = ST_OK;

    for (int p = 0; p < s->parts; p++) {
        bool const of_it = c->rank == p || c->rank == p + 1;
        struct comm *link;
        TRY_OUT(comm_split(c, of_it ? 0 : -1, &link));
        if (link && link->rank) in = link;
        else if (link) out = link;
    }
    st = c->rank ? run_part(s, c, in, out) : run_tail(s, out);
    if (st == ST_OK || st == ST_CANCELED) st = comm_agree(c, st);
out:
    if (st != ST_OK && st != ST_CANCELED) comm_abort(c);
    comm_close(&in);
    comm_close(&out);
    return st;
}

status chain_fixture_run(struct chain_fixture *s, struct comm *c)
{
    struct comm *late = c;

    if (s->delay_us) TRY(comm_jitter_open(&late, c, s->seed * 131, s->delay_us));
    s->ended[c->rank] = join_and_run(s, late);
    if (late != c) comm_jitter_end(&late);
    return s->ended[c->rank];
}

static status rank_main(struct comm *c, void *fixture) { return chain_fixture_run(fixture, c); }

status chain_fixture_run_threads(struct chain_fixture *s)
{
    struct comm *group[VAE_PARTS_MAX + 1] = { NULL };
    status st = ST_OK;

    TRY_OUT(comm_thread_open(group, s->parts + 1, WAIT_S));
    TRY_OUT(comm_thread_run(group, s->parts + 1, rank_main, s));
out:
    for (int i = 0; i <= s->parts; i++) comm_close(&group[i]);
    return st;
}

/* ---- what came of it ---------------------------------------------------------------- */

static int culprit(const struct chain_fixture *s)
{
    if (s->fail_send >= 0) return 0;
    return s->fail_block >= 0 ? s->parts : s->fail_rank;
}

static status expected(const struct chain_fixture *s, int rank, bool alone)
{
    bool const told = alone && culprit(s) >= 0 && s->ended[rank] == ST_PEER;

    if (rank == culprit(s) && s->met) return s->fail_wait ? ST_COMM : ST_IO;
    if (s->met || told) return ST_PEER;
    return s->stop_after >= 0 ? ST_CANCELED : ST_OK;
}

/* What is there is right; and all of it is there. */
static status check_pictures(const struct chain_fixture *s)
{
    const struct clip *const c = &s->clips->clip[0];
    bool const whole = s->ended[s->parts] == ST_OK;

    for (int i = 0; i < CHAIN_CLIPS; i++) {
        if (memcmp(s->bytes[i], s->clips->want[i].at,
                   (size_t)(s->pictures[i] * s->clips->layout[i].bytes)) != 0)
            return fail(ST_MISMATCH, "clip %d: other pictures", i);
        if (whole && s->pictures[i] != c->pictures)
            return fail(ST_MISMATCH, "clip %d: %d pictures, not %d", i, s->pictures[i],
                        c->pictures);
    }
    if (s->ended[s->parts] == ST_CANCELED && s->shown != s->stop_after)
        return fail(ST_MISMATCH, "%d blocks are shown, %d were sent", s->shown, s->stop_after);
    return ST_OK;
}

status chain_fixture_check(const struct chain_fixture *s, int here)
{
    int const first = here < 0 ? 0 : here, last = here < 0 ? s->parts : here;

    for (int r = first; r <= last; r++) {
        status const want = expected(s, r, here >= 0);
        if (s->ended[r] != want)
            return fail(ST_MISMATCH, "rank %d ended with %s, not %s", r, status_name(s->ended[r]),
                        status_name(want));
    }
    return here < 0 || here == s->parts ? check_pictures(s) : ST_OK;
}
