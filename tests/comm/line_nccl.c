/*
 * line_nccl.c - comm_nccl between ranks that are threads, on stand-ins of CUDA and NCCL.
 *
 *   line_nccl [--seed N] [--hunt SEEDS]
 *
 * --hunt: instead, many lives with pauses, and with a fault: nobody hangs, and who is to blame
 * is named.
 */
#include "tests/support/unit.h"

#include "tests/support/clip_fixture.h"
#include "tests/support/comm_jitter.h"
#include "tests/support/nccl_harness.h"
#include "tests/support/nccl_ranks.h"
#include "tests/support/rng.h"

#include <stdio.h>

static uint64_t seed;

struct run {
    const struct comm_check *check;
    struct comm_random_case *drawn;
};

/* Every rank over a card; what is expected of the check holds over it too. */
static status on_cards(struct comm *c, void *arg)
{
    const struct run *const r = arg;
    struct comm *over = NULL;

    TRY(nccl_harness_open(&over, c));
    status const st = r->check->main(over, r->drawn);
    struct error const why = *error_last();
    if (st != ST_OK) comm_abort(over);
    nccl_harness_end(&over);
    if (st != ST_OK) error_adopt(&why);
    return st;
}

static void expect(int size, const struct comm_check *check, struct comm_random_case drawn,
                   int delay_us)
{
    struct run run = { check, &drawn };
    char want[CHECK_TEXT];

    standin_nccl_plan(&(struct standin_plan){ .seed = drawn.seed, .delay_us = delay_us });
    status const st = nccl_threads(size, on_cards, &run);
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
        for (int size = check->ranks_min; size <= 5; size += 1 + (size > 2))
            expect(size, check, (struct comm_random_case){ .seed = seed, .haste = 4 }, size * 40);
}

static void each_fails(void **state)
{
    (void)state;
    for (const struct comm_check *check = comm_endings; check->name; check++)
        for (int odd = 0; odd < 3 && nccl_harness_holds(check); odd++)
            expect(3, check, (struct comm_random_case){ .seed = seed, .odd = odd, .haste = 4 }, 60);
}

/* ---- lives ----------------------------------------------------------------------------------- */

static status life(int size, const struct standin_plan *plan, struct nccl_life l)
{
    standin_nccl_plan(plan);
    return nccl_threads(size, nccl_live, &l);
}

static void more_than_the_ring_holds(void **state)
{
    (void)state;
    for (int size = 1; size <= 6; size++)
        ok(life(size, &(struct standin_plan){ .seed = seed, .delay_us = size < 4 ? 4000 : 30 },
                (struct nccl_life){ 20, 5, 90 }));
    assert_int_equal(standin_nccl_memory(), 0);
}

static bool is_one_of(const char *name, const char *const *list)
{
    while (*list && strcmp(name, *list)) list++;
    return *list;
}

/* What a life comes to by a fault in a call. Nothing depends on how memory and communicators end;
 * but who is held there comes too late to what follows. */
static bool comes_to(enum standin_fault what, const char *call, status st)
{
    static const char *const ends[] = { "ncclMemFree",      "ncclCommWindowDeregister",
                                        "ncclCommFinalize", "ncclCommDestroy",
                                        "ncclCommAbort",    NULL };
    bool const alloc = !strcmp(call, "ncclMemAlloc");

    if (what == STANDIN_REFUSE && alloc) return st == ST_NOMEM;
    if (what == STANDIN_LOSE && alloc) return st == ST_OK; /* it knows of no communicator */
    if (!is_one_of(call, ends)) return st == ST_COMM;
    return st == ST_OK || (what == STANDIN_BLOCK && st == ST_COMM);
}

/* Of three ranks; on a machine that is so busy that the deadline runs out before the call, once
 * more. */
static status brief_life(const struct standin_plan *p)
{
    status st = ST_OK;

    for (int i = 0; i < 20; i++) {
        st = life(3, p, (struct nccl_life){ 0.4, 2, 1 });
        if (st == ST_OK || standin_nccl_faulted()) break;
    }
    return st;
}

/* A fault at every call that a rank makes: the failure is told as what it is. */
static void fault(enum standin_fault what, bool silent, int every)
{
    struct standin_plan p = {
        .seed = seed, .delay_us = 20, .silent = silent, .fault = what, .block_ms = 1200
    };
    int met = 0;

    for (p.at = 1; p.at <= NCCL_LIFE_CALLS; p.at += every) {
        p.rank = (int)p.at / every % 3;
        status const st = brief_life(&p);
        const char *const call = standin_nccl_faulted();
        if (!call) break;
        met++;
        bool const right = comes_to(what, call, st);
        if (!right)
            print_error("fault %d at call %ld of rank %d, %s: %s: %s\n", what, p.at, p.rank, call,
                        status_name(st), error_last()->msg);
        assert_true(right);
        assert_int_equal(standin_nccl_memory(), 0);
    }
    assert_true(met >= 40 / every);
}

static void refused_at_every_call(void **state)
{
    (void)state;
    fault(STANDIN_REFUSE, false, 1);
}

static void lost_at_many_calls(void **state)
{
    (void)state;
    fault(STANDIN_LOSE, true, 3);
}

static void error_at_many_polls(void **state)
{
    (void)state;
    fault(STANDIN_LATER, false, 3);
}

static void blocked_at_some_calls(void **state)
{
    (void)state;
    fault(STANDIN_BLOCK, true, 7);
}

/* ---- what is said ---------------------------------------------------------------------------- */

static status one_card(struct comm *c, void *arg)
{
    struct comm *n = NULL;

    (void)arg;
    TRY(comm_nccl_open(&n, c));
    status const st = comm_attach(n, &(struct memory){ .device = c->rank / 2 });
    struct error const why = *error_last();
    comm_nccl_unwrap(&n);
    if (st != ST_OK) error_adopt(&why);
    return st;
}

static void a_card_for_each(void **state)
{
    (void)state;
    standin_nccl_plan(&(struct standin_plan){ .seed = seed });
    assert_int_equal(nccl_threads(3, one_card, NULL), ST_ARG);
    assert_non_null(strstr(error_last()->msg, "ranks 0 and 1 are on one card (0000:00:00.0)"));
    assert_non_null(strstr(error_last()->msg, "--ranks N"));
}

static status stay_away(struct nccl_rank *s)
{
    for (int i = 0; i < 400 && !comm_aborted(s->c); i++) check_pause_ms(5);
    return fail(ST_PEER, "was away");
}

/* Rank 1 does not send; the others say for whom they waited. */
static status receive(struct nccl_rank *s)
{
    struct comm_xfer const xfer = { .t = { s->card, DT_F32, 1, { 16 } },
                                    .peer = 1,
                                    .device = true };

    s->c->deadline_s = 0.3;
    if (s->c->rank == 1) return stay_away(s);
    TRY(comm_post(s->c, &xfer, 1));
    TRY(comm_wait(s->c));
    return comm_synchronize(s->c);
}

static status gather(struct nccl_rank *s)
{
    struct comm_shard const shard = { { s->card, DT_F32, 1, { 6 } }, .device = true };

    s->c->deadline_s = 0.3;
    if (s->c->rank == 1) return stay_away(s);
    TRY(comm_gather(s->c, &shard, 1));
    TRY(comm_wait(s->c));
    return comm_synchronize(s->c);
}

static void who_waited_for_whom(void **state)
{
    (void)state;
    standin_nccl_plan(&(struct standin_plan){ .seed = seed });
    assert_int_equal(nccl_run_ranks(2, NULL, receive), ST_COMM);
    assert_string_equal(error_last()->msg, "rank 0 waited 0.3 s for rank 1 to send 1 tensor");
    assert_int_equal(nccl_run_ranks(2, NULL, gather), ST_COMM);
    assert_string_equal(error_last()->msg, "rank 0 waited 0.3 s for rank 1 in gather");
}

static void the_cable(void **state)
{
    struct standin_plan const p = { .seed = seed, .fault = STANDIN_LATER, .rank = 1, .at = 3 };

    (void)state;
    assert_int_equal(life(2, &p, (struct nccl_life){ 5, 6, 0 }), ST_COMM);
    assert_non_null(strstr(error_last()->msg, "a cable was cut (stand-in)"));
}

/* Six ranks on one card, by copies: the bits of one, by blocks and by heads. */
static void one_card_for_all(void **state)
{
    int64_t const blocks = 2;
    struct clip_fixture_model model = { .backend = NULL };

    (void)state;
    ok(clip_fixture_model_open(&model, kern_backend_find("cuda-1")));
    struct clip_fixture *const one =
        clip_fixture_new(&model, &clip_fixture_policy[FIXTURE_ROLLING], 1, &blocks, 5);
    assert_non_null(one);
    one->mode.wire = LINE_FP8;
    ok(clip_fixture_run_threads(one, 1, 0, 0));
    for (enum line_exchange e = LINE_BLOCKS; e <= LINE_HEADS; e++) {
        struct clip_fixture *const six =
            clip_fixture_new(&model, &clip_fixture_policy[FIXTURE_ROLLING], 1, &blocks, 5);
        assert_non_null(six);
        six->mode = (struct line_mode){ LINE_STRICT, LINE_FP8, e };
        ok(clip_fixture_run_threads(six, 6, 0, 0));
        ok(clip_fixture_same(six, 0, one, 0, blocks));
        free(six);
    }
    free(one);
    clip_fixture_model_close(&model);
}

/* ---- hunting --------------------------------------------------------------------------------- */

static int stress_seeds;

static void stress(void **state)
{
    (void)state;
    for (int i = 0; i < stress_seeds; i++) {
        uint64_t rng = seed + (uint64_t)i;
        int const size = 2 + rng_below(&rng, 5);
        struct standin_plan p = { .seed = rng_next(&rng), .delay_us = rng_below(&rng, 400) };
        bool const faults = rng_below(&rng, 3) == 0;

        if (faults) {
            p.fault = STANDIN_REFUSE + (enum standin_fault)(2 * rng_below(&rng, 2));
            p.silent = rng_below(&rng, 2);
            p.rank = rng_below(&rng, size);
            p.at = 1 + rng_below(&rng, 40);
        }
        status const st = life(size, &p, (struct nccl_life){ faults ? 0.5 : 30, 6, 10 });
        const char *const call = standin_nccl_faulted();
        bool const right = call ? comes_to(p.fault, call, st) : st == ST_OK;
        if (!right)
            print_error("life --seed %llu, fault in %s: %s: %s\n",
                        (unsigned long long)(seed + (uint64_t)i), call ? call : "nothing",
                        status_name(st), error_last()->msg);
        assert_true(right);
        assert_int_equal(standin_nccl_memory(), 0);
        for (const struct comm_check *check = comm_checks; check->name; check++)
            if (size >= check->ranks_min && rng_below(&rng, 4) == 0)
                expect(size, check, (struct comm_random_case){ p.seed, 0, 8 }, p.delay_us);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_well),
        cmocka_unit_test(each_fails),
        cmocka_unit_test(more_than_the_ring_holds),
        cmocka_unit_test(refused_at_every_call),
        cmocka_unit_test(lost_at_many_calls),
        cmocka_unit_test(error_at_many_polls),
        cmocka_unit_test(blocked_at_some_calls),
        cmocka_unit_test(a_card_for_each),
        cmocka_unit_test(who_waited_for_whom),
        cmocka_unit_test(the_cable),
        cmocka_unit_test(one_card_for_all),
    };
    const struct CMUnitTest stresses[] = { cmocka_unit_test(stress) };

    seed = rng_seed(argc, argv);
    stress_seeds = (int)rng_option(argc, argv, "--hunt", 0);
    setenv("STANDIN_DEVICES", "8", 1);
    print_message("line_nccl --seed %llu\n", (unsigned long long)seed);
    if (stress_seeds) return cmocka_run_group_tests_name("line_nccl --hunt", stresses, NULL, NULL);
    return cmocka_run_group_tests_name("line_nccl", tests, NULL, NULL);
}
