/* unit_formats.c - checkpoints by other libraries (tests/formats, made by tools/make_formats.py):
 * the same tensors under every name, packed numbers, scales, shards; and files that lie. */
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/file_set.h"
#include "base/strbuf.h"
#include "pipeline/weights/tensor_file.h"
#include "pipeline/weights/weight_bind.h"
#include "tools/torch_writer.h"
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define FORMATS "tests/formats/"

static char dir[] = "/tmp/unit_formats.XXXXXX";
static char path[sizeof dir + 64];

/* cmocka's fail_msg, whose word the program has for itself. */
#define give_up(...)                                                                               \
    do {                                                                                           \
        print_error(__VA_ARGS__);                                                                  \
        _fail(__FILE__, __LINE__);                                                                 \
    } while (0)

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

static struct weights *open_file(const char *file, enum weights_family family)
{
    struct weights *w;

    if (weights_open_as(&w, &(struct weights_request){ .path = file, .family = family }) != ST_OK)
        give_up("%s", error_last()->msg);
    return w;
}

/* Every tensor of `want`, by its name, in `got`: the same shape and numbers. */
static void expect_same(struct weights *got, struct weights *want)
{
    for (int i = 0; i < weights_count(want); i++) {
        const struct weight_info *const info = weights_at(want, i);
        int const at = weights_find(got, info->name);
        if (at < 0) give_up("%s: no %s", weights_path(got), info->name);
        assert_false(weights_at(got, at)->twin);
        assert_true(weight_has_shape(weights_at(got, at), info->ndim, info->dim));
        float *const a = malloc((size_t)info->count * sizeof *a + 1);
        float *const b = malloc((size_t)info->count * sizeof *b + 1);
        assert_non_null(a);
        assert_non_null(b);
        memset(a, 0xff, (size_t)info->count * sizeof *a);
        assert_int_equal(weights_read(got, at, 0, info->count, a), ST_OK);
        assert_int_equal(weights_read(want, i, 0, info->count, b), ST_OK);
        for (int64_t e = 0; e < info->count; e++)
            if (!(a[e] == b[e]))
                give_up("%s: %s: element %lld is %.9g, wanted %.9g", weights_path(got), info->name,
                        (long long)e, (double)a[e], (double)b[e]);
        free(a);
        free(b);
    }
}

static void every_name(void **state)
{
    static const struct {
        const char *file, *release, *form;
        enum weights_family family;
        int files, spare;
    } rows[] = {
        { FORMATS "dit-diffusers", FORMATS "dit-release.safetensors", "safetensors", WEIGHTS_DIT, 3,
          0 },
        { FORMATS "dit-diffusers/transformer/diffusion_pytorch_model.safetensors.index.json",
          FORMATS "dit-release.safetensors", "safetensors", WEIGHTS_DIT, 3, 0 },
        { FORMATS "vae-diffusers.safetensors", FORMATS "vae-release.safetensors", "safetensors",
          WEIGHTS_VAE, 1, 0 },
        { FORMATS "text-hf", FORMATS "text-release.safetensors", "safetensors", WEIGHTS_TEXT, 2,
          1 },
        { FORMATS "text.gguf", FORMATS "text-release.safetensors", "GGUF", WEIGHTS_TEXT, 1, 0 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct weights *got = open_file(rows[i].file, rows[i].family);
        struct weights *want = open_file(rows[i].release, rows[i].family);
        assert_int_equal(weights_files(got), rows[i].files);
        assert_string_equal(weights_form(got), rows[i].form);
        assert_int_equal(weights_count(got), weights_count(want) + rows[i].spare);
        expect_same(got, want);
        weights_close(&got);
        weights_close(&want);
    }
}

/* Numbers as the gguf package has them, bit for bit, whole and from the middle of a block on. */
static void packed_numbers(void **state)
{
    struct weights *got = open_file(FORMATS "gguf-types.gguf", WEIGHTS_DIT);
    struct weights *want = open_file(FORMATS "gguf-types.safetensors", WEIGHTS_DIT);
    float part[300];

    (void)state;
    expect_same(got, want);
    int const at = weights_find(got, "q5_k"), same = weights_find(want, "q5_k");
    const void *data;
    assert_int_equal(weights_at(got, at)->count, 1024);
    assert_int_equal(weights_fetch(want, same, &data), ST_OK);
    assert_int_equal(weights_read(got, at, 101, 300, part), ST_OK);
    assert_memory_equal(part, (const float *)data + 101, sizeof part);
    assert_int_equal(weights_read(got, at, 1024, 1, part), ST_ARG);
    int const unread = weights_find(got, "q5_0");
    assert_string_equal(weights_unread(got, unread), "is Q5_0, wanted F32, BF16, F16 or F64");
    assert_int_equal(weights_at(got, unread)->bytes, 22);
    assert_int_equal(weights_read(got, unread, 0, 1, part), ST_FORMAT);
    int const folded = weights_find(got, "folded");
    assert_int_equal(weights_at(got, folded)->ndim, 5);
    weights_close(&got);
    weights_close(&want);
}

static void read_scaled(const char *file)
{
    struct weights *got = open_file(file, WEIGHTS_DIT);
    struct weights *want = open_file(FORMATS "scaled-wanted.safetensors", WEIGHTS_DIT);
    float row[6];
    const void *data;

    expect_same(got, want);
    int const at = weights_find(got, "blocks.weight");
    assert_int_equal(weights_fetch(want, weights_find(want, "blocks.weight"), &data), ST_OK);
    assert_int_equal(weights_read(got, at, 18, 6, row), ST_OK);
    assert_memory_equal(row, (const float *)data + 18, sizeof row);
    assert_int_equal(weights_read(got, at, 17, 6, row), ST_ARG); /* no whole row */
    assert_false(weights_plain(got, at));
    assert_string_equal(weights_unread(got, weights_find(got, "bare.weight")),
                        "is I8 without a tensor of scales");
    assert_string_equal(weights_unread(got, weights_find(got, "odd.weight")),
                        "has scales that do not divide its shape");
    weights_close(&got);
    weights_close(&want);
}

static void scales(void **state)
{
    (void)state;
    read_scaled(FORMATS "scaled.safetensors");
    read_scaled(FORMATS "scaled.pt");
}

/* What a model is bound to is the numbers, rounded once. */
static void bound_from_fp8(void **state)
{
    const struct kern_backend *const ref = kern_backend_find("ref");
    struct weights *got = open_file(FORMATS "scaled.safetensors", WEIGHTS_DIT);
    struct weights *want = open_file(FORMATS "scaled-wanted.safetensors", WEIGHTS_DIT);
    static _Alignas(ARENA_ALIGN) unsigned char memory[4096];
    struct bind_list l = { 0 };
    struct kern_weight rows = { 0 };
    struct kern_ctx *ctx;
    struct arena arena;
    const void *data;

    (void)state;
    bind_add(&l,
             &(struct bind_slot){ .ndim = 2,
                                  .dim = { 4, 6 },
                                  .first_row = 1,
                                  .rows = 2,
                                  .weight = &rows,
                                  .use = KERN_LINEAR,
                                  .dtype = DT_BF16 },
             "rows.weight");
    assert_int_equal(bind_check(&l, got), ST_OK);
    assert_int_equal(ref->open(&ctx, &(struct kern_config){ .threads = 1 }), ST_OK);
    arena_over(&arena, "weights", memory, sizeof memory);
    assert_int_equal(bind_place(&l, ref, &arena), ST_OK);
    assert_int_equal(bind_load(&l, got, ctx), ST_OK);
    assert_int_equal(weights_fetch(want, weights_find(want, "rows.weight"), &data), ST_OK);
    for (int i = 0; i < 12; i++)
        assert_true(tensor_get(&rows.t, i) ==
                    f32_from_bf16(bf16_from_f32(((const float *)data)[6 + i])));
    ref->close(&ctx);
    bind_free(&l);

    bind_add(&l, &(struct bind_slot){ .ndim = 2, .dim = { 4, 6 }, .weight = &rows }, "bare.weight");
    bind_add(&l, &(struct bind_slot){ .ndim = 2, .dim = { 4, 6 }, .weight = &rows }, "odd.weight");
    assert_int_equal(bind_check(&l, got), ST_FORMAT);
    assert_non_null(strstr(error_last()->msg, "dtype    bare.weight is I8 without a tensor"));
    assert_non_null(strstr(error_last()->msg, "dtype    odd.weight has scales that do not"));
    bind_free(&l);
    weights_close(&got);
    weights_close(&want);
}

/* Two tensors come to one name: no harm, unless it is asked for. */
static void twins(void **state)
{
    static float x[2] = { 1, 2 };
    struct tensor_file_item const item[] = {
        { "model.a", { x, DT_F32, 1, { 2 } } },
        { "a", { x, DT_F32, 1, { 2 } } },
        { "b", { x, DT_F32, 1, { 2 } } },
    };
    struct bind_list l = { 0 };
    struct tensor t;

    (void)state;
    assert_int_equal(tensor_file_write(path, item, COUNT_OF(item)), ST_OK);
    struct weights *w = open_file(path, WEIGHTS_DIT);
    bind_add(&l, &(struct bind_slot){ .ndim = 1, .dim = { 2 }, .vector = &t }, "b");
    assert_int_equal(bind_check(&l, w), ST_OK);
    bind_add(&l, &(struct bind_slot){ .ndim = 1, .dim = { 2 }, .vector = &t }, "a");
    assert_int_equal(bind_check(&l, w), ST_FORMAT);
    assert_non_null(strstr(error_last()->msg, ", 1 twice"));
    assert_non_null(strstr(error_last()->msg, "\n  twice    a, as "));
    bind_free(&l);
    weights_close(&w);
}

/* ---- outer keys --------------------------------------------------------------------------- */

static void write_torch(const char *const key[2])
{
    static const char *const name[] = { "model.a" };
    static const struct tensor shape[] = { { .dtype = DT_F32, .ndim = 1, .dim = { 2 } } };
    static const float values[2][2] = { { 1, 2 }, { 3, 4 } };
    struct torch_writer_dict const dict[] = {
        { .key = key[0], .name = name, .shape = shape, .count = 1 },
        { .key = key[1], .name = name, .shape = shape, .count = 1 },
    };
    struct torch_writer *w;

    assert_int_equal(torch_writer_open(&w, path, dict, 2), ST_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(torch_writer_begin(w, i, sizeof values[i]), ST_OK);
        assert_int_equal(torch_writer_bytes(w, values[i], sizeof values[i]), ST_OK);
        assert_int_equal(torch_writer_end(w), ST_OK);
    }
    assert_int_equal(torch_writer_commit(w), ST_OK);
    torch_writer_close(&w);
}

/* The first number of `a` under this key; NAN: refused, with these words. */
static float first_under(const char *outer_key, const char *words)
{
    struct weights_request const r = { path, outer_key, WEIGHTS_DIT };
    struct weights *w;
    float first = NAN;

    if (weights_open_as(&w, &r) != ST_OK) {
        if (!strstr(error_last()->msg, words)) give_up("%s", error_last()->msg);
        return NAN;
    }
    int const at = weights_find(w, "a");
    if (at >= 0) assert_int_equal(weights_read(w, at, 0, 1, &first), ST_OK);
    if (outer_key) assert_string_equal(weights_outer_key(w), outer_key);
    weights_close(&w);
    return first;
}

/* Dictionaries that nobody knows are asked for by name, and named where they are not. */
static void outer_keys(void **state)
{
    static const char list[] = "holds no tensors; allowed as outer key: ema, critic";

    (void)state;
    write_torch((const char *const[]){ "ema", "critic" });
    assert_true(isnan(first_under(NULL, list)));
    assert_true(isnan(first_under("generator", "allowed as outer key: ema, critic")));
    assert_true(first_under("ema", "") == 1);
    assert_true(first_under("critic", "") == 3);
    write_torch((const char *const[]){ "critic", "generator" });
    assert_true(first_under(NULL, "") == 3);
    assert_true(first_under("critic", "") == 1);
}

/* What names begin with is an outer key too, in a file without dictionaries. */
static void prefixes(void **state)
{
    static float one[2] = { 1, 1 }, two[2] = { 2, 2 };
    struct tensor_file_item const item[] = {
        { "ema.model.a", { one, DT_F32, 1, { 2 } } },
        { "online.a", { two, DT_F32, 1, { 2 } } },
    };
    struct bind_list l = { 0 };
    struct tensor t;

    (void)state;
    assert_int_equal(tensor_file_write(path, item, COUNT_OF(item)), ST_OK);
    assert_true(first_under("ema", "") == 1);
    assert_true(first_under("online", "") == 2);
    assert_true(isnan(first_under("on", "no name in it begins with `on.`")));
    struct weights *w = open_file(path, WEIGHTS_DIT);
    bind_add(&l, &(struct bind_slot){ .ndim = 1, .dim = { 2 }, .vector = &t }, "a");
    assert_int_equal(bind_check(&l, w), ST_FORMAT);
    assert_non_null(strstr(error_last()->msg, "its names behind `ema.model.`, `online.`"));
    bind_free(&l);
    weights_close(&w);
}

/* ---- shards and folders ---------------------------------------------------------------- */

static void write_text(const char *name, const char *text)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(file_write(path, text, strlen(text)), ST_OK);
}

static void refuse_set(const char *of, const char *want)
{
    struct file_set s;

    assert_int_equal(file_set_open(&s, of, NULL), ST_FORMAT);
    if (!strstr(error_last()->msg, want)) give_up("%s", error_last()->msg);
    file_set_close(&s);
}

static void sets_of_files(void **state)
{
    static const struct {
        const char *index, *want;
    } rows[] = {
        { "{\"weight_map\":{\"a\":\"../x.safetensors\"}}",
          "`../x.safetensors`: the name of a file" },
        { "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "`/etc/passwd`: the name of a file" },
        { "{\"weight_map\":{\"a\":7}}", "`not a text`" },
        { "{\"weight_map\":{}}", "without a weight_map" },
        { "[]", "without a weight_map" },
        { "{\"weight_map\"", "index.json:1:14" },
        { "{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\","
          "\"c\":\"1.safetensors\"}}",
          "2 of 2 shards are not there" },
    };
    static const char *const inside[] = { "none", "sub", NULL };
    struct file_set s;

    (void)state;
    unlink(path);
    refuse_set(dir, "a folder without weights");
    for (int i = 0; i < COUNT_OF(rows); i++) {
        write_text("m.safetensors.index.json", rows[i].index);
        refuse_set(path, rows[i].want);
        refuse_set(dir, rows[i].want);
    }
    unlink(path);
    write_text("a.safetensors", "x");
    assert_int_equal(file_set_open(&s, dir, inside), ST_OK);
    assert_int_equal(s.count, 1);
    file_set_close(&s);
    write_text("b.safetensors", "x");
    refuse_set(dir, "several .safetensors files; name one of a.safetensors, b.safetensors");
    snprintf(path, sizeof path, "%s/sub", dir);
    assert_int_equal(dir_make(path), ST_OK);
    write_text("sub/c.gguf", "x");
    assert_int_equal(file_set_open(&s, dir, inside), ST_OK);
    assert_int_equal(s.count, 1);
    assert_non_null(strstr(s.path[0], "/sub/c.gguf"));
    file_set_close(&s);
    snprintf(path, sizeof path, "%s/f", dir);
}

/* ---- GGUF files that lie ------------------------------------------------------------------ */

/* A file of numbers as text: u8, u32 and u64 in hex behind 1: 4: 8:, texts behind ". */
static size_t make_bytes(unsigned char *out, const char *spec)
{
    size_t n = 0;

    while (*spec) {
        if (*spec == ' ') {
            spec++;
        } else if (*spec == '"') {
            const char *const end = strchr(++spec, '"');
            uint64_t const len = (uint64_t)(end - spec);
            for (int i = 0; i < 8; i++) out[n++] = (unsigned char)(len >> 8 * i);
            memcpy(out + n, spec, len);
            n += len;
            spec = end + 1;
        } else {
            int const bytes = *spec - '0';
            char *end;
            uint64_t const v = strtoull(spec + 2, &end, 16);
            for (int i = 0; i < bytes; i++) out[n++] = (unsigned char)(v >> 8 * i);
            spec = end;
        }
    }
    return n;
}

#define HEAD(tensors, keys) "4:46554747 4:3 8:" tensors " 8:" keys " "

static void broken_gguf(void **state)
{
    static const struct {
        const char *spec, *want;
        int data; /* bytes behind, from the next multiple of 32 on */
    } rows[] = {
        { "4:46554747", "its header is truncated or wrong: 4 bytes from 4 of 4 on", 0 },
        { "4:46554747 4:1 8:0 8:0", "GGUF of version 1; 2 and 3 are read", 0 },
        { "4:46554747 4:3000000 8:0 8:0", "version 50331648, of a big-endian machine", 0 },
        { HEAD("ffffffffffffffff", "0"), "18446744073709551615 tensors in 24 bytes", 0 },
        { HEAD("0", "ffffffffffffffff"), "its header is truncated or wrong: 8 bytes from 24", 0 },
        { HEAD("0", "1") "8:ffffffffffffffff 1:61", "18446744073709551615 bytes from 32", 0 },
        { HEAD("0", "1") "\"k\" 4:d 4:0", "k: a value of type 13; 0 to 12 are known", 0 },
        { HEAD("0", "1") "\"k\" 4:9 4:9 8:1 4:9 8:1", "a list of values of type 9", 0 },
        { HEAD("0", "1") "\"k\" 4:9 4:c 8:2000000000000001", "a list of 2305843009213693953", 0 },
        { HEAD("0", "1") "\"k\" 4:9 4:8 8:ffffffff 8:0",
          "its header is truncated or wrong: 8 bytes", 0 },
        { HEAD("0", "1") "\"general.alignment\" 4:4 4:0", "a power of two up to 1048576", 0 },
        { HEAD("0", "1") "\"general.alignment\" 4:4 4:30", "a power of two up to 1048576", 0 },
        { HEAD("1", "0") "\"a\" 4:11 8:1 4:0 8:0", "a: 17 dimensions; at most 16", 0 },
        { HEAD("1", "0") "\"a\" 4:1 8:ffffffffffffffff 4:0 8:0", "a: not a shape", 0 },
        { HEAD("1", "0") "\"a\" 4:2 8:100000000 8:100000000 4:0 8:0", "a: not a shape", 0 },
        { HEAD("1", "0") "\"a\" 4:1 8:4000000000000000 4:0 8:0", "more bytes than a file", 0 },
        { HEAD("1", "0") "\"a\" 4:1 8:21 4:8 8:0", "33 elements are no whole blocks of Q8_0", 32 },
        { HEAD("1", "0") "\"a\" 4:1 8:4 4:0 8:0", "a: 16 bytes from 0 of 15 on", 15 },
        { HEAD("1", "0") "\"a\" 4:1 8:4 4:0 8:10", "a: lies at 16, no multiple of 32", 64 },
        { HEAD("1", "0") "\"a\" 4:1 8:4 4:0 8:40", "a: 16 bytes from 64 of 32 on", 32 },
        { HEAD("2", "0") "\"a\" 4:1 8:10 4:0 8:0 \"b\" 4:1 8:1 4:0 8:20",
          "b overlaps the tensor before it by 32 bytes", 64 },
        { HEAD("1", "0") "\"\" 4:1 8:4 4:0 8:0", "a tensor's name has 0 bytes", 32 },
        { HEAD("1", "0") "8:1 1:7 4:1 8:4 4:0 8:0", "holds a control character", 32 },
    };
    unsigned char bytes[1024];

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct weights *w;
        memset(bytes, 0, sizeof bytes);
        size_t n = make_bytes(bytes, rows[i].spec);
        if (rows[i].data) n = (n + 31) / 32 * 32 + (size_t)rows[i].data;
        assert_int_equal(file_write(path, bytes, n), ST_OK);
        assert_int_equal(weights_open(&w, path, NULL), ST_FORMAT);
        assert_null(w);
        if (!strstr(error_last()->msg, rows[i].want))
            give_up("row %d: %s; wanted: %s", i, error_last()->msg, rows[i].want);
    }
}

/* Shapes of a folded tensor that do not fit are not taken; an unknown type is listed. */
static void odd_gguf(void **state)
{
    static const char spec[] =
        HEAD("2", "2") "\"comfy.gguf.orig_shape.a\" 4:9 4:5 8:2 4:3 4:5 "
                       "\"comfy.gguf.orig_shape.b\" 4:9 4:b 8:2 8:ffffffffffffffff 8:1 "
                       "\"a\" 4:1 8:10 4:0 8:0 \"b\" 4:1 8:10 4:63 8:40";
    unsigned char bytes[1024] = { 0 };

    (void)state;
    size_t const n = (make_bytes(bytes, spec) + 31) / 32 * 32 + 128;
    assert_int_equal(file_write(path, bytes, n), ST_OK);
    struct weights *w = open_file(path, WEIGHTS_DIT);
    assert_int_equal(weights_count(w), 2);
    assert_int_equal(weights_at(w, weights_find(w, "a"))->ndim, 1);
    assert_string_equal(weights_at(w, weights_find(w, "b"))->dtype, "UNKNOWN");
    weights_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name),  cmocka_unit_test(packed_numbers),
        cmocka_unit_test(scales),      cmocka_unit_test(bound_from_fp8),
        cmocka_unit_test(twins),       cmocka_unit_test(sets_of_files),
        cmocka_unit_test(outer_keys),  cmocka_unit_test(prefixes),
        cmocka_unit_test(broken_gguf), cmocka_unit_test(odd_gguf),
    };
    return cmocka_run_group_tests_name("unit_formats", tests, setup, teardown);
}
