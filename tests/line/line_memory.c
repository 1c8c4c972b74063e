/*
 * line_memory.c - a clip takes as much memory however long it is, with every policy: what the line
 * has allocated is counted (--wrap) after each finished block, and long after every rule is in
 * its steady form there is not a byte more.
 *
 *   line_memory [BLOCKS]      so many, 90; a clip of half an hour has 2400
 */
#include "tests/support/unit.h"

#include "tests/support/clip_fixture.h"

#include <malloc.h>

enum { EARLY = 30, LEVELS = 5 };

static int64_t blocks = 90;
static long allocations, bytes;             /* that live */
static long early_allocations, early_bytes; /* when block EARLY was finished */

void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
void *__real_aligned_alloc(size_t, size_t);
void __real_free(void *);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *at);

static void *count_more(void *at)
{
    if (at) allocations++, bytes += (long)malloc_usable_size(at);
    return at;
}

static void count_less(void *at)
{
    if (at) allocations--, bytes -= (long)malloc_usable_size(at);
}

void *__wrap_malloc(size_t size) { return count_more(__real_malloc(size)); }
void *__wrap_calloc(size_t count, size_t size) { return count_more(__real_calloc(count, size)); }

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return count_more(__real_aligned_alloc(alignment, size));
}

void *__wrap_realloc(void *at, size_t size)
{
    count_less(at);
    return count_more(__real_realloc(at, size));
}

void __wrap_free(void *at)
{
    count_less(at);
    __real_free(at);
}

/* ---- a clip ------------------------------------------------------------------------------ */

static struct clip_fixture_model model;

static status make_noise(void *arg, int clip, int64_t block, int level, float *out)
{
    (void)arg, (void)clip;
    for (int i = 0; i < FIXTURE_BLOCK; i++)
        out[i] = (float)((i * 31 + block * 17 + level * 7) % 23) / 11 - 1;
    return ST_OK;
}

static int64_t same_context(void *arg, int clip, int64_t block)
{
    (void)arg, (void)clip, (void)block;
    return 0;
}

static status copy_context(void *arg, int clip, int64_t block, float *embeds)
{
    size_t const count = (size_t)model.shape.text_len * (size_t)model.shape.text_dim;

    (void)arg, (void)clip, (void)block;
    memcpy(embeds, model.embeds[0], count * sizeof *embeds);
    return ST_OK;
}

static bool asks_for_recache(void *arg, int clip, int64_t block)
{
    (void)arg, (void)clip;
    return block % 7 == 0;
}

static status count_block(void *arg, int clip, int64_t block, const float *x0)
{
    (void)arg, (void)clip, (void)x0;
    if (block == EARLY) early_allocations = allocations, early_bytes = bytes;
    if (block < EARLY) return ST_OK;
    assert_int_equal(allocations, early_allocations);
    assert_int_equal(bytes, early_bytes);
    return ST_OK;
}

static status render_long(const struct kv_policy *p)
{
    struct timeline_entry const clip = { .blocks = blocks };
    struct line_io const io = { .noise = make_noise,
                                .context_id = same_context,
                                .context = copy_context,
                                .recache = kv_policy_recaches(p) ? asks_for_recache : NULL,
                                .finished = count_block };
    struct line_render const r = { .line = { .model = model.dit,
                                             .schedule = &model.schedule,
                                             .policy = *p,
                                             .recache = kv_policy_recaches(p),
                                             .latent_h = FIXTURE_H,
                                             .latent_w = FIXTURE_W },
                                   .backend = model.backend,
                                   .threads = 1 };
    struct comm alone = { .size = 1, .ops = &comm_null, .deadline_s = 60 };

    return line_render(&r, &alone, &clip, 1, &io);
}

/* Short windows, so that the steady form comes early. */
static void a_long_clip_takes_no_more_memory(void **state)
{
    struct {
        enum window_kind kind;
        int attention_frames, sink_frames;
        enum kv_rule rule;
        enum kv_key key[2];
        double value[2];
    } const cases[] = {
        { WINDOW_ROLLING, 21, 3, KV_USUAL, { 0 }, { 0 } },
        { WINDOW_ROLLING, 21, 3, KV_EMA_SINK, { 0 }, { 0 } },
        { WINDOW_BLOCK, 9, 3, KV_USUAL, { 0 }, { 0 } },
        { WINDOW_BLOCK, 9, 3, KV_USUAL, { KV_KEY_renew_sink }, { 1 } },
        { WINDOW_BLOCK, 12, 5, KV_DEEP_SINK, { 0 }, { 0 } },
        { WINDOW_BLOCK, 12, 3, KV_DEEP_FORCING, { KV_KEY_budget_frames }, { 9 } },
        { WINDOW_BLOCK, 9, 3, KV_EMA_SINK, { 0 }, { 0 } },
        { WINDOW_BLOCK, 9, 0, KV_ROLLING_SINK, { KV_KEY_replay_frames }, { 6 } },
        { WINDOW_BLOCK, 6, 1, KV_INFINITY_ROPE, { 0 }, { 0 } },
        { WINDOW_BLOCK, 12, 3, KV_MEMROPE, { KV_KEY_adaptive }, { 1 } },
        { WINDOW_BLOCK, 6, 1, KV_FORCING_KV, { 0 }, { 0 } },
        { WINDOW_BLOCK, 9, 3, KV_LOL, { 0 }, { 0 } },
        { WINDOW_BLOCK, 7, 2, KV_RELAX_FORCING, { KV_KEY_reservoir_frames }, { 30 } },
        { WINDOW_BLOCK,
          12,
          3,
          KV_ECHO_FORCING,
          { KV_KEY_history_frames, KV_KEY_calibration_frames },
          { 9, 9 } },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct kv_policy p = { .kind = cases[i].kind,
                               .levels = LEVELS,
                               .frames_per_block = FIXTURE_FRAMES,
                               .attention_frames = cases[i].attention_frames,
                               .sink_frames = cases[i].sink_frames,
                               .rule = cases[i].rule };
        kv_keys_usual(p.rule, p.key);
        for (int k = 0; k < 2; k++)
            if (cases[i].key[k]) p.key[cases[i].key[k]] = cases[i].value[k];
        if (kv_rule_has_profile(p.rule)) p.profile = (struct kv_profile){ 2, { 0, 1 << 5 } };
        long const before = allocations;
        early_allocations = 0;
        ok(render_long(&p));
        assert_true(early_allocations > before);
        assert_int_equal(allocations, before); /* and all of it is given back */
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

int main(int argc, char **argv)
{
    if (argc > 1) blocks = strtoll(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_long_clip_takes_no_more_memory) };
    return cmocka_run_group_tests_name("line_memory", tests, open_model, close_model);
}
