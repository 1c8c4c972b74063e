/* unit_dit_shape.c - a transformer's config.json: what is read of it, and what is refused. */
#include "tests/support/unit.h"

#include "base/strbuf.h"
#include "pipeline/dit/dit.h"
#include "pipeline/weights/tensor_file.h"

#include <stdio.h>
#include <unistd.h>

static char path[] = "/tmp/unit-dit-shape.XXXXXX";

static status read_text(struct dit_shape *out, const char *text)
{
    FILE *const f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
    return dit_shape_read(out, path);
}

/* A good one, with these members before it: the first of a name counts. */
#define REST                                                                                       \
    "\"dim\": 96, \"ffn_dim\": 128, \"num_heads\": 4, \"num_layers\": 3, \"text_dim\": 32, "       \
    "\"text_len\": 12, \"freq_dim\": 64, \"in_dim\": 16, \"out_dim\": 16}"

static void good_configs(void **state)
{
    struct dit_shape s;

    (void)state;
    ok(read_text(&s, "\xef\xbb\xbf{\"patch_size\": [1, 2, 2], \"model_type\": \"t2v\", " REST));
    assert_int_equal(s.dim, 96);
    assert_int_equal(s.heads, 4);
    assert_int_equal(s.layers, 3);
    assert_int_equal(s.channels, 16);
    assert_float_equal(s.eps, 1e-6, 1e-9);
    ok(read_text(&s, "{\"eps\": 1e-5, " REST));
    assert_float_equal(s.eps, 1e-5, 1e-9);
}

/* As diffusers writes it, of the 1.3B model; what stands here is of one that may differ. */
#define DIFFUSERS(head, in, norm)                                                                  \
    "{\"_class_name\": \"WanTransformer3DModel\", \"added_kv_proj_dim\": null, "                   \
    "\"attention_head_dim\": " head ", \"cross_attn_norm\": true, \"eps\": 1e-06, "                \
    "\"ffn_dim\": 8960, \"freq_dim\": 256, \"image_dim\": null, \"in_channels\": " in ", "         \
    "\"num_attention_heads\": 12, \"num_layers\": 30, \"out_channels\": 16, "                      \
    "\"patch_size\": [1, 2, 2], \"qk_norm\": \"" norm "\", \"text_dim\": 4096}"

static void diffusers_configs(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { DIFFUSERS("128", "36", "rms_norm_across_heads"), "channels differ: 36 and 16" },
        { DIFFUSERS("6000", "16", "rms_norm_across_heads"), "attention_head_dim: a whole number" },
        { DIFFUSERS("128", "16", "layer_norm"), "qk_norm: only true is supported" },
    };
    struct dit_shape s;

    (void)state;
    ok(read_text(&s, DIFFUSERS("128", "16", "rms_norm_across_heads")));
    assert_int_equal(s.dim, 1536);
    assert_int_equal(s.heads, 12);
    assert_int_equal(s.layers, 30);
    assert_int_equal(s.ffn_dim, 8960);
    assert_int_equal(s.text_dim, 4096);
    assert_int_equal(s.text_len, 512);
    assert_int_equal(s.freq_dim, 256);
    assert_int_equal(s.channels, 16);
    for (int i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(read_text(&s, rows[i].text), ST_FORMAT);
        assert_non_null(strstr(error_last()->msg, rows[i].want));
    }
}

static void broken_configs(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "", "" },
        { "[]", "an object is expected" },
        { "{\"dim\": 96", "" },
        { "{\"model_type\": \"i2v\", " REST, "model_type: i2v; only \"t2v\" is supported" },
        { "{\"model_type\": 7, " REST, "model_type: not a text; only \"t2v\" is supported" },
        { "{\"patch_size\": [1, 2], " REST, "patch_size: only [1, 2, 2] is supported" },
        { "{\"patch_size\": 4, " REST, "patch_size: only [1, 2, 2] is supported" },
        { "{\"patch_size\": [1, 2, 2.5], " REST, "patch_size: only [1, 2, 2] is supported" },
        { "{\"qk_norm\": false, " REST, "qk_norm: only true is supported" },
        { "{}", "dim: missing; a whole number from 1 to 65536" },
        { "{\"dim\": 0}", "dim: a whole number from 1 to 65536 is allowed" },
        { "{\"dim\": -96}", "dim: a whole number from 1 to 65536 is allowed" },
        { "{\"dim\": 96.5}", "dim: a whole number from 1 to 65536 is allowed" },
        { "{\"dim\": 1e9}", "dim: a whole number from 1 to 65536 is allowed" },
        { "{\"dim\": 99999999999999999999}", "1:9: a whole number beyond 64 bits" },
        { "{\"dim\": \"96\"}", "dim: a whole number from 1 to 65536 is allowed" },
        { "{\"eps\": 0, " REST, "eps: a number between 0 and 1 is allowed" },
        { "{\"eps\": \"small\", " REST, "eps: a number between 0 and 1 is allowed" },
    };
    struct dit_shape s;

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(read_text(&s, rows[i].text), ST_FORMAT);
        if (!strstr(error_last()->msg, rows[i].want))
            assert_string_equal(error_last()->msg, rows[i].want);
    }
}

/* Numbers that are allowed one by one. */
static void numbers_that_do_not_fit(void **state)
{
    static const struct {
        const char *member, *other, *want;
    } rows[] = {
        { "\"dim\": 96", "\"dim\": 97", "dim 97 does not split into 4 heads of even size" },
        { "\"dim\": 96", "\"dim\": 100", "dim 100 does not split into 4 heads of even size" },
        { "\"out_dim\": 16", "\"out_dim\": 8", "in_dim and out_dim differ: 16 and 8" },
        { "\"freq_dim\": 64", "\"freq_dim\": 63", "freq_dim: 63; an even number is allowed" },
    };
    static const char whole[] = "{" REST;
    struct dit_shape s;

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        const char *const at = strstr(whole, rows[i].member);
        assert_non_null(at);
        char *const text = str_format("%.*s%s%s", (int)(at - whole), whole, rows[i].other,
                                      at + strlen(rows[i].member));
        assert_int_equal(read_text(&s, text), ST_FORMAT);
        assert_non_null(strstr(error_last()->msg, rows[i].want));
        free(text);
    }
}

/* Without a config.json: by the weights' shapes, and heads of 128. */
static void by_the_weights(void **state)
{
    static float numbers[256 * 128];
    struct tensor_file_item item[] = {
        { "net.blocks.0.self_attn.q.weight", { numbers, DT_F32, 2, { 128, 128 } } },
        { "net.blocks.1.self_attn.q.weight", { numbers, DT_F32, 2, { 128, 128 } } },
        { "net.blocks.0.ffn.0.weight", { numbers, DT_F32, 2, { 256, 128 } } },
        { "net.text_embedding.0.weight", { numbers, DT_F32, 2, { 128, 32 } } },
        { "net.time_embedding.0.weight", { numbers, DT_F32, 2, { 128, 64 } } },
        { "net.patch_embedding.weight", { numbers, DT_F32, 5, { 128, 16, 1, 2, 2 } } },
    };
    struct dit_shape s;

    (void)state;
    ok(tensor_file_write(path, item, COUNT_OF(item)));
    ok(dit_shape_read(&s, path));
    assert_int_equal(s.dim, 128);
    assert_int_equal(s.heads, 1);
    assert_int_equal(s.layers, 2);
    assert_int_equal(s.ffn_dim, 256);
    assert_int_equal(s.text_dim, 32);
    assert_int_equal(s.text_len, 512);
    assert_int_equal(s.freq_dim, 64);
    assert_int_equal(s.channels, 16);
    item[0].t.dim[0] = 96;
    ok(tensor_file_write(path, item, COUNT_OF(item)));
    assert_int_equal(dit_shape_read(&s, path), ST_FORMAT);
    assert_non_null(strstr(error_last()->msg, "a width of 96 says nothing of the heads"));
    ok(tensor_file_write(path, item, COUNT_OF(item) - 1));
    assert_int_equal(dit_shape_read(&s, path), ST_FORMAT);
    assert_non_null(strstr(error_last()->msg, "what is around its layers is not there"));
    ok(tensor_file_write(path, item + 5, 1));
    assert_int_equal(dit_shape_read(&s, path), ST_FORMAT);
    assert_non_null(strstr(error_last()->msg, "it seems to be a video transformer"));
}

static int make_file(void **state)
{
    (void)state;
    int const fd = mkstemp(path);
    return fd < 0 || close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_configs),   cmocka_unit_test(diffusers_configs),
        cmocka_unit_test(broken_configs), cmocka_unit_test(numbers_that_do_not_fit),
        cmocka_unit_test(by_the_weights),
    };
    return cmocka_run_group_tests_name("unit_dit_shape", tests, make_file, remove_file);
}
