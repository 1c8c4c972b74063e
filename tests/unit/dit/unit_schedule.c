/* unit_schedule.c - noise levels, noise and angles: pure numbers, pinned. */
#include "tests/support/unit.h"

#include "pipeline/dit/noise.h"
#include "pipeline/dit/rope.h"
#include "pipeline/dit/schedule.h"

#include <math.h>

static void levels_of_checkpoints(void **state)
{
    struct {
        int levels;
        bool warp;
        double shift, step[5];
        float timestep[5], sigma[5];
    } const cases[] = {
        { 5,
          true,
          5,
          { 1000, 800, 600, 400, 200 },
          { 1000.0f, 952.38104f, 882.3529f, 769.2308f, 555.5556f },
          { 1.0f, 0.952381f, 0.8823529f, 0.7692308f, 0.5555556f } },
        { 4,
          true,
          5,
          { 1000, 750, 500, 250 },
          { 1000.0f, 937.5f, 833.3333f, 625.0f },
          { 1.0f, 0.9375f, 0.8333333f, 0.625f } },
        { 4,
          false,
          5,
          { 1000, 937, 833, 625 },
          { 1000.0f, 937.0f, 833.0f, 625.0f },
          { 1.0f, 0.93687375f, 0.83277704f, 0.625f } },
        { 1, true, 1, { 1000 }, { 1000.0f }, { 1.0f } },
    };
    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct schedule s;
        assert_int_equal(
            schedule_make(&s, cases[i].step, cases[i].levels, cases[i].warp, cases[i].shift),
            ST_OK);
        for (int k = 0; k < cases[i].levels; k++) {
            assert_true(fabsf(s.timestep[k] - cases[i].timestep[k]) <= 1e-3f);
            assert_true(fabsf(s.sigma[k] - cases[i].sigma[k]) <= 2e-7f);
        }
    }
}

/* A clip's opening block may have steps of its own, behind the others' in the table. */
static void opening_levels(void **state)
{
    struct schedule s;

    (void)state;
    ok(schedule_make(&s, (double[]){ 1000, 757, 522 }, 3, false, 8));
    assert_int_equal(schedule_entry(&s, true, 2), 2);
    ok(schedule_make(&s, (double[]){ 1000, 500 }, 2, true, 5));
    assert_int_equal(schedule_entry(&s, true, 1), 1);
    ok(schedule_set_opening(&s, (double[]){ 1000, 750, 500, 250 }, 4, true, 5));
    assert_int_equal(s.levels, 4), assert_int_equal(s.usual, 2);
    assert_int_equal(s.opening, 4), assert_int_equal(s.entries, 6);
    assert_int_equal(schedule_entry(&s, false, 1), 1);
    assert_int_equal(schedule_entry(&s, true, 0), 2);
    assert_true(fabsf(s.timestep[schedule_entry(&s, false, 1)] - 833.3333f) <= 1e-3f);
    assert_true(fabsf(s.timestep[schedule_entry(&s, true, 1)] - 937.5f) <= 1e-3f);
    assert_true(fabsf(s.sigma[schedule_entry(&s, true, 3)] - 0.625f) <= 2e-7f);
    assert_int_equal(schedule_set_opening(&s, (double[]){ 500, 600 }, 2, true, 5), ST_ARG);
    assert_string_equal(error_last()->msg,
                        "first_block_steps[1]: 600; falling numbers from 1000 to "
                        "1 are allowed");
}

/* Not warped, shift 8: the step is the timestep, sigma the nearest of the table. */
static void unwarped_shift(void **state)
{
    struct schedule s;

    (void)state;
    ok(schedule_make(&s, (double[]){ 1000, 757, 522 }, 3, false, 8));
    assert_true(s.timestep[1] >= 757.0f && s.timestep[1] <= 757.0f);
    assert_true(fabsf(s.sigma[1] - 0.756757f) <= 1e-6f);
    assert_true(fabsf(s.sigma[2] - 0.521739f) <= 1e-6f);
}

static void bad_levels(void **state)
{
    struct {
        int levels;
        bool warp;
        double shift, step[3];
        const char *message;
    } const cases[] = {
        { 0, true, 5, { 0 }, "steps: 0 levels; 1 to 16 are allowed" },
        { 2, true, 5, { 800, 900 }, "steps[1]: 900; falling numbers from 1000 to 1 are allowed" },
        { 1, true, 5, { 1001 }, "steps[0]: 1001; falling numbers from 1000 to 1 are allowed" },
        { 1, true, 5, { NAN }, "steps[0]: nan; falling numbers from 1000 to 1 are allowed" },
        { 1, true, 5, { 999.5 }, "steps[0]: 999.5; with warp a step is a whole number" },
        { 1, true, 0, { 1000 }, "shift: 0; a number above 0 up to 1000 is allowed" },
        { 1, true, NAN, { 1000 }, "shift: nan; a number above 0 up to 1000 is allowed" },
    };
    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct schedule s;
        assert_int_equal(
            schedule_make(&s, cases[i].step, cases[i].levels, cases[i].warp, cases[i].shift),
            ST_ARG);
        assert_string_equal(error_last()->msg, cases[i].message);
    }
}

/* Known answers of the generator's authors (Random123, kat_vectors). */
static void philox_known_answers(void **state)
{
    struct {
        uint32_t counter[4], key[2], want[4];
    } const cases[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { ~0u, ~0u, ~0u, ~0u },
          { ~0u, ~0u },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        uint32_t out[4];
        noise_philox(out, cases[i].counter, cases[i].key);
        assert_memory_equal(out, cases[i].want, sizeof out);
    }
}

/* 2^20 draws: the mean's deviation is 2^-10, the variance's 2^-9.5; six of each.
 * Any draw agrees with libm's Box-Muller to a few units of the last place. */
static void noise_is_normal(void **state)
{
    int64_t const n = 1 << 20;
    float *const z = malloc((size_t)n * sizeof *z), part[7];
    double sum = 0, square = 0;

    (void)state;
    noise_fill(z, n, 0x0123456789abcdefu, 3, 2);
    for (int64_t i = 0; i < n; i++) {
        sum += (double)z[i];
        square += (double)z[i] * (double)z[i];
    }
    assert_true(fabs(sum / (double)n) <= 6 * 0x1p-10);
    assert_true(fabs(square / (double)n - 1.0) <= 6 * 0x1p-9);

    uint32_t word[4];
    noise_philox(word, (uint32_t[]){ 1000, 2, 3, 0 }, (uint32_t[]){ 0x89abcdef, 0x01234567 });
    double const r = sqrt(-2.0 * log(((double)word[0] + 1.0) * 0x1p-32));
    double const turn = 6.283185307179586 * ((double)word[1] * 0x1p-32);
    assert_true(fabs((double)z[4000] - r * cos(turn)) <= 1e-6);
    assert_true(fabs((double)z[4001] - r * sin(turn)) <= 1e-6);

    noise_fill(part, 7, 0x0123456789abcdefu, 3, 2); /* any length begins alike */
    assert_memory_equal(part, z, sizeof part);
    noise_fill(part, 7, 0x0123456789abcdefu, 3, 1);
    assert_memory_not_equal(part, z, sizeof part);
    noise_fill(part, 7, 0x0123456789abcdefu, 4, 2);
    assert_memory_not_equal(part, z, sizeof part);
    noise_fill(part, 7, 0x0123456789abcdeeu, 3, 2);
    assert_memory_not_equal(part, z, sizeof part);
    free(z);
}

static void angles(void **state)
{
    struct rope_split const s128 = rope_split_of(128), s64 = rope_split_of(64);
    int64_t const far = 123457;
    float a[2 * 22 * 2];

    (void)state;
    assert_int_equal(s128.time, 22), assert_int_equal(s128.row, 21), assert_int_equal(s128.col, 21);
    assert_int_equal(s64.time, 12), assert_int_equal(s64.row, 10), assert_int_equal(s64.col, 10);
    rope_angles(a, 22, far, 2);
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < 22; i++) {
            long double const angle = (long double)(far + p) * powl(10000.0L, -(long double)i / 22);
            assert_true(fabs((double)(a[(p * 22 + i) * 2] - (float)cosl(angle))) <= 1e-7);
            assert_true(fabs((double)(a[(p * 22 + i) * 2 + 1] - (float)sinl(angle))) <= 1e-7);
        }
}

/* Numbers of an implementation of Philox in Python. */
static void jittered_bases(void **state)
{
    static const struct {
        uint32_t seed;
        int head;
        double e;
    } rows[] = {
        { 0, 0, 0.9234495896380395 },   { 0, 1, -0.7675275437068194 },
        { 0, 11, 0.567388649797067 },   { 7, 0, 0.11711015575565398 },
        { 7, 1, -0.36357410880737007 }, { 7, 11, 0.9532928762491792 },
    };
    float a[2 * 22 * 2], usual[2 * 22 * 2];

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        double const base = rope_jittered_base(0.8, rows[i].seed, rows[i].head);
        assert_true(fabs(base - 10000 * (1 + 0.8 * rows[i].e)) <= 1e-8);
        assert_true(rope_jittered_base(0, rows[i].seed, rows[i].head) == 10000);
        rope_angles_of_base(a, 22, base, 201, 2);
        for (int k = 0; k < 2 * 22; k++) {
            long double const angle =
                (long double)(201 + k / 22) * powl(base, -(long double)(k % 22) / 22);
            assert_true(fabs((double)(a[2 * k] - (float)cosl(angle))) <= 1e-7);
            assert_true(fabs((double)(a[2 * k + 1] - (float)sinl(angle))) <= 1e-7);
        }
    }
    rope_angles(usual, 22, 201, 2);
    rope_angles_of_base(a, 22, rope_jittered_base(0, 3, 5), 201, 2);
    assert_memory_equal(a, usual, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_of_checkpoints),
        cmocka_unit_test(opening_levels),
        cmocka_unit_test(unwarped_shift),
        cmocka_unit_test(bad_levels),
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(noise_is_normal),
        cmocka_unit_test(angles),
        cmocka_unit_test(jittered_bases),
    };
    return cmocka_run_group_tests_name("unit_schedule", tests, NULL, NULL);
}
