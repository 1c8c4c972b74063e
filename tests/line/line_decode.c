/*
 * line_decode.c - blocks from a line's tail over a chain of decode ranks: the pictures
 * of one rank to the bit, however the decoder is cut and however late a call comes.
 *
 *   line_decode [--seed N] [--hunt RUNS]     RUNS chains with random delays, nothing else
 */
#include "tests/unit/unit.h"

#include "pipeline/decode_chain.h"
#include "tests/line/comm_delay.h"
#include "tests/rng.h"
#include "tests/unit/vae_clip.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { PARTS = 3, FRAMES = 1, CLIPS = 2, DELAY_US = 300, WAIT_S = 20 };

static uint64_t seed = 1;
static struct clip clip, back; /* the recorded one, and run backwards */

struct show {
    int parts;
    int delay_us;            /* 0: none */
    int fail_at, stop_after; /* a block of the last part; blocks sent; -1: never */
    int slow_ms;             /* of the last part, per block */
    float *rgb[CLIPS];
    int pictures[CLIPS];
    atomic_int sent, shown, ahead; /* ahead: most blocks that were sent and not shown */
};

static const struct clip *clip_at(int i) { return i ? &back : &clip; }

static status block(void *arg, int at, int64_t number, const float *x0, const float *rgb,
                    int pictures)
{
    struct show *const s = arg;
    const struct clip *const c = clip_at(at);
    struct timespec const pause = { .tv_nsec = s->slow_ms * 1000000L };

    nanosleep(&pause, NULL);
    if (atomic_load(&s->shown) == s->fail_at) return fail(ST_IO, "the last part's own failure");
    if (memcmp(x0, c->latents + number * latent_count(c), (size_t)latent_count(c) * sizeof *x0))
        return fail(ST_MISMATCH, "clip %d, block %lld: another latent", at, (long long)number);
    memcpy(s->rgb[at] + s->pictures[at] * picture_count(c), rgb,
           (size_t)(pictures * picture_count(c)) * sizeof *rgb);
    s->pictures[at] += pictures;
    atomic_fetch_add(&s->shown, 1);
    return ST_OK;
}

static status run_tail(struct show *s, struct comm *hop)
{
    struct decode_link *link = NULL;
    bool stopped = false;
    status st = ST_OK;

    TRY_OUT(decode_link_open(
        &link, &(struct decode_link_config){
                   .hop = hop, .frames = FRAMES, .latent_h = clip.h, .latent_w = clip.w }));
    for (int at = 0; at < CLIPS && !stopped; at++)
        for (int i = 0; i < clip.frames && !stopped; i++) {
            const struct clip *const c = clip_at(at);
            TRY_OUT(decode_link_send(link, at, i, c->latents + i * latent_count(c)));
            int const ahead = atomic_fetch_add(&s->sent, 1) + 1 - atomic_load(&s->shown);
            if (ahead > atomic_load(&s->ahead)) atomic_store(&s->ahead, ahead);
            stopped = s->sent == s->stop_after;
        }
    TRY_OUT(decode_link_end(link, stopped ? DECODE_CANCELED : DECODE_END));
out:
    decode_link_close(&link);
    return st;
}

static status run_part(struct show *s, int p, struct comm *in, struct comm *out)
{
    struct vae_part part[VAE_PARTS_MAX] = { { 0, 0 } };
    struct vae_size size = { .latent_h = clip.h, .latent_w = clip.w };
    struct vae_config config = { .backend = kern_backend_find("cpu"),
                                 .threads = 1,
                                 .precision = DT_BF16,
                                 .latent_h = clip.h,
                                 .latent_w = clip.w,
                                 .path = SMALL MODEL };
    pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    struct vae *vae = NULL;
    struct track *track = NULL;
    status st = ST_OK;

    if (s->parts > 1) {
        TRY_OUT(vae_base(&size.base, config.path));
        TRY_OUT(vae_parts(part, s->parts, &size));
    }
    config.part = part[p];
    TRY_OUT(vae_open(&vae, &config));
    TRY_OUT(track_open(&track, NULL, TRACK_ROW_DECODE, "decode"));
    TRY_OUT(decode_chain_run(&(struct decode_chain_config){ .vae = vae,
                                                            .part = config.part,
                                                            .turn = &turn,
                                                            .in = in,
                                                            .out = out,
                                                            .frames = FRAMES,
                                                            .latent_h = clip.h,
                                                            .latent_w = clip.w,
                                                            .first_wait_s = WAIT_S,
                                                            .least_wait_s = WAIT_S,
                                                            .out_share = 1,
                                                            .track = track,
                                                            .block = block,
                                                            .arg = s }));
out:
    vae_close(&vae);
    track_close(&track);
    return st;
}

/* Rank 0 is the tail, rank p + 1 part p; hop p joins ranks p and p + 1. */
static status run_rank(struct comm *world, struct show *s)
{
    struct comm *in = NULL, *out = NULL;
    status st = ST_OK;

    for (int p = 0; p < s->parts; p++) {
        struct comm *hop;
        bool const of_it = world->rank == p || world->rank == p + 1;
        TRY_OUT(world->ops->split(world, of_it ? 0 : -1, &hop));
        if (hop && hop->rank) in = hop;
        else if (hop) out = hop;
    }
    st = world->rank ? run_part(s, world->rank - 1, in, out) : run_tail(s, out);
    if (st == ST_OK || st == ST_CANCELED) st = world->ops->agree(world, st);
out:
    if (st != ST_OK && st != ST_CANCELED) world->ops->abort(world);
    if (in) in->ops->close(&in);
    if (out) out->ops->close(&out);
    return st;
}

static status rank_main(struct comm *world, void *arg)
{
    struct show *const s = arg;
    struct comm *late = world;
    uint64_t const own = seed * 131 + (uint64_t)world->rank;

    if (!s->delay_us) return run_rank(world, s);
    TRY(comm_delay_open(&late, world, own, s->delay_us));
    status const st = run_rank(late, s);
    comm_delay_end(&late);
    return st;
}

static status run(struct show *s)
{
    struct comm *group[PARTS + 1] = { NULL };
    status st = ST_OK;

    for (int i = 0; i < CLIPS; i++) s->rgb[i] = poisoned(clip.pictures * picture_count(&clip));
    TRY_OUT(comm_thread_open(group, s->parts + 1, WAIT_S));
    TRY_OUT(comm_thread_run(group, s->parts + 1, rank_main, s));
out:
    for (int i = 0; i <= s->parts; i++)
        if (group[i]) group[i]->ops->close(&group[i]);
    return st;
}

static void drop(struct show *s)
{
    for (int i = 0; i < CLIPS; i++) free(s->rgb[i]);
}

static struct show show_of(int parts)
{
    return (struct show){ .parts = parts, .fail_at = -1, .stop_after = -1 };
}

/* The pictures of one rank, made once. */
static float *want[CLIPS];

static int open_clips(void **state)
{
    struct vae_config c = {
        .backend = kern_backend_find("cpu"), .threads = 1, .precision = DT_BF16, .path = SMALL MODEL
    };
    struct vae *vae;

    (void)state;
    clip = clip_open(SMALL);
    back = reversed(&clip);
    c.latent_h = clip.h;
    c.latent_w = clip.w;
    if (vae_open(&vae, &c)) return -1;
    for (int i = 0; i < CLIPS; i++) {
        if (vae_reset(vae)) return -1;
        want[i] = decode(vae, clip_at(i), 1);
    }
    vae_close(&vae);
    return 0;
}

static int close_clips(void **state)
{
    (void)state;
    for (int i = 0; i < CLIPS; i++) free(want[i]);
    clip_close_reversed(&back);
    clip_close(&clip);
    return 0;
}

static void assert_pictures(const struct show *s)
{
    for (int i = 0; i < CLIPS; i++) {
        assert_int_equal(s->pictures[i], clip.pictures);
        assert_memory_equal(s->rgb[i], want[i],
                            (size_t)(clip.pictures * picture_count(&clip)) * sizeof(float));
    }
}

static void any_chain(void **state)
{
    (void)state;
    for (int parts = 1; parts <= PARTS; parts++) {
        struct show s = show_of(parts);
        ok(run(&s));
        assert_pictures(&s);
        drop(&s);
    }
}

static void a_stop_ends_all(void **state)
{
    (void)state;
    for (int parts = 1; parts <= PARTS; parts++) {
        struct show s = show_of(parts);
        s.stop_after = 2;
        assert_int_equal(run(&s), ST_CANCELED);
        assert_int_equal(s.shown, 2); /* what was sent is shown */
        drop(&s);
    }
}

static void a_failure_ends_all(void **state)
{
    (void)state;
    for (int parts = 1; parts <= PARTS; parts++) {
        struct show s = show_of(parts);
        s.fail_at = 2;
        assert_int_equal(run(&s), ST_IO);
        assert_non_null(strstr(error_last()->msg, "the last part's own failure"));
        drop(&s);
    }
}

/* A slow last part holds the tail back: in work, and per hop one under way on each side. */
static void a_slow_part_holds_back(void **state)
{
    (void)state;
    for (int parts = 1; parts <= PARTS; parts++) {
        struct show s = show_of(parts);
        s.slow_ms = 40;
        ok(run(&s));
        assert_pictures(&s);
        assert_in_range(s.ahead, 1, 1 + 2 * parts);
        drop(&s);
    }
}

static void hunt(int runs)
{
    for (int i = 0; i < runs; i++, seed++) {
        uint64_t rng = seed;
        struct show s = show_of(1 + rng_below(&rng, PARTS));
        s.delay_us = 1 + rng_below(&rng, DELAY_US);
        int const end = rng_below(&rng, 4);
        if (end == 0) s.fail_at = rng_below(&rng, CLIPS * clip.frames);
        if (end == 1) s.stop_after = 1 + rng_below(&rng, CLIPS * clip.frames - 1);
        status const st = run(&s);
        if (st != (end == 0 ? ST_IO : end == 1 ? ST_CANCELED : ST_OK))
            print_error("seed %llu: %s\n", (unsigned long long)seed, error_last()->msg);
        assert_int_equal(st, end == 0 ? ST_IO : end == 1 ? ST_CANCELED : ST_OK);
        if (end > 1) assert_pictures(&s);
        drop(&s);
    }
}

static int runs = 20;

static void late_calls(void **state)
{
    (void)state;
    hunt(runs);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest hunts[] = { cmocka_unit_test(late_calls) };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(late_calls),
        cmocka_unit_test(any_chain),
        cmocka_unit_test(a_stop_ends_all),
        cmocka_unit_test(a_failure_ends_all),
        cmocka_unit_test(a_slow_part_holds_back),
    };
    bool only = false;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--seed")) seed = strtoull(argv[i + 1], NULL, 10);
        if (!strcmp(argv[i], "--hunt")) runs = atoi(argv[i + 1]), only = true;
    }
    print_message("seeds from %llu\n", (unsigned long long)seed);
    if (only) return cmocka_run_group_tests_name("hunt", hunts, open_clips, close_clips);
    return cmocka_run_group_tests(tests, open_clips, close_clips);
}
