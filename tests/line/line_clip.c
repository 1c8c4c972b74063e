/*
 * line_clip.c - whole clips through the line, on small latents of the recorded
 * model: the same to the bit for any number of ranks, and for clips in company; and
 * what a rank does while keys are on their way.
 *
 *   line_clip                            the whole
 *   line_clip small                      two short runs over three ranks, for a sanitizer
 *                                        that makes the whole too long
 *   line_clip --hunt SEEDS [--seed N]    instead, random cases made of seeds: random_case.h
 */
#include "tests/support/unit.h"

#include "tests/support/random_case.h"
#include "tests/support/rng.h"

#include "pipeline/dit/noise.h"
#include "pipeline/dit/rope.h"

#include <math.h>

static struct clip_fixture_model model;
static const struct kv_policy *const rolling = &clip_fixture_policy[FIXTURE_ROLLING];
static const struct kv_policy *const block21 = &clip_fixture_policy[FIXTURE_BLOCK21];
static const struct kv_policy *const block12 = &clip_fixture_policy[FIXTURE_BLOCK12];

/* The oracle; the fast backend where many clips are made. */
static int open_ref(void **state)
{
    (void)state;
    return clip_fixture_model_open(&model, kern_backend_find("ref")) == ST_OK ? 0 : -1;
}

static int open_cpu(void **state)
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

static struct clip_fixture *clip_fixture_of(const struct kv_policy *policy, int clips,
                                            const int64_t *blocks, uint64_t first_seed)
{
    struct clip_fixture *const s = clip_fixture_new(&model, policy, clips, blocks, first_seed);
    assert_non_null(s);
    return s;
}

static status render(struct clip_fixture *s, int ranks)
{
    return clip_fixture_run_threads(s, ranks, 0, 0);
}

static void same_bits_for_any_ranks(const struct kv_policy *policy, int clips,
                                    const int64_t *blocks, int prompt_change)
{
    struct clip_fixture *const one = clip_fixture_of(policy, clips, blocks, 7);

    for (int c = 0; c < clips; c++) one->change[c] = prompt_change;
    ok(render(one, 1));
    for (int ranks = 2; ranks <= FIXTURE_RANKS; ranks++) {
        struct clip_fixture *const many = clip_fixture_of(policy, clips, blocks, 7);
        for (int c = 0; c < clips; c++) many->change[c] = prompt_change;
        ok(render(many, ranks));
        for (int c = 0; c < clips; c++) ok(clip_fixture_same(many, c, one, c, blocks[c]));
        free(many);
    }
    free(one);
}

static void any_ranks(void **state)
{
    (void)state;
    same_bits_for_any_ranks(rolling, 1, (int64_t[]){ 10 }, 4);
    same_bits_for_any_ranks(rolling, 1, (int64_t[]){ 1 }, 0);
    same_bits_for_any_ranks(rolling, 3, (int64_t[]){ 2, 1, 7 }, 1);
    same_bits_for_any_ranks(block12, 1, (int64_t[]){ 6 }, 2);
    same_bits_for_any_ranks(block21, 2, (int64_t[]){ 3, 2 }, 0);
}

/* Rolling without a sink, or with one that stays where it was; block by block with one that moves.
 * Deep in a clip each is another one than usual. */
static void other_sinks(void **state)
{
    static const struct {
        struct kv_policy policy;
        int usual;
    } cases[] = {
        { { WINDOW_ROLLING, 5, FIXTURE_FRAMES, 21, 0, KV_SINK_USUAL, KV_USUAL, { 0 }, { 0 } },
          FIXTURE_ROLLING },
        { { WINDOW_ROLLING,
            5,
            FIXTURE_FRAMES,
            21,
            FIXTURE_FRAMES,
            KV_SINK_FIXED,
            KV_USUAL,
            { 0 },
            { 0 } },
          FIXTURE_ROLLING },
        { { WINDOW_BLOCK,
            5,
            FIXTURE_FRAMES,
            12,
            FIXTURE_FRAMES,
            KV_SINK_MOVING,
            KV_USUAL,
            { 0 },
            { 0 } },
          FIXTURE_BLOCK12 },
    };
    int64_t const blocks[] = { 9, 2 };

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct clip_fixture *const a = clip_fixture_of(&cases[i].policy, 2, blocks, 7);
        struct clip_fixture *const b =
            clip_fixture_of(&clip_fixture_policy[cases[i].usual], 2, blocks, 7);
        ok(render(a, 1));
        ok(render(b, 1));
        ok(clip_fixture_same(a, 0, b, 0, 1));
        assert_memory_not_equal(a->latents[0][8], b->latents[0][8], sizeof a->latents[0][8]);
        free(a);
        free(b);
        same_bits_for_any_ranks(&cases[i].policy, 2, blocks, 3);
    }
}

/* A queue over so many ranks. */
static struct clip_fixture *queue_of(const struct kv_policy *policy, struct line_mode mode,
                                     int ranks)
{
    static const int64_t blocks[] = { 7, 1, 9, 2, 3 };
    struct clip_fixture *const s = clip_fixture_of(policy, COUNT_OF(blocks), blocks, 7);

    for (int c = 0; c < COUNT_OF(blocks); c++) s->change[c] = c % 3;
    s->mode = mode;
    ok(render(s, ranks));
    return s;
}

static void same_queue(struct clip_fixture *s, const struct clip_fixture *want)
{
    for (int c = 0; c < s->clips; c++) ok(clip_fixture_same(s, c, want, c, s->blocks[c]));
    free(s);
}

/* In 8 bits over the wire: another clip, but the same one for any ranks. */
static void narrow_wire(void **state)
{
    struct line_mode const fp8 = { LINE_STRICT, LINE_FP8, LINE_BLOCKS };
    struct clip_fixture *const act = queue_of(rolling, (struct line_mode){ LINE_STRICT }, 1);
    struct clip_fixture *const one = queue_of(rolling, fp8, 1);

    (void)state;
    for (int c = 0; c < act->clips; c++)
        assert_memory_not_equal(act->latents[c][0], one->latents[c][0], sizeof act->latents[c][0]);
    for (int ranks = 2; ranks <= FIXTURE_RANKS; ranks++)
        same_queue(queue_of(rolling, fp8, ranks), one);
    free(act);
    free(one);
}

/* By heads the same bits as by blocks, wherever the heads divide; and in 8 bits. */
static void by_heads(void **state)
{
    (void)state;
    for (int kind = 0; kind < FIXTURE_KINDS; kind++)
        for (enum line_wire wire = LINE_ACT; wire <= LINE_FP8; wire++) {
            const struct kv_policy *const policy = &clip_fixture_policy[kind];
            struct line_mode const heads = { LINE_STRICT, wire, LINE_HEADS };
            struct clip_fixture *const one =
                queue_of(policy, (struct line_mode){ .wire = wire }, 1);
            for (int ranks = 1; ranks <= FIXTURE_RANKS; ranks++)
                if (clip_fixture_by_heads(policy, ranks))
                    same_queue(queue_of(policy, heads, ranks), one);
            free(one);
        }
}

/* LoL without jitter is the window without it, to the bit; with it another clip, and one for each
 * seed. Once more in a rolling window, which by_heads has not. */
static void heads_apart(void **state)
{
    int64_t const blocks = 7;

    (void)state;
    for (int k = 0; k < 2; k++) {
        struct kv_policy const plain = clip_fixture_policy[k ? FIXTURE_ROLLING : FIXTURE_BLOCK12];
        struct clip_fixture *const want = clip_fixture_of(&plain, 1, &blocks, 7);
        struct kv_policy other = plain;
        ok(render(want, 1));
        other.rule = KV_LOL;
        for (int i = 0; i < 4; i++) {
            other.key[KV_KEY_jitter] = i / 2 * 0.8;
            other.key[KV_KEY_jitter_seed] = i % 2;
            struct clip_fixture *const s = clip_fixture_of(&other, 1, &blocks, 7);
            struct clip_fixture *const many = clip_fixture_of(&other, 1, &blocks, 7);
            ok(render(s, 1));
            if (i % 2) many->mode.exchange = LINE_HEADS;
            ok(render(many, i % 2 ? 4 : 5));
            ok(clip_fixture_same(many, 0, s, 0, blocks));
            assert_int_equal(clip_fixture_same(s, 0, want, 0, blocks), i < 2 ? ST_OK : ST_MISMATCH);
            if (i == 2) memcpy(want->latents, s->latents, sizeof s->latents);
            free(s);
            free(many);
        }
        free(want);
    }
}

static void heads_that_do_not_divide(void **state)
{
    struct clip_fixture *const s = clip_fixture_of(rolling, 1, (int64_t[]){ 2 }, 1);

    (void)state;
    s->mode.exchange = LINE_HEADS;
    assert_int_equal(render(s, 5), ST_ARG);
    assert_string_equal(error_last()->msg, "by heads 5 ranks cannot share a line: the model has 12 "
                                           "heads; 1, 2, 3, 4, 6, 12 ranks are allowed");
    free(s);
}

/* What stands at all stages is gathered, where all ranks have as many. */
static void gathers(int ranks, enum line_determinism determinism)
{
    int64_t const blocks[] = { 8, 1 };
    struct clip_fixture *const a = clip_fixture_of(rolling, COUNT_OF(blocks), blocks, 7);
    struct clip_fixture *const b = clip_fixture_of(rolling, COUNT_OF(blocks), blocks, 7);

    a->mode.determinism = b->mode.determinism = determinism;
    b->gathers = true;
    ok(render(a, ranks));
    ok(render(b, ranks));
    for (int c = 0; c < COUNT_OF(blocks); c++) ok(clip_fixture_same(b, c, a, c, blocks[c]));
    assert_int_equal(a->parts != b->parts, 6 % ranks == 0);
    free(a);
    free(b);
}

static void gathered_or_by_parts(void **state)
{
    (void)state;
    gathers(2, LINE_STRICT);
    gathers(3, LINE_BATCH);
    gathers(4, LINE_STRICT);
    gathers(6, LINE_STRICT);
}

static void clips_in_company(const struct kv_policy *policy, int ranks)
{
    int64_t const blocks[] = { 6, 1, 9, 2, 3 };
    struct clip_fixture *const all = clip_fixture_of(policy, COUNT_OF(blocks), blocks, 20);

    ok(render(all, ranks));
    for (int c = 0; c < COUNT_OF(blocks); c++) {
        struct clip_fixture *const alone = clip_fixture_of(policy, 1, &blocks[c], 20 + (uint64_t)c);
        ok(render(alone, 1));
        ok(clip_fixture_same(alone, 0, all, c, blocks[c]));
        free(alone);
    }
    free(all);
}

static void back_to_back_equals_alone(void **state)
{
    (void)state;
    clips_in_company(rolling, 1);
    clips_in_company(rolling, 4);
    clips_in_company(block21, 2);
}

/* Clips that join a running line, often when it has been idle, and the end said late. */
static void joining_equals_alone(void **state)
{
    int64_t const blocks[] = { 6, 1, 9, 2, 3 }, join[] = { 1, 8, 8, 40, 41 };

    (void)state;
    for (int kind = 0; kind < FIXTURE_KINDS; kind++) {
        const struct kv_policy *const policy = &clip_fixture_policy[kind];
        struct clip_fixture *const want = clip_fixture_of(policy, COUNT_OF(blocks), blocks, 20);
        ok(render(want, 1));
        for (int ranks = 1; ranks <= FIXTURE_RANKS; ranks++) {
            struct clip_fixture *const s = clip_fixture_of(policy, COUNT_OF(blocks), blocks, 20);
            memcpy(s->join, join, sizeof join);
            s->hesitate = ranks % 3;
            s->late_over = ranks % 2;
            ok(render(s, ranks));
            for (int c = 0; c < COUNT_OF(blocks); c++)
                ok(clip_fixture_same(s, c, want, c, blocks[c]));
            free(s);
        }
        free(want);
    }
}

/* A clip that is cut after its fourth block is a clip of four, and nobody else is touched. */
static void cut_equals_shorter(void **state)
{
    int64_t const blocks[] = { 3, 9, 2 }, shorter[] = { 3, 4, 2 };
    struct clip_fixture *const want = clip_fixture_of(rolling, COUNT_OF(blocks), shorter, 20);

    (void)state;
    ok(render(want, 1));
    for (int ranks = 1; ranks <= FIXTURE_RANKS; ranks++) {
        struct clip_fixture *const s = clip_fixture_of(rolling, COUNT_OF(blocks), blocks, 20);
        s->cut = 1;
        s->cut_tick = 7;
        ok(render(s, ranks));
        for (int c = 0; c < COUNT_OF(blocks); c++) {
            ok(clip_fixture_same(s, c, want, c, shorter[c]));
            assert_int_equal(s->done[c], shorter[c]);
        }
        free(s);
    }
    free(want);
}

/* A clip whose first blocks are given, between two others. */
static struct clip_fixture *continued(const struct kv_policy *policy,
                                      const struct clip_fixture *whole, int given, int ranks)
{
    int64_t const blocks[] = { 2, whole->blocks[0], 3 };
    struct clip_fixture *const s = clip_fixture_of(policy, COUNT_OF(blocks), blocks, 6);

    for (int c = 0; c < COUNT_OF(blocks); c++) s->change[c] = whole->change[0];
    clip_fixture_give(s, 1, given, whole, 0);
    ok(render(s, ranks));
    assert_int_equal(s->done[1], whole->blocks[0] - given);
    return s;
}

/* Block by block it goes on to the bit as if it had never been stopped: the clean passes of the
 * given blocks leave the same keys and values. In a rolling window the first blocks behind do
 * not see the younger ones beside them that they once saw, so there it is another clip, the
 * same for any ranks. */
static void given_blocks(void **state)
{
    (void)state;
    for (int kind = 0; kind < FIXTURE_KINDS; kind++) {
        const struct kv_policy *const policy = &clip_fixture_policy[kind];
        int64_t const blocks = policy->kind == WINDOW_BLOCK ? 9 : 11;
        struct clip_fixture *const whole = clip_fixture_of(policy, 1, &blocks, 7);
        whole->change[0] = 3;
        ok(render(whole, 1));
        for (int given = 1; given < blocks; given += 3) {
            struct clip_fixture *const one = continued(policy, whole, given, 1);
            if (policy->kind == WINDOW_BLOCK) ok(clip_fixture_same(one, 1, whole, 0, blocks));
            for (int ranks = 2; ranks <= FIXTURE_RANKS; ranks++) {
                struct clip_fixture *const many = continued(policy, whole, given, ranks);
                for (int c = 0; c < many->clips; c++)
                    ok(clip_fixture_same(many, c, one, c, many->blocks[c]));
                free(many);
            }
            free(one);
        }
        free(whole);
    }
}

/* A whole clip, and the same from so many given blocks on. */
static void goes_on_alike(const struct kv_policy *p, int given)
{
    int64_t const blocks = 9;
    struct clip_fixture *const whole = clip_fixture_of(p, 1, &blocks, 7);

    whole->change[0] = 3;
    ok(render(whole, 1));
    for (int ranks = 1; ranks <= FIXTURE_RANKS; ranks += 2) {
        struct clip_fixture *const s = continued(p, whole, given, ranks);
        ok(clip_fixture_same(s, 1, whole, 0, blocks));
        free(s);
    }
    free(whole);
}

static void refuses_given(const struct kv_policy *p, int given)
{
    int64_t const blocks = 9;
    struct clip_fixture *const none = clip_fixture_of(p, 1, &blocks, 7);
    struct clip_fixture *const s = clip_fixture_of(p, 1, &blocks, 7);

    clip_fixture_give(s, 0, given, none, 0);
    assert_int_equal(render(s, 2), ST_ARG);
    assert_non_null(strstr(error_last()->msg, "chooses as later ones are made"));
    free(s);
    free(none);
}

/* With what was chosen for them beside them any blocks may be given, up to the last: between two
 * other clips, on any ranks. Of other choices comes another clip, or none can be of them. */
static void goes_on_chosen(const struct kv_policy *p)
{
    int64_t const length = 9, blocks[] = { 2, length, 3 };
    struct clip_fixture *const whole = clip_fixture_of(p, 1, &length, 7);

    whole->change[0] = 3;
    ok(render(whole, 1));
    for (int given = 1; given < length; given++) {
        struct clip_fixture *const s = clip_fixture_of(p, 3, blocks, 6);
        for (int c = 0; c < 3; c++) s->change[c] = 3;
        s->chosen = true;
        clip_fixture_give(s, 1, given, whole, 0);
        ok(render(s, 1 + given % FIXTURE_RANKS));
        assert_int_equal(s->done[1], length - given);
        ok(clip_fixture_same(s, 1, whole, 0, length));
        assert_memory_equal(s->choice[1], whole->choice[0],
                            (size_t)length * sizeof s->choice[0][0]);
        free(s);
    }
    struct clip_fixture *const other = clip_fixture_of(p, 3, blocks, 6);
    for (int c = 0; c < 3; c++) other->change[c] = 3;
    other->chosen = true;
    clip_fixture_give(other, 1, 8, whole, 0);
    memset(other->choice[1], 0, sizeof other->choice[1]);
    status const st = render(other, 2);
    if (st == ST_OK) assert_int_equal(clip_fixture_same(other, 1, whole, 0, length), ST_MISMATCH);
    else assert_non_null(strstr(error_last()->msg, "was chosen; "));
    free(other);
    free(whole);
}

/* Policies that choose as blocks are made take those before the first choice, and then make the
 * same ones; one more is refused, unless its choice comes with it. Those that average what leaves,
 * or walk, take any. */
static void given_to_policies(void **state)
{
    static const struct {
        int attention_frames, sink_frames;
        enum kv_rule rule;
        enum kv_key key;
        double value;
        int given;
    } cases[] = {
        { 12, 3, KV_DEEP_FORCING, KV_KEY_budget_frames, 9, 4 },
        { 12, 3, KV_ECHO_FORCING, KV_KEY_calibration_frames, 9, 4 },
        { 7, 2, KV_RELAX_FORCING, KV_KEY_reservoir_frames, 12, 2 },
        { 9, 3, KV_EMA_SINK, KV_KEY_ema_alpha, 0.5, 6 },
        { 12, 3, KV_MEMROPE, KV_KEY_alpha_long, 0.5, 6 },
        { 9, 0, KV_ROLLING_SINK, KV_KEY_replay_frames, 6, 6 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct kv_policy p = { .kind = WINDOW_BLOCK,
                               .levels = 5,
                               .frames_per_block = FIXTURE_FRAMES,
                               .attention_frames = cases[i].attention_frames,
                               .sink_frames = cases[i].sink_frames,
                               .rule = cases[i].rule };
        kv_keys_usual(p.rule, p.key);
        p.key[cases[i].key] = cases[i].value;
        if (p.rule == KV_ECHO_FORCING) p.key[KV_KEY_history_frames] = 9;
        goes_on_alike(&p, cases[i].given);
        if (!kv_policy_chooses(&p)) continue;
        refuses_given(&p, cases[i].given + 1);
        goes_on_chosen(&p);
    }
}

/* What the line keeps of a window behind so many blocks is alike. */
static void same_windows(const struct clip_fixture *a, const struct clip_fixture *b, int from)
{
    for (int n = from; n < FIXTURE_BLOCKS; n++) {
        assert_int_equal(a->kept[n], b->kept[n]);
        assert_memory_equal(a->window[n], b->window[n],
                            (size_t)a->kept[n] * sizeof a->window[n][0]);
    }
}

/* Left behind a checkpoint at any block and gone on with on any ranks, between two other clips: the
 * same latents to the bit, and the same checkpoints from there on. */
static void goes_on_with(const struct kv_policy *policy)
{
    bool const joint = policy->kind != WINDOW_BLOCK;
    int64_t const length = joint ? 11 : 6, blocks[] = { 2, length, 3 };
    struct clip_fixture *const whole = clip_fixture_of(policy, 1, &length, 7);

    whole->change[0] = 3;
    whole->every = 1;
    ok(render(whole, 1));
    for (int ranks = 1; ranks <= FIXTURE_RANKS; ranks++)
        for (int at = 1 + ranks % 4; at < length; at += 4) {
            struct clip_fixture *const s = clip_fixture_of(policy, 3, blocks, 6);
            assert_int_equal(whole->kept[at], !joint ? 0
                                              : length - at < policy->levels - 1
                                                  ? length - at
                                                  : policy->levels - 1);
            for (int c = 0; c < 3; c++) s->change[c] = 3;
            s->every = 1;
            s->kept_clip = 1;
            s->goes_on = joint;
            clip_fixture_give(s, 1, at, whole, 0);
            ok(render(s, ranks));
            assert_int_equal(s->done[1], length - at);
            ok(clip_fixture_same(s, 1, whole, 0, length));
            same_windows(s, whole, at + 1);
            free(s);
        }
    free(whole);
}

static void goes_on_from_checkpoints(void **state)
{
    static const struct kv_policy averaged = { WINDOW_ROLLING,
                                               5,
                                               FIXTURE_FRAMES,
                                               21,
                                               3,
                                               KV_SINK_USUAL,
                                               KV_EMA_SINK,
                                               { [KV_KEY_ema_alpha] = 0.5 },
                                               { 0 } };

    (void)state;
    for (int kind = 0; kind < FIXTURE_KINDS; kind++) goes_on_with(&clip_fixture_policy[kind]);
    goes_on_with(&averaged);
}

/* What a line cannot take is refused, on all ranks, and by name. */
static void refused_entries(void **state)
{
    struct clip_fixture *const whole = clip_fixture_of(rolling, 1, (int64_t[]){ 3 }, 7);
    struct clip_fixture *const s = clip_fixture_of(rolling, 1, (int64_t[]){ 2 }, 7);

    (void)state;
    ok(render(whole, 1));
    clip_fixture_give(s, 0, 2, whole, 0);
    assert_int_equal(render(s, 3), ST_ARG);
    assert_string_equal(error_last()->msg, "clip 0: 2 blocks, 2 of them given");
    s->given_of = NULL;
    s->given[0] = 1;
    assert_int_equal(render(s, 2), ST_ARG);
    assert_string_equal(error_last()->msg, "line: clip 0 has given blocks; this line takes none");
    free(whole);
    free(s);
}

/* The beginning of a long clip is the short clip's, until the short one drains:
 * its last blocks see fewer frames beside them. */
static void prefix_of_a_longer_clip(void **state)
{
    struct clip_fixture *const longer = clip_fixture_of(rolling, 1, (int64_t[]){ 11 }, 3);
    struct clip_fixture *const shorter = clip_fixture_of(rolling, 1, (int64_t[]){ 8 }, 3);

    (void)state;
    ok(render(longer, 1));
    ok(render(shorter, 1));
    ok(clip_fixture_same(longer, 0, shorter, 0, 4));
    assert_memory_not_equal(longer->latents[0][7], shorter->latents[0][7],
                            sizeof longer->latents[0][0]);
    free(longer);
    free(shorter);
}

static void stops_everywhere(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= FIXTURE_RANKS; ranks += 5) {
        struct clip_fixture *const s = clip_fixture_of(rolling, 1, (int64_t[]){ 9 }, 1);
        s->stop_rank = ranks / 2;
        s->stop_boundary = 3;
        assert_int_equal(render(s, ranks), ST_CANCELED);
        assert_string_equal(error_last()->msg, "stopped before tick 3");
        assert_true(s->done[0] == 0);
        free(s);
    }
}

/* Attention sees only differences of positions: far out the same scores come
 * out, as f64 angles promise (a table would have ended at 1024). */
static void positions_have_no_end(void **state)
{
    int64_t const far[] = { 0, 1023, 100000, 123456789 };
    struct {
        float q[128], k[128];
    } v;
    double first = 0;

    (void)state;
    noise_fill((float *)&v, 256, 5, 0, 0);
    for (int i = 0; i < COUNT_OF(far); i++) {
        float tq[22 * 2], tk[22 * 2], zero[21 * 2];
        for (int j = 0; j < 21; j++) zero[2 * j] = 1, zero[2 * j + 1] = 0;
        rope_angles(tq, 22, far[i] + 17, 1);
        rope_angles(tk, 22, far[i], 1);
        struct tensor const still = { zero, DT_F32, 3, { 1, 21, 2 } };
        struct tensor const at_q = { tq, DT_F32, 3, { 1, 22, 2 } };
        struct tensor const at_k = { tk, DT_F32, 3, { 1, 22, 2 } };
        float rq[128], rk[128];
        struct tensor const q = { v.q, DT_F32, 2, { 1, 128 } }, k = { v.k, DT_F32, 2, { 1, 128 } };
        struct tensor oq = { rq, DT_F32, 2, { 1, 128 } }, ok = { rk, DT_F32, 2, { 1, 128 } };
        assert_int_equal(
            kern_rope(model.ctx, &(struct kern_rope){ &q, &at_q, &still, &still, &oq, 1 }), ST_OK);
        assert_int_equal(
            kern_rope(model.ctx, &(struct kern_rope){ &k, &at_k, &still, &still, &ok, 1 }), ST_OK);
        double score = 0;
        for (int j = 0; j < 128; j++) score += (double)rq[j] * (double)rk[j];
        if (i == 0) first = score;
        assert_true(fabs(score - first) <= 1e-4);
    }
}

/* A failed wait says where the rank was: with a layer in an exchange, without in the
 * hand-over behind it. Rank 1 waits once in tick 1, three times in ticks 2 and 3. */
static void broken_wire(void **state)
{
    static const char *const where[] = {
        "line: tick 3, layer 0, stages 2..3, clip 0 block 0: the wire broke",
        "line: tick 3, layer 1, stages 2..3, clip 0 block 0: the wire broke",
        "line: tick 3, stages 2..3, clip 0 block 0: the wire broke",
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(where); i++) {
        struct clip_fixture *const s = clip_fixture_of(rolling, 1, (int64_t[]){ 9 }, 1);
        s->fault_rank = 1;
        s->fault_wait = 5 + i;
        assert_int_equal(render(s, 3), ST_COMM);
        assert_string_equal(error_last()->msg, where[i]);
        free(s);
    }
}

/* The oracle, but for the one call of attention that fails. */
static struct kern_backend weak;
static atomic_int calls_left;

static status weak_attention(struct kern_ctx *c, const struct kern_attention *a)
{
    if (atomic_fetch_sub(&calls_left, 1) == 1) return fail(ST_DEVICE, "attention gave up");
    return kern_backend_find("ref")->ops.attention(c, a);
}

static status weak_open(struct kern_ctx **out, const struct kern_config *c)
{
    TRY(kern_backend_find("ref")->open(out, c));
    (*out)->backend = &weak;
    return ST_OK;
}

/* Whenever a rank fails while keys are on their way, its memory stays until they are
 * there, the others stop, and its own words come out. */
static void failure_beside_exchange(void **state)
{
    const struct kern_backend *const usual = model.backend;

    (void)state;
    weak = *usual;
    weak.open = weak_open;
    weak.ops.attention = weak_attention;
    model.backend = &weak;
    for (int call = 90; call < 102; call++) {
        struct clip_fixture *const s = clip_fixture_of(rolling, 1, (int64_t[]){ 9 }, 1);
        s->mode.exchange = call % 2 ? LINE_HEADS : LINE_BLOCKS;
        atomic_store(&calls_left, call);
        assert_int_equal(render(s, 6), ST_DEVICE);
        assert_string_equal(error_last()->msg, "attention gave up");
        free(s);
    }
    model.backend = usual;
}

static void short_run(void **state)
{
    (void)state;
    for (enum line_exchange e = LINE_BLOCKS; e <= LINE_HEADS; e++) {
        struct clip_fixture *const s = clip_fixture_of(rolling, 2, (int64_t[]){ 2, 1 }, 7);
        s->change[0] = s->change[1] = 1;
        s->mode.exchange = e;
        ok(render(s, 3));
        assert_true(isfinite(s->latents[0][1][0]) && isfinite(s->latents[1][0][0]));
        free(s);
    }
}

/* ---- many seeds --------------------------------------------------------------------- */

static uint64_t seed;
static int stress_seeds;

static status try_one(uint64_t seed_of_case, struct expected *expected)
{
    struct random_case t;
    char words[RANDOM_CASE_TEXT];

    TRY(random_case_draw(&t, &model, seed_of_case, 0, seed_of_case % 4 == 0));
    status const ended = clip_fixture_run_threads(t.fixture, t.ranks, seed_of_case, t.delay_us);
    status st = random_case_check(&t, -1, expected);
    if (st != ST_OK)
        print_error("%s: the run ended with %s: %s\n", random_case_words(&t, words),
                    status_name(ended), error_last()->msg);
    random_case_free(&t);
    return st;
}

static void any_clips_ranks_faults(void **state)
{
    struct expected expected = { .model = &model };
    status st = ST_OK;

    (void)state;
    for (int i = 0; i < stress_seeds && st == ST_OK; i++)
        st = try_one(seed + (uint64_t)i, &expected);
    expected_free(&expected);
    assert_int_equal(st, ST_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest small[] = { cmocka_unit_test(short_run) };
    const struct CMUnitTest stresses[] = { cmocka_unit_test(any_clips_ranks_faults) };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_ranks),
        cmocka_unit_test(other_sinks),
        cmocka_unit_test(narrow_wire),
        cmocka_unit_test(by_heads),
        cmocka_unit_test(heads_apart),
        cmocka_unit_test(heads_that_do_not_divide),
        cmocka_unit_test(gathered_or_by_parts),
        cmocka_unit_test(back_to_back_equals_alone),
        cmocka_unit_test(joining_equals_alone),
        cmocka_unit_test(cut_equals_shorter),
        cmocka_unit_test(given_blocks),
        cmocka_unit_test(given_to_policies),
        cmocka_unit_test(goes_on_from_checkpoints),
        cmocka_unit_test(refused_entries),
        cmocka_unit_test(prefix_of_a_longer_clip),
        cmocka_unit_test(stops_everywhere),
        cmocka_unit_test(broken_wire),
        cmocka_unit_test(failure_beside_exchange),
        cmocka_unit_test(positions_have_no_end),
    };

    if (argc > 1 && !strcmp(argv[1], "small"))
        return cmocka_run_group_tests_name("line_clip", small, open_ref, close_model);
    seed = rng_seed(argc, argv);
    stress_seeds = (int)rng_option(argc, argv, "--hunt", 0);
    print_message("line_clip --seed %llu\n", (unsigned long long)seed);
    if (stress_seeds)
        return cmocka_run_group_tests_name("line_clip --hunt", stresses, open_cpu, close_model);
    return cmocka_run_group_tests_name("line_clip", tests, open_ref, close_model);
}
