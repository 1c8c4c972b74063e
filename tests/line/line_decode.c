/*
 * line_decode.c - blocks from a line's tail over a chain of decode ranks: the pictures
 * of one rank to the bit, however the decoder is cut and however late a call comes.
 *
 *   line_decode [--seed N] [--hunt RUNS]     RUNS chains with random delays, nothing else
 */
#include "tests/unit/unit.h"

#include "pipeline/decode_chain.h"
#include "tests/line/comm_delay.h"
#include "tests/line/watched.h"
#include "tests/rng.h"
#include "tests/unit/vae_clip.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { PARTS = 3, CLIPS = 2, LINES = 2, DELAY_US = 300, WAIT_S = 20 };

static uint64_t seed = 1;
static struct clip clip, back; /* the recorded one, and run backwards */

/* libzip sets the time zone in each thread that opens a file. */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

struct show {
    int parts, frames;       /* frames of a block */
    int delay_us;            /* 0: none */
    int fail_at, stop_after; /* a block of the last part; blocks sent; -1: never */
    int slow_ms;             /* of the last part, per block */
    int breaks;              /* rank whose way in breaks at its third wait; 0: none */
    bool silent;             /* the tail says nothing */
    double wait_s;           /* of the parts */
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
    int64_t const count = s->frames * latent_count(c);

    nanosleep(&pause, NULL);
    if (atomic_load(&s->shown) == s->fail_at) return fail(ST_IO, "the last part's own failure");
    if (memcmp(x0, c->latents + number * count, (size_t)count * sizeof *x0))
        return fail(ST_MISMATCH, "clip %d, block %lld: another latent", at, (long long)number);
    memcpy(s->rgb[at] + s->pictures[at] * picture_count(c), rgb,
           (size_t)(pictures * picture_count(c)) * sizeof *rgb);
    s->pictures[at] += pictures;
    atomic_fetch_add(&s->shown, 1);
    return ST_OK;
}

static status send_clips(struct show *s, struct decode_link *link)
{
    int64_t const count = s->frames * latent_count(&clip);

    for (int at = 0; at < CLIPS; at++)
        for (int i = 0; i < clip.frames / s->frames; i++) {
            TRY(decode_link_send(link, at, i, clip_at(at)->latents + i * count));
            int const ahead = atomic_fetch_add(&s->sent, 1) + 1 - atomic_load(&s->shown);
            if (ahead > atomic_load(&s->ahead)) atomic_store(&s->ahead, ahead);
            if (s->sent == s->stop_after) return decode_link_end(link, DECODE_CANCELED);
        }
    return decode_link_end(link, DECODE_END);
}

/* For a word that a decoder never says. */
static status wait_in_vain(struct comm *hop)
{
    int64_t word[DECODE_HEAD];
    struct comm_part const part = { .t = decode_head(word), .peer = 1 };

    TRY(hop->ops->start(hop, &part, 1));
    return hop->ops->finish(hop);
}

static status run_tail(struct show *s, struct comm *hop)
{
    struct decode_link *link = NULL;
    status st = ST_OK;

    if (s->silent) return wait_in_vain(hop);
    TRY_OUT(decode_link_open(
        &link, &(struct decode_link_config){
                   .hop = hop, .frames = s->frames, .latent_h = clip.h, .latent_w = clip.w }));
    TRY_OUT(send_clips(s, link));
out:
    decode_link_close(&link);
    return st;
}

static struct vae_config whole(void)
{
    return (struct vae_config){ .backend = kern_backend_find("cpu"),
                                .threads = 1,
                                .precision = DT_BF16,
                                .latent_h = clip.h,
                                .latent_w = clip.w,
                                .path = SMALL MODEL };
}

/* One line's way through a decode rank; its hops are watched. */
struct way {
    struct show *show;
    struct vae *vae;
    struct vae_part part;
    struct comm *in, *out;
    pthread_mutex_t *turn;
    struct watched watched[2];
    status st;
    struct error error;
};

static status run_way(struct way *w)
{
    struct show *const s = w->show;
    struct track *track = NULL;

    TRY(track_open(&track, NULL, TRACK_ROW_DECODE, "decode"));
    watched_init(&w->watched[0], w->in);
    if (w->out) watched_init(&w->watched[1], w->out);
    if (s->breaks == w->in->world_rank) w->watched[0].fail_at = 3;
    status const st = decode_chain_run(&(struct decode_chain_config){
        .vae = w->vae,
        .part = w->part,
        .turn = w->turn,
        .in = &w->watched[0].base,
        .out = w->out ? &w->watched[1].base : NULL,
        .frames = s->frames,
        .latent_h = clip.h,
        .latent_w = clip.w,
        .first_wait_s = s->wait_s,
        .least_wait_s = s->wait_s,
        .out_share = 1,
        .track = track,
        .block = block,
        .arg = s,
    });
    track_close(&track);
    return st;
}

static status open_part(struct show *s, int p, struct way *w)
{
    struct vae_part part[VAE_PARTS_MAX] = { { 0, 0 } };
    struct vae_size size = { .latent_h = clip.h, .latent_w = clip.w };
    struct vae_config config = whole();

    if (s->parts > 1) {
        TRY(vae_base(&size.base, config.path));
        TRY(vae_parts(part, s->parts, &size));
    }
    config.part = w->part = part[p];
    return vae_open(&w->vae, &config);
}

static status run_part(struct show *s, int p, struct comm *in, struct comm *out)
{
    pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    struct way *const w = calloc(1, sizeof *w);

    if (!w) return fail(ST_NOMEM, "a way");
    *w = (struct way){ .show = s, .in = in, .out = out, .turn = &turn };
    pthread_mutex_lock(&opening);
    status st = open_part(s, p, w);
    pthread_mutex_unlock(&opening);
    if (st == ST_OK) st = run_way(w);
    vae_close(&w->vae);
    free(w);
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

static void poison(struct show *s)
{
    for (int i = 0; i < CLIPS; i++) s->rgb[i] = poisoned(clip.pictures * picture_count(&clip));
}

static status run(struct show *s)
{
    struct comm *group[VAE_PARTS_MAX + 1] = { NULL };
    status st = ST_OK;

    poison(s);
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
    return (struct show){
        .parts = parts, .frames = 1, .fail_at = -1, .stop_after = -1, .wait_s = WAIT_S
    };
}

/* The pictures of one rank, made once. */
static float *want[CLIPS];

static int open_clips(void **state)
{
    struct vae_config c;
    struct vae *vae;

    (void)state;
    clip = clip_open(SMALL);
    back = reversed(&clip);
    c = whole();
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
    static const int parts[] = { 1, 2, 3, VAE_PARTS_MAX };

    (void)state;
    for (int i = 0; i < COUNT_OF(parts); i++)
        for (int frames = 1; frames <= 2; frames++) {
            struct show s = show_of(parts[i]);
            s.frames = frames;
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

static void a_broken_wire_ends_all(void **state)
{
    (void)state;
    for (int parts = 1; parts <= PARTS; parts++)
        for (int rank = 1; rank <= parts; rank++) {
            struct show s = show_of(parts);
            s.breaks = rank;
            assert_int_equal(run(&s), ST_COMM);
            assert_non_null(strstr(error_last()->msg, "decode: behind clip 0, block "));
            assert_non_null(strstr(error_last()->msg, ": the wire broke"));
            drop(&s);
        }
}

static void a_silent_tail_is_named(void **state)
{
    struct show s = show_of(1);

    (void)state;
    s.silent = true;
    s.wait_s = 0.3;
    assert_int_equal(run(&s), ST_COMM);
    assert_string_equal(error_last()->msg, "decode: before the first block: "
                                           "rank 1 waited 0.3 s for rank 0 to send 2 parts");
    drop(&s);
}

static void pictures_that_are_no_numbers(void **state)
{
    struct show s = show_of(2);
    float *const value = back.latents + latent_count(&back) + 5, was = *value;

    (void)state;
    *value = NAN;
    assert_int_equal(run(&s), ST_MISMATCH);
    assert_non_null(strstr(error_last()->msg, "of a picture is not a number"));
    assert_int_equal(s.pictures[0], clip.pictures);
    assert_int_equal(s.pictures[1], 1);
    *value = was;
    drop(&s);
}

/* A slow last part holds the tail back: each part has a block in work, the first one the
 * next besides, and one is under way. */
static void a_slow_part_holds_back(void **state)
{
    (void)state;
    for (int parts = 1; parts <= PARTS; parts++) {
        struct show s = show_of(parts);
        s.slow_ms = 40;
        ok(run(&s));
        assert_pictures(&s);
        assert_in_range(s.ahead, 2, parts + 2);
        drop(&s);
    }
}

/* ---- one decode rank for two lines: ranks 0 and 1 are their tails ----------------- */

struct both {
    struct show line[LINES];
    struct way way[LINES];
    pthread_mutex_t turn;
};

static void *way_main(void *arg)
{
    struct way *const w = arg;

    w->st = run_way(w);
    if (w->st != ST_OK) w->error = *error_last();
    return NULL;
}

/* The second line's clips on a thread of its own, over the weights of the first. */
static status serve_both(struct both *b, struct comm *const *hop)
{
    struct vae_config const config = whole();
    pthread_t thread;
    status st;

    for (int i = 0; i < LINES; i++)
        b->way[i] = (struct way){ .show = &b->line[i], .in = hop[i], .turn = &b->turn };
    TRY_OUT(vae_open(&b->way[0].vae, &config));
    TRY_OUT(vae_open_beside(&b->way[1].vae, b->way[0].vae));
    if (pthread_create(&thread, NULL, way_main, &b->way[1])) {
        st = fail(ST_NOMEM, "a thread");
        goto out;
    }
    way_main(&b->way[0]);
    pthread_join(thread, NULL);
    for (int i = 0; i < LINES && st == ST_OK; i++)
        if ((st = b->way[i].st) != ST_OK) error_adopt(&b->way[i].error);
out:
    for (int i = LINES - 1; i >= 0; i--) vae_close(&b->way[i].vae);
    return st;
}

static status both_main(struct comm *world, void *arg)
{
    struct both *const b = arg;
    struct comm *hop[LINES] = { 0 };
    int const me = world->rank;
    status st = ST_OK;

    for (int i = 0; i < LINES; i++)
        TRY_OUT(world->ops->split(world, me == i || me == LINES ? 0 : -1, &hop[i]));
    st = me == LINES ? serve_both(b, hop) : run_tail(&b->line[me], hop[me]);
    if (st == ST_OK) st = world->ops->agree(world, st);
out:
    if (st != ST_OK) world->ops->abort(world);
    for (int i = 0; i < LINES; i++)
        if (hop[i]) hop[i]->ops->close(&hop[i]);
    return st;
}

static void a_rank_serves_two_lines(void **state)
{
    struct both *const b = calloc(1, sizeof *b);
    struct comm *group[LINES + 1] = { 0 };

    (void)state;
    assert_non_null(b);
    pthread_mutex_init(&b->turn, NULL);
    for (int i = 0; i < LINES; i++) {
        b->line[i] = show_of(1);
        b->line[i].frames = 1 + i;
        poison(&b->line[i]);
    }
    ok(comm_thread_open(group, LINES + 1, WAIT_S));
    ok(comm_thread_run(group, LINES + 1, both_main, b));
    for (int i = 0; i <= LINES; i++) group[i]->ops->close(&group[i]);
    for (int i = 0; i < LINES; i++) {
        assert_pictures(&b->line[i]);
        drop(&b->line[i]);
    }
    pthread_mutex_destroy(&b->turn);
    free(b);
}

/* ---- late calls ------------------------------------------------------------------- */

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
        cmocka_unit_test(a_broken_wire_ends_all),
        cmocka_unit_test(a_silent_tail_is_named),
        cmocka_unit_test(pictures_that_are_no_numbers),
        cmocka_unit_test(a_slow_part_holds_back),
        cmocka_unit_test(a_rank_serves_two_lines),
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
