/*
 * verify_ema.c - a recorded average of a sink over many updates, in F32 and with the release's
 * roundings in bf16, which must be equal to the bit.
 *
 * The policy ema-sink is run over a cache of one layer: `sink` is the clip's first block, evicted/N
 * its block N, which leaves before block N + 2. Values are averaged as keys are; both get the same.
 */
#include "cmd/verify/verify_internal.h"
#include "pipeline/cache/kv_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 3 /* of a block */, UPDATES_MAX = 4096, ROWS_MAX = 1 << 20 };

struct averaging {
    struct verify_case *c;
    struct tensor shape; /* of a block, as recorded */
    int64_t rows, dim;
    double alpha;
    int updates;
    struct kern_ctx *ctx;
    void *memory;
    struct kv_cache cache;
    struct kv_state state;
    struct kv_room room;
};

static status place_average(struct averaging *a, const struct kv_policy *p, struct arena *m)
{
    struct kv_cache_shape const shape = { .layers = 1,
                                          .bank = 1,
                                          .lookback = 1,
                                          .tokens = a->rows,
                                          .dim = a->dim,
                                          .kept = a->rows,
                                          .wide = true,
                                          .act = DT_F32 };

    TRY(kv_cache_place(&a->cache, &shape, m));
    return kv_room_place(&a->room, p, a->rows / FRAMES, a->dim, DT_F32, m);
}

static status open_average(struct averaging *a, bool rounded)
{
    const struct kern_backend *const b = a->c->o.backend;
    struct kv_policy const p = {
        .kind = WINDOW_BLOCK,
        .levels = 1,
        .frames_per_block = FRAMES,
        .attention_frames = 3 * FRAMES,
        .sink_frames = FRAMES,
        .rule = KV_EMA_SINK,
        .key = { [KV_KEY_ema_alpha] = a->alpha, [KV_KEY_ema_bf16] = rounded },
    };
    struct kv_state_shape const shape = { 1, a->rows / FRAMES, a->dim, .heads = 1 };
    struct arena m;

    TRY(kv_policy_check(&p));
    TRY(b->open(&a->ctx,
                &(struct kern_config){ .threads = a->c->o.threads, .device = a->c->o.device }));
    arena_measure(&m, "averages");
    TRY(place_average(a, &p, &m));
    size_t const bytes = m.peak;
    TRY(b->alloc(a->ctx, bytes, &a->memory));
    arena_over(&m, "averages", a->memory, bytes);
    TRY(place_average(a, &p, &m));
    return kv_state_open(&a->state, &p, &shape);
}

static void close_average(struct averaging *a)
{
    const struct kern_backend *const b = a->c->o.backend;

    kv_state_close(&a->state);
    if (a->memory) b->free(a->ctx, a->memory);
    if (a->ctx) b->close(&a->ctx);
    a->memory = NULL;
}

static status put_block(struct averaging *a, int64_t block, const char *name)
{
    const struct kern_backend *const b = a->c->o.backend;
    struct tensor k, v;
    float *from = NULL;
    status st = ST_OK;

    kv_cache_put(&a->cache, block);
    TRY_OUT(kv_cache_get(&a->cache, block, 0, &k, &v));
    TRY_OUT(verify_input(a->c, name, a->shape.ndim, a->shape.dim, &from));
    TRY_OUT(b->upload(a->ctx, &k, from));
    TRY_OUT(b->upload(a->ctx, &v, from));
    TRY_OUT(b->sync(a->ctx));
out:
    free(from);
    return st;
}

/* What is bf16 there is so to the bit. */
static status check_rounded(struct averaging *a, int expected, const float *got)
{
    const struct weight_info *const info = weights_at(a->c->expected, expected);
    const void *data;
    int64_t off = 0;

    TRY(weights_fetch(a->c->expected, expected, &data));
    struct tensor want = info->t;
    want.data = (void *)(uintptr_t)data;
    for (int64_t i = 0; i < info->count; i++) off += (double)got[i] != (double)tensor_get(&want, i);
    printf("%s: %lld of %lld as recorded\n", info->name, (long long)(info->count - off),
           (long long)info->count);
    a->c->mismatches += off > 0;
    return ST_OK;
}

/* The average after an update, if it was recorded. */
static status take_average(struct averaging *a, bool rounded, int update)
{
    const struct kern_backend *const b = a->c->o.backend;
    char name[32];
    float *to;

    snprintf(name, sizeof name, "%s/%d", rounded ? "bf16" : "f32", update);
    int const i = weights_find(a->c->expected, name);
    if (i < 0) return ST_OK;
    if (weights_at(a->c->expected, i)->count != a->rows * a->dim)
        return fail(ST_FORMAT, "%s/expected.safetensors: %s: of another shape than `sink`",
                    a->c->dir, name);
    TRY(verify_add(a->c, name, a->shape.ndim, a->shape.dim, &to));
    TRY(b->download(a->ctx, to, &a->cache.wide_k));
    TRY(b->sync(a->ctx));
    return rounded ? check_rounded(a, i, to) : ST_OK;
}

static status run_average(struct averaging *a, bool rounded)
{
    struct kv_call call = { .cache = &a->cache, .state = &a->state };
    status st = ST_OK;

    TRY_OUT(open_average(a, rounded));
    call.ctx = a->ctx;
    call.room = a->room;
    TRY_OUT(put_block(a, 0, "sink"));
    for (int n = 1; n <= a->updates; n++) {
        char name[32];
        snprintf(name, sizeof name, "evicted/%d", n);
        TRY_OUT(put_block(a, n, name));
        TRY_OUT(kv_enter(&call, n + 2));
        TRY_OUT(take_average(a, rounded, n));
    }
out:
    close_average(a);
    return st;
}

status verify_ema(struct verify_case *c)
{
    const struct json_node *const alpha = json_tree_member(c->json, "ema_alpha");
    struct averaging a = { .c = c };

    TRY(verify_int(c, "updates", 1, UPDATES_MAX, &a.updates));
    if (!json_tree_is_number(alpha) || !(alpha->number >= 0 && alpha->number <= 1))
        return fail(ST_FORMAT, "%s/case.json: ema_alpha: a number from 0 to 1 is expected", c->dir);
    a.alpha = alpha->number;
    TRY(verify_input_shape(c, "sink", &a.shape));
    a.rows = a.shape.ndim ? a.shape.dim[0] : 0;
    a.dim = a.rows ? tensor_count(&a.shape) / a.rows : 0;
    if (a.rows < 1 || a.rows % FRAMES || a.rows > ROWS_MAX || a.dim < 1 || a.dim > ROWS_MAX)
        return fail(ST_FORMAT, "%s/inputs.safetensors: sink: rows of %d frames are expected",
                    c->dir, FRAMES);
    TRY(run_average(&a, false));
    return run_average(&a, true);
}
