/*
 * unit_cpu.c - the CPU backend's own promises: the same bits for any number of
 * threads and whatever else is in the call, right at every instruction set the
 * library can be held to. (That each operation is right: check_kernels.)
 */
#include "tests/support/unit.h"

#include "base/choice.h"
#include "kernels/kern.h"
#include "tests/support/rng.h"
#include <math.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- tensors of small reproducible numbers ---------------------------------- */

static uint64_t state;

static struct tensor filled(enum dtype t, int ndim, const int64_t *dim)
{
    struct tensor x;

    assert_int_equal(tensor_make(&x, t, ndim, dim), ST_OK);
    x.data = malloc(tensor_bytes(&x) + 1);
    assert_non_null(x.data);
    for (int64_t i = 0; i < tensor_count(&x); i++) tensor_put(&x, i, rng_unit(&state));
    return x;
}

/* All bits set: NaN in either dtype. */
static struct tensor poisoned(enum dtype t, int ndim, const int64_t *dim)
{
    struct tensor x = filled(t, ndim, dim);

    memset(x.data, 0xff, tensor_bytes(&x));
    return x;
}

static struct kern_ctx *opened(const char *backend, int threads)
{
    struct kern_ctx *c;

    assert_int_equal(
        kern_backend_find(backend)->open(&c, &(struct kern_config){ .threads = threads }), ST_OK);
    return c;
}

static struct kern_weight packed(struct kern_ctx *c, enum kern_use use, enum dtype t,
                                 const struct tensor *src)
{
    struct kern_weight w = { .use = use };

    assert_int_equal(tensor_make(&w.t, t, src->ndim, src->dim), ST_OK);
    size_t const bytes = c->backend->packed_bytes(&w);
    assert_int_equal(c->backend->alloc(c, bytes, &w.t.data), ST_OK);
    memset(w.t.data, 0xff, bytes);
    assert_int_equal(
        kern_pack(c, &(struct kern_pack){ .w = &w, .src = src->data, .src_dtype = src->dtype }),
        ST_OK);
    return w;
}

/* ---- the heavy operations at awkward shapes ---------------------------- */

enum { LINEAR_ROWS = 203, LINEAR_K = 320, LINEAR_N = 700 };

static struct tensor linear(struct kern_ctx *c, enum dtype t, int64_t first, int64_t rows)
{
    state = 1;
    struct tensor x = filled(t, DIMS(LINEAR_ROWS, LINEAR_K)), bias = filled(DT_F32, DIMS(LINEAR_N));
    struct tensor src = filled(DT_F32, DIMS(LINEAR_N, LINEAR_K));
    struct kern_weight w = packed(c, KERN_LINEAR, t, &src);
    struct tensor out = poisoned(t, DIMS(rows, LINEAR_N)), some = tensor_slice(&x, first, rows);

    assert_int_equal(
        kern_linear(c,
                    &(struct kern_linear){
                        .x = &some, .w = &w, .bias = &bias, .out = &out, .act = KERN_ACT_SILU }),
        ST_OK);
    c->backend->free(c, w.t.data);
    free(x.data);
    free(bias.data);
    free(src.data);
    return out;
}

enum { HEADS = 3, DIM = HEADS * 64, QUERIES = 301 };

/* Over some segments; with lse not NULL a partial result. */
static struct tensor attend(struct kern_ctx *c, const struct tensor *q,
                            const struct kern_segment *s, int count, struct tensor *lse)
{
    struct tensor out = poisoned(lse ? DT_F32 : q->dtype, DIMS(QUERIES, DIM));

    if (lse) *lse = poisoned(DT_F32, DIMS(QUERIES, HEADS));
    assert_int_equal(kern_attention(c, &(struct kern_attention){ .q = q,
                                                                 .segments = s,
                                                                 .segment_count = count,
                                                                 .out = &out,
                                                                 .lse = lse,
                                                                 .heads = HEADS,
                                                                 .scale = 0.5f }),
                     ST_OK);
    return out;
}

static struct tensor attend_in_parts(struct kern_ctx *c, const struct tensor *q,
                                     const struct kern_segment s[3])
{
    struct tensor lse[2], out = poisoned(q->dtype, DIMS(QUERIES, DIM));
    struct tensor x = attend(c, q, s, 1, &lse[0]), y = attend(c, q, s + 1, 2, &lse[1]);

    assert_int_equal(
        kern_merge(c,
                   &(struct kern_merge){
                       .a = &x, .a_lse = &lse[0], .b = &y, .b_lse = &lse[1], .out = &out }),
        ST_OK);
    free(x.data);
    free(y.data);
    free(lse[0].data);
    free(lse[1].data);
    return out;
}

static struct tensor attention(struct kern_ctx *c, enum dtype t, bool in_parts)
{
    state = 2;
    struct tensor q = filled(t, DIMS(QUERIES, DIM));
    struct kern_segment s[3];
    int64_t const keys[] = { 700, 1, 437 };

    for (int i = 0; i < 3; i++)
        s[i] = (struct kern_segment){ .k = filled(t, DIMS(keys[i], DIM)),
                                      .v = filled(t, DIMS(keys[i], DIM)) };
    struct tensor out = in_parts ? attend_in_parts(c, &q, s) : attend(c, &q, s, 3, NULL);
    for (int i = 0; i < 3; i++) {
        free(s[i].k.data);
        free(s[i].v.data);
    }
    free(q.data);
    return out;
}

static struct tensor conv3d(struct kern_ctx *c, enum dtype t)
{
    state = 3;
    struct tensor past = filled(t, DIMS(2, 19, 37, 48)), x = filled(t, DIMS(2, 19, 37, 48));
    struct tensor src = filled(DT_F32, DIMS(200, 48, 3, 3, 3));
    struct kern_weight w = packed(c, KERN_CONV, t, &src);
    struct tensor out = poisoned(t, DIMS(2, 19, 37, 200));

    assert_int_equal(
        kern_conv3d(c,
                    &(struct kern_conv3d){
                        .past = &past, .x = &x, .w = &w, .out = &out, .pad_lo = 1, .pad_hi = 1 }),
        ST_OK);
    c->backend->free(c, w.t.data);
    free(past.data);
    free(x.data);
    free(src.data);
    return out;
}

enum { HEAVY = 4 };
static struct tensor heavy(struct kern_ctx *c, enum dtype t, int op)
{
    if (op == 0) return linear(c, t, 0, LINEAR_ROWS);
    return op == 3 ? conv3d(c, t) : attention(c, t, op == 2);
}

/* ---- tests -------------------------------------------------------------------- */

static void same_for_any_threads(void **unused)
{
    static const int threads[] = { 2, 3, 5 };

    (void)unused;
    for (int op = 0; op < HEAVY; op++)
        for (enum dtype t = DT_F32; t <= DT_BF16; t++) {
            struct kern_ctx *one = opened("cpu", 1);
            struct tensor const want = heavy(one, t, op);
            for (int i = 0; i < COUNT_OF(threads); i++) {
                struct kern_ctx *c = opened("cpu", threads[i]);
                struct tensor const got = heavy(c, t, op);
                assert_memory_equal(got.data, want.data, tensor_bytes(&want));
                free(got.data);
                c->backend->close(&c);
            }
            free(want.data);
            one->backend->close(&one);
        }
}

static void same_row_in_any_company(void **unused)
{
    static const int64_t part[][2] = { { 0, 1 }, { 5, 16 }, { 64, 64 }, { 100, 103 }, { 190, 13 } };

    (void)unused;
    for (enum dtype t = DT_F32; t <= DT_BF16; t++) {
        struct kern_ctx *c = opened("cpu", 2);
        struct tensor const whole = linear(c, t, 0, LINEAR_ROWS);
        for (int i = 0; i < COUNT_OF(part); i++) {
            struct tensor const want = tensor_slice(&whole, part[i][0], part[i][1]);
            struct tensor const got = linear(c, t, part[i][0], part[i][1]);
            assert_memory_equal(got.data, want.data, tensor_bytes(&want));
            free(got.data);
        }
        free(whole.data);
        c->backend->close(&c);
    }
}

/* ||got - want|| / ||want|| */
static double distance(const struct tensor *got, const struct tensor *want)
{
    double d = 0, n = 0;

    for (int64_t i = 0; i < tensor_count(want); i++) {
        double const w = tensor_get(want, i), e = tensor_get(got, i) - w;
        d += e * e;
        n += w * w;
    }
    return sqrt(d / n);
}

/* F32 sums of a few thousand products stray by about 1e-6; a BF16 result is
 * rounded twice at most (the probabilities, the store), 2^-9 each. */
static bool close_to_ref(void)
{
    bool good = true;

    for (int op = 0; op < HEAVY; op++)
        for (enum dtype t = DT_F32; t <= DT_BF16; t++) {
            struct kern_ctx *ref = opened("ref", 2), *cpu = opened("cpu", 2);
            struct tensor const want = heavy(ref, t, op), got = heavy(cpu, t, op);
            double const d = distance(&got, &want);
            if (!(d <= (t == DT_F32 ? 1e-5 : 0x1p-8))) {
                fprintf(stderr, "operation %d in %s is %g off\n", op, dtype_name(t), d);
                good = false;
            }
            free(want.data);
            free(got.data);
            ref->backend->close(&ref);
            cpu->backend->close(&cpu);
        }
    return good;
}

/* Keys whose bias is -inf count as if they were not there, even a whole chunk of them. */
static void left_out_by_bias(void **unused)
{
    enum { WIDTH = 64, ROWS = 40, GONE = 600, KEYS = 70, ALL = GONE + KEYS };

    (void)unused;
    for (enum dtype t = DT_F32; t <= DT_BF16; t++) {
        struct kern_ctx *c = opened("cpu", 2);
        state = 4;
        struct tensor q = filled(t, DIMS(ROWS, WIDTH)), bias = filled(DT_F32, DIMS(1, ROWS, ALL));
        struct kern_segment s = { .k = filled(t, DIMS(ALL, WIDTH)),
                                  .v = filled(t, DIMS(ALL, WIDTH)) };
        struct tensor got = poisoned(t, DIMS(ROWS, WIDTH)), want = poisoned(t, DIMS(ROWS, WIDTH));
        for (int64_t i = 0; i < tensor_count(&bias); i++)
            tensor_put(&bias, i, i % ALL < GONE ? -INFINITY : 0.0f);
        struct kern_attention a = { .q = &q,
                                    .bias = &bias,
                                    .segments = &s,
                                    .segment_count = 1,
                                    .out = &got,
                                    .heads = 1,
                                    .scale = 0.25f };
        assert_int_equal(kern_attention(c, &a), ST_OK);
        struct kern_segment const rest = { .k = tensor_slice(&s.k, GONE, KEYS),
                                           .v = tensor_slice(&s.v, GONE, KEYS) };
        a.segments = &rest;
        a.bias = NULL;
        a.out = &want;
        assert_int_equal(kern_attention(c, &a), ST_OK);
        assert_true(distance(&got, &want) <= (t == DT_F32 ? 1e-6 : 0x1p-8));
        void *const all[] = { q.data, bias.data, s.k.data, s.v.data, got.data, want.data };
        for (int i = 0; i < COUNT_OF(all); i++) free(all[i]);
        c->backend->close(&c);
    }
}

/* A part whose every key the bias leaves out says so, and merges as if it were not there. */
static void part_left_out_by_bias(void **unused)
{
    enum { GONE = 300, KEYS = 70 };
    static const char *const on_host[] = { "ref", "cpu" };

    (void)unused;
    for (int b = 0; b < COUNT_OF(on_host); b++)
        for (enum dtype t = DT_F32; t <= DT_BF16; t++) {
            struct kern_ctx *c = opened(on_host[b], 2);
            state = 5;
            struct tensor q = filled(t, DIMS(QUERIES, DIM)), got = poisoned(t, DIMS(QUERIES, DIM));
            struct tensor bias = filled(DT_F32, DIMS(HEADS, QUERIES, GONE)), lse[2];
            struct tensor none = poisoned(DT_F32, DIMS(QUERIES, DIM));
            struct kern_segment s[2];
            for (int i = 0; i < 2; i++)
                s[i] = (struct kern_segment){ .k = filled(t, DIMS(i ? KEYS : GONE, DIM)),
                                              .v = filled(t, DIMS(i ? KEYS : GONE, DIM)) };
            for (int64_t i = 0; i < tensor_count(&bias); i++) tensor_put(&bias, i, -INFINITY);
            lse[0] = poisoned(DT_F32, DIMS(QUERIES, HEADS));
            assert_int_equal(kern_attention(c, &(struct kern_attention){ .q = &q,
                                                                         .bias = &bias,
                                                                         .segments = s,
                                                                         .segment_count = 1,
                                                                         .out = &none,
                                                                         .lse = &lse[0],
                                                                         .heads = HEADS,
                                                                         .scale = 0.5f }),
                             ST_OK);
            for (int64_t i = 0; i < tensor_count(&lse[0]); i++)
                assert_true(tensor_get(&lse[0], i) == -INFINITY);
            struct tensor rest = attend(c, &q, s + 1, 1, &lse[1]);
            assert_int_equal(kern_merge(c, &(struct kern_merge){ .a = &none,
                                                                 .a_lse = &lse[0],
                                                                 .b = &rest,
                                                                 .b_lse = &lse[1],
                                                                 .out = &got }),
                             ST_OK);
            struct tensor want = attend(c, &q, s + 1, 1, NULL);
            assert_memory_equal(got.data, want.data, tensor_bytes(&want));
            void *const all[] = { q.data,      got.data,    bias.data,   none.data,
                                  lse[0].data, lse[1].data, s[0].k.data, s[0].v.data,
                                  s[1].k.data, s[1].v.data, rest.data,   want.data };
            for (int i = 0; i < COUNT_OF(all); i++) free(all[i]);
            c->backend->close(&c);
        }
}

static void right_at_every_instruction_set(void **unused)
{
    static const char *const sets[] = { "DEFAULT", "AVX512_CORE_BF16", "AVX512_CORE", "AVX2" };

    (void)unused;
    for (int i = 0; i < COUNT_OF(sets); i++) {
        int how;
        pid_t const child = fork();
        if (!child) {
            setenv("ONEDNN_MAX_CPU_ISA", sets[i], 1);
            execl("/proc/self/exe", "unit_cpu", "close_to_ref", (char *)NULL);
            _exit(127);
        }
        assert_int_equal(waitpid(child, &how, 0), child);
        if (!WIFEXITED(how) || WEXITSTATUS(how)) fprintf(stderr, "at %s\n", sets[i]);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
}

/* The number in its name; 0: there is none. */
static int level_in(const char *name) { return atoi(name + strcspn(name, "123456789")); }

static void backends_have_names(void **unused)
{
    char names[KERN_NAMES];
    int count = 0;

    (void)unused;
    for (; kern_backend_at(count); count++) {
        const struct kern_backend *const b = kern_backend_at(count);
        const char *const name = b->name;
        assert_int_equal(b->level, level_in(name));
        assert_int_equal(choice_find(kern_backend_names(names), name), count);
        assert_ptr_equal(kern_backend_find(name), b);
    }
    assert_true(count > 0);
    assert_null(kern_backend_find("none"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_have_names),     cmocka_unit_test(same_for_any_threads),
        cmocka_unit_test(same_row_in_any_company), cmocka_unit_test(left_out_by_bias),
        cmocka_unit_test(part_left_out_by_bias),   cmocka_unit_test(right_at_every_instruction_set),
    };

    if (argc == 2 && !strcmp(argv[1], "close_to_ref")) return close_to_ref() ? 0 : 1;
    if (argc == 2) cmocka_set_test_filter(argv[1]); /* the name of one */
    return cmocka_run_group_tests_name("unit_cpu", tests, NULL, NULL);
}
