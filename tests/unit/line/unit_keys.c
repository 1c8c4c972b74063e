/* unit_keys.c - who attends to whom, and who stands where: the rules, pinned by tables. */
#include "tests/support/unit.h"

#include "cluster/split.h"
#include "pipeline/line/timeline.h"

#include <stdio.h>

static struct kv_policy const rolling = { .kind = WINDOW_ROLLING,
                                          .levels = 5,
                                          .frames_per_block = 3,
                                          .attention_frames = 21,
                                          .sink_frames = 3 };
static struct kv_policy const block21 = {
    .kind = WINDOW_BLOCK, .levels = 4, .frames_per_block = 3, .attention_frames = 21
};
static struct kv_policy const block12 = { .kind = WINDOW_BLOCK,
                                          .levels = 4,
                                          .frames_per_block = 3,
                                          .attention_frames = 12,
                                          .sink_frames = 3 };
static struct kv_policy const uneven = { .kind = WINDOW_BLOCK,
                                         .levels = 4,
                                         .frames_per_block = 3,
                                         .attention_frames = 10,
                                         .sink_frames = 1 };

/* "c0:0+3@0 w1:0+3@3": source and block, first frame + frames @ position */
static const char *spell(const struct kv_window *l, char buf[1024])
{
    size_t n = 0;

    buf[0] = '\0';
    for (int i = 0; i < l->count; i++)
        n +=
            (size_t)snprintf(buf + n, 1024 - n, "%s%c%lld:%d+%d@%lld", i ? " " : "",
                             l->span[i].source == KV_CLEAN ? 'c' : 'w', (long long)l->span[i].block,
                             l->span[i].frame, l->span[i].frames, (long long)l->span[i].position);
    return buf;
}

static void windows(void **state)
{
    struct {
        const struct kv_policy *p;
        int64_t first;
        int count;
        const char *want;
    } const cases[] = {
        { &rolling, 0, 1, "w0:0+3@0" },
        { &rolling, 0, 2, "w0:0+3@0 w1:0+3@3" },
        /* no recent yet: the sink stands right before the window, where it was */
        { &rolling, 1, 5, "c0:0+3@0 w1:0+3@3 w2:0+3@6 w3:0+3@9 w4:0+3@12 w5:0+3@15" },
        { &rolling, 2, 5, "c0:0+3@0 c1:0+3@3 w2:0+3@6 w3:0+3@9 w4:0+3@12 w5:0+3@15 w6:0+3@18" },
        /* steady: the sink moves with the window */
        { &rolling, 9, 5,
          "c0:0+3@21 c8:0+3@24 w9:0+3@27 w10:0+3@30 w11:0+3@33 w12:0+3@36 w13:0+3@39" },
        /* drain: recent grows */
        { &rolling, 9, 4,
          "c0:0+3@18 c7:0+3@21 c8:0+3@24 w9:0+3@27 w10:0+3@30 w11:0+3@33 w12:0+3@36" },
        { &rolling, 9, 1, "c0:0+3@9 c4:0+3@12 c5:0+3@15 c6:0+3@18 c7:0+3@21 c8:0+3@24 w9:0+3@27" },
        { &rolling, 3, 1, "c0:0+3@0 c1:0+3@3 c2:0+3@6 w3:0+3@9" },
        { &block21, 0, 1, "w0:0+3@0" },
        { &block21, 6, 1, "c0:0+3@0 c1:0+3@3 c2:0+3@6 c3:0+3@9 c4:0+3@12 c5:0+3@15 w6:0+3@18" },
        { &block21, 7, 1, "c1:0+3@3 c2:0+3@6 c3:0+3@9 c4:0+3@12 c5:0+3@15 c6:0+3@18 w7:0+3@21" },
        { &block12, 3, 1, "c0:0+3@0 c1:0+3@3 c2:0+3@6 w3:0+3@9" },
        { &block12, 9, 1, "c0:0+3@0 c7:0+3@21 c8:0+3@24 w9:0+3@27" },
        { &uneven, 5, 1, "c0:0+1@0 c3:0+3@9 c4:0+3@12 w5:0+3@15" },
    };
    char buf[1024];

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct kv_window l;
        assert_int_equal(kv_policy_check(cases[i].p), ST_OK);
        kv_window_spans(&l, cases[i].p, cases[i].first, cases[i].count);
        assert_string_equal(spell(&l, buf), cases[i].want);
    }
}

static void clean_passes(void **state)
{
    struct {
        const struct kv_policy *p;
        int64_t block;
        const char *want;
    } const cases[] = {
        { &rolling, 0, "c0:0+3@0" },
        { &rolling, 6, "c0:0+3@0 c1:0+3@3 c2:0+3@6 c3:0+3@9 c4:0+3@12 c5:0+3@15 c6:0+3@18" },
        /* the sink takes no part once it is not among the newest */
        { &rolling, 7, "c1:0+3@3 c2:0+3@6 c3:0+3@9 c4:0+3@12 c5:0+3@15 c6:0+3@18 c7:0+3@21" },
        { &block12, 9, "c0:0+3@0 c7:0+3@21 c8:0+3@24 c9:0+3@27" },
        { &block21, 2, "c0:0+3@0 c1:0+3@3 c2:0+3@6" },
    };
    char buf[1024];

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct kv_window l;
        kv_clean_spans(&l, cases[i].p, cases[i].block);
        assert_string_equal(spell(&l, buf), cases[i].want);
    }
}

static void lookback(void **state)
{
    struct {
        const struct kv_policy *p;
        int first, end, want;
    } const cases[] = {
        { &rolling, 0, 6, 7 }, { &rolling, 5, 6, 7 }, { &rolling, 0, 1, 1 },
        { &rolling, 1, 2, 2 }, { &rolling, 4, 5, 5 }, { &rolling, 0, 3, 3 },
        { &block21, 0, 5, 7 }, { &block21, 0, 1, 6 }, { &block12, 0, 5, 3 },
    };
    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(kv_lookback(cases[i].p, cases[i].first, cases[i].end), cases[i].want);
}

static void bad_policies(void **state)
{
    struct {
        struct kv_policy p;
        const char *message;
    } const cases[] = {
        { { WINDOW_ROLLING, 5, 3, 17, 3 },
          "attention frames: 17; 18 to 90 are allowed for 5 levels of 3 frames" },
        { { WINDOW_ROLLING, 5, 3, 21, 0 },
          "sink frames: 0; a rolling window has a sink of one block, 3" },
        { { WINDOW_BLOCK, 4, 3, 21, 4 }, "sink frames: 4; 0 to 3 are allowed" },
        { { WINDOW_BLOCK, 4, 0, 21, 0 }, "frames per block: 0; 1 to 64 are allowed" },
    };
    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(kv_policy_check(&cases[i].p), ST_ARG);
        assert_string_equal(error_last()->msg, cases[i].message);
    }
}

/* Draw the line: one row per tick, one letter+digit per stage. */
static void draw(const struct timeline *t, char *buf)
{
    for (int64_t tick = 0; tick < timeline_ticks(t); tick++) {
        for (int stage = 0; stage <= t->levels; stage++) {
            struct place const p = timeline_at(t, tick, stage);
            *buf++ = p.clip < 0 ? '.' : (char)('a' + p.clip);
            *buf++ = p.clip < 0 ? '.' : (char)('0' + p.block);
        }
        *buf++ = '\n';
    }
    *buf = '\0';
}

static void clips_follow_without_a_gap(void **state)
{
    struct kv_policy p = rolling;
    struct timeline t;
    char buf[4096];

    (void)state;
    p.levels = 3, p.attention_frames = 15;
    assert_int_equal(timeline_make(&t, &p, (int64_t[]){ 2, 1, 3 }, 3), ST_OK);
    draw(&t, buf);
    assert_string_equal(buf, "a0......\n"
                             "a1a0....\n"
                             "b0a1a0..\n"
                             "c0b0a1a0\n"
                             "c1c0b0..\n"
                             "c2c1c0..\n"
                             "..c2c1c0\n"
                             "....c2c1\n");
    struct window w;
    assert_true(timeline_window(&t, 5, 1, &w));
    assert_int_equal(w.clip, 2), assert_int_equal(w.first, 0), assert_int_equal(w.count, 3);
    assert_false(timeline_window(&t, 5, 3, &w));
    assert_true(timeline_window(&t, 2, 2, &w));
    assert_int_equal(w.clip, 0), assert_int_equal(w.first, 0), assert_int_equal(w.count, 2);
    timeline_free(&t);
}

static void block_by_block(void **state)
{
    struct kv_policy p = block12;
    struct timeline t;
    char buf[4096];

    (void)state;
    p.levels = 2;
    assert_int_equal(timeline_make(&t, &p, (int64_t[]){ 2, 1 }, 2), ST_OK);
    draw(&t, buf);
    assert_string_equal(buf, "a0....\n"
                             "..a0..\n"
                             "....a0\n"
                             "a1....\n"
                             "..a1..\n"
                             "......\n"
                             "b0....\n"
                             "..b0..\n");
    timeline_free(&t);
    assert_int_equal(timeline_make(&t, &p, (int64_t[]){ 0 }, 1), ST_ARG);
    assert_int_equal(timeline_make(&t, &p, (int64_t[]){ INT64_MAX, 5 }, 2), ST_ARG);
}

/* Between the first fill and the last drain no stage idles but for the clean
 * pass that each clip's last block does without. */
static void occupancy(void **state)
{
    int64_t blocks[20];
    struct timeline t;

    (void)state;
    for (int i = 0; i < 20; i++) blocks[i] = 10 + i;
    assert_int_equal(timeline_make(&t, &rolling, blocks, 20), ST_OK);
    assert_int_equal(timeline_ticks(&t), 390 + 4);
    double const want = (390.0 * 6 - 20) / (394.0 * 6);
    assert_true(timeline_occupancy(&t) <= want + 1e-12 && timeline_occupancy(&t) >= want - 1e-12);
    timeline_free(&t);
}

static void splits(void **state)
{
    int const want[6][7] = { { 0, 6 },          { 0, 3, 6 },          { 0, 2, 4, 6 },
                             { 0, 2, 4, 5, 6 }, { 0, 2, 3, 4, 5, 6 }, { 0, 1, 2, 3, 4, 5, 6 } };
    struct split s;

    (void)state;
    for (int ranks = 1; ranks <= 6; ranks++) {
        assert_int_equal(split_make(&s, 6, ranks), ST_OK);
        assert_memory_equal(s.first, want[ranks - 1], (size_t)(ranks + 1) * sizeof(int));
        for (int stage = 0; stage < 6; stage++) {
            int const r = split_owner(&s, stage);
            assert_true(s.first[r] <= stage && stage < s.first[r + 1]);
        }
    }
    assert_int_equal(split_make(&s, 6, 7), ST_ARG);
    assert_string_equal(error_last()->msg, "7 ranks for a line of 6 stages; 1 to 6 are allowed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows),
        cmocka_unit_test(clean_passes),
        cmocka_unit_test(lookback),
        cmocka_unit_test(bad_policies),
        cmocka_unit_test(clips_follow_without_a_gap),
        cmocka_unit_test(block_by_block),
        cmocka_unit_test(occupancy),
        cmocka_unit_test(splits),
    };
    return cmocka_run_group_tests_name("unit_keys", tests, NULL, NULL);
}
