/*
 * standin_ready.c - what is open is ready, on the stand-in of a card: while a clip is rendered or
 * decoded no plan is made, no algorithm chosen and no device memory handed out; and ranks that are
 * threads of one process compile a kernel once. The text encoder opens and closes with a call;
 * its memory is handed out once.
 */
#include "tests/support/unit.h"

#include "comm/thread/comm_thread_internal.h"
#include "pipeline/dit/noise.h"
#include "pipeline/line/line.h"
#include "pipeline/text/umt5.h"
#include "tests/standin/standin.h"
#include "tests/support/vae_clip.h"

#include <stdatomic.h>

enum { H = 4, W = 6, RANKS = 3, CLIPS = 3 };
static const struct kv_policy rolling = { WINDOW_ROLLING, 5,        3,     21,   3,
                                          KV_SINK_USUAL,  KV_USUAL, { 0 }, { 0 } };
static const struct kv_policy by_block = { WINDOW_BLOCK,  5,        3,     12,   3,
                                           KV_SINK_USUAL, KV_USUAL, { 0 }, { 0 } };

struct counts {
    long of[STANDIN_EVENTS];
};

static struct counts counted_now(void)
{
    struct counts c;

    for (int i = 0; i < STANDIN_EVENTS; i++) c.of[i] = standin_count((enum standin_event)i);
    return c;
}

static status same(const struct counts *a, const struct counts *b)
{
    static const char *const names[STANDIN_EVENTS] = { "planned", "loaded", "chosen", "allocated" };

    for (int i = 0; i < STANDIN_EVENTS; i++)
        if (a->of[i] != b->of[i])
            return fail(ST_MISMATCH, "%ld %s, and %ld while it ran", a->of[i], names[i],
                        b->of[i] - a->of[i]);
    return ST_OK;
}

/* ---- the line --------------------------------------------------------------------- */

struct random_case {
    const struct kern_backend *backend;
    const char *weights, *shape;
    const struct kv_policy *policy; /* NULL: rolling */
    struct line_mode mode;
    struct schedule schedule;
    atomic_int done;
};

static status noise(void *arg, int clip, int64_t block, int level, float *out)
{
    (void)arg;
    noise_fill(out, 3 * 16 * H * W, (uint64_t)clip, block, level);
    return ST_OK;
}

/* The second prompt comes in the middle of a clip. */
static int64_t context_id(void *arg, int clip, int64_t block)
{
    (void)arg, (void)clip;
    return block / 2 % 2;
}

static status context(void *arg, int clip, int64_t block, float *embeds)
{
    (void)arg, (void)clip;
    noise_fill(embeds, 8 * 16, 99, block / 2 % 2, 0);
    return ST_OK;
}

static status finished(void *arg, int clip, int64_t block, const float *x0)
{
    struct random_case *const w = arg;

    (void)clip, (void)block, (void)x0;
    atomic_fetch_add(&w->done, 1);
    return ST_OK;
}

/* Between the barriers every rank only renders. */
static status render(struct random_case *w, struct line *line, struct comm *comm)
{
    static const struct timeline_entry clips[CLIPS] = { { .clip = 0, .blocks = 2 },
                                                        { .clip = 1, .blocks = 7 },
                                                        { .clip = 2, .blocks = 1 } };
    struct line_io const io = {
        .arg = w, .noise = noise, .context_id = context_id, .context = context, .finished = finished
    };

    bool more = true;
    status st = comm_agree(comm, ST_OK);

    struct counts const before = counted_now();
    line_begin_list(line, clips, CLIPS, &io);
    while (st == ST_OK && more) st = line_tick(line, &more);
    struct counts const after = counted_now();
    if (st == ST_OK) st = comm_agree(comm, same(&before, &after));
    return st;
}

static status rank_main(struct comm *comm, void *arg)
{
    struct random_case *const w = arg;
    struct dit_config dit = { .weights = w->weights, .schedule = &w->schedule, .act = DT_BF16 };
    struct line_config c = { .schedule = &w->schedule,
                             .policy = *w->policy,
                             .mode = w->mode,
                             .latent_h = H,
                             .latent_w = W,
                             .comm = comm };
    struct dit *model = NULL;
    struct line *line = NULL;
    status st = ST_OK;

    TRY_OUT(w->backend->open(
        &c.ctx,
        &(struct kern_config){ .threads = 1, .strict = w->mode.determinism == LINE_STRICT }));
    TRY_OUT(dit_shape_read(&dit.shape, w->shape));
    TRY_OUT(dit_open(&model, &dit, c.ctx));
    TRY_OUT(split_make(&c.split, w->schedule.levels + 1, comm->size));
    c.model = model;
    TRY_OUT(line_open(&line, &c));
    TRY_OUT(render(w, line, comm));
out:
    line_close(&line);
    dit_close(&model);
    if (c.ctx) w->backend->close(&c.ctx);
    return st;
}

static void run(struct random_case *w, int ranks)
{
    struct comm *group[RANKS] = { NULL };

    atomic_store(&w->done, 0);
    if (!w->policy) w->policy = &rolling;
    ok(schedule_make(&w->schedule, (double[]){ 1000, 800, 600, 400, 200 }, 5, true, 5));
    ok(comm_thread_open(group, ranks, 60));
    ok(comm_thread_run(group, ranks, rank_main, w));
    for (int r = 0; r < ranks; r++) comm_close(&group[r]);
    assert_int_equal(atomic_load(&w->done), 10);
}

#define MODEL_OF(name)                                                                             \
    .weights = "tests/golden/" name "/model/diffusion_pytorch_model.safetensors",                  \
    .shape = "tests/golden/" name "/model/config.json"

/* Heads that cuDNN serves. */
static void lines(void **state)
{
    static const struct {
        const char *level;
        struct line_mode mode;
        int ranks;
    } of[] = { { "cuda-2", { .determinism = LINE_BATCH }, 1 },
               { "cuda-2", { .determinism = LINE_BATCH, .wire = LINE_FP8 }, RANKS },
               { "cuda-3", { .determinism = LINE_BATCH }, 1 },
               { "cuda-3", { .determinism = LINE_STRICT }, RANKS },
               { "cuda-4", { .determinism = LINE_STRICT, .exchange = LINE_HEADS }, 2 },
               { "cuda-4", { .determinism = LINE_BATCH }, RANKS } };

    (void)state;
    for (int i = 0; i < COUNT_OF(of); i++) {
        struct random_case w = { .backend = kern_backend_find(of[i].level),
                                 MODEL_OF("rolling-head64"),
                                 .mode = of[i].mode };
        run(&w, of[i].ranks);
    }
}

static void another_window(void **state)
{
    struct random_case w = { .backend = kern_backend_find("cuda-2"),
                             MODEL_OF("rolling-head64"),
                             .policy = &by_block,
                             .mode.determinism = LINE_BATCH };

    (void)state;
    run(&w, 1);
}

/* A second layer, which is the last. */
static void layers(void **state)
{
    struct random_case w = { .backend = kern_backend_find("cuda-2"),
                             MODEL_OF("rolling-long"),
                             .mode.determinism = LINE_BATCH };

    (void)state;
    run(&w, 1);
}

/* What one context compiled, all others load. */
static void compiled_once(void **state)
{
    struct random_case w = { .backend = kern_backend_find("cuda-2"),
                             MODEL_OF("rolling-head64"),
                             .mode.determinism = LINE_STRICT };

    (void)state;
    run(&w, 1);
    struct counts const before = counted_now();
    run(&w, RANKS);
    struct counts const after = counted_now();
    assert_int_equal(after.of[STANDIN_PLANNED], before.of[STANDIN_PLANNED]);
    assert_true(after.of[STANDIN_LOADED] > before.of[STANDIN_LOADED]);
}

/* ---- the autoencoder --------------------------------------------------------------- */

static void decoder(void **state)
{
    struct clip clip = clip_open(ODD);
    struct vae_config const c = { .backend = kern_backend_find("cuda-2"),
                                  .threads = 1,
                                  .precision = DT_BF16,
                                  .latent_h = clip.h,
                                  .latent_w = clip.w,
                                  .path = ODD MODEL };
    struct vae_out out = { .pixels = clip.decoded };
    struct vae *v;

    (void)state;
    ok(vae_open(&v, &c));
    struct counts const before = counted_now();
    for (int frame = 0; frame < 2; frame++) ok(vae_decode_latents(v, clip.latents, 1, &out));
    struct counts const after = counted_now();
    ok(same(&before, &after));
    assert_true(before.of[STANDIN_PLANNED] > 0);
    vae_close(&v);
    clip_close(&clip);
}

/* ---- the text encoder ---------------------------------------------------------------- */

/* What a context takes, its scratch and the rest: allocated once each for a call. */
enum { TEXT_ALLOCATIONS = 3, TEXT_TOKENS = 8, TEXT_DIM = 512 };

static void text(void **state)
{
    static const int32_t ids[TEXT_TOKENS] = { 3, 1, 4, 1, 5, 9, 2, 6 };
    static float embeds[2 * TEXT_TOKENS * TEXT_DIM];
    struct umt5_prompt const prompts[] = {
        { .ids = ids, .count = TEXT_TOKENS, .embeds = embeds },
        { .ids = ids, .count = 3, .embeds = embeds + TEXT_TOKENS * TEXT_DIM },
    };
    struct umt5_config c = { .backend = kern_backend_find("cuda-2"),
                             .threads = 1,
                             .precision = DT_BF16 };
    struct umt5 *u;

    (void)state;
    ok(weights_open(&c.weights, "tests/golden/text-small/model/models_t5_umt5-xxl-enc-bf16.pth",
                    NULL));
    ok(umt5_open(&u, &c));
    assert_true(umt5_shape(u)->dim <= TEXT_DIM);
    long const before = standin_count(STANDIN_ALLOCATED);
    ok(umt5_encode(u, prompts, COUNT_OF(prompts)));
    assert_int_equal(standin_count(STANDIN_ALLOCATED) - before, TEXT_ALLOCATIONS);
    umt5_close(&u);
    weights_close(&c.weights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),         cmocka_unit_test(another_window), cmocka_unit_test(layers),
        cmocka_unit_test(compiled_once), cmocka_unit_test(decoder),        cmocka_unit_test(text),
    };

    return cmocka_run_group_tests_name("standin_ready", tests, NULL, NULL);
}
