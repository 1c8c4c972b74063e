/*
 * line_batch.c - a rank's blocks in one batch: the same clips as block by block but for
 * rounding, over any number of ranks; in as few calls as promised, in the scratch that
 * was reserved.
 */
#include "tests/support/unit.h"

#include "tests/support/clip_fixture.h"

#include <math.h>

static struct clip_fixture_model model;
static const struct kv_policy *const rolling = &clip_fixture_policy[FIXTURE_ROLLING];

static int open_model(void **state)
{
    (void)state;
    return clip_fixture_model_open(&model, kern_backend_find("ref")) == ST_OK ? 0 : -1;
}

static int close_model(void **state)
{
    (void)state;
    clip_fixture_model_close(&model);
    return 0;
}

/* Clips of a queue: their lengths, and from which block on the second prompt is in force. */
struct slot_queue {
    const struct kv_policy *policy;
    int clips;
    int64_t blocks[FIXTURE_CLIPS];
    int change[FIXTURE_CLIPS];
};

static struct line_mode const strict_mode = { .determinism = LINE_STRICT },
                              batch_mode = { .determinism = LINE_BATCH };

static struct clip_fixture *render(const struct slot_queue *q, struct line_mode mode, int ranks)
{
    struct clip_fixture *const s = clip_fixture_new(&model, q->policy, q->clips, q->blocks, 11);

    assert_non_null(s);
    memcpy(s->change, q->change, sizeof q->change);
    s->mode = mode;
    ok(clip_fixture_run_threads(s, ranks, 0, 0));
    return s;
}

/* Relative L2 of a clip. NaN where a block is missing. */
static double off_by(const struct clip_fixture *a, const struct clip_fixture *b, int clip)
{
    double error = 0, norm = 0;

    for (int64_t i = 0; i < a->blocks[clip]; i++)
        for (int e = 0; e < FIXTURE_BLOCK; e++) {
            double const x = (double)a->latents[clip][i][e], y = (double)b->latents[clip][i][e];
            error += (x - y) * (x - y);
            norm += y * y;
        }
    return sqrt(error / norm);
}

/* Each operation rounds once to f32, 2^-24; a layer's are ten, a clip's steps five, and
 * errors are handed on: 1e-5 leaves a factor of three. A key too many or too few is off by
 * more than 1e-2. */
static const double tolerance = 1e-5;

static void near_enough(const struct slot_queue *q, const struct clip_fixture *batch,
                        const struct clip_fixture *strict, int ranks)
{
    for (int c = 0; c < q->clips; c++) {
        double const off = off_by(batch, strict, c);
        char mode[LINE_MODE_TEXT];
        if (!(off <= tolerance))
            print_error("%d ranks, %s, clip %d: off by %g\n", ranks,
                        line_mode_text(batch->mode, mode), c, off);
        assert_true(off <= tolerance);
    }
}

static void same_clips(const struct slot_queue *q)
{
    struct clip_fixture *const strict = render(q, strict_mode, 1);

    for (int ranks = 1; ranks <= FIXTURE_RANKS; ranks++)
        for (enum line_exchange e = LINE_BLOCKS; e <= LINE_HEADS; e++) {
            struct line_mode const mode = { .determinism = LINE_BATCH, .exchange = e };
            if (e == LINE_HEADS && FIXTURE_HEADS % ranks) continue;
            struct clip_fixture *const batch = render(q, mode, ranks);
            near_enough(q, batch, strict, ranks);
            free(batch);
        }
    free(strict);
}

static void any_ranks(void **state)
{
    (void)state;
    same_clips(&(struct slot_queue){ rolling, 1, { 10 }, { 4 } });
    same_clips(&(struct slot_queue){ rolling, 1, { 1 }, { 0 } });
    same_clips(&(struct slot_queue){ &clip_fixture_policy[FIXTURE_BLOCK12], 1, { 6 }, { 2 } });
    same_clips(&(struct slot_queue){ &clip_fixture_policy[FIXTURE_BLOCK21], 2, { 3, 2 }, { 0 } });
}

/* Up to five clips stand in the line at once. */
static void a_queue(void **state)
{
    (void)state;
    same_clips(&(struct slot_queue){ rolling, 5, { 2, 1, 7, 1, 3 }, { 1, 0, 3, 0, 2 } });
    same_clips(&(struct slot_queue){ rolling, 3, { 9, 6, 2 }, { 0 } });
}

/* Every backend that can compute here, alone: its calls take larger shapes in batch. */
static void any_backend(void **state)
{
    struct slot_queue const q = {
        rolling, 2, { 2, 1 }, { 0 }
    }; /* few: a stand-in for a card is slow */
    struct clip_fixture_model const usual = model;

    (void)state;
    for (int i = 0; kern_backend_at(i); i++) {
        if (kern_backend_at(i)->absent()) continue;
        ok(clip_fixture_model_open(&model, kern_backend_at(i)));
        struct clip_fixture *const strict = render(&q, strict_mode, 1);
        struct clip_fixture *const batch = render(&q, batch_mode, 1);
        for (int c = 0; c < q.clips; c++) assert_true(off_by(batch, strict, c) <= tolerance);
        free(strict);
        free(batch);
        clip_fixture_model_close(&model);
    }
    model = usual;
}

/* Where a rank has one block there is nothing to put together. */
static void a_stage_a_rank(void **state)
{
    struct slot_queue const q = { rolling, 3, { 2, 7, 1 }, { 1, 3, 0 } };
    struct clip_fixture *const strict = render(&q, strict_mode, 1), *const batch =
                                                                        render(&q, batch_mode, 6);

    (void)state;
    for (int c = 0; c < q.clips; c++) ok(clip_fixture_same(batch, c, strict, c, q.blocks[c]));
    free(strict);
    free(batch);
}

/* ---- the oracle, recorded ----------------------------------------------------------- */

static struct kern_backend recorded;
static _Thread_local size_t reserved, taken; /* of a rank's context */
static atomic_long calls[KERN_OP_COUNT];
static atomic_int other; /* contexts that took more or less than was reserved */

/* Grows with the shapes, but not evenly: less work may take more. */
static size_t uneven(int64_t a, int64_t b) { return (size_t)(a * b * (1 + (31 * a + 17 * b) % 7)); }

static size_t scratch_bytes(enum kern_op op, const void *args)
{
    const struct kern_linear *const linear = args;
    const struct kern_attention *const attention = args;
    int64_t keys = 0;

    if (op == KERN_OP_linear) return uneven(linear->x->dim[0], linear->out->dim[1]);
    if (op != KERN_OP_attention) return 0;
    for (int i = 0; i < attention->segment_count; i++) keys += attention->segments[i].k.dim[0];
    return 100 * uneven(attention->q->dim[0], keys);
}

static status reserve(struct kern_ctx *ctx, size_t bytes)
{
    (void)ctx;
    reserved = bytes;
    return ST_OK;
}

static status count(enum kern_op op, const void *args)
{
    size_t const bytes = scratch_bytes(op, args);

    calls[op]++;
    if (bytes > taken) taken = bytes;
    return bytes <= reserved
               ? ST_OK
               : fail(ST_ARG, "operation %d takes %zu bytes of %zu", (int)op, bytes, reserved);
}

#define OP(op)                                                                                     \
    static status recorded_##op(struct kern_ctx *c, const struct kern_##op *a)                     \
    {                                                                                              \
        TRY(count(KERN_OP_##op, a));                                                               \
        return kern_backend_find("ref")->ops.op(c, a);                                             \
    }
KERN_OPS(OP)
#undef OP

static status open_recorded(struct kern_ctx **out, const struct kern_config *c)
{
    reserved = taken = 0;
    TRY(kern_backend_find("ref")->open(out, c));
    (*out)->backend = &recorded;
    return ST_OK;
}

static void close_recorded(struct kern_ctx **ctx)
{
    other += *ctx && (taken != reserved || taken == 0);
    kern_backend_find("ref")->close(ctx);
}

static void watch(void)
{
    recorded = *kern_backend_find("ref");
#define OP(op) recorded.ops.op = recorded_##op;
    KERN_OPS(OP)
#undef OP
    recorded.open = open_recorded;
    recorded.close = close_recorded;
    recorded.scratch_bytes = scratch_bytes;
    recorded.reserve = reserve;
    for (int i = 0; i < KERN_OP_COUNT; i++) calls[i] = 0;
    other = 0;
    model.backend = &recorded;
}

/* On one rank a tick's noise stages are one call of self-attention a layer, the clean one
 * another, and all of them one of cross-attention; nothing is merged. */
static void few_calls(void **state)
{
    struct slot_queue const q = { rolling, 1, { 12 }, { 0 } };
    int const layers = model.shape.layers, levels = rolling->levels;
    long want = 0;
    struct timeline t;

    (void)state;
    timeline_open(&t, rolling, levels, levels);
    ok(timeline_admit(&t, 0, &(struct timeline_entry){ .blocks = q.blocks[0] }));
    for (int64_t tick = 0; tick < timeline_ticks(&t); tick++) {
        int noise = 0;
        for (int s = 0; s < levels; s++) noise += timeline_at(&t, tick, s).clip >= 0;
        bool const clean = timeline_at(&t, tick, levels).clip >= 0;
        want += (noise > 0) * 2 * layers + clean * (layers - 1) + (clean && !noise) * (layers - 1);
    }
    timeline_free(&t);
    watch();
    free(render(&q, batch_mode, 1));
    model.backend = kern_backend_find("ref");
    assert_int_equal(calls[KERN_OP_attention], want);
    assert_int_equal(calls[KERN_OP_merge], 0);
}

/* What was reserved is what was taken, to the byte. */
static void reserved_scratch(void **state)
{
    struct slot_queue const q = { rolling, 5, { 2, 12, 1, 7, 3 }, { 1, 0, 0, 3, 0 } };

    (void)state;
    watch();
    for (int ranks = 1; ranks <= FIXTURE_RANKS; ranks += ranks < 3 ? 1 : 3) {
        free(render(&q, strict_mode, ranks));
        free(render(&q, batch_mode, ranks));
        free(render(&q, (struct line_mode){ LINE_BATCH, LINE_FP8, LINE_BLOCKS }, ranks));
        if (FIXTURE_HEADS % ranks) continue;
        free(render(&q, (struct line_mode){ LINE_STRICT, LINE_FP8, LINE_HEADS }, ranks));
        free(render(&q, (struct line_mode){ LINE_BATCH, LINE_ACT, LINE_HEADS }, ranks));
    }
    model.backend = kern_backend_find("ref");
    assert_int_equal(other, 0);
}

/* Behind given blocks, by stages that else see no such windows: what is taken was reserved. */
static void reserved_behind_given(void **state)
{
    struct slot_queue const q = { rolling, 1, { 12 }, { 0 } };
    struct clip_fixture *const whole = render(&q, strict_mode, 1);

    (void)state;
    watch();
    for (int ranks = 1; ranks <= FIXTURE_RANKS; ranks += 5)
        for (int given = 1; given < q.blocks[0]; given += 2) {
            struct clip_fixture *const s =
                clip_fixture_new(&model, q.policy, q.clips, q.blocks, 11);
            assert_non_null(s);
            clip_fixture_give(s, 0, given, whole, 0);
            s->mode = given % 4 == 1 ? batch_mode : strict_mode;
            ok(clip_fixture_run_threads(s, ranks, 0, 0));
            free(s);
        }
    model.backend = kern_backend_find("ref");
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_ranks),
        cmocka_unit_test(a_queue),
        cmocka_unit_test(any_backend),
        cmocka_unit_test(few_calls),
        cmocka_unit_test(a_stage_a_rank),
        cmocka_unit_test(reserved_scratch),
        cmocka_unit_test(reserved_behind_given),
    };

    return cmocka_run_group_tests_name("line_batch", tests, open_model, close_model);
}
