/* unit_ema_sink.c - the averaged sink over many updates, in F32 and with the release's roundings,
 * against what was recorded of them: ema_bf16.safetensors, from the released code
 * (JaydenLyh/Reward-Forcing 4317f5a), has `sink`, what leaves after it, and what the sink is after
 * 1 and 32 updates. */
#include "tests/support/unit.h"

#include "kernels/ref/kern_ref.h"
#include "pipeline/cache/kv_state.h"
#include "pipeline/weights/weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define RECORDED "tests/unit/line/ema_bf16.safetensors"
enum { TOKENS = 8, BLOCK_TOKENS = 3 * TOKENS, DIM = 128, UPDATES = 32 };

struct averaged {
    struct weights *recorded;
    struct kern_ctx *ctx;
    struct kv_cache cache;
    struct kv_state state;
    struct kv_room room;
};

static char memory[1 << 20] __attribute__((aligned(256)));
static float host[4096];

static const void *recorded(const struct averaged *a, const char *name)
{
    int const i = weights_find(a->recorded, name);
    const void *data;

    assert_true(i >= 0);
    assert_int_equal(weights_at(a->recorded, i)->count, BLOCK_TOKENS * DIM);
    assert_int_equal(weights_fetch(a->recorded, i, &data), ST_OK);
    return data;
}

static void put_block(struct averaged *a, int64_t block, const char *name)
{
    struct tensor k, v;

    kv_cache_put(&a->cache, block);
    assert_int_equal(kv_cache_get(&a->cache, block, 0, &k, &v), ST_OK);
    memcpy(k.data, recorded(a, name), tensor_bytes(&k));
    memcpy(v.data, recorded(a, name), tensor_bytes(&v));
}

static void open_averaged(struct averaged *a, bool rounded)
{
    struct kv_policy const p = {
        .kind = WINDOW_BLOCK,
        .levels = 4,
        .frames_per_block = 3,
        .attention_frames = 9,
        .sink_frames = 3,
        .rule = KV_EMA_SINK,
        .key = { [KV_KEY_ema_alpha] = 0.999, [KV_KEY_ema_bf16] = rounded },
    };
    struct kv_cache_shape const shape = { .layers = 1,
                                          .bank = 1,
                                          .lookback = 1,
                                          .tokens = BLOCK_TOKENS,
                                          .dim = DIM,
                                          .kept = BLOCK_TOKENS,
                                          .wide = true,
                                          .act = DT_BF16 };
    struct arena arena;

    *a = (struct averaged){ .room.host = host };
    arena_over(&arena, "averages", memory, sizeof memory);
    assert_int_equal(kv_policy_check(&p), ST_OK);
    assert_int_equal(weights_open(&a->recorded, RECORDED, NULL), ST_OK);
    assert_int_equal(kern_ref_backend.open(&a->ctx, &(struct kern_config){ .threads = 1 }), ST_OK);
    assert_int_equal(kv_cache_place(&a->cache, &shape, &arena), ST_OK);
    assert_int_equal(kv_room_place(&a->room, &p, TOKENS, DIM, DT_BF16, &arena), ST_OK);
    assert_int_equal(
        kv_state_open(&a->state, &p, &(struct kv_state_shape){ 1, TOKENS, DIM, .heads = 1 }),
        ST_OK);
}

static void close_averaged(struct averaged *a)
{
    kv_state_close(&a->state);
    kern_ref_backend.close(&a->ctx);
    weights_close(&a->recorded);
}

/* Block n leaves before block n + 2: the first update is that of block 1. */
static void update(struct averaged *a, int n)
{
    struct kv_call const call = {
        .ctx = a->ctx, .cache = &a->cache, .state = &a->state, .room = a->room
    };
    char name[32];

    snprintf(name, sizeof name, "evicted/%d", n);
    put_block(a, n, name);
    assert_int_equal(kv_enter(&call, n + 2), ST_OK);
}

/* To the bit. */
static void rounded_as_released(void **state)
{
    struct averaged a;
    struct tensor kv[2];

    (void)state;
    open_averaged(&a, true);
    put_block(&a, 0, "sink");
    for (int n = 1; n <= UPDATES; n++) {
        char name[32];
        update(&a, n);
        if (n != 1 && n != UPDATES) continue;
        snprintf(name, sizeof name, "bf16/%d", n);
        kv_cache_kept(&a.cache, 0, 0, BLOCK_TOKENS, &kv[0], &kv[1]);
        for (int i = 0; i < 2; i++)
            assert_memory_equal(kv[i].data, recorded(&a, name), tensor_bytes(&kv[i]));
    }
    close_averaged(&a);
}

static double relative_error(const float *got, const float *want)
{
    double error = 0, norm = 0;

    for (int i = 0; i < BLOCK_TOKENS * DIM; i++) {
        double const d = (double)got[i] - (double)want[i];
        error += d * d;
        norm += (double)want[i] * (double)want[i];
    }
    return sqrt(error / norm);
}

/* In F32 32 updates round 32 times, each by 2^-24 of the whole. The release's roundings are far
 * off. */
static void wide_as_stated(void **state)
{
    struct averaged a;

    (void)state;
    for (int rounded = 0; rounded < 2; rounded++) {
        open_averaged(&a, rounded);
        put_block(&a, 0, "sink");
        for (int n = 1; n <= UPDATES; n++) update(&a, n);
        const float *const want = recorded(&a, "f32/32");
        double const k = relative_error(a.cache.wide_k.data, want);
        double const v = relative_error(a.cache.wide_v.data, want);
        if (rounded) assert_true(k > 1e-3 && v > 1e-3);
        else assert_true(k <= UPDATES * 0x1p-24 && v <= UPDATES * 0x1p-24);
        close_averaged(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounded_as_released),
        cmocka_unit_test(wide_as_stated),
    };
    return cmocka_run_group_tests_name("unit_ema_sink", tests, NULL, NULL);
}
