/*
 * engine_run.c - the engine over ranks that are threads, with a made-up work source: every clip
 * that is made has the very bytes it has alone, whatever comes before, beside and after it, and
 * every clip is told of exactly once.
 *
 *   engine_run                 the cases; --only NAME: one of them
 *   engine_run --hunt N [--seed S]   N random ones: ranks, arrivals, faults, withdrawals, stops
 */
#include "tests/support/unit.h"

#include "base/clock.h"
#include "base/log.h"
#include "tests/engine/engine_fixture.h"
#include "tests/engine/hanging_backend.h"
#include "tests/support/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct engine_fixture *fixture;
static struct made_source source;

/* Each clip was told of once: done with its bytes, or failed for the reason there is. */
static void check_clips(const struct fixture_clip *clip, int clips, bool stopped)
{
    static const status fault_status[FAULTS] = {
        [FAULT_PROMPT] = ST_FORMAT, [FAULT_START] = ST_FORMAT
    };
    int done = 0;

    for (int i = 0; i < clips; i++) {
        const struct made_clip *const c = &source.clip[i];
        bool const may_end_early = stopped || c->withdrawn;
        if (!c->given) {
            assert_true(stopped);
            continue;
        }
        assert_int_equal(c->done + c->failed, 1);
        assert_true(c->begun <= 1);
        done += c->done;
        if (c->failed && c->st == ST_CANCELED) assert_true(may_end_early);
        else assert_int_equal(c->failed, clip[i].fault != FAULT_NONE);
        if (c->failed && c->st != ST_CANCELED && fault_status[clip[i].fault] != ST_OK)
            assert_int_equal(c->st, fault_status[clip[i].fault]);
        if (c->failed) assert_true(c->why[0] != '\0');
    }
    for (int i = 0; i < clips; i++)
        if (source.clip[i].given && clip[i].fault != FAULT_DISK)
            ok(engine_fixture_check(fixture, &source, i, &clip[i], source.clip[i].done == 1));
}

static struct engine_run_config over(int ranks, int per_line, int decode)
{
    return (struct engine_run_config){
        .ranks = ranks, .ranks_per_line = per_line, .decode_ranks = decode, .stop_at = -1
    };
}

static struct fixture_run render(const struct engine_run_config *c)
{
    struct fixture_run run;

    engine_fixture_run(fixture, &source, c, &run);
    return run;
}

/* ---- cases ------------------------------------------------------------------------------ */

#define WORLD(n, per_line, decode)                                                                 \
    {                                                                                              \
        .ranks = n, .ranks_per_line = per_line, .decode_ranks = decode, .stop_at = -1              \
    }
static const struct engine_run_config worlds[] = {
    WORLD(1, 0, -1), WORLD(2, 2, 0), WORLD(3, 2, 1), WORLD(3, 1, 1),
    WORLD(4, 2, 0),  WORLD(5, 3, 2), WORLD(6, 6, 0), WORLD(6, 2, 2),
};

static void clips_arrive_while_the_line_runs(void **state)
{
    static const struct fixture_clip clip[] = { { .blocks = 6, .seed = 1, .blend = true },
                                                { .blocks = 4, .seed = 2 },
                                                { .blocks = 1, .seed = 3 },
                                                { .blocks = 9, .seed = 4, .blend = true } };
    (void)state;
    for (int w = 0; w < COUNT_OF(worlds); w++) {
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        source.more = true;
        source.clip[1].after_begun = 1; /* joins beside the first */
        source.clip[2].after_blocks = 3;
        source.clip[3].after_blocks = 11; /* when all before it have drained */
        struct fixture_run const run = render(&worlds[w]);
        assert_int_equal(run.st, ST_OK);
        assert_int_equal(run.result.done, COUNT_OF(clip));
        assert_int_equal(run.groups, 1);
        check_clips(clip, COUNT_OF(clip), false);
        engine_fixture_forget(&source);
    }
}

static void a_line_waits_for_work(void **state)
{
    static const struct fixture_clip clip[] = { { .blocks = 3, .seed = 1 },
                                                { .blocks = 3, .seed = 2 } };
    (void)state;
    for (int w = 0; w < COUNT_OF(worlds); w++) {
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        source.more = true;
        source.clip[1].after_blocks = 3;
        source.clip[1].after_asked = 12;
        struct fixture_run const run = render(&worlds[w]);
        assert_int_equal(run.st, ST_OK);
        check_clips(clip, COUNT_OF(clip), false);
        engine_fixture_forget(&source);
    }
}

/* Longer than any rank may be silent or hang: waiting for work is neither. */
static void waiting_for_work_is_no_stall(void **state)
{
    static const struct fixture_clip clip[] = { { .blocks = 3, .seed = 1 },
                                                { .blocks = 3, .seed = 2 } };
    struct engine_run_config c = over(5, 3, 2);

    (void)state;
    c.patience_s = 8;
    engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
    source.more = true;
    source.clip[1].after_blocks = 3;
    source.clip[1].after_asked = 110; /* ten times a second */
    struct fixture_run const run = render(&c);
    assert_int_equal(run.st, ST_OK);
    check_clips(clip, COUNT_OF(clip), false);
    engine_fixture_forget(&source);
}

/* Neither to a rank, as work or as a wait for others, nor to the clip that comes after it. */
static void waiting_for_work_is_nobodys_time(void **state)
{
    static const struct fixture_clip clip[] = { { .blocks = 3, .seed = 1 },
                                                { .blocks = 3, .seed = 2 } };
    static double const rounding = 1e-6; /* sums of seconds in double, far below a second */

    (void)state;
    for (int w = 0; w < COUNT_OF(worlds); w++) {
        const struct made_clip *const first = source.clip, *const second = source.clip + 1;
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        source.more = true;
        source.clip[1].after_told = 1;
        source.clip[1].after_asked = 10; /* ten times a second */
        double const begin = clock_seconds();
        struct fixture_run const run = render(&worlds[w]);
        double const all = clock_seconds() - begin;
        assert_int_equal(run.st, ST_OK);
        double const idle = second->given_at - first->told_at;
        double const wall = engine_fixture_number(&source, 1, "wall");
        assert_true(wall > 0 && wall <= second->told_at - second->given_at);
        for (int r = 0; r < worlds[w].ranks; r++) {
            const struct rank_stats *const a = &run.rank[r];
            double spent = a->exchange.wall + a->hand_over.wall + a->queue.wall;
            if (run.role[r] == ROLE_IDLE) continue;
            for (int s = 0; s < COUNT_OF(a->stage); s++) spent += a->stage[s].compute.wall;
            assert_true(a->idle >= idle / 2 && a->wall >= 0);
            assert_true(a->wall + a->idle <= all + rounding);
            if (run.role[r] == ROLE_LINE) assert_true(spent <= a->wall + rounding);
        }
        check_clips(clip, COUNT_OF(clip), false);
        engine_fixture_forget(&source);
    }
}

static void groups_follow_one_another(void **state)
{
    static const struct fixture_clip clip[] = {
        { .blocks = 2, .seed = 1 },
        { .blocks = 3, .seed = 2, .size = 1, .blend = true },
        { .blocks = 5, .seed = 3 },
        { .blocks = 4, .seed = 4, .size = 1 }
    };
    (void)state;
    for (int w = 0; w < COUNT_OF(worlds); w++) {
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        struct fixture_run const run = render(&worlds[w]);
        assert_int_equal(run.st, ST_OK);
        assert_int_equal(run.groups, 2);
        check_clips(clip, COUNT_OF(clip), false);
        engine_fixture_forget(&source);
    }
}

static void a_clip_fails_alone(void **state)
{
    (void)state;
    for (int fault = FAULT_PROMPT; fault < FAULTS; fault++)
        for (int w = 0; w < COUNT_OF(worlds); w++) {
            struct fixture_clip const clip[] = {
                { .blocks = 3, .seed = 1 },
                { .blocks = 5, .seed = 2, .fault = (enum clip_fault)fault },
                { .blocks = 4, .seed = 3, .blend = true }
            };
            engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
            struct fixture_run const run = render(&worlds[w]);
            assert_int_equal(run.st, ST_OK);
            assert_int_equal(run.result.done, 2);
            assert_int_equal(run.result.failed, 1);
            check_clips(clip, COUNT_OF(clip), false);
            engine_fixture_forget(&source);
        }
}

static void a_clip_is_withdrawn(void **state)
{
    static const struct fixture_clip clip[] = { { .blocks = 400, .seed = 1 },
                                                { .blocks = 3, .seed = 2 } };
    (void)state;
    for (int w = 0; w < COUNT_OF(worlds); w++) {
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        source.clip[0].withdraw_at = 2;
        struct fixture_run const run = render(&worlds[w]);
        assert_int_equal(run.st, ST_OK);
        assert_int_equal(source.clip[0].st, ST_CANCELED);
        assert_int_equal(source.clip[1].done, 1);
        check_clips(clip, COUNT_OF(clip), false);
        engine_fixture_forget(&source);
    }
}

/* By the time its withdrawal is told of, nothing of it is left, though the line has nothing to do
 * until then and nothing comes by which its encoder could guess. */
static void an_idle_line_lets_go_of_a_cut_clip(void **state)
{
    static const struct fixture_clip clip[] = { { .blocks = 400, .seed = 1 },
                                                { .blocks = 3, .seed = 2 } };
    (void)state;
    for (int w = 0; w < COUNT_OF(worlds); w++) {
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        source.more = true;
        source.clip[0].withdraw_at = 2;
        source.clip[1].after_told = 1;
        source.left = engine_fixture_attempts;
        struct fixture_run const run = render(&worlds[w]);
        assert_int_equal(run.st, ST_OK);
        assert_int_equal(source.clip[0].st, ST_CANCELED);
        assert_int_equal(source.lefts, 0);
        assert_false(source.gave_up);
        check_clips(clip, COUNT_OF(clip), false);
        engine_fixture_forget(&source);
    }
}

/* No message that may be lost is needed for it. */
static void every_cut_is_told_of(void **state)
{
    static const struct fixture_clip clip[] = { { .blocks = 11, .seed = 1 },
                                                { .blocks = 400, .seed = 2 },
                                                { .blocks = 3, .seed = 3 } };
    (void)state;
    for (int w = 0; w < COUNT_OF(worlds); w++) {
        struct engine_run_config c = worlds[w];
        c.loses_control = true;
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        source.more = true;
        source.clip[0].withdraw_at = source.clip[1].withdraw_at = 0;
        source.clip[2].after_told = 2;
        struct fixture_run const run = render(&c);
        assert_int_equal(run.st, ST_OK);
        assert_int_equal(source.clip[1].st, ST_CANCELED);
        assert_false(source.gave_up);
        check_clips(clip, COUNT_OF(clip), false);
        engine_fixture_forget(&source);
    }
}

/* Before any of it is rendered, though it is the one that begins the group. */
static void the_first_clip_is_withdrawn(void **state)
{
    static const struct fixture_clip clip[] = { { .blocks = 400, .seed = 1 },
                                                { .blocks = 3, .seed = 2 } };
    (void)state;
    engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
    source.clip[0].withdraw_at = 0;
    struct fixture_run const run = render(&worlds[0]);
    assert_int_equal(run.st, ST_OK);
    assert_int_equal(source.clip[0].done, 0);
    assert_int_equal(source.clip[0].st, ST_CANCELED);
    check_clips(clip, COUNT_OF(clip), false);
    engine_fixture_forget(&source);
}

/* Its files are not among those that the source had in view when the group began. */
static void a_clip_that_needs_more_fails_alone(void **state)
{
    static const struct fixture_clip clip[] = { { .blocks = 3, .seed = 1 },
                                                { .blocks = 3, .seed = 2 } };
    (void)state;
    engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
    source.view = 1;
    source.clip[1].spec.format[0].pix = (char *)(uintptr_t) "yuv444p10";
    struct fixture_run const run = render(&worlds[1]);
    assert_int_equal(run.st, ST_OK);
    assert_int_equal(source.clip[0].done, 1);
    assert_int_equal(source.clip[1].st, ST_FORMAT);
    engine_fixture_forget(&source);
}

/* An empty prompt is a prompt, on whichever rank it is embedded. */
static void an_empty_prompt_is_embedded(void **state)
{
    static const struct fixture_clip clip[] = { { .blocks = 2, .seed = 1 } };
    static struct clip_prompt empty = { .text = (char *)(uintptr_t) "", .at = "0s", .over = "0s" };

    (void)state;
    engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
    source.clip[0].spec.prompt = &empty;
    source.clip[0].spec.prompts = 1;
    struct fixture_run const run = render(&worlds[2]);
    assert_int_equal(run.st, ST_OK);
    assert_int_equal(source.clip[0].done + source.clip[0].failed, 1);
    engine_fixture_forget(&source);
}

/* What is done by then stays, nothing else appears; with all of it done the stop is none. */
static void a_stop_at_any_block(void **state)
{
    static const struct fixture_clip clip[] = { { .blocks = 4, .seed = 1 },
                                                { .blocks = 3, .seed = 2 },
                                                { .blocks = 4, .seed = 3 } };
    (void)state;
    for (int64_t stop = 0; stop <= 11; stop++) {
        struct engine_run_config c = worlds[stop % COUNT_OF(worlds)];
        c.stop_at = stop;
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        struct fixture_run const run = render(&c);
        int done = 0;
        for (int i = 0; i < COUNT_OF(clip); i++) done += source.clip[i].done;
        assert_int_equal(run.st, done == COUNT_OF(clip) ? ST_OK : ST_CANCELED);
        check_clips(clip, COUNT_OF(clip), true);
        engine_fixture_forget(&source);
    }
}

/* Whenever it is asked for: whatever the engine is about to do then, on whichever rank. */
static void a_stop_at_any_question(void **state)
{
    static const struct engine_run_config small[] = { WORLD(1, 1, 0), WORLD(2, 2, 0),
                                                      WORLD(3, 2, 1), WORLD(6, 6, 0) };
    static const struct fixture_clip clip[] = { { .blocks = 1, .seed = 3 },
                                                { .blocks = 2, .seed = 1 } };
    (void)state;
    for (int w = 0; w < COUNT_OF(small); w++) {
        struct engine_run_config c = small[w];
        bool stopped = true;
        while (stopped) {
            int done = 0;
            c.stop_call++;
            engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
            struct fixture_run const run = render(&c);
            for (int i = 0; i < COUNT_OF(clip); i++) done += source.clip[i].done;
            stopped = run.stopped;
            assert_int_equal(run.st, done == COUNT_OF(clip) ? ST_OK : ST_CANCELED);
            check_clips(clip, COUNT_OF(clip), stopped);
            engine_fixture_forget(&source);
        }
        print_message("%d ranks: a stop at each of %d questions\n", c.ranks, c.stop_call - 1);
    }
}

/* Twenty clips, each of which comes when the one before it has begun: just in time. Its prompt is
 * its own and is embedded meanwhile. */
static void a_line_of_six_is_kept_busy(void **state)
{
    struct fixture_clip clip[20];
    struct engine_run_config c = over(6, 6, 0);

    (void)state;
    c.no_cache = true;
    for (int i = 0; i < COUNT_OF(clip); i++)
        clip[i] = (struct fixture_clip){ .blocks = 20, .seed = 7, .text = i + 1 };
    engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
    source.more = true;
    for (int i = 0; i < COUNT_OF(clip); i++) source.clip[i].after_begun = i;
    struct fixture_run const run = render(&c);
    assert_int_equal(run.st, ST_OK);
    print_message("occupancy: %.0f of %.0f stage-ticks, %.2f %%\n", run.busy, run.span,
                  100 * run.busy / run.span);
    assert_true(run.busy >= 0.97 * run.span);
    check_clips(clip, COUNT_OF(clip), false);
    engine_fixture_forget(&source);
}

/* ---- a rank that hangs ------------------------------------------------------------------- */

static const char *program;

/* In a process of its own, which the engine is to end. */
static int hang(enum hang where)
{
    static const struct fixture_clip clip[] = { { .blocks = 3, .seed = 1 } };
    struct engine_run_config c = over(3, 2, 1);
    const struct kern_backend *const backend = hanging_backend(where);

    if (where == HANG_TEXT) c.text_backend = backend;
    else c.backend = backend;
    c.patience_s = 2;
    c.no_cache = true; /* the prompt has been embedded for other clips */
    engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
    render(&c);
    return 1;
}

static pid_t start_hang(enum hang where)
{
    char word[8];

    snprintf(word, sizeof word, "%d", where);
    pid_t const child = fork();
    if (child) return child;
    alarm(120); /* should nothing else end it */
    setenv("TMPDIR", engine_fixture_dir(fixture), 1);
    execl(program, program, "--hang", word, (char *)NULL);
    _exit(127);
}

/* A call of a backend that never returns ends the process, whichever thread makes it and whether
 * the group is still being opened: the rank lives, and its heartbeats go on. */
static void a_rank_that_hangs_is_noticed(void **state)
{
    pid_t child[HANGS];

    (void)state;
    for (int i = 0; i < HANGS; i++) child[i] = start_hang((enum hang)i);
    for (int i = 0; i < HANGS; i++) {
        int code = 0;
        assert_int_equal(waitpid(child[i], &code, 0), child[i]);
        assert_true(WIFEXITED(code));
        assert_int_equal(WEXITSTATUS(code), FIXTURE_HUNG);
    }
}

/* ---- at random ---------------------------------------------------------------------------- */

static void random_run(uint64_t seed)
{
    static const enum clip_start_kind starts[] = { CLIP_START_NONE, CLIP_START_NONE,
                                                   CLIP_START_LATENTS, CLIP_START_VIDEO };
    uint64_t r = seed;
    struct fixture_clip clip[8];
    int const clips = 1 + (int)(rng_next(&r) % COUNT_OF(clip));
    struct engine_run_config c = worlds[rng_next(&r) % COUNT_OF(worlds)];
    bool const stops = rng_next(&r) % 4 == 0, sizes = rng_next(&r) % 3 == 0;
    bool planted = false;
    int64_t blocks = 0;

    for (int i = 0; i < clips; i++) {
        bool const bad = rng_next(&r) % 5 == 0;
        clip[i] = (struct fixture_clip){
            .blocks = 1 + (int64_t)(rng_next(&r) % 7),
            .seed = 1 + rng_next(&r) % 2,
            .size = sizes ? (int)(rng_next(&r) % 2) : 0,
            .blend = rng_next(&r) % 2 == 0,
            .start = starts[rng_next(&r) % COUNT_OF(starts)],
            .fault = bad ? (enum clip_fault)(1 + rng_next(&r) % (FAULTS - 1)) : FAULT_NONE,
        };
        if (clip[i].blocks == 1) clip[i].start = CLIP_START_NONE;
        if (!bad) clip[i].text = (int)(rng_next(&r) % 4);
        planted = planted || clip[i].fault == FAULT_VALUE; /* in the cache */
    }
    c.no_cache = !planted && rng_next(&r) % 2;
    engine_fixture_clips(fixture, &source, clip, clips);
    source.more = rng_next(&r) % 2;
    for (int i = 0; i < clips; i++) {
        source.clip[i].after_asked = rng_next(&r) % 3 ? 0 : (int)(rng_next(&r) % 4);
        if (rng_next(&r) % 8 == 0) source.clip[i].withdraw_at = (int64_t)(rng_next(&r) % 3);
        blocks += clip[i].blocks;
    }
    c.ahead = 1 + (int)(rng_next(&r) % 8);
    if (stops) c.stop_at = (int64_t)(rng_next(&r) % (uint64_t)(blocks + 1));
    struct fixture_run const run = render(&c);
    if (run.st != ST_OK && (run.st != ST_CANCELED || !stops))
        print_error("seed %llu: %s\n", (unsigned long long)seed, error_last()->msg);
    assert_true(run.st == ST_OK || (run.st == ST_CANCELED && stops));
    check_clips(clip, clips, stops);
    engine_fixture_forget(&source);
}

static int stress(uint64_t first, int count)
{
    for (int i = 0; i < count; i++) {
        print_message("seed %llu\n", (unsigned long long)(first + (uint64_t)i));
        random_run(first + (uint64_t)i);
    }
    return 0;
}

static void a_few_at_random(void **state)
{
    (void)state;
    stress(1, 20);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clips_arrive_while_the_line_runs),
        cmocka_unit_test(a_line_waits_for_work),
        cmocka_unit_test(waiting_for_work_is_no_stall),
        cmocka_unit_test(waiting_for_work_is_nobodys_time),
        cmocka_unit_test(groups_follow_one_another),
        cmocka_unit_test(a_clip_fails_alone),
        cmocka_unit_test(a_clip_is_withdrawn),
        cmocka_unit_test(an_idle_line_lets_go_of_a_cut_clip),
        cmocka_unit_test(every_cut_is_told_of),
        cmocka_unit_test(the_first_clip_is_withdrawn),
        cmocka_unit_test(a_clip_that_needs_more_fails_alone),
        cmocka_unit_test(an_empty_prompt_is_embedded),
        cmocka_unit_test(a_stop_at_any_block),
        cmocka_unit_test(a_stop_at_any_question),
        cmocka_unit_test(a_line_of_six_is_kept_busy),
        cmocka_unit_test(a_rank_that_hangs_is_noticed),
        cmocka_unit_test(a_few_at_random),
    };
    uint64_t seed = 1;
    int count = 0, where = -1, failed;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--hunt")) count = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--seed")) seed = strtoull(argv[i + 1], NULL, 10);
        if (!strcmp(argv[i], "--hang")) where = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--only")) cmocka_set_test_filter(argv[i + 1]);
    }
    log_set_level(LOG_QUIET);
    if (engine_fixture_open(&fixture, argv[0]) != ST_OK) {
        print_error("%s\n", error_last()->msg);
        return 1;
    }
    program = argv[0];
    if (where >= 0) return hang((enum hang)where);
    failed = count ? stress(seed, count) : cmocka_run_group_tests(tests, NULL, NULL);
    engine_fixture_close(&fixture);
    return failed;
}
