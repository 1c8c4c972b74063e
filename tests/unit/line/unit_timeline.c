/*
 * unit_timeline.c - who stands where: drawn, and against a line that is moved block by block.
 *
 *   unit_timeline [--seed N]
 */
#include "tests/support/unit.h"

#include "cluster/split.h"
#include "pipeline/line/timeline.h"
#include "tests/support/rng.h"

#include <stdio.h>

static struct kv_policy const rolling = { .kind = WINDOW_ROLLING,
                                          .levels = 5,
                                          .frames_per_block = 3,
                                          .attention_frames = 21,
                                          .sink_frames = 3 };
static struct kv_policy const by_block = { .kind = WINDOW_BLOCK,
                                           .levels = 4,
                                           .frames_per_block = 3,
                                           .attention_frames = 12,
                                           .sink_frames = 3 };

/* ---- drawn ------------------------------------------------------------------------------ */

/* One row per tick, one letter+digit per stage. */
static void draw_line(const struct timeline *t, char *buf)
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

/* What happens at the boundary before a tick: a clip comes, or one is cut (blocks 0). */
struct event {
    int64_t tick;
    int clip;
    int64_t blocks, clean; /* clean < 0: it goes on behind so many */
};

static void play_events(struct timeline *t, const struct kv_policy *p, const struct event *e,
                        int events)
{
    timeline_open(t, p, p->levels, p->levels);
    for (int i = 0; i < events; i++)
        if (!e[i].blocks) timeline_cut(t, e[i].tick, e[i].clip);
        else
            ok(timeline_admit(
                t, e[i].tick,
                &(struct timeline_entry){ .clip = e[i].clip,
                                          .blocks = e[i].blocks,
                                          .clean = e[i].clean < 0 ? -e[i].clean : e[i].clean,
                                          .goes_on = e[i].clean < 0 }));
}

static void clips_follow_without_a_gap(void **state)
{
    struct kv_policy p = rolling;
    struct timeline t;
    char buf[4096];

    (void)state;
    p.levels = 3, p.attention_frames = 15;
    play_events(&t, &p, (struct event[]){ { 0, 0, 2, 0 }, { 0, 1, 1, 0 }, { 0, 2, 3, 0 } }, 3);
    draw_line(&t, buf);
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
    struct kv_policy p = by_block;
    struct timeline t;
    char buf[4096];

    (void)state;
    p.levels = 2;
    play_events(&t, &p, (struct event[]){ { 0, 0, 2, 0 }, { 0, 1, 1, 0 } }, 2);
    draw_line(&t, buf);
    assert_string_equal(buf, "a0....\n"
                             "..a0..\n"
                             "....a0\n"
                             "a1....\n"
                             "..a1..\n"
                             "......\n"
                             "b0....\n"
                             "..b0..\n");
    timeline_free(&t);
}

/* Blocks of fewer levels take the last stages; the opening one is the first that is not given. */
static void blocks_of_other_levels(void **state)
{
    static const struct {
        int usual, opening;
        struct timeline_entry entry[2];
        int entries;
        const char *want;
    } cases[] = {
        { 1,
          3,
          { { .blocks = 3 }, { .clip = 1, .blocks = 2 } },
          2,
          "a0......\n..a0....\n....a0..\n......a0\n....a1..\n......a1\n....a2..\n"
          "........\nb0......\n..b0....\n....b0..\n......b0\n....b1..\n" },
        { 3, 1, { { .blocks = 2 } }, 1, "....a0..\n......a0\na1......\n..a1....\n....a1..\n" },
        { 1,
          2,
          { { .blocks = 4, .clean = 2, .opening = 2 } },
          1,
          "....a0\n....a1\na2....\n..a2..\n....a2\n..a3..\n" },
        /* resumed behind its opening block; and behind one that was given and that one */
        { 1, 2, { { .blocks = 3, .clean = 1 } }, 1, "....a0\n..a1..\n....a1\n..a2..\n" },
        { 2,
          1,
          { { .blocks = 4, .clean = 2, .opening = 1 } },
          1,
          "....a0\n....a1\na2....\n..a2..\n....a2\na3....\n..a3..\n" },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct kv_policy p = by_block;
        struct timeline t;
        char buf[1024];
        int const usual = cases[i].usual, opening = cases[i].opening;
        p.levels = usual > opening ? usual : opening;
        timeline_open(&t, &p, usual, opening);
        for (int e = 0; e < cases[i].entries; e++) ok(timeline_admit(&t, 0, &cases[i].entry[e]));
        draw_line(&t, buf);
        assert_string_equal(buf, cases[i].want);
        int64_t const first = cases[i].entry[0].opening;
        assert_true(timeline_opens(&t, 0, 0, first));
        assert_false(timeline_opens(&t, 0, 0, first + 1));
        timeline_free(&t);
    }
}

/* Late, cut, given: what a line of two levels looks like. */
static void clips_join_and_leave(void **state)
{
    static const struct {
        bool by_block;
        struct event event[4];
        int events;
        const char *want;
    } cases[] = {
        /* just in time; and after a gap */
        { false,
          { { 0, 0, 2, 0 }, { 2, 1, 1, 0 }, { 5, 2, 1, 0 } },
          3,
          "a0....\na1a0..\nb0a1a0\n..b0..\n......\nc0....\n..c0..\n" },
        /* cut after its second block: that one needs no clean pass, and the next moves up */
        { false,
          { { 0, 0, 5, 0 }, { 0, 1, 2, 0 }, { 2, 0, 0, 0 } },
          3,
          "a0....\na1a0..\nb0a1a0\nb1b0..\n..b1b0\n" },
        /* cut before it began */
        { false,
          { { 0, 0, 2, 0 }, { 0, 1, 3, 0 }, { 0, 2, 1, 0 }, { 1, 1, 0, 0 } },
          4,
          "a0....\na1a0..\nc0a1a0\n..c0..\n" },
        /* given blocks come when the line is empty; what follows them does not wait */
        { false,
          { { 0, 0, 2, 0 }, { 0, 1, 4, 2 }, { 0, 2, 1, 0 } },
          3,
          "a0....\na1a0..\n..a1a0\n....b0\n....b1\nb2....\nb3b2..\nc0b3b2\n..c0..\n" },
        /* cut among its given blocks */
        { false,
          { { 0, 0, 4, 3 }, { 0, 1, 1, 0 }, { 1, 0, 0, 0 } },
          3,
          "....a0\nb0....\n..b0..\n" },
        /* behind a checkpoint: with its window as it stood; and with what is left of one */
        { false,
          { { 0, 0, 1, 0 }, { 0, 1, 5, -2 }, { 0, 2, 1, 0 } },
          3,
          "a0....\n..a0..\n....b0\nb3b2b1\nb4b3b2\nc0b4b3\n..c0..\n" },
        { false, { { 0, 0, 3, -2 }, { 0, 1, 1, 0 } }, 2, "....a0\n..a2a1\nb0....\n..b0..\n" },
        { false,
          { { 0, 0, 9, -2 }, { 0, 1, 1, 0 }, { 3, 0, 0, 0 } },
          3,
          "....a0\na3a2a1\na4a3a2\nb0a4a3\n..b0..\n" },
        { true,
          { { 0, 0, 3, 1 }, { 0, 1, 2, 1 } },
          2,
          "....a0\na1....\n..a1..\n....a1\na2....\n..a2..\n....b0\nb1....\n..b1..\n" },
        { true,
          { { 0, 0, 2, 0 }, { 0, 1, 1, 0 }, { 3, 0, 0, 0 } },
          3,
          "a0....\n..a0..\n......\nb0....\n..b0..\n" },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct kv_policy p = cases[i].by_block ? by_block : rolling;
        struct timeline t;
        char buf[1024];
        p.levels = 2;
        play_events(&t, &p, cases[i].event, cases[i].events);
        draw_line(&t, buf);
        assert_string_equal(buf, cases[i].want);
        timeline_free(&t);
    }
}

static void bad_entries(void **state)
{
    static const struct {
        struct timeline_entry entry;
        const char *message;
    } cases[] = {
        { { .clip = 1 }, "clip 1: 0 blocks, 0 of them given" },
        { { .blocks = 2, .clean = 2 }, "clip 0: 2 blocks, 2 of them given" },
        { { .blocks = 2, .clean = -1 }, "clip 0: 2 blocks, -1 of them given" },
        { { .blocks = 2, .clean = 1, .goes_on = true },
          "clip 0: resumes after 1 blocks, 5 ticks a block" },
        { { .blocks = INT64_MAX }, "clip 0: 9223372036854775807 blocks" },
        { { .blocks = INT64_MAX / 8 }, "clip 0: 1152921504606846975 blocks" },
    };
    struct timeline t;

    (void)state;
    timeline_open(&t, &by_block, by_block.levels, by_block.levels);
    for (int i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(timeline_admit(&t, 0, &cases[i].entry), ST_ARG);
        assert_string_equal(error_last()->msg, cases[i].message);
    }
    assert_int_equal(t.entries, 0);
    assert_int_equal(timeline_ticks(&t), 0);
    timeline_free(&t);
}

/* Stages that hold a block in this tick. */
static int busy_stages(const struct timeline *t, int64_t tick)
{
    int busy = 0;

    for (int s = 0; s <= t->levels; s++) busy += timeline_at(t, tick, s).clip >= 0;
    return busy;
}

/* Between the first fill and the last drain no stage idles but for the clean
 * pass that each clip's last block does without. */
static void occupancy(void **state)
{
    struct timeline t;
    int busy = 0;

    (void)state;
    timeline_open(&t, &rolling, rolling.levels, rolling.levels);
    for (int i = 0; i < 20; i++)
        ok(timeline_admit(&t, 0, &(struct timeline_entry){ .clip = i, .blocks = 10 + i }));
    assert_int_equal(timeline_ticks(&t), 390 + 4);
    for (int64_t tick = 0; tick < 394; tick++) busy += busy_stages(&t, tick);
    assert_int_equal(busy, 390 * 6 - 20);
    timeline_free(&t);
}

/* Clips that come one by one, just in time, keep a line of six as full as if all were known. */
static void occupancy_just_in_time(void **state)
{
    struct timeline t;
    int busy = 0;

    (void)state;
    timeline_open(&t, &rolling, rolling.levels, rolling.levels);
    for (int tick = 0; tick < 404; tick++) {
        struct timeline_entry const clip = { .clip = tick / 20, .blocks = 20 };
        if (tick % 20 == 0 && tick < 400) ok(timeline_admit(&t, tick, &clip));
        timeline_forget(&t, tick);
        assert_true(t.entries <= 2);
        busy += busy_stages(&t, tick);
    }
    assert_int_equal(timeline_ticks(&t), 400 + 4);
    assert_true(busy >= 0.97 * 404 * 6);
    timeline_free(&t);
}

/* ---- a line that is moved --------------------------------------------------------------- */

enum { CLIPS = 12, MODEL_STAGES = 8, TICKS = 400 };

struct block {
    int clip; /* -1: nobody */
    int64_t block;
    bool given;
};

/* What a clip has left. */
struct queued_clip {
    int clip;
    int64_t next, end, clean;
    bool goes_on;
};

struct moved_line {
    int levels, usual, opening;
    bool joint;
    int64_t free_from; /* the tick from which another block may enter */
    struct queued_clip queue[CLIPS];
    int queued;
    int64_t end[CLIPS]; /* of each clip: blocks that will have entered */
    struct block stage[MODEL_STAGES];
};

static bool holds_any(const struct moved_line *m)
{
    for (int s = 0; s <= m->levels; s++)
        if (m->stage[s].clip >= 0) return true;
    return false;
}

static void leave_queue(struct moved_line *m, int i)
{
    m->queued--;
    for (; i < m->queued; i++) m->queue[i] = m->queue[i + 1];
}

static void cut_queued(struct moved_line *m, int clip)
{
    for (int i = 0; i < m->queued; i++)
        if (m->queue[i].clip == clip) {
            m->end[clip] = m->queue[i].next;
            leave_queue(m, i);
            return;
        }
}

/* The head of the queue, if it may enter now. */
static void enter_block(struct moved_line *m, int64_t tick)
{
    struct queued_clip *const q = &m->queue[0];

    if (!m->queued) return;
    bool const given = q->next < q->clean, first_given = given && q->next == 0;
    if (first_given ? holds_any(m) : tick < m->free_from) return;
    int const levels = given ? 0 : q->next == q->clean ? m->opening : m->usual;
    m->stage[m->levels - levels] = (struct block){ q->clip, q->next++, given };
    m->free_from = tick + (m->joint ? 1 : levels + 1);
    bool const window = given && q->goes_on && q->next == q->clean; /* with the last given one */
    for (int s = m->levels - 1; window && s >= 0 && q->next < q->end; s--)
        m->stage[s] = (struct block){ q->clip, q->next++, false };
    if (q->next == q->end) leave_queue(m, 0);
}

static void move_line(struct moved_line *m, int64_t tick)
{
    for (int s = m->levels; s > 0; s--) m->stage[s] = m->stage[s - 1];
    m->stage[0].clip = -1;
    struct block *const clean = &m->stage[m->levels];
    if (clean->clip >= 0 && clean->block == m->end[clean->clip] - 1) clean->clip = -1;
    enter_block(m, tick);
}

/* Is anything to come, in this tick or later? */
static bool is_over(const struct moved_line *m)
{
    struct moved_line next = *m;

    if (m->queued) return false;
    move_line(&next, 0);
    return !holds_any(&next);
}

static void compare_places(const struct moved_line *m, const struct timeline *t, int64_t tick)
{
    for (int s = 0; s <= m->levels; s++) {
        struct place const p = timeline_at(t, tick, s);
        assert_int_equal(p.clip, m->stage[s].clip);
        if (p.clip >= 0) assert_int_equal(p.block, m->stage[s].block);
    }
    struct block const *const clean = &m->stage[m->levels];
    assert_int_equal(timeline_given(t, tick), clean->clip >= 0 && clean->given);
}

/* Who is said at a tick not to come to a stage any more does not. */
struct promise {
    int64_t gone[CLIPS][MODEL_STAGES]; /* from this tick on; 0: nothing was said */
};

static void check_promises(const struct moved_line *m, const struct timeline *t, int64_t tick,
                           struct promise *p)
{
    int const clean = m->stage[m->levels].clip;

    for (int s = 0; s < m->levels; s++) {
        int const clip = m->stage[s].clip;
        if (clip >= 0) assert_true(!p->gone[clip][s]);
        if (clip >= 0) assert_true(timeline_comes(t, tick, s, clip));
        if (clean >= 0 && !timeline_comes(t, tick, s, clean)) p->gone[clean][s] = tick + 1;
    }
}

static void draw_events(struct moved_line *m, struct timeline *t, int64_t tick, int *clips,
                        uint64_t *rng)
{
    while (*clips < CLIPS && rng_below(rng, 12) == 0) {
        struct timeline_entry e = { .clip = *clips, .blocks = 1 + rng_below(rng, 9) };
        if (e.blocks > 1 && rng_below(rng, 3) == 0) e.clean = 1 + rng_below(rng, (int)e.blocks - 1);
        e.opening = e.clean;
        e.goes_on = m->joint && e.clean && rng_below(rng, 2);
        ok(timeline_admit(t, tick, &e));
        m->end[e.clip] = e.blocks;
        m->queue[m->queued++] = (struct queued_clip){ e.clip, 0, e.blocks, e.clean, e.goes_on };
        ++*clips;
    }
    if (*clips && rng_below(rng, 25) == 0) {
        int const clip = *clips - 1 - rng_below(rng, *clips < 3 ? *clips : 3);
        timeline_cut(t, tick, clip);
        cut_queued(m, clip);
    }
    if (rng_below(rng, 3) == 0) timeline_forget(t, tick);
}

static void against_a_model(uint64_t seed)
{
    uint64_t rng = seed;
    struct kv_policy p = rng_below(&rng, 2) ? rolling : by_block;
    struct moved_line m = { .levels = 1 + rng_below(&rng, MODEL_STAGES - 1),
                            .joint = p.kind == WINDOW_ROLLING };
    struct promise promise = { { { 0 } } };
    struct timeline t;
    int clips = 0;

    p.levels = m.levels;
    m.usual = m.opening = m.levels;
    if (!m.joint && rng_below(&rng, 2)) m.usual = 1 + rng_below(&rng, m.levels);
    else if (!m.joint) m.opening = 1 + rng_below(&rng, m.levels);
    for (int s = 0; s < MODEL_STAGES; s++) m.stage[s].clip = -1;
    timeline_open(&t, &p, m.usual, m.opening);
    for (int64_t tick = 0; tick < TICKS; tick++) {
        draw_events(&m, &t, tick, &clips, &rng);
        assert_int_equal(tick >= timeline_ticks(&t), is_over(&m));
        move_line(&m, tick);
        compare_places(&m, &t, tick);
        check_promises(&m, &t, tick, &promise);
    }
    timeline_free(&t);
}

static uint64_t first_seed;

static void any_clips(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 2000; i++) against_a_model(first_seed + i);
}

/* ---- ranks ------------------------------------------------------------------------------ */

static void splits_of_six(void **state)
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clips_follow_without_a_gap),
        cmocka_unit_test(block_by_block),
        cmocka_unit_test(blocks_of_other_levels),
        cmocka_unit_test(clips_join_and_leave),
        cmocka_unit_test(bad_entries),
        cmocka_unit_test(occupancy),
        cmocka_unit_test(occupancy_just_in_time),
        cmocka_unit_test(any_clips),
        cmocka_unit_test(splits_of_six),
    };

    first_seed = rng_seed(argc, argv);
    print_message("unit_timeline --seed %llu\n", (unsigned long long)first_seed);
    return cmocka_run_group_tests_name("unit_timeline", tests, NULL, NULL);
}
