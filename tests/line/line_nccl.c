/*
 * line_nccl.c - comm_nccl between ranks that are threads, on stand-ins of CUDA and NCCL.
 *
 *   line_nccl [--seed N] [--hunt SEEDS]
 *
 * --hunt: instead, many lives with pauses, and with a fault: nobody hangs, and who is to blame
 * is named.
 */
#include "tests/unit/unit.h"

#include "base/clock.h"
#include "kernels/cuda/cuda_dev.h"
#include "tests/line/clip_show.h"
#include "tests/line/comm_delay.h"
#include "tests/line/nccl_rig.h"
#include "tests/rng.h"

#include <stdatomic.h>
#include <stdio.h>

static uint64_t seed;

struct run {
    const struct comm_check *check;
    struct comm_trial *trial;
};

/* Every rank over a card; what is expected of the check holds over it too. */
static status on_cards(struct comm *c, void *arg)
{
    const struct run *const r = arg;
    struct comm *over = NULL;

    TRY(nccl_rig_open(&over, c));
    status const st = r->check->main(over, r->trial);
    struct error const why = *error_last();
    if (st != ST_OK) over->ops->abort(over);
    nccl_rig_end(&over);
    if (st != ST_OK) error_adopt(&why);
    return st;
}

static status threads(int size, comm_main main, void *arg)
{
    struct comm *group[RIG_CARDS] = { NULL };

    TRY(comm_thread_open(group, size, 30));
    error_clear();
    status const st = comm_thread_run(group, size, main, arg);
    for (int r = 0; r < size; r++) group[r]->ops->close(&group[r]);
    return st;
}

static void expect(int size, const struct comm_check *check, struct comm_trial trial, int delay_us)
{
    struct run run = { check, &trial };
    char want[CHECK_TEXT];

    standin_nccl_plan(&(struct standin_plan){ .seed = trial.seed, .delay_us = delay_us });
    status const st = threads(size, on_cards, &run);
    bool const right = st == check->ends && (st == ST_OK || check_says_why(check, trial.odd, want));
    if (!right)
        print_error("%s, %d ranks, odd %d, seed %llu: %s: %s\n", check->name, size, trial.odd,
                    (unsigned long long)trial.seed, status_name(st), error_last()->msg);
    assert_true(right);
}

static void all_is_well(void **state)
{
    (void)state;
    for (const struct comm_check *check = comm_checks; check->name; check++)
        for (int size = check->ranks_min; size <= 5; size += 1 + (size > 2))
            expect(size, check, (struct comm_trial){ .seed = seed, .haste = 4 }, size * 40);
}

static void each_fails(void **state)
{
    (void)state;
    for (const struct comm_check *check = comm_endings; check->name; check++)
        for (int odd = 0; odd < 3 && nccl_rig_holds(check); odd++)
            expect(3, check, (struct comm_trial){ .seed = seed, .odd = odd, .haste = 4 }, 60);
}

/* ---- lives ------------------------------------------------------------------------------ */

static status life(int size, const struct standin_plan *plan, struct nccl_life l)
{
    standin_nccl_plan(plan);
    return threads(size, nccl_live, &l);
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

/* A fault at every call that a rank makes: the failure is told as what it is. */
static void fault(enum standin_fault what, bool silent, int every)
{
    struct standin_plan p = {
        .seed = seed, .delay_us = 20, .silent = silent, .fault = what, .block_ms = 1200
    };
    int met = 0;

    for (p.at = 1; p.at <= NCCL_LIFE_CALLS; p.at += every) {
        p.rank = (int)p.at / every % 3;
        status const st = life(3, &p, (struct nccl_life){ 0.4, 2, 1 });
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

/* ---- what is said ----------------------------------------------------------------------------- */

static status one_card(struct comm *c, void *arg)
{
    struct comm *n = NULL;

    (void)arg;
    TRY(comm_nccl_open(&n, c));
    status const st = comm_attach(n, &(struct memory){ .device = c->rank / 2 });
    struct error const why = *error_last();
    comm_nccl_end(&n);
    if (st != ST_OK) error_adopt(&why);
    return st;
}

static void a_card_for_each(void **state)
{
    (void)state;
    standin_nccl_plan(&(struct standin_plan){ .seed = seed });
    assert_int_equal(threads(3, one_card, NULL), ST_ARG);
    assert_non_null(strstr(error_last()->msg, "ranks 0 and 1 are on one card (0000:00:00.0)"));
    assert_non_null(strstr(error_last()->msg, "--ranks N"));
}

/* A rank with a card, over c. */
struct seat {
    struct comm *c;
    struct memory memory;
    void *card;
};

enum { SEAT_BYTES = 1 << 20 };

static status sit_down(struct seat *s, struct comm *c)
{
    *s = (struct seat){ .memory.device = c->rank };
    TRY(comm_nccl_open(&s->c, c));
    TRY(cuda_dev_select(s->memory.device));
    TRY(cuda_stream_open(&s->memory.stream, false));
    TRY(cuda_dev_alloc(SEAT_BYTES, &s->card));
    return comm_attach(s->c, &s->memory);
}

static status get_up(struct seat *s, status st)
{
    struct error const why = *error_last();

    if (st != ST_OK) s->c->ops->abort(s->c);
    comm_nccl_end(&s->c);
    cuda_dev_free(s->card);
    cuda_stream_close(&s->memory.stream);
    if (st != ST_OK) error_adopt(&why);
    return st;
}

static status take_seat(struct comm *c, status (*main)(struct seat *s))
{
    struct seat s;
    status st = sit_down(&s, c);

    if (st == ST_OK) st = main(&s);
    return get_up(&s, st);
}

static status stay_away(struct seat *s)
{
    for (int i = 0; i < 400 && !s->c->ops->aborted(s->c); i++) check_pause_ms(5);
    return fail(ST_PEER, "was away");
}

/* Rank 1 does not send; the others say for whom they waited. */
static status receive(struct seat *s)
{
    struct comm_part const part = { .t = { s->card, DT_F32, 1, { 16 } },
                                    .peer = 1,
                                    .device = true };

    s->c->deadline_s = 0.3;
    if (s->c->rank == 1) return stay_away(s);
    TRY(s->c->ops->start(s->c, &part, 1));
    TRY(s->c->ops->finish(s->c));
    return comm_settle(s->c);
}

static status gather(struct seat *s)
{
    struct comm_share const share = { { s->card, DT_F32, 1, { 6 } }, .device = true };

    s->c->deadline_s = 0.3;
    if (s->c->rank == 1) return stay_away(s);
    TRY(comm_gather(s->c, &share, 1));
    TRY(s->c->ops->finish(s->c));
    return comm_settle(s->c);
}

static status receives(struct comm *c, void *arg)
{
    (void)arg;
    return take_seat(c, receive);
}

static status gathers(struct comm *c, void *arg)
{
    (void)arg;
    return take_seat(c, gather);
}

static void who_waited_for_whom(void **state)
{
    (void)state;
    standin_nccl_plan(&(struct standin_plan){ .seed = seed });
    assert_int_equal(threads(2, receives, NULL), ST_COMM);
    assert_string_equal(error_last()->msg, "rank 0 waited 0.3 s for rank 1 to send 1 part");
    assert_int_equal(threads(2, gathers, NULL), ST_COMM);
    assert_string_equal(error_last()->msg, "gather: rank 0 waited 0.3 s for rank 1");
}

/* ---- memory ----------------------------------------------------------------------------------- */

/* One that has none is said by its rank, and nobody has it; then all may ask for less. */
static status too_much(struct seat *s)
{
    void *at = s, *more = s;
    status const st = comm_alloc(s->c, 5000, &at);

    if (s->c->rank == 1 && (st != ST_NOMEM || !strstr(error_last()->msg, "5000 bytes on card 1")))
        return fail(ST_MISMATCH, "rank 1: %s: %s", status_name(st), error_last()->msg);
    if (s->c->rank != 1 && st != ST_PEER) return fail(ST_MISMATCH, "told %s", status_name(st));
    if (at) return fail(ST_MISMATCH, "memory that is not for all");
    TRY(comm_alloc(s->c, 4000, &more));
    comm_free(s->c, more);
    return more ? s->c->ops->agree(s->c, ST_OK) : fail(ST_MISMATCH, "no memory");
}

static status different_counts(struct seat *s)
{
    void *at = s;
    status const st = comm_alloc(s->c, s->c->rank == 2 ? 51 : 50, &at);

    if (at || st != ST_ARG ||
        strcmp(error_last()->msg, "alloc: rank 0 asks for 50 bytes, rank 2 for 51") != 0)
        return fail(ST_MISMATCH, "%s: %s", status_name(st), error_last()->msg);
    return s->c->ops->agree(s->c, ST_OK);
}

/* No more pieces than there is room for; those that are left go with the comm. */
static status too_many(struct seat *s)
{
    void *at[9];

    for (int i = 0; i < 8; i++) TRY(comm_alloc(s->c, 100 + (size_t)i, &at[i]));
    status const st = comm_alloc(s->c, 100, &at[8]);
    if (st != ST_ARG || at[8]) return fail(ST_MISMATCH, "a ninth: %s", status_name(st));
    for (int i = 0; i < 8; i += 3) comm_free(s->c, at[i]);
    TRY(comm_alloc(s->c, 100, &at[0]));
    return s->c->ops->agree(s->c, ST_OK);
}

/* On two machines there are no windows and no engines; what is gathered is the same. */
static status far_apart(struct seat *s)
{
    struct comm_share share = { .t = { NULL, DT_U8, 1, { 300 } }, .device = true };
    unsigned char host[300];

    if (s->c->gathers) return fail(ST_MISMATCH, "engines between machines");
    TRY(comm_alloc(s->c, 1000, &share.t.data));
    if (!share.t.data) return fail(ST_MISMATCH, "no memory");
    memset(host, s->c->rank + 1, sizeof host);
    TRY(cuda_dev_upload(share.t.data, host, sizeof host, s->memory.stream));
    TRY(comm_gather(s->c, &share, 1));
    TRY(s->c->ops->finish(s->c));
    TRY(comm_settle(s->c));
    TRY(cuda_dev_download(host, share.t.data, sizeof host, s->memory.stream));
    for (int i = 0; i < 300; i++)
        if (host[i] != i / 100 + 1) return fail(ST_MISMATCH, "number %d is %d", i, host[i]);
    TRY(s->c->ops->agree(s->c, ST_OK));
    comm_free(s->c, share.t.data);
    return ST_OK;
}

static status asks_too_much(struct comm *c, void *arg)
{
    (void)arg;
    return take_seat(c, too_much);
}

static status asks_for_others(struct comm *c, void *arg)
{
    (void)arg;
    return take_seat(c, different_counts);
}

static status asks_too_often(struct comm *c, void *arg)
{
    (void)arg;
    return take_seat(c, too_many);
}

static status is_far_away(struct comm *c, void *arg)
{
    static const int machine[] = { 0, 1, 1 };

    (void)arg;
    c->node = machine;
    return take_seat(c, far_apart);
}

static void memory_for_all_or_none(void **state)
{
    struct standin_plan p = { .seed = seed, .delay_us = 50 };

    (void)state;
    standin_nccl_plan(&p);
    ok(threads(3, asks_for_others, NULL));
    ok(threads(3, asks_too_often, NULL));
    assert_int_equal(standin_nccl_memory(), 0);
    ok(threads(3, is_far_away, NULL));
    assert_int_equal(standin_nccl_memory(), 0);
    p.fault = STANDIN_REFUSE;
    p.rank = 1;
    p.at = 2;
    standin_nccl_plan(&p);
    ok(threads(3, asks_too_much, NULL));
    assert_string_equal(standin_nccl_faulted(), "ncclMemAlloc");
    assert_int_equal(standin_nccl_memory(), 0);
}

/* ---- far ahead -------------------------------------------------------------------------------- */

/* Rank 1 takes nothing for a while: rank 0 runs ahead as far as the ring goes and no further. */
enum { AHEAD = SEAT_BYTES, STARTS = 70, RING = 64 };
static atomic_int ahead, seen; /* starts of rank 0; as many as there were before rank 1 went on */

static status exchange(struct comm *n, void *card, int rank)
{
    struct comm_part const part = {
        .t = { card, DT_U8, 1, { AHEAD } }, .peer = !rank, .send = !rank, .device = true
    };

    TRY(n->ops->start(n, &part, 1));
    return n->ops->finish(n);
}

static status run_ahead(struct seat *s)
{
    for (int i = 0; i < STARTS; i++) {
        if (i == 1 && s->c->rank == 1) {
            check_pause_ms(700);
            seen = ahead;
        }
        TRY(exchange(s->c, s->card, s->c->rank));
        if (s->c->rank == 0) ahead = i + 1;
    }
    return comm_settle(s->c);
}

static status one_runs_ahead(struct comm *c, void *arg)
{
    (void)arg;
    return take_seat(c, run_ahead);
}

static void no_further_than_the_ring(void **state)
{
    (void)state;
    ahead = seen = 0;
    standin_nccl_plan(&(struct standin_plan){ .seed = seed });
    ok(threads(2, one_runs_ahead, NULL));
    print_message("  %d starts ahead\n", seen);
    assert_true(seen > 1 && seen <= RING + 1);
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
    struct show_model model = { .backend = NULL };

    (void)state;
    ok(show_model_open(&model, kern_backend_find("cuda-1")));
    struct show *const one = show_new(&model, &show_policy[SHOW_ROLLING], 1, &blocks, 5);
    assert_non_null(one);
    one->mode.wire = LINE_FP8;
    ok(show_threads(one, 1, 0, 0));
    for (enum line_exchange e = LINE_BLOCKS; e <= LINE_HEADS; e++) {
        struct show *const six = show_new(&model, &show_policy[SHOW_ROLLING], 1, &blocks, 5);
        assert_non_null(six);
        six->mode = (struct line_mode){ LINE_STRICT, LINE_FP8, e };
        ok(show_threads(six, 6, 0, 0));
        ok(show_same(six, 0, one, 0, blocks));
        free(six);
    }
    free(one);
    show_model_close(&model);
}

/* ---- hunting ---------------------------------------------------------------------------------- */

static int hunt_seeds;

static void hunt(void **state)
{
    (void)state;
    for (int i = 0; i < hunt_seeds; i++) {
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
                expect(size, check, (struct comm_trial){ p.seed, 0, 8 }, p.delay_us);
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
        cmocka_unit_test(memory_for_all_or_none),
        cmocka_unit_test(no_further_than_the_ring),
        cmocka_unit_test(the_cable),
        cmocka_unit_test(one_card_for_all),
    };
    const struct CMUnitTest hunts[] = { cmocka_unit_test(hunt) };

    seed = rng_seed(argc, argv);
    hunt_seeds = (int)rng_option(argc, argv, "--hunt", 0);
    setenv("STANDIN_DEVICES", "8", 1);
    print_message("line_nccl --seed %llu\n", (unsigned long long)seed);
    if (hunt_seeds) return cmocka_run_group_tests_name("line_nccl --hunt", hunts, NULL, NULL);
    return cmocka_run_group_tests_name("line_nccl", tests, NULL, NULL);
}
