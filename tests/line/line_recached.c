/*
 * line_recached.c - a recache under a new prompt: what follows depends on the latents
 * before it and on no pass made of them; and is the same to the bit for any ranks, modes and
 * company, and behind given blocks.
 */
#include "tests/support/unit.h"

#include "tests/support/clip_fixture.h"

static struct clip_fixture_model model;

static struct kv_policy const moving12 = { WINDOW_BLOCK,   5,        FIXTURE_FRAMES, 12,   3,
                                           KV_SINK_MOVING, KV_USUAL, { 0 },          { 0 } };
static struct kv_policy const renewed12 = {
    WINDOW_BLOCK, 5, FIXTURE_FRAMES, 12, 3, KV_SINK_USUAL, KV_USUAL, { [KV_KEY_renew_sink] = 1 },
    { 0 }
};
static struct kv_policy const wide_sink = {
    WINDOW_BLOCK, 5, FIXTURE_FRAMES, 15, 6, KV_SINK_USUAL, KV_USUAL, { [KV_KEY_renew_sink] = 1 },
    { 0 }
};
static const struct kv_policy *const policies[] = { &clip_fixture_policy[FIXTURE_BLOCK21],
                                                    &clip_fixture_policy[FIXTURE_BLOCK12],
                                                    &moving12, &renewed12, &wide_sink };

/* A clip of so many blocks, between two others, whose prompt changes at a block. */
static struct clip_fixture *clip_of(const struct kv_policy *p, int64_t blocks, int change)
{
    struct clip_fixture *const s = clip_fixture_new(&model, p, 3, (int64_t[]){ 2, blocks, 3 }, 6);

    assert_non_null(s);
    s->recache = true;
    for (int c = 0; c < 3; c++) s->change[c] = change;
    return s;
}

static struct clip_fixture *render(struct clip_fixture *s, int ranks)
{
    ok(clip_fixture_run_threads(s, ranks, 0, 0));
    return s;
}

static void same_clips(struct clip_fixture *s, const struct clip_fixture *want)
{
    for (int c = 0; c < s->clips; c++) ok(clip_fixture_same(s, c, want, c, s->blocks[c]));
    free(s);
}

/* Before the window is full, as it is, and after. */
static void any_ranks_and_modes(void **state)
{
    static int const changes[] = { 1, 3, 4, 5, 7 };

    (void)state;
    for (int i = 0; i < COUNT_OF(policies); i++)
        for (int k = i % 2; k < COUNT_OF(changes); k += 2) {
            struct clip_fixture *const one = render(clip_of(policies[i], 9, changes[k]), 1);
            for (int ranks = 2; ranks <= FIXTURE_RANKS; ranks++)
                same_clips(render(clip_of(policies[i], 9, changes[k]), ranks), one);
            for (int ranks = 1; ranks <= FIXTURE_RANKS; ranks++) {
                struct clip_fixture *const s = clip_of(policies[i], 9, changes[k]);
                s->mode.exchange = LINE_HEADS;
                if (FIXTURE_HEADS % ranks == 0) same_clips(render(s, ranks), one);
                else free(s);
            }
            free(one);
        }
}

static void narrow_wire(void **state)
{
    struct clip_fixture *one = clip_of(&moving12, 7, 5);

    (void)state;
    one->mode.wire = LINE_FP8;
    render(one, 1);
    for (int ranks = 2; ranks <= FIXTURE_RANKS; ranks += 2) {
        struct clip_fixture *const s = clip_of(&moving12, 7, 5);
        s->mode.wire = LINE_FP8;
        same_clips(render(s, ranks), one);
    }
    free(one);
}

/* Without it the clip is another from the change on, and the same before. */
static void changes_what_follows(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT_OF(policies); i++) {
        struct clip_fixture *const with = render(clip_of(policies[i], 7, 5), 1);
        struct clip_fixture *const without = clip_of(policies[i], 7, 5);
        without->recache = false;
        render(without, 1);
        ok(clip_fixture_same(with, 1, without, 1, 5));
        assert_memory_not_equal(with->latents[1][5], without->latents[1][5],
                                sizeof with->latents[1][5]);
        free(with);
        free(without);
    }
}

/* The same first blocks, given to a clip that has the new prompt from its beginning: keys made of
 * them before the change are others, those recached are not, and so is what follows, to the bit. A
 * sink that stays, once it is no longer among these, is of before. */
static void depends_on_latents_alone(void **state)
{
    static int const changes[] = { 2, 4, 6 };

    (void)state;
    for (int i = 0; i < COUNT_OF(policies); i++)
        for (int k = 0; k < COUNT_OF(changes); k++) {
            const struct kv_policy *const p = policies[i];
            int const at = changes[k];
            bool const keeps = at * FIXTURE_FRAMES > p->attention_frames && p->sink_frames &&
                               p->key[KV_KEY_renew_sink] == 0;
            struct clip_fixture *const whole = render(clip_of(p, 9, at), 1);
            struct clip_fixture *const s = clip_of(p, 9, at);
            clip_fixture_give(s, 1, at, whole, 1);
            s->new_before = true;
            render(s, 2);
            assert_int_equal(clip_fixture_same(s, 1, whole, 1, 9), keeps ? ST_MISMATCH : ST_OK);
            free(s);
            free(whole);
        }
}

/* A clip that is gone on with at any block is the same as if it had not been stopped. */
static void behind_given_blocks(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT_OF(policies); i++) {
        struct clip_fixture *const whole = render(clip_of(policies[i], 9, 5), 1);
        for (int given = 2; given < 9; given += 2) {
            struct clip_fixture *const s = clip_of(policies[i], 9, 5);
            clip_fixture_give(s, 1, given, whole, 1);
            same_clips(render(s, 1 + given % 4), whole);
        }
        free(whole);
    }
}

/* What has no rule for it, and a line that was not opened for it, say so. */
static void refusals(void **state)
{
    static struct kv_policy const uneven = { WINDOW_BLOCK,  5,        FIXTURE_FRAMES, 12,   2,
                                             KV_SINK_USUAL, KV_USUAL, { 0 },          { 0 } };
    struct {
        const struct kv_policy *p;
        const char *want;
    } const cases[] = {
        { &clip_fixture_policy[FIXTURE_ROLLING],
          "policy usual in a rolling window: no rule for a recache; the block window's own has one" },
        { &uneven, "12 frames of attention, 2 of sink: a recache takes whole blocks of 3 alone" },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct clip_fixture *const s = clip_of(cases[i].p, 5, 2);
        assert_int_equal(clip_fixture_run_threads(s, 2, 0, 0), ST_ARG);
        assert_string_equal(error_last()->msg, cases[i].want);
        free(s);
    }
}

static int open_model(void **state)
{
    (void)state;
    return clip_fixture_model_open(&model, kern_backend_find("cpu")) == ST_OK ? 0 : -1;
}

static int close_model(void **state)
{
    (void)state;
    clip_fixture_model_close(&model);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_ranks_and_modes),  cmocka_unit_test(narrow_wire),
        cmocka_unit_test(changes_what_follows), cmocka_unit_test(depends_on_latents_alone),
        cmocka_unit_test(behind_given_blocks),  cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests_name("line_recached", tests, open_model, close_model);
}
