/* unit_bind.c - a model's list of tensors against a file. */
#include "tests/support/unit.h"

#include "base/file.h"
#include "pipeline/weights/tensor_file.h"
#include "pipeline/weights/weight_bind.h"
#include <math.h>
#include <stdio.h>
#include <unistd.h>

static char dir[] = "/tmp/unit_bind.XXXXXX";
static char path[sizeof dir + 16];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/f", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return dir_remove(dir) != ST_OK;
}

/* A file of three tensors: `proj` and `conv` count up, `norm` is BF16. */
static float proj[4 * 6], conv[2 * 3 * 2 * 2];
static uint16_t norm[4];

static void write_model(void)
{
    struct tensor_file_item item[] = {
        { "proj", { proj, DT_F32, 5, { 4, 3, 1, 1, 2 } } },
        { "conv", { conv, DT_F32, 4, { 2, 3, 2, 2 } } },
        { "norm", { norm, DT_BF16, 1, { 4 } } },
    };

    for (int i = 0; i < COUNT_OF(proj); i++) proj[i] = (float)i;
    for (int i = 0; i < COUNT_OF(conv); i++) conv[i] = (float)(100 + i);
    for (int i = 0; i < COUNT_OF(norm); i++) norm[i] = bf16_from_f32((float)i + 0.5f);
    assert_int_equal(tensor_file_write(path, item, COUNT_OF(item)), ST_OK);
}

struct model {
    struct kern_weight proj, last_rows, conv;
    struct tensor norm, first_norm;
};

static void list_model(struct bind_list *l, struct model *m)
{
    struct bind_slot const rows = { .ndim = 5,
                                    .dim = { 4, 3, 1, 1, 2 },
                                    .first_row = 3,
                                    .rows = 1,
                                    .weight = &m->last_rows,
                                    .use = KERN_LINEAR,
                                    .dtype = DT_BF16 };
    struct bind_slot all = rows;

    all.rows = all.first_row = 0;
    all.weight = &m->proj;
    all.dtype = DT_F32;
    bind_add(l, &all, "proj");
    bind_add(l, &rows, "%s", "proj");
    bind_add(l,
             &(struct bind_slot){
                 .ndim = 4, .dim = { 2, 3, 2, 2 }, .weight = &m->conv, .use = KERN_CONV },
             "conv");
    bind_add(l, &(struct bind_slot){ .ndim = 1, .dim = { 4 }, .vector = &m->norm }, "norm");
    bind_add(l, &(struct bind_slot){ .ndim = 1, .dim = { 4 }, .rows = 2, .vector = &m->first_norm },
             "norm");
}

static void loads(void **state)
{
    const struct kern_backend *const ref = kern_backend_find("ref");
    struct bind_list l = { 0 };
    struct model m = { 0 };
    struct kern_ctx *ctx;
    struct weights *w;
    struct arena measured, real;
    void *memory;

    (void)state;
    write_model();
    list_model(&l, &m);
    assert_int_equal(weights_open(&w, path, NULL), ST_OK);
    assert_int_equal(bind_check(&l, w), ST_OK);
    arena_measure(&measured, "weights");
    assert_int_equal(bind_place(&l, ref, &measured), ST_OK);
    assert_null(m.norm.data);
    assert_int_equal(ref->open(&ctx, &(struct kern_config){ .threads = 1 }), ST_OK);
    assert_int_equal(ref->alloc(ctx, measured.used, &memory), ST_OK);
    memset(memory, 0xff, measured.used);
    arena_over(&real, "weights", memory, measured.used);
    assert_int_equal(bind_place(&l, ref, &real), ST_OK);
    assert_int_equal(real.used, measured.used);
    assert_int_equal(bind_load(&l, w, ctx), ST_OK);

    assert_int_equal(m.proj.t.ndim, 2);
    assert_int_equal(m.proj.t.dim[1], 6);
    assert_memory_equal(m.proj.t.data, proj, sizeof proj); /* the oracle packs plainly */
    assert_int_equal(m.last_rows.t.dim[0], 1);
    for (int i = 0; i < 6; i++)
        assert_true(tensor_get(&m.last_rows.t, i) == f32_from_bf16(bf16_from_f32(proj[18 + i])));
    assert_int_equal(m.conv.t.ndim, 5);
    assert_int_equal(m.conv.t.dim[2], 1);
    assert_memory_equal(m.conv.t.data, conv, sizeof conv);
    assert_int_equal(m.norm.dtype, DT_F32);
    for (int i = 0; i < 4; i++) assert_true(tensor_get(&m.norm, i) == (float)i + 0.5f);
    assert_int_equal(m.first_norm.dim[0], 2);
    assert_true(tensor_get(&m.first_norm, 1) == 1.5f);

    ref->free(ctx, memory);
    ref->close(&ctx);
    weights_close(&w);
    bind_free(&l);
}

static void all_differences_at_once(void **state)
{
    static int64_t ids[2] = { 1, 2 };
    float x[6] = { 0 };
    struct tensor_file_item item[] = {
        { "a", { x, DT_F32, 2, { 2, 3 } } },
        { "more", { x, DT_F32, 1, { 6 } } },
        { "ids", { ids, DT_I64, 1, { 2 } } },
        { "more.yet", { x, DT_F32, 0, { 0 } } },
    };
    struct tensor a, b, c;
    struct bind_list l = { 0 };
    struct weights *w;
    char want[1024];

    (void)state;
    assert_int_equal(tensor_file_write(path, item, COUNT_OF(item)), ST_OK);
    bind_add(&l, &(struct bind_slot){ .ndim = 2, .dim = { 3, 2 }, .vector = &a }, "a");
    bind_add(&l, &(struct bind_slot){ .ndim = 1, .dim = { 7 }, .vector = &b }, "b.%d", 1);
    bind_add(&l, &(struct bind_slot){ .ndim = 1, .dim = { 7 }, .rows = 3, .vector = &b }, "b.%d",
             1);
    bind_add(&l, &(struct bind_slot){ .ndim = 1, .dim = { 2 }, .vector = &c }, "ids");
    assert_int_equal(weights_open(&w, path, NULL), ST_OK);
    assert_int_equal(bind_check(&l, w), ST_FORMAT);
    snprintf(want, sizeof want,
             "%s: tensors: 1 missing, 2 of another shape or dtype; 2 others are there\n"
             "  shape    a is [2, 3], wanted [3, 2]\n"
             "  missing  b.1 [7]\n"
             "  dtype    ids is I64, wanted F32, BF16, F16 or F64",
             path);
    assert_string_equal(error_last()->msg, want);
    for (int i = 0; i < 100; i++)
        bind_add(&l, &(struct bind_slot){ .ndim = 1, .dim = { 7 }, .vector = &b }, "c.%d", i);
    assert_int_equal(bind_check(&l, w), ST_FORMAT);
    assert_non_null(strstr(error_last()->msg, ": tensors: 101 missing, 2 of another"));
    assert_non_null(strstr(error_last()->msg, "\n  and 63 more"));
    weights_close(&w);
    bind_free(&l);
}

/* A file without anything wanted: what it seems to be. */
static void another_model(void **state)
{
    static const struct {
        const char *name, *want;
    } rows[] = {
        { "decoder.conv1.weight", "it seems to be a VAE" },
        { "token_embedding.weight", "it seems to be a text encoder" },
        { "patch_embedding.weight", "it seems to be a video transformer" },
        { "blocks.0.q.lora_A.weight",
          "it seems to be a LoRA, which is added to a model's weights" },
        { "a", "it seems to be of another model" },
    };
    static float one = 1;

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct tensor_file_item item = { .name = rows[i].name };
        struct bind_list l = { 0 };
        struct tensor b;
        struct weights *w;
        char want[512];
        assert_int_equal(tensor_make(&item.t, DT_F32, DIMS(1)), ST_OK);
        item.t.data = &one;
        assert_int_equal(tensor_file_write(path, &item, 1), ST_OK);
        bind_add(&l, &(struct bind_slot){ .ndim = 1, .dim = { 2 }, .vector = &b }, "w");
        assert_int_equal(weights_open(&w, path, NULL), ST_OK);
        assert_int_equal(bind_check(&l, w), ST_FORMAT);
        snprintf(want, sizeof want,
                 "%s: tensors: 1 missing, 0 of another shape or dtype; 1 others are there; %s\n"
                 "  missing  w [2]",
                 path, rows[i].want);
        assert_string_equal(error_last()->msg, want);
        weights_close(&w);
        bind_free(&l);
    }
}

/* A tensor of an unread type or rank is named where it is wanted, and left alone where not. */
static void unread_types_are_refused(void **state)
{
    static const char file[] =
        "\xf1\0\0\0\0\0\0\0"
        "{\"w\":{\"dtype\":\"F8_E8M0\",\"shape\":[2],\"data_offsets\":[0,2]},"
        "\"w.scale\":{\"dtype\":\"F8_E8M0\",\"shape\":[1],\"data_offsets\":[2,3]},"
        "\"six\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1],\"data_offsets\":[3,7]},"
        "\"v\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[7,10]}}0123456789";
    struct bind_list l = { 0 };
    struct tensor a, b;
    struct weights *w;
    char want[1024];

    (void)state;
    assert_int_equal(file_write(path, file, sizeof file - 1), ST_OK);
    bind_add(&l, &(struct bind_slot){ .ndim = 1, .dim = { 2 }, .vector = &a }, "w");
    bind_add(&l, &(struct bind_slot){ .ndim = 1, .dim = { 2 }, .vector = &b }, "v");
    assert_int_equal(weights_open(&w, path, NULL), ST_OK);
    assert_int_equal(bind_check(&l, w), ST_FORMAT);
    snprintf(want, sizeof want,
             "%s: tensors: 0 missing, 2 of another shape or dtype; 2 others are there\n"
             "  dtype    w is F8_E8M0, wanted F32, BF16, F16 or F64\n"
             "  shape    v is [3], wanted [2]",
             path);
    assert_string_equal(error_last()->msg, want);
    weights_close(&w);
    bind_free(&l);
}

/* A NaN or an infinity in any dtype is named with its place. */
static void weights_must_be_finite(void **state)
{
    static float f32[] = { 0, 1, NAN, 3 };
    static uint16_t bf16[] = { 0x3f80, 0x7f80 }, f16[] = { 0x3c00, 0xfc00 };
    static double f64[] = { 1, 1e300, 2 };
    static const struct {
        const char *message;
        struct tensor t;
    } rows[] = {
        { "v: element 2 is nan; weights must be finite", { f32, DT_F32, 1, { 4 } } },
        { "v: element 1 is inf; weights must be finite", { bf16, DT_BF16, 1, { 2 } } },
        { "v: element 1 is -inf; weights must be finite", { f16, DT_F16, 1, { 2 } } },
        { "v: element 1 is inf; weights must be finite", { f64, DT_F64, 1, { 3 } } },
    };
    const struct kern_backend *const ref = kern_backend_find("ref");
    struct kern_ctx *ctx;
    struct arena arena;
    static _Alignas(ARENA_ALIGN) unsigned char memory[4096];

    (void)state;
    assert_int_equal(ref->open(&ctx, &(struct kern_config){ .threads = 1 }), ST_OK);
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct bind_list l = { 0 };
        struct bind_slot slot = { .ndim = 1, .dim = { rows[i].t.dim[0] } };
        struct tensor_file_item const item = { "v", rows[i].t };
        struct tensor v;
        struct weights *w;
        char want[256];
        slot.vector = &v;
        assert_int_equal(tensor_file_write(path, &item, 1), ST_OK);
        bind_add(&l, &slot, "v");
        assert_int_equal(weights_open(&w, path, NULL), ST_OK);
        arena_over(&arena, "weights", memory, sizeof memory);
        assert_int_equal(bind_place(&l, ref, &arena), ST_OK);
        assert_int_equal(bind_load(&l, w, ctx), ST_FORMAT);
        snprintf(want, sizeof want, "%s: %s", path, rows[i].message);
        assert_string_equal(error_last()->msg, want);
        weights_close(&w);
        bind_free(&l);
    }
    ref->close(&ctx);
}

static void wrong_slots(void **state)
{
    struct tensor v;
    struct kern_weight m;
    struct bind_slot const bad[] = {
        { .ndim = 1, .dim = { 4 } },
        { .ndim = 1, .dim = { 4 }, .vector = &v, .weight = &m },
        { .ndim = 1, .dim = { 4 }, .vector = &v, .rows = 5 },
        { .ndim = 1, .dim = { 4 }, .vector = &v, .rows = 2, .first_row = 3 },
    };
    struct arena a;

    (void)state;
    arena_measure(&a, "weights");
    for (int i = 0; i < COUNT_OF(bad); i++) {
        struct bind_list l = { 0 };
        bind_add(&l, &bad[i], "x");
        assert_int_equal(bind_place(&l, kern_backend_find("ref"), &a), ST_ARG);
        bind_free(&l);
    }
    struct bind_list l = { 0 };
    bind_add(&l,
             &(struct bind_slot){ .ndim = 3,
                                  .dim = { 2, INT64_MAX / 2, INT64_MAX / 2 },
                                  .weight = &m,
                                  .use = KERN_LINEAR },
             "x");
    assert_int_equal(bind_place(&l, kern_backend_find("ref"), &a), ST_ARG);
    bind_free(&l);
}

/* ---- the file it is read from ------------------------------------------------------- */

static void streamed_file(void **state)
{
    static const float row[4] = { 1, 2, 3, 4 };
    struct tensor_file_item const item = { "latents",
                                           { .dtype = DT_F32, .ndim = 2, .dim = { 3, 4 } } };
    struct tensor_file *f;
    struct weights *w;
    const void *data;

    (void)state;
    assert_int_equal(dir_remove(path), ST_OK);
    assert_int_equal(tensor_file_open(&f, path, &item, 1, NULL), ST_OK);
    for (int i = 0; i < 2; i++) assert_int_equal(tensor_file_append(f, row, sizeof row), ST_OK);
    assert_int_equal(tensor_file_commit(f), ST_ARG);
    assert_non_null(strstr(error_last()->msg, ": 16 bytes are missing"));
    assert_false(path_exists(path));
    assert_int_equal(tensor_file_append(f, row, sizeof row), ST_OK);
    assert_int_equal(tensor_file_append(f, row, 1), ST_ARG);
    assert_int_equal(tensor_file_commit(f), ST_OK);
    tensor_file_close(&f);
    assert_null(f);

    assert_int_equal(weights_open(&w, path, NULL), ST_OK);
    assert_int_equal(weights_fetch(w, 0, &data), ST_OK);
    assert_memory_equal((const float *)data + 8, row, sizeof row);
    weights_close(&w);
}

/* A file given up leaves nothing behind. */
static void abandoned_file(void **state)
{
    struct tensor_file_item item[2] = { { "a", { .dtype = DT_U8, .ndim = 1, .dim = { 9 } } } };
    struct tensor_file *f;
    char gone[256];

    (void)state;
    assert_int_equal(dir_remove(path), ST_OK);
    assert_int_equal(tensor_file_open(&f, path, item, 1, NULL), ST_OK);
    tensor_file_close(&f);
    assert_false(path_exists(path));
    assert_int_equal(rmdir(dir), 0); /* empty */
    assert_int_equal(dir_make(dir), ST_OK);
    item[1] = item[0];
    assert_int_equal(tensor_file_open(&f, path, item, 2, NULL), ST_ARG);
    assert_null(f);
    snprintf(gone, sizeof gone, "%s/none/f", dir);
    assert_int_equal(tensor_file_open(&f, gone, item, 1, NULL), ST_IO);
    assert_null(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads),
        cmocka_unit_test(all_differences_at_once),
        cmocka_unit_test(another_model),
        cmocka_unit_test(unread_types_are_refused),
        cmocka_unit_test(weights_must_be_finite),
        cmocka_unit_test(wrong_slots),
        cmocka_unit_test(streamed_file),
        cmocka_unit_test(abandoned_file),
    };
    return cmocka_run_group_tests_name("unit_bind", tests, setup, teardown);
}
