/*
 * line_comm.c - the contract of comm.h, over threads.
 *
 *   line_comm [--seed N] [--hunt SEEDS]
 *
 * --hunt: instead, all checks with SEEDS seeds over comms that pause, looking for an
 * order of events in which ranks wait for one another for ever.
 *
 * Ranks run on threads of their own, where cmocka's asserts may not be used: they
 * return a status, and the test looks at what comm_thread_run says.
 */
#include "tests/support/unit.h"

#include "tests/comm/comm_checks.h"
#include "tests/support/comm_jitter.h"
#include "tests/support/rng.h"

#include <math.h>
#include <stdio.h>

static uint64_t seed;

/* As comm_thread_run, over a new world; max_us > 0: each rank pauses. */
static status run(int size, const struct comm_check *check, struct comm_random_case *drawn,
                  int max_us)
{
    struct comm *group[CHECK_RANKS] = { 0 };

    TRY(comm_thread_open(group, size, 30));
    for (int r = 0; r < size && max_us; r++)
        TRY(comm_jitter_open(&group[r], group[r], drawn->seed, max_us));
    error_clear();
    status st = comm_thread_run(group, size, check->main, drawn);
    for (int r = 0; r < size; r++) {
        comm_close(&group[r]);
        if (group[r]) st = fail(ST_MISMATCH, "close left rank %d", r);
    }
    return st;
}

static void expect(int size, const struct comm_check *check, struct comm_random_case drawn,
                   int max_us)
{
    status const st = run(size, check, &drawn, max_us);
    char want[CHECK_TEXT];
    bool const right = st == check->ends && (st == ST_OK || check_says_why(check, drawn.odd, want));

    if (!right)
        print_error("%s, %d ranks, odd %d, seed %llu: %s: %s\n", check->name, size, drawn.odd,
                    (unsigned long long)drawn.seed, status_name(st), error_last()->msg);
    assert_true(right);
}

static void all_is_well(void **state)
{
    (void)state;
    for (const struct comm_check *check = comm_checks; check->name; check++)
        for (int size = check->ranks_min; size <= CHECK_RANKS; size++)
            expect(size, check, (struct comm_random_case){ .seed = seed, .haste = 1 }, 0);
}

/* Waits of a quarter of a second are tried with few sizes. */
static void each_fails(void **state)
{
    (void)state;
    for (const struct comm_check *check = comm_endings; check->name; check++) {
        int const most = check->ends == ST_COMM ? 3 : CHECK_RANKS;
        for (int size = check->ranks_min; size <= most; size++)
            for (int odd = 0; odd < size; odd++)
                expect(size, check,
                       (struct comm_random_case){ .seed = seed, .odd = odd, .haste = 1 }, 0);
    }
}

static void memory_is_free_after_abort(void **state)
{
    const struct comm_check *check = comm_endings;

    (void)state;
    while (strcmp(check->name, "gives up")) check++;
    for (int i = 0; i < 30; i++)
        expect(2, check, (struct comm_random_case){ .seed = seed, .odd = i % 2, .haste = 1 }, 0);
}

static void refusals(void **state)
{
    struct comm *group[2];

    (void)state;
    assert_int_equal(comm_thread_open(group, 0, 1), ST_ARG);
    assert_int_equal(comm_thread_open(group, 1, 0), ST_ARG);
    assert_int_equal(comm_thread_open(group, 1, (double)NAN), ST_ARG);
}

/* After an abort nothing moves; a close with a start open is safe. */
static void nothing_moves_after_abort(void **state)
{
    float x = 1, y = 2;
    struct comm_xfer const to = { .t = { &x, DT_F32, 1, { 1 } }, .peer = 1, .send = true };
    struct comm_xfer const from = { .t = { &y, DT_F32, 1, { 1 } }, .peer = 0 };
    struct comm *group[2];

    (void)state;
    ok(comm_thread_open(group, 2, 1));
    struct comm *const a = group[0], *const b = group[1];
    ok(comm_post(a, &to, 1));
    ok(comm_post(b, &from, 1));
    comm_abort(a);
    assert_int_equal(comm_wait(b), ST_PEER);
    assert_true(y == 2);
    assert_string_equal(error_last()->msg, "rank 1 stopped: rank 0 aborted");
    assert_int_equal(comm_post(b, NULL, 0), ST_PEER);
    assert_int_equal(comm_agree(b, fail(ST_IO, "own")), ST_IO);
    for (int r = 0; r < 2; r++) comm_close(&group[r]);
}

static int stress_seeds;

static void no_deadlock(void **state)
{
    (void)state;
    for (int i = 0; i < stress_seeds; i++) {
        uint64_t rng = seed + (uint64_t)i, seed_of_case = rng_next(&rng);
        int const size = 2 + rng_below(&rng, CHECK_RANKS - 1), max_us = 1 + rng_below(&rng, 400);
        struct comm_random_case const drawn = { seed_of_case, rng_below(&rng, size), 4 };

        for (const struct comm_check *check = comm_checks; check->name; check++)
            if (size >= check->ranks_min) expect(size, check, drawn, max_us);
        for (const struct comm_check *check = comm_endings; check->name; check++)
            if (check->ends != ST_COMM || rng_below(&rng, 16) == 0)
                expect(size, check, drawn, max_us);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_well),
        cmocka_unit_test(each_fails),
        cmocka_unit_test(memory_is_free_after_abort),
        cmocka_unit_test(refusals),
        cmocka_unit_test(nothing_moves_after_abort),
    };
    const struct CMUnitTest stresses[] = { cmocka_unit_test(no_deadlock) };

    seed = rng_seed(argc, argv);
    stress_seeds = (int)rng_option(argc, argv, "--hunt", 0);
    print_message("line_comm --seed %llu\n", (unsigned long long)seed);
    if (stress_seeds) return cmocka_run_group_tests_name("line_comm --hunt", stresses, NULL, NULL);
    return cmocka_run_group_tests_name("line_comm", tests, NULL, NULL);
}
