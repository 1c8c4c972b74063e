/*
 * line_decode.c - blocks from a line's tail over a chain of decode ranks that are threads:
 * the pictures of one rank to the bit, however the decoder is cut and however late a call
 * comes.
 *
 *   line_decode [--seed N] [--hunt SEEDS]     SEEDS chains with random delays, stops and
 *                                             faults, nothing else
 */
#include "tests/support/unit.h"

#include "tests/support/chain_fixture.h"
#include "tests/support/rng.h"

#include <math.h>

enum { LINES = 2 };

static struct chain_clips clips;

static int open_clips(void **state)
{
    (void)state;
    return chain_clips_open(&clips) == ST_OK ? 0 : -1;
}

static int close_clips(void **state)
{
    (void)state;
    chain_clips_close(&clips);
    return 0;
}

static void any_chain(void **state)
{
    static const int parts[] = { 1, 2, 3, VAE_PARTS_MAX };

    (void)state;
    for (int i = 0; i < COUNT_OF(parts); i++)
        for (int frames = 1; frames <= 2; frames++) {
            struct chain_fixture s;
            chain_fixture_open(&s, &clips, parts[i]);
            s.frames = frames;
            ok(chain_fixture_run_threads(&s));
            ok(chain_fixture_check(&s, -1));
            chain_fixture_close(&s);
        }
}

static void a_stop_ends_all(void **state)
{
    (void)state;
    for (int parts = 1; parts <= CHAIN_PARTS; parts++) {
        struct chain_fixture s;
        chain_fixture_open(&s, &clips, parts);
        s.stop_after = 2;
        assert_int_equal(chain_fixture_run_threads(&s), ST_CANCELED);
        ok(chain_fixture_check(&s, -1));
        assert_int_equal(s.shown, 2); /* what was sent is shown */
        chain_fixture_close(&s);
    }
}

static void a_failure_ends_all(void **state)
{
    (void)state;
    for (int parts = 1; parts <= CHAIN_PARTS; parts++) {
        struct chain_fixture s;
        chain_fixture_open(&s, &clips, parts);
        s.fail_block = 2;
        assert_int_equal(chain_fixture_run_threads(&s), ST_IO);
        assert_string_equal(error_last()->msg, "the last part fails");
        ok(chain_fixture_check(&s, -1));
        chain_fixture_close(&s);
    }
}

/* Behind a stop what was sent is still decoded: a failure there is the one that counts. */
static void a_failure_behind_a_stop(void **state)
{
    (void)state;
    for (int parts = 1; parts <= CHAIN_PARTS; parts++) {
        struct chain_fixture s;
        chain_fixture_open(&s, &clips, parts);
        s.stop_after = 3;
        s.fail_block = 2;
        s.slow_ms = 20;
        assert_int_equal(chain_fixture_run_threads(&s), ST_IO);
        assert_string_equal(error_last()->msg, "the last part fails");
        ok(chain_fixture_check(&s, -1));
        chain_fixture_close(&s);
    }
}

static void a_broken_wire_ends_all(void **state)
{
    (void)state;
    for (int parts = 1; parts <= CHAIN_PARTS; parts++)
        for (int rank = 1; rank <= parts; rank++) {
            struct chain_fixture s;
            chain_fixture_open(&s, &clips, parts);
            s.fail_rank = rank;
            s.fail_wait = 3;
            assert_int_equal(chain_fixture_run_threads(&s), ST_COMM);
            assert_non_null(strstr(error_last()->msg, "decode: waiting after clip 0, block "));
            assert_non_null(strstr(error_last()->msg, ": the wire broke"));
            ok(chain_fixture_check(&s, -1));
            chain_fixture_close(&s);
        }
}

static void a_silent_tail_is_named(void **state)
{
    struct chain_fixture s;

    (void)state;
    chain_fixture_open(&s, &clips, 1);
    s.silent = true;
    s.wait_s = 0.3;
    assert_int_equal(chain_fixture_run_threads(&s), ST_COMM);
    assert_string_equal(error_last()->msg, "decode: waiting for the first block: "
                                           "rank 1 waited 0.3 s for rank 0 to send 2 tensors");
    chain_fixture_close(&s);
}

/* They come, with a note. */
static void pictures_that_are_no_numbers(void **state)
{
    const struct clip *const back = &clips.clip[1];
    float *const value = back->latents + latent_count(back) + 5, was = *value;
    struct pixels_flaw flaw;
    struct chain_fixture s;

    (void)state;
    chain_fixture_open(&s, &clips, 2);
    *value = NAN;
    ok(chain_fixture_run_threads(&s));
    for (int i = 0; i < CHAIN_CLIPS; i++) {
        assert_int_equal(s.pictures[i], back->pictures);
        for (int k = 0; k < back->pictures; k++)
            assert_int_equal(pixels_flaw(&flaw, s.bytes[i] + k * clips.layout[i].bytes),
                             i == 1 && k > 0);
    }
    assert_string_equal(flaw.value, "nan");
    *value = was;
    chain_fixture_close(&s);
}

/* A slow last part holds the tail back: each part has a block in work, the first one the
 * next besides, and one is under way. */
static void a_slow_part_holds_back(void **state)
{
    (void)state;
    for (int parts = 1; parts <= CHAIN_PARTS; parts++) {
        struct chain_fixture s;
        chain_fixture_open(&s, &clips, parts);
        s.slow_ms = 40;
        ok(chain_fixture_run_threads(&s));
        ok(chain_fixture_check(&s, -1));
        assert_in_range(s.ahead, 2, parts + 2);
        chain_fixture_close(&s);
    }
}

/* ---- one decode rank for two lines: ranks 0 and 1 are their tails ----------------- */

struct both {
    struct chain_fixture line[LINES];
    struct chain_stream way[LINES];
    pthread_mutex_t turn;
};

static void *way_main(void *arg)
{
    struct chain_stream *const w = arg;

    w->st = chain_stream_run(w);
    if (w->st != ST_OK) w->error = *error_last();
    return NULL;
}

/* The second line's clips on a thread of its own, over the weights of the first. */
static status serve_both(struct both *b, struct comm *const *link)
{
    struct vae_config const config = chain_vae(&clips);
    pthread_t thread;
    status st;

    for (int i = 0; i < LINES; i++)
        b->way[i] =
            (struct chain_stream){ .fixture = &b->line[i], .in = link[i], .turn = &b->turn };
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
    struct comm *link[LINES] = { 0 };
    int const me = world->rank;
    status st = ST_OK;

    for (int i = 0; i < LINES; i++)
        TRY_OUT(comm_split(world, me == i || me == LINES ? 0 : -1, &link[i]));
    st = me == LINES ? serve_both(b, link) : chain_tail_run(&b->line[me], link[me]);
    if (st == ST_OK) st = comm_agree(world, st);
out:
    if (st != ST_OK) comm_abort(world);
    for (int i = 0; i < LINES; i++) comm_close(&link[i]);
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
        chain_fixture_open(&b->line[i], &clips, 1);
        b->line[i].frames = 1 + i;
    }
    ok(comm_thread_open(group, LINES + 1, 30));
    ok(comm_thread_run(group, LINES + 1, both_main, b));
    for (int i = 0; i <= LINES; i++) comm_close(&group[i]);
    for (int i = 0; i < LINES; i++) {
        ok(chain_fixture_check(&b->line[i], -1));
        chain_fixture_close(&b->line[i]);
    }
    pthread_mutex_destroy(&b->turn);
    free(b);
}

/* ---- many seeds ------------------------------------------------------------------- */

static uint64_t seed;
static int stress_seeds;

static void late_calls(void **state)
{
    (void)state;
    for (int i = 0; i < stress_seeds; i++) {
        char words[CHAIN_TEXT];
        struct chain_fixture s;

        uint64_t const one = seed + (uint64_t)i;
        chain_fixture_draw(&s, &clips, one, 0, one % 3 == 0);
        (void)chain_fixture_words(&s, words);
        status const ended = chain_fixture_run_threads(&s);
        if (ended != ST_OK) (void)fail(ended, "%s: ended with: %s", words, error_last()->msg);
        status const st = chain_fixture_check(&s, -1);
        if (st != ST_OK) print_error("%s\n", words);
        ok(st);
        chain_fixture_close(&s);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest stresses[] = { cmocka_unit_test(late_calls) };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_chain),
        cmocka_unit_test(a_stop_ends_all),
        cmocka_unit_test(a_failure_ends_all),
        cmocka_unit_test(a_failure_behind_a_stop),
        cmocka_unit_test(a_broken_wire_ends_all),
        cmocka_unit_test(a_silent_tail_is_named),
        cmocka_unit_test(pictures_that_are_no_numbers),
        cmocka_unit_test(a_slow_part_holds_back),
        cmocka_unit_test(a_rank_serves_two_lines),
    };

    seed = rng_seed(argc, argv);
    stress_seeds = (int)rng_option(argc, argv, "--hunt", 0);
    print_message("line_decode --seed %llu\n", (unsigned long long)seed);
    if (stress_seeds)
        return cmocka_run_group_tests_name("line_decode --hunt", stresses, open_clips, close_clips);
    return cmocka_run_group_tests_name("line_decode", tests, open_clips, close_clips);
}
