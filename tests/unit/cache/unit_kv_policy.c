/* unit_kv_policy.c - who attends to whom: the rules, pinned by tables. */
#include "tests/support/unit.h"

#include "pipeline/cache/kv_state.h"

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

static struct kv_policy const no_sink = { WINDOW_ROLLING, 5,        3,     21,   0,
                                          KV_SINK_USUAL,  KV_USUAL, { 0 }, { 0 } };
static struct kv_policy const fixed_sink = { WINDOW_ROLLING, 5,        3,     21,   3,
                                             KV_SINK_FIXED,  KV_USUAL, { 0 }, { 0 } };
static struct kv_policy const moving12 = { WINDOW_BLOCK,   4,        3,     12,   3,
                                           KV_SINK_MOVING, KV_USUAL, { 0 }, { 0 } };

static struct kv_policy const deep_sink = { WINDOW_BLOCK, 4,     3,    21, 10, KV_SINK_USUAL,
                                            KV_DEEP_SINK, { 0 }, { 0 } };
static struct kv_policy const walk = {
    WINDOW_BLOCK, 4, 3, 21, 0, KV_SINK_USUAL, KV_ROLLING_SINK, { [KV_KEY_replay_frames] = 18 },
    { 0 }
};
static struct kv_policy const walk_rolling = {
    WINDOW_ROLLING, 5, 3, 21, 3, KV_SINK_USUAL, KV_ROLLING_SINK, { [KV_KEY_replay_frames] = 18 },
    { 0 }
};
static struct kv_policy const scenes = {
    WINDOW_BLOCK,
    4,
    3,
    6,
    1,
    KV_SINK_USUAL,
    KV_INFINITY_ROPE,
    { [KV_KEY_cut_position] = 45, [KV_KEY_flush_keeps_frames] = 2 },
    { 0 }
};
static struct kv_policy const averaged = {
    WINDOW_ROLLING, 5, 3, 21, 3, KV_SINK_USUAL, KV_EMA_SINK, { [KV_KEY_ema_alpha] = 0.999 }, { 0 }
};

static struct kv_policy const relaxed = { WINDOW_BLOCK,
                                          4,
                                          3,
                                          7,
                                          2,
                                          KV_SINK_USUAL,
                                          KV_RELAX_FORCING,
                                          { [KV_KEY_reservoir_frames] = 30,
                                            [KV_KEY_history_frames] = 1,
                                            [KV_KEY_tail_frames] = 1,
                                            [KV_KEY_candidates] = 4,
                                            [KV_KEY_redundancy] = 2 },
                                          { 0 } };
static struct kv_policy const echo = { WINDOW_BLOCK,
                                       4,
                                       3,
                                       21,
                                       12,
                                       KV_SINK_USUAL,
                                       KV_ECHO_FORCING,
                                       { [KV_KEY_compressed_frames] = 3,
                                         [KV_KEY_recent_frames] = 3,
                                         [KV_KEY_history_frames] = 21,
                                         [KV_KEY_calibration_frames] = 21,
                                         [KV_KEY_score_offsets] = 5,
                                         [KV_KEY_max_reuse] = 8,
                                         [KV_KEY_amplitude_term] = 1,
                                         [KV_KEY_gate] = 3 },
                                       { 0 } };

static struct kv_policy const deep = { WINDOW_BLOCK,
                                       4,
                                       3,
                                       12,
                                       3,
                                       KV_SINK_USUAL,
                                       KV_DEEP_FORCING,
                                       { [KV_KEY_budget_frames] = 9, [KV_KEY_recent_frames] = 3 },
                                       { 0 } };
static struct kv_policy const two_kinds = { WINDOW_BLOCK,
                                            4,
                                            3,
                                            6,
                                            1,
                                            KV_SINK_USUAL,
                                            KV_FORCING_KV,
                                            { [KV_KEY_static_recent_frames] = 1,
                                              [KV_KEY_dynamic_recent_frames] = 1,
                                              [KV_KEY_dynamic_frames] = 1,
                                              [KV_KEY_chunks_per_frame] = 6,
                                              [KV_KEY_retention] = 0.33,
                                              [KV_KEY_first_split_block] = 2 },
                                            { 2, { 0, 6 } } };

static struct kv_policy const jittered = {
    WINDOW_BLOCK, 4, 3, 12, 3, KV_SINK_USUAL, KV_LOL, { [KV_KEY_jitter] = 0.8 }, { 0 }
};

/* "c0:0+3@0 w1:0+3@3": source and block, first frame + frames @ position */
static const char *spell_window(const struct kv_window *l, char buf[1024])
{
    size_t n = 0;

    buf[0] = '\0';
    for (int i = 0; i < l->count; i++)
        n += (size_t)snprintf(buf + n, 1024 - n, "%s%c%lld:%d+%d@%lld", i ? " " : "",
                              "cwk"[l->span[i].source], (long long)l -> span[i].block,
                              l->span[i].frame, l->span[i].frames, (long long)l->span[i].position);
    return buf;
}

static void window_passes(void **state)
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
        { &jittered, 9, 1, "c0:0+3@0 c7:0+3@21 c8:0+3@24 w9:0+3@27" },
        { &uneven, 5, 1, "c0:0+1@0 c3:0+3@9 c4:0+3@12 w5:0+3@15" },
        /* without a sink there is room for more that is recent; block 0 is then as any other */
        { &no_sink, 0, 5, "w0:0+3@0 w1:0+3@3 w2:0+3@6 w3:0+3@9 w4:0+3@12" },
        { &no_sink, 1, 5, "c0:0+3@0 w1:0+3@3 w2:0+3@6 w3:0+3@9 w4:0+3@12 w5:0+3@15" },
        { &no_sink, 9, 5,
          "c7:0+3@21 c8:0+3@24 w9:0+3@27 w10:0+3@30 w11:0+3@33 w12:0+3@36 w13:0+3@39" },
        { &no_sink, 3, 1, "c0:0+3@0 c1:0+3@3 c2:0+3@6 w3:0+3@9" },
        /* a fixed sink: the same frames, and the first stay where they were */
        { &fixed_sink, 1, 5, "c0:0+3@0 w1:0+3@3 w2:0+3@6 w3:0+3@9 w4:0+3@12 w5:0+3@15" },
        { &fixed_sink, 9, 5,
          "c0:0+3@0 c8:0+3@24 w9:0+3@27 w10:0+3@30 w11:0+3@33 w12:0+3@36 w13:0+3@39" },
        /* the sink stands one block short of the recent frames */
        { &deep_sink, 7, 1,
          "c0:0+3@0 c1:0+3@3 c2:0+3@6 c3:0+1@9 c4:1+2@13 c5:0+3@15 c6:0+3@18 w7:0+3@21" },
        { &deep_sink, 8, 1,
          "c0:0+3@3 c1:0+3@6 c2:0+3@9 c3:0+1@12 c5:1+2@16 c6:0+3@18 c7:0+3@21 w8:0+3@24" },
        /* 0..17 and back: all but the newest block is replayed, frame by frame on the way back */
        { &walk, 8, 1,
          "c2:0+3@6 c3:0+3@9 c4:0+3@12 c5:0+3@15 c5:2+1@18 c5:1+1@19 c5:0+1@20 c7:0+3@21 "
          "w8:0+3@24" },
        { &walk_rolling, 8, 5,
          "c5:2+1@18 c5:1+1@19 c5:0+1@20 c7:0+3@21 w8:0+3@24 w9:0+3@27 w10:0+3@30 w11:0+3@33 "
          "w12:0+3@36" },
        { &scenes, 4, 1, "c0:0+1@9 c3:1+2@10 w4:0+3@12" },
        /* all there is, as long as that is sink, tail and a frame; then sink and history stand
         * right before the tail, and before a choice the oldest stands for it */
        { &relaxed, 1, 1, "c0:0+3@0 w1:0+3@3" },
        { &relaxed, 2, 1, "c0:0+2@2 c0:2+1@4 c1:2+1@5 w2:0+3@6" },
        { &relaxed, 12, 1, "c0:0+2@32 c3:2+1@34 c11:2+1@35 w12:0+3@36" },
        /* the sink walks on by a block where the old one ends, rows and all, in front of what was
         * chosen */
        { &echo, 6, 1, "c0:0+3@0 c1:0+3@3 c2:0+3@6 c3:0+3@9 c4:0+3@12 c5:0+3@15 w6:0+3@18" },
        { &echo, 7, 1,
          "c1:0+3@3 c2:0+3@6 c3:0+3@9 c3:2+1@12 c3:1+1@13 c3:0+1@14 k0:0+3@15 c6:0+3@18 w7:0+3@21" },
        { &averaged, 2, 5, "c0:0+3@0 c1:0+3@3 w2:0+3@6 w3:0+3@9 w4:0+3@12 w5:0+3@15 w6:0+3@18" },
        { &averaged, 3, 5, "k0:0+3@3 c2:0+3@6 w3:0+3@9 w4:0+3@12 w5:0+3@15 w6:0+3@18 w7:0+3@21" },
        { &moving12, 3, 1, "c0:0+3@0 c1:0+3@3 c2:0+3@6 w3:0+3@9" },
        { &moving12, 9, 1, "c0:0+3@18 c7:0+3@21 c8:0+3@24 w9:0+3@27" },
    };
    char buf[1024];

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct kv_window l;
        assert_int_equal(kv_policy_check(cases[i].p), ST_OK);
        kv_window_spans(&l, cases[i].p,
                        &(struct kv_pass){ .first = cases[i].first, .count = cases[i].count });
        assert_string_equal(spell_window(&l, buf), cases[i].want);
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
        { &no_sink, 7, "c1:0+3@3 c2:0+3@6 c3:0+3@9 c4:0+3@12 c5:0+3@15 c6:0+3@18 c7:0+3@21" },
        { &moving12, 9, "c0:0+3@18 c7:0+3@21 c8:0+3@24 c9:0+3@27" },
    };
    char buf[1024];

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct kv_window l;
        kv_clean_spans(&l, cases[i].p, &(struct kv_pass){ .first = cases[i].block, .count = 1 });
        assert_string_equal(spell_window(&l, buf), cases[i].want);
    }
}

/* Deep layers of blocks behind the first split one have rows for some heads; nothing is moved. */
static void heads_of_two_kinds(void **state)
{
    struct {
        int64_t block;
        int layer;
        const char *want;
    } const cases[] = {
        { 0, 1, "w0:0+3@0" },
        { 1, 1, "c0:0+1@0 c0:2+1@2 w1:0+3@3" },
        { 2, 1, "c0:0+1@0 c1:2+1@5 w2:0+3@6" },
        { 3, 0, "c0:0+1@0 c2:2+1@8 w3:0+3@9" },
        { 3, 1, "c0:0+1@0 k0:0+0@0 c2:2+1@8 w3:0+3@9" },
        { 40, 1, "c0:0+1@0 k0:0+0@0 c39:2+1@119 w40:0+3@120" },
    };
    char buf[1024];

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct kv_window l;
        kv_window_spans(
            &l, &two_kinds,
            &(struct kv_pass){ .first = cases[i].block, .count = 1, .layer = cases[i].layer });
        assert_string_equal(spell_window(&l, buf), cases[i].want);
        for (int k = 0; k < l.count; k++)
            assert_int_equal(l.span[k].some_heads, l.span[k].source == KV_KEPT);
    }
}

/* Given blocks are those before a choice can be made; relax-forcing's comes first. */
static void given_at_most(void **state)
{
    (void)state;
    assert_int_equal(kv_policy_most_given(&echo), 7);
    assert_int_equal(kv_policy_most_given(&relaxed), 2);
    assert_true(kv_policy_most_given(&two_kinds) == INT64_MAX);
    assert_true(kv_policy_most_given(&rolling) == INT64_MAX);
}

/* What a profile cannot be the profile of. */
static void models_that_do_not_fit(void **state)
{
    struct {
        struct kv_state_shape shape; /* layers, tokens, dim, heads */
        double heads;                /* of layer 1 */
        const char *want;
    } const cases[] = {
        { { 2, 12, 48, 4 }, 6, "" },
        { { 3, 12, 48, 4 }, 6, "static_heads: of 2 layers; the model has 3" },
        { { 2, 12, 48, 4 }, 16, "static_heads: layer 1: heads below 4 are allowed" },
        { { 2, 12, 48, 4 }, 15, "static_heads: all of layer 1; one has to be left, to choose by" },
        { { 2, 13, 48, 4 },
          6,
          "chunks_per_frame: 6; what divides 13, the tokens of a frame, is allowed" },
        { { 2, 12, 4 * 514, 4 }, 6, "forcing-kv: heads of 514; up to 512 are allowed" },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct kv_policy p = two_kinds;
        struct kv_state s;
        p.profile.static_heads[1] = cases[i].heads;
        error_clear();
        assert_int_equal(kv_state_open(&s, &p, &cases[i].shape), cases[i].want[0] ? ST_ARG : ST_OK);
        assert_string_equal(error_last()->msg, cases[i].want);
        kv_state_close(&s);
    }
}

/* The block's own frames jump, the past and the block after do not. */
static void cut_scene(void **state)
{
    struct kv_window l;
    char buf[1024];

    (void)state;
    kv_window_spans(&l, &scenes, &(struct kv_pass){ .first = 4, .count = 1, .cut = true });
    assert_string_equal(spell_window(&l, buf), "c0:0+1@9 c3:1+2@10 w4:0+3@54");
    kv_clean_spans(&l, &scenes, &(struct kv_pass){ .first = 4, .count = 1, .cut = true });
    assert_string_equal(spell_window(&l, buf), "c0:0+1@9 c3:1+2@10 c4:0+3@54");
}

static struct kv_policy with_key(struct kv_policy p, enum kv_key k, double value)
{
    p.key[k] = value;
    return p;
}

/* What a new prompt has computed once more, before its first block. */
static void recached(void **state)
{
    struct kv_policy const renewed = with_key(block12, KV_KEY_renew_sink, 1);
    struct kv_policy const renewed_moving = with_key(moving12, KV_KEY_renew_sink, 1);
    const struct {
        const struct kv_policy *p;
        int64_t block, first, sink;
        const char *want;
    } cases[] = {
        { &block12, 3, 0, 0, "c0:0+3@0 c1:0+3@3 c2:0+3@6" },
        { &block12, 4, 0, 0, "c0:0+3@0 c1:0+3@3 c2:0+3@6 c3:0+3@9" }, /* the sink, too */
        { &block12, 7, 4, 0, "c0:0+3@0 c4:0+3@12 c5:0+3@15 c6:0+3@18" },
        { &moving12, 6, 3, 0, "c0:0+3@6 c3:0+3@9 c4:0+3@12 c5:0+3@15" },
        { &renewed, 4, 0, 0, "c0:0+3@0 c1:0+3@3 c2:0+3@6 c3:0+3@9" },
        { &renewed, 6, 2, 2, "c2:0+3@6 c3:0+3@9 c4:0+3@12 c5:0+3@15" },
        { &renewed_moving, 6, 2, 2, "c2:0+3@6 c3:0+3@9 c4:0+3@12 c5:0+3@15" },
        { &block21, 8, 1, 0, "c1:0+3@3 c2:0+3@6 c3:0+3@9 c4:0+3@12 c5:0+3@15 c6:0+3@18 c7:0+3@21" },
    };
    const struct {
        const struct kv_policy *p;
        const char *want;
    } after[] = { { &renewed, "c2:0+3@6 c6:0+3@18 c7:0+3@21 w8:0+3@24" },
                  { &renewed_moving, "c2:0+3@15 c6:0+3@18 c7:0+3@21 w8:0+3@24" } };
    struct kv_recache r;
    char buf[1024];

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        kv_recache_find(&r, cases[i].p, cases[i].block);
        assert_string_equal(spell_window(&r.keys, buf), cases[i].want);
        assert_int_equal(r.first, cases[i].first);
        assert_int_equal(r.sink_block, cases[i].sink);
        assert_true(cases[i].block - r.first <= kv_recache_blocks(cases[i].p));
    }
    for (int i = 0; i < COUNT_OF(after); i++) {
        kv_window_spans(&r.keys, after[i].p,
                        &(struct kv_pass){ .first = 8, .count = 1, .sink_block = 2 });
        assert_string_equal(spell_window(&r.keys, buf), after[i].want);
    }
    assert_true(kv_policy_recaches(&block21));
    assert_false(kv_policy_recaches(&uneven));
    assert_false(kv_policy_recaches(&rolling));
    assert_false(kv_policy_recaches(&deep_sink));
}

static void how_far_back(void **state)
{
    struct {
        const struct kv_policy *p;
        int first, end, want;
        bool given;
    } const cases[] = {
        { &rolling, 0, 6, 7, false },    { &rolling, 5, 6, 7, false },
        { &rolling, 0, 1, 1, false },    { &rolling, 1, 2, 2, false },
        { &rolling, 4, 5, 5, false },    { &rolling, 0, 3, 3, false },
        { &block21, 0, 5, 7, false },    { &block21, 0, 1, 6, false },
        { &block12, 0, 5, 3, false },    { &rolling, 0, 6, 7, true },
        { &rolling, 0, 1, 5, true },     { &rolling, 4, 5, 5, true },
        { &no_sink, 0, 1, 2, false },    { &no_sink, 4, 5, 6, false },
        { &no_sink, 0, 1, 6, true },     { &no_sink, 5, 6, 7, false },
        { &fixed_sink, 4, 5, 5, false }, { &block21, 0, 5, 7, true },
        { &block21, 0, 1, 6, true },     { &block12, 0, 5, 3, true },
        { &relaxed, 0, 5, 10, false },   { &relaxed, 0, 4, 9, false },
        { &echo, 0, 5, 8, false },       { &two_kinds, 0, 5, 2, false },
    };
    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(kv_lookback(cases[i].p, cases[i].first, cases[i].end, cases[i].given),
                         cases[i].want);
}

static struct kv_policy with_frames(struct kv_policy p, int attention_frames)
{
    p.attention_frames = attention_frames;
    return p;
}

static struct kv_policy with_profile(struct kv_policy p, int layers)
{
    p.profile.layers = layers;
    return p;
}

static void bad_policies(void **state)
{
    struct {
        struct kv_policy p;
        const char *message;
    } const cases[] = {
        { { WINDOW_ROLLING, 5, 3, 17, 3, KV_SINK_USUAL, KV_USUAL, { 0 }, { 0 } },
          "attention frames: 17; 18 to 90 are allowed for 5 levels of 3 frames" },
        { { WINDOW_ROLLING, 5, 3, 21, 2, KV_SINK_USUAL, KV_USUAL, { 0 }, { 0 } },
          "sink frames: 2; a rolling window has none, 0, or one block, 3" },
        { { WINDOW_ROLLING, 5, 3, 14, 0, KV_SINK_USUAL, KV_USUAL, { 0 }, { 0 } },
          "attention frames: 14; 15 to 90 are allowed for 5 levels of 3 frames" },
        { { WINDOW_BLOCK, 4, 3, 21, 19, KV_SINK_USUAL, KV_USUAL, { 0 }, { 0 } },
          "sink frames: 19; 0 to 18 are allowed" },
        { { WINDOW_ROLLING, 5, 3, 21, 3, KV_SINK_USUAL, KV_DEEP_SINK, { 0 }, { 0 } },
          "policy deep-sink: not in a rolling window" },
        { { WINDOW_BLOCK,
            4,
            3,
            21,
            0,
            KV_SINK_USUAL,
            KV_ROLLING_SINK,
            { [KV_KEY_replay_frames] = 17 },
            { 0 } },
          "replay_frames: 17; whole blocks of 3 frames are allowed" },
        { { WINDOW_BLOCK,
            4,
            3,
            9,
            3,
            KV_SINK_USUAL,
            KV_EMA_SINK,
            { [KV_KEY_ema_alpha] = 1.5 },
            { 0 } },
          "ema_alpha: 1.5; 0 to 1 are allowed" },
        { { WINDOW_BLOCK,
            4,
            3,
            21,
            10,
            KV_SINK_USUAL,
            KV_DEEP_FORCING,
            { [KV_KEY_budget_frames] = 16, [KV_KEY_recent_frames] = 2 },
            { 0 } },
          "recent_frames: 2; 3 to 6 are allowed, the block's own counted" },
        { with_frames(relaxed, 8),
          "attention frames: 8; 7, sink, history, tail and a block, is allowed" },
        { with_key(relaxed, KV_KEY_reservoir_frames, 9),
          "reservoir_frames: 9; 10 at least for these" },
        { with_key(relaxed, KV_KEY_tail_frames, 4),
          "tail_frames: 4; 1 to 3, a block, are allowed" },
        { with_frames(echo, 24),
          "attention frames: 24; 21, sink, compressed, recent and a block, is allowed" },
        { with_key(echo, KV_KEY_history_frames, 24), "history_frames: 24; 6 to 21 are allowed" },
        { with_key(rolling, KV_KEY_renew_sink, 1),
          "renew_sink: 1; in a rolling window no sink is renewed" },
        { with_key(block21, KV_KEY_renew_sink, 1), "renew_sink: 1; there is no sink to renew" },
        { with_frames(two_kinds, 7),
          "attention frames: 7; 6, sink, dynamic part, recent and a block, is allowed" },
        { with_key(two_kinds, KV_KEY_static_recent_frames, 2),
          "static_recent_frames: 2; 1, as dynamic_recent_frames, is allowed" },
        { with_key(two_kinds, KV_KEY_retention, 0.5),
          "retention: 0.5; 6 of 18 chunks, those of dynamic_frames, have to be left" },
        { with_profile(two_kinds, 0),
          "policy forcing-kv: static_heads of 0 layers; 1 to 64 are allowed" },
        { with_profile(echo, 2),
          "policy echo-forcing: static_heads of 2 layers; it has no such key" },
        { with_key(echo, KV_KEY_calibration_frames, 20),
          "calibration_frames: 20; whole blocks of 3, up to 21, are allowed" },
        { with_key(jittered, KV_KEY_jitter, 1), "jitter: 1; 0 to 0.99 are allowed" },
        { { WINDOW_BLOCK, 4, 3, 12, 0, KV_SINK_USUAL, KV_LOL, { 0 }, { 0 } },
          "sink frames: 0; 1 at least, for it is the sink that heads copy" },
        { { WINDOW_BLOCK, 4, 0, 21, 0, KV_SINK_USUAL, KV_USUAL, { 0 }, { 0 } },
          "frames per block: 0; 1 to 64 are allowed" },
    };
    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(kv_policy_check(&cases[i].p), ST_ARG);
        assert_string_equal(error_last()->msg, cases[i].message);
    }
}

static void policy_names(void **state)
{
    enum kv_rule rule;

    (void)state;
    for (int i = 0; i < KV_RULES; i++) {
        assert_true(kv_rule_find(kv_rule_name((enum kv_rule)i), &rule));
        assert_int_equal(rule, i);
    }
    assert_false(kv_rule_find("deep", &rule));
    assert_true(kv_policy_joint(&rolling));
    assert_false(kv_policy_joint(&block12));
}

enum { CHOSEN = 12, CHOICE_LAYERS = 2 };

/* Numbers from `first` on for every layer; a single number `with` at `at` of the last one. */
static status replay(struct kv_state *s, int64_t block, int64_t first, int64_t at, int32_t with)
{
    int32_t choice[CHOICE_LAYERS * CHOSEN];
    int64_t const count = s->choice_count;

    assert_true(count <= CHOSEN && s->choice_layers <= CHOICE_LAYERS);
    for (int64_t i = 0; i < s->choice_layers * count; i++) choice[i] = (int32_t)(first + i % count);
    if (at >= 0) choice[(s->choice_layers - 1) * count + at] = with;
    return kv_replay_choice(s, block, choice);
}

/* Choices that come from a file: rising, of what there is to choose from behind those before. */
static void choices_that_came(void **state)
{
    struct {
        const struct kv_policy *p;
        int64_t chooses; /* the first block that does */
        int64_t at;
        int32_t with;
        const char *want;
    } const cases[] = {
        { &relaxed, 2, -1, 0, "" },
        { &relaxed, 2, 0, 10, "cache: 10 was chosen; 11 to 34 are allowed" },
        { &relaxed, 2, 0, 35, "cache: 35 was chosen; 11 to 34 are allowed" },
        { &echo, 7, -1, 0, "" },
        { &echo, 7, 11, 71, "" },
        { &echo, 7, 11, 72, "cache: 72 was chosen; 11 to 71 are allowed" },
        { &echo, 7, 1, 0, "cache: 0 was chosen; 1 to 71 are allowed" },
        { &deep, 4, -1, 0, "" },
        { &deep, 4, 0, -1, "cache: -1 was chosen; 0 to 35 are allowed" },
        { &deep, 4, 11, 1 << 30, "cache: 1073741824 was chosen; 11 to 35 are allowed" },
    };
    struct kv_state_shape const shape = { CHOICE_LAYERS, 4, 8, 2 };

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        bool const relax = cases[i].p == &relaxed;
        struct kv_state s;
        ok(kv_state_open(&s, cases[i].p, &shape));
        for (int64_t block = 0; block < 12; block++)
            ok(replay(&s, block, relax ? 2 + (block > 9 ? 3 * block - 27 : 0) : 0,
                      block < cases[i].chooses ? 0 : -1, 1 << 20)); /* none: not looked at */
        error_clear();
        assert_int_equal(replay(&s, 12, relax ? 11 : 0, cases[i].at, cases[i].with),
                         cases[i].want[0] ? ST_ARG : ST_OK);
        assert_string_equal(error_last()->msg, cases[i].want);
        kv_state_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(window_passes),      cmocka_unit_test(clean_passes),
        cmocka_unit_test(heads_of_two_kinds), cmocka_unit_test(given_at_most),
        cmocka_unit_test(choices_that_came),  cmocka_unit_test(models_that_do_not_fit),
        cmocka_unit_test(how_far_back),       cmocka_unit_test(bad_policies),
        cmocka_unit_test(policy_names),       cmocka_unit_test(cut_scene),
        cmocka_unit_test(recached),
    };
    return cmocka_run_group_tests_name("unit_kv_policy", tests, NULL, NULL);
}
