/*
 * unit_cuda.c - what the kernel checker does not ask of the CUDA backends: rows that depend
 * on themselves alone, segments that change no bit, keys a bias leaves out, and contexts
 * that pass from thread to thread. On a card, or on the stand-in.
 */
#include "tests/support/unit.h"

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/cuda_ctx.h"
#include "kernels/cuda/cuda_dev.h"
#include "tests/support/rng.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

enum { HEADS = 2, HEAD = 40, DIM = HEADS * HEAD, QUERIES = 70, KEYS = 150 };

static struct kern_ctx *opened(const struct kern_backend *b)
{
    struct kern_ctx *c;

    ok(b->open(&c, &(struct kern_config){ .threads = 1 }));
    return c;
}

/* On the device, with numbers of this seed; free with c->backend->free. */
static struct tensor filled(struct kern_ctx *c, uint64_t seed, enum dtype t, int ndim,
                            const int64_t *dim)
{
    struct tensor x, host;

    ok(tensor_make(&x, t, ndim, dim));
    host = x;
    host.data = malloc(tensor_bytes(&x) + 1);
    for (int64_t i = 0; i < tensor_count(&x); i++) tensor_put(&host, i, rng_unit(&seed));
    ok(c->backend->alloc(c, tensor_bytes(&x), &x.data));
    ok(c->backend->upload(c, &x, host.data));
    free(host.data);
    return x;
}

static struct tensor constant(struct kern_ctx *c, float v, enum dtype t, int ndim,
                              const int64_t *dim)
{
    struct tensor x = filled(c, 1, t, ndim, dim), host = x;

    host.data = malloc(tensor_bytes(&x) + 1);
    for (int64_t i = 0; i < tensor_count(&x); i++) tensor_put(&host, i, v);
    ok(c->backend->upload(c, &x, host.data));
    free(host.data);
    return x;
}

/* On the host; the device's memory is given back. */
static struct tensor taken(struct kern_ctx *c, struct tensor x)
{
    void *const host = malloc(tensor_bytes(&x) + 1);

    ok(c->backend->download(c, host, &x));
    c->backend->free(c, x.data);
    x.data = host;
    return x;
}

static void same_rows(const struct tensor *all, int64_t first, const struct tensor *part)
{
    struct tensor const want = tensor_slice(all, first, part->dim[0]);
    assert_memory_equal(part->data, want.data, tensor_bytes(part));
}

/* Attention of some of the queries, to keys cut into `count` segments. */
static struct tensor attend(struct kern_ctx *c, enum dtype t, int64_t first, int64_t queries,
                            int count, const int64_t *cut)
{
    struct tensor const q = filled(c, 1, t, DIMS(QUERIES, DIM));
    struct tensor const k = filled(c, 2, t, DIMS(KEYS, DIM)), v = filled(c, 3, t, DIMS(KEYS, DIM));
    struct tensor const out = constant(c, NAN, t, DIMS(queries, DIM));
    struct tensor const some = tensor_slice(&q, first, queries);
    struct kern_segment segments[4];
    int64_t at = 0;

    for (int i = 0; i < count; at += cut[i++])
        segments[i] = (struct kern_segment){ .k = tensor_slice(&k, at, cut[i]),
                                             .v = tensor_slice(&v, at, cut[i]) };
    assert_int_equal(at, KEYS);
    struct tensor to = out;
    ok(kern_attention(c, &(struct kern_attention){ .q = &some,
                                                   .segments = segments,
                                                   .segment_count = count,
                                                   .out = &to,
                                                   .heads = HEADS,
                                                   .scale = 0.3f }));
    c->backend->free(c, q.data);
    c->backend->free(c, k.data);
    c->backend->free(c, v.data);
    return taken(c, out);
}

static void attention_alone(struct kern_ctx *c, enum dtype t)
{
    static const int64_t one[] = { KEYS }, three[] = { 63, 0, 2, KEYS - 65 };
    struct tensor const all = attend(c, t, 0, QUERIES, 1, one);
    struct tensor const cut = attend(c, t, 0, QUERIES, 4, three);
    struct tensor const some = attend(c, t, 7, 60, 1, one);

    same_rows(&all, 0, &cut);
    same_rows(&all, 7, &some);
    free(all.data);
    free(cut.data);
    free(some.data);
}

static struct tensor product(struct kern_ctx *c, enum dtype t, int64_t first, int64_t rows)
{
    enum { ROWS = 130, K = 37, N = 67 };
    struct tensor const x = filled(c, 1, t, DIMS(ROWS, K)), some = tensor_slice(&x, first, rows);
    struct kern_weight const w = { .use = KERN_LINEAR, .t = filled(c, 2, t, DIMS(N, K)) };
    struct tensor out = constant(c, NAN, t, DIMS(rows, N));

    ok(kern_linear(c, &(struct kern_linear){ .x = &some, .w = &w, .out = &out }));
    c->backend->free(c, x.data);
    c->backend->free(c, w.t.data);
    return taken(c, out);
}

static void product_alone(struct kern_ctx *c, enum dtype t)
{
    struct tensor const all = product(c, t, 0, 130), some = product(c, t, 61, 9);

    same_rows(&all, 61, &some);
    free(all.data);
    free(some.data);
}

/* Later frames take nothing from how many come at once. */
static struct tensor convolved(struct kern_ctx *c, enum dtype t, int64_t first, int64_t frames)
{
    enum { H = 5, W = 4, CIN = 18, COUT = 66, FRAMES = 7 };
    struct tensor const x = filled(c, 1, t, DIMS(FRAMES, H, W, CIN));
    struct tensor const past = tensor_slice(&x, first, 2),
                        now = tensor_slice(&x, first + 2, frames);
    struct kern_weight const w = { .use = KERN_CONV,
                                   .t = filled(c, 2, t, DIMS(COUT, CIN, 3, 3, 3)) };
    struct tensor out = constant(c, NAN, t, DIMS(frames, H, W, COUT));

    ok(kern_conv3d(c,
                   &(struct kern_conv3d){
                       .past = &past, .x = &now, .w = &w, .out = &out, .pad_lo = 1, .pad_hi = 1 }));
    c->backend->free(c, x.data);
    c->backend->free(c, w.t.data);
    return taken(c, out);
}

static void convolution_alone(struct kern_ctx *c, enum dtype t)
{
    struct tensor const all = convolved(c, t, 0, 5), some = convolved(c, t, 3, 2);

    same_rows(&all, 3, &some);
    free(all.data);
    free(some.data);
}

/* Level 1 packs as torch stores, so weights above are laid out by hand. */
static void rows_alone(void **state)
{
    struct kern_ctx *c = opened(cuda_backend_at(0));

    (void)state;
    for (enum dtype t = DT_F32; t <= DT_BF16; t++) {
        attention_alone(c, t);
        product_alone(c, t);
        convolution_alone(c, t);
    }
    c->backend->close(&c);
}

/* A part whose every key the bias leaves out says so, and merges as if it were not there. */
static void part_left_out(const struct kern_backend *b, enum dtype t)
{
    struct kern_ctx *c = opened(b);
    struct tensor const q = filled(c, 1, t, DIMS(QUERIES, DIM));
    struct kern_segment const s = { .k = filled(c, 2, t, DIMS(KEYS, DIM)),
                                    .v = filled(c, 3, t, DIMS(KEYS, DIM)) };
    struct tensor const bias = constant(c, -INFINITY, DT_F32, DIMS(HEADS, QUERIES, KEYS));
    struct tensor lse[2], out[2], merged = constant(c, NAN, t, DIMS(QUERIES, DIM));
    struct tensor whole = constant(c, NAN, t, DIMS(QUERIES, DIM));
    struct kern_attention a = {
        .q = &q, .segments = &s, .segment_count = 1, .heads = HEADS, .scale = 0.3f
    };

    for (int i = 0; i < 2; i++) {
        lse[i] = constant(c, NAN, DT_F32, DIMS(QUERIES, HEADS));
        out[i] = constant(c, NAN, DT_F32, DIMS(QUERIES, DIM));
        a.bias = i ? NULL : &bias;
        a.out = &out[i];
        a.lse = &lse[i];
        ok(kern_attention(c, &a));
    }
    a.out = &whole;
    a.lse = NULL;
    ok(kern_attention(c, &a));
    ok(kern_merge(
        c, &(struct kern_merge){
               .a = &out[0], .a_lse = &lse[0], .b = &out[1], .b_lse = &lse[1], .out = &merged }));
    struct tensor const none = taken(c, lse[0]), got = taken(c, merged), want = taken(c, whole);
    for (int64_t i = 0; i < tensor_count(&none); i++)
        assert_true(tensor_get(&none, i) == -INFINITY);
    for (int64_t i = 0; i < tensor_count(&got); i++)
        assert_true(fabsf(tensor_get(&got, i) - tensor_get(&want, i)) <=
                    (t == DT_F32 ? 1e-6f : 0x1p-7f));
    void *const host[] = { none.data, got.data, want.data };
    void *const device[] = { q.data,      s.k.data,    s.v.data,   bias.data,
                             lse[1].data, out[0].data, out[1].data };
    for (int i = 0; i < COUNT_OF(host); i++) free(host[i]);
    for (int i = 0; i < COUNT_OF(device); i++) c->backend->free(c, device[i]);
    c->backend->close(&c);
}

static void left_out_by_bias(void **state)
{
    (void)state;
    for (int i = 0; cuda_backend_at(i); i++)
        for (enum dtype t = DT_F32; t <= DT_BF16; t++) part_left_out(cuda_backend_at(i), t);
}

static void *on_another_thread(void *ctx)
{
    struct kern_ctx *c = ctx;

    attention_alone(c, DT_F32);
    c->backend->close(&c);
    return NULL;
}

/* Opened on the last device, used and closed by a thread that has chosen none. */
static void context_moves(void **state)
{
    struct kern_config const last = { .threads = 1, .device = cuda_dev_count() - 1 };
    struct kern_ctx *c;
    pthread_t thread;

    (void)state;
    ok(cuda_backend_at(0)->open(&c, &last));
    assert_int_equal(pthread_create(&thread, NULL, on_another_thread, c), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void refusals(void **state)
{
    struct kern_ctx *c = (struct kern_ctx *)1;
    void *at = (void *)1;

    (void)state;
    assert_int_equal(
        cuda_backend_at(0)->open(&c, &(struct kern_config){ .threads = 1, .device = 99 }), ST_ARG);
    assert_null(c);
    c = opened(cuda_backend_at(0));
    assert_int_equal(c->backend->alloc(c, SIZE_MAX / 4, &at), ST_NOMEM);
    assert_null(at);
    attention_alone(c, DT_F32); /* what was refused is forgotten */
    c->backend->close(&c);
}

/* Scratch grows, keeps its size, and is the device's. */
static void scratch(void **state)
{
    struct kern_ctx *ctx = opened(cuda_backend_at(0));
    struct cuda_ctx *c;

    (void)state;
    ok(cuda_enter(ctx, &c));
    ok(cuda_scratch(c, 1000));
    void *const first = c->scratch;
    ok(cuda_scratch(c, 500));
    assert_ptr_equal(c->scratch, first);
    ok(cuda_scratch(c, 100000));
    assert_true(c->scratch_bytes >= 100000);
    ctx->backend->close(&ctx);
    assert_null(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_alone),    cmocka_unit_test(left_out_by_bias),
        cmocka_unit_test(context_moves), cmocka_unit_test(refusals),
        cmocka_unit_test(scratch),
    };

    if (cuda_backend_at(0)->absent()) {
        printf("%s\n", cuda_backend_at(0)->absent());
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
