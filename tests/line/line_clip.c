/*
 * line_clip.c - whole clips through the line, on small latents of the recorded
 * model: the same to the bit for any number of ranks, and for clips in company; and
 * what a rank does while keys are on their way.
 *
 *   line_clip [small]     small: one short run over three ranks, for a sanitizer
 *                         that makes the whole too long
 */
#include "tests/unit/unit.h"

#include "tests/line/watched.h"

#include "pipeline/crew.h"
#include "pipeline/noise.h"
#include "pipeline/rope.h"

#include <math.h>
#include <stdatomic.h>

#define MODEL "tests/golden/rolling-short/model/"

enum { H = 4, W = 6, CHANNELS = 16, FRAMES = 3, MAX_CLIPS = 5, MAX_BLOCKS = 12, RANKS = 8 };
enum { BLOCK = FRAMES * CHANNELS * H * W };

static const struct kern_backend *backend;
static struct kern_ctx *ctx;
static struct dit *model;
static struct dit_shape shape;
static struct schedule schedule;

static struct key_policy const rolling = { WINDOW_ROLLING, 5, FRAMES, 21, FRAMES };
static struct key_policy const block21 = { WINDOW_BLOCK, 5, FRAMES, 21, 0 };
static struct key_policy const block12 = { WINDOW_BLOCK, 5, FRAMES, 12, FRAMES };

static int open_model(void **state)
{
    struct dit_config c = { .weights = MODEL "diffusion_pytorch_model.safetensors",
                            .schedule = &schedule,
                            .act = DT_F32 };
    (void)state;
    backend = kern_backend_find("ref");
    if (schedule_make(&schedule, (double[]){ 1000, 800, 600, 400, 200 }, 5, true, 5) ||
        dit_shape_read(&c.shape, MODEL "config.json") || backend->open(&ctx, 1) ||
        dit_open(&model, &c, ctx))
        return -1;
    shape = c.shape;
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    dit_close(&model);
    backend->close(&ctx);
    return 0;
}

/* Some clips and what became of them. */
struct show {
    int clips, prompt_change; /* from this block on another prompt; 0: never */
    int64_t blocks[MAX_CLIPS];
    uint64_t seed[MAX_CLIPS];
    float *embeds[2]; /* [text_len, text_dim] */
    float latents[MAX_CLIPS][MAX_BLOCKS][BLOCK];
    atomic_int done[MAX_CLIPS]; /* blocks handed out, in order */
    atomic_int ticks_left;      /* stop after as many questions; < 0: never */
    long breaks_at;             /* wait of rank 1 that fails; 0: none */
};

static status noise(void *arg, int clip, int64_t block, int level, float *out)
{
    noise_fill(out, BLOCK, ((struct show *)arg)->seed[clip], block, level);
    return ST_OK;
}

static int64_t context_id(void *arg, int clip, int64_t block)
{
    const struct show *const s = arg;
    return ((int)s->seed[clip] + (s->prompt_change && block >= s->prompt_change)) % 2;
}

static status context(void *arg, int clip, int64_t block, float *embeds)
{
    const struct show *const s = arg;
    size_t const bytes = (size_t)shape.text_len * (size_t)shape.text_dim * sizeof *embeds;

    memcpy(embeds, s->embeds[context_id(arg, clip, block)], bytes);
    return ST_OK;
}

static status finished(void *arg, int clip, int64_t block, const float *x0)
{
    struct show *const s = arg;

    if (atomic_fetch_add(&s->done[clip], 1) != block)
        return fail(ST_MISMATCH, "block %lld of clip %d came out of order", (long long)block, clip);
    memcpy(s->latents[clip][block], x0, sizeof s->latents[clip][block]);
    return ST_OK;
}

static bool stop(void *arg)
{
    struct show *const s = arg;
    return s->ticks_left >= 0 && atomic_fetch_sub(&s->ticks_left, 1) <= 0;
}

static struct show *show_of(int clips, const int64_t *blocks, uint64_t first_seed)
{
    struct show *const s = calloc(1, sizeof *s);
    int64_t const n = (int64_t)shape.text_len * shape.text_dim;

    assert_non_null(s);
    s->clips = clips;
    s->ticks_left = -1;
    for (int i = 0; i < clips; i++) s->blocks[i] = blocks[i], s->seed[i] = first_seed + (uint64_t)i;
    for (int i = 0; i < 2; i++) {
        s->embeds[i] = malloc((size_t)n * sizeof(float));
        assert_non_null(s->embeds[i]);
        noise_fill(s->embeds[i], n, 99, i, 0);
    }
    for (int c = 0; c < MAX_CLIPS; c++)
        for (int b = 0; b < MAX_BLOCKS; b++)
            for (int i = 0; i < BLOCK; i++) s->latents[c][b][i] = NAN;
    return s;
}

static void drop(struct show *s)
{
    free(s->embeds[0]);
    free(s->embeds[1]);
    free(s);
}

struct rank_work {
    struct crew_config config;
    struct timeline timeline;
    struct line_io io;
};

static status rank_main(struct comm *comm, void *arg)
{
    const struct rank_work *const w = arg;
    const struct show *const s = w->io.arg;
    struct watched watched;

    watched_init(&watched, comm);
    if (comm->rank == 1) watched.fail_at = s->breaks_at;
    return crew_run(&w->config, &watched.base, &w->timeline, &w->io);
}

static status render(struct show *s, const struct key_policy *policy, int ranks)
{
    struct rank_work w = { .config = { .model = model,
                                       .schedule = &schedule,
                                       .backend = backend,
                                       .policy = *policy,
                                       .latent_h = H,
                                       .latent_w = W,
                                       .threads = 1 },
                           .io = { .arg = s,
                                   .noise = noise,
                                   .context_id = context_id,
                                   .context = context,
                                   .finished = finished,
                                   .stop = stop } };
    struct comm *group[RANKS] = { NULL };
    status st = ST_OK;

    TRY_OUT(timeline_make(&w.timeline, policy, s->blocks, s->clips));
    TRY_OUT(comm_thread_open(group, ranks, 60));
    TRY_OUT(comm_thread_run(group, ranks, rank_main, &w));
out:
    for (int r = 0; r < ranks; r++)
        if (group[r]) group[r]->ops->close(&group[r]);
    timeline_free(&w.timeline);
    return st;
}

static void assert_same_clip(const struct show *a, int clip_a, const struct show *b, int clip_b)
{
    assert_int_equal(a->blocks[clip_a], b->blocks[clip_b]);
    for (int64_t i = 0; i < a->blocks[clip_a]; i++) {
        assert_true(isfinite(a->latents[clip_a][i][0]));
        assert_memory_equal(a->latents[clip_a][i], b->latents[clip_b][i], sizeof a->latents[0][0]);
    }
}

static void same_bits_for_any_ranks(const struct key_policy *policy, int clips,
                                    const int64_t *blocks, int prompt_change)
{
    struct show *const one = show_of(clips, blocks, 7);

    one->prompt_change = prompt_change;
    assert_int_equal(render(one, policy, 1), ST_OK);
    for (int ranks = 2; ranks <= 6; ranks++) {
        struct show *const many = show_of(clips, blocks, 7);
        many->prompt_change = prompt_change;
        assert_int_equal(render(many, policy, ranks), ST_OK);
        for (int c = 0; c < clips; c++) assert_same_clip(one, c, many, c);
        drop(many);
    }
    drop(one);
}

static void any_ranks(void **state)
{
    (void)state;
    same_bits_for_any_ranks(&rolling, 1, (int64_t[]){ 10 }, 4);
    same_bits_for_any_ranks(&rolling, 1, (int64_t[]){ 1 }, 0);
    same_bits_for_any_ranks(&rolling, 3, (int64_t[]){ 2, 1, 7 }, 1);
    same_bits_for_any_ranks(&block12, 1, (int64_t[]){ 6 }, 2);
    same_bits_for_any_ranks(&block21, 2, (int64_t[]){ 3, 2 }, 0);
}

static void clips_in_company(const struct key_policy *policy, int ranks)
{
    int64_t const blocks[] = { 6, 1, 9, 2, 3 };
    struct show *const all = show_of(COUNT_OF(blocks), blocks, 20);

    assert_int_equal(render(all, policy, ranks), ST_OK);
    for (int c = 0; c < COUNT_OF(blocks); c++) {
        struct show *const alone = show_of(1, &blocks[c], 20 + (uint64_t)c);
        assert_int_equal(render(alone, policy, 1), ST_OK);
        assert_same_clip(alone, 0, all, c);
        drop(alone);
    }
    drop(all);
}

static void back_to_back_equals_alone(void **state)
{
    (void)state;
    clips_in_company(&rolling, 1);
    clips_in_company(&rolling, 4);
    clips_in_company(&block21, 2);
}

/* The beginning of a long clip is the short clip's, until the short one drains:
 * its last blocks see fewer frames beside them. */
static void prefix_of_a_longer_clip(void **state)
{
    struct show *const longer = show_of(1, (int64_t[]){ 11 }, 3);
    struct show *const shorter = show_of(1, (int64_t[]){ 8 }, 3);

    (void)state;
    assert_int_equal(render(longer, &rolling, 1), ST_OK);
    assert_int_equal(render(shorter, &rolling, 1), ST_OK);
    for (int b = 0; b < 4; b++)
        assert_memory_equal(longer->latents[0][b], shorter->latents[0][b],
                            sizeof longer->latents[0][0]);
    assert_memory_not_equal(longer->latents[0][7], shorter->latents[0][7],
                            sizeof longer->latents[0][0]);
    drop(longer);
    drop(shorter);
}

static void stops_everywhere(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= 6; ranks += 5) {
        struct show *const s = show_of(1, (int64_t[]){ 9 }, 1);
        s->ticks_left = 3 * ranks;
        assert_int_equal(render(s, &rolling, ranks), ST_CANCELED);
        if (ranks == 1) assert_non_null(strstr(error_last()->msg, "stopped before tick"));
        assert_true(s->done[0] == 0);
        drop(s);
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
        assert_int_equal(kern_rope(ctx, &(struct kern_rope){ &q, &at_q, &still, &still, &oq, 1 }),
                         ST_OK);
        assert_int_equal(kern_rope(ctx, &(struct kern_rope){ &k, &at_k, &still, &still, &ok, 1 }),
                         ST_OK);
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
        struct show *const s = show_of(1, (int64_t[]){ 9 }, 1);
        s->breaks_at = 5 + i;
        assert_int_equal(render(s, &rolling, 3), ST_COMM);
        assert_string_equal(error_last()->msg, where[i]);
        drop(s);
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

static status weak_open(struct kern_ctx **out, int threads)
{
    TRY(kern_backend_find("ref")->open(out, threads));
    (*out)->backend = &weak;
    return ST_OK;
}

/* Whenever a rank fails while keys are on their way, its memory stays until they are
 * there, the others stop, and its own words come out. */
static void failure_beside_exchange(void **state)
{
    const struct kern_backend *const usual = backend;

    (void)state;
    weak = *usual;
    weak.open = weak_open;
    weak.ops.attention = weak_attention;
    backend = &weak;
    for (int call = 90; call < 102; call++) {
        struct show *const s = show_of(1, (int64_t[]){ 9 }, 1);
        atomic_store(&calls_left, call);
        assert_int_equal(render(s, &rolling, 6), ST_DEVICE);
        assert_string_equal(error_last()->msg, "attention gave up");
        drop(s);
    }
    backend = usual;
}

static void short_run(void **state)
{
    struct show *const s = show_of(2, (int64_t[]){ 2, 1 }, 7);

    (void)state;
    s->prompt_change = 1;
    assert_int_equal(render(s, &rolling, 3), ST_OK);
    assert_true(isfinite(s->latents[0][1][0]) && isfinite(s->latents[1][0][0]));
    drop(s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest small[] = { cmocka_unit_test(short_run) };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_ranks),
        cmocka_unit_test(back_to_back_equals_alone),
        cmocka_unit_test(prefix_of_a_longer_clip),
        cmocka_unit_test(stops_everywhere),
        cmocka_unit_test(broken_wire),
        cmocka_unit_test(failure_beside_exchange),
        cmocka_unit_test(positions_have_no_end),
    };
    if (argc > 1 && !strcmp(argv[1], "small"))
        return cmocka_run_group_tests_name("line_clip", small, open_model, close_model);
    return cmocka_run_group_tests_name("line_clip", tests, open_model, close_model);
}
