/* unit_adapter.c - LoRAs: what they make of a model's weights, and adapters that do not fit. */
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/strbuf.h"
#include "pipeline/weights/tensor_file.h"
#include "pipeline/weights/weight_bind.h"
#include <math.h>
#include <stdio.h>

#define CASE "tests/golden/longlive-lora/"

static char dir[] = "/tmp/unit_adapter.XXXXXX";
static char base_path[sizeof dir + 16], lora_path[sizeof dir + 16];

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
    snprintf(base_path, sizeof base_path, "%s/base", dir);
    snprintf(lora_path, sizeof lora_path, "%s/lora", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return dir_remove(dir) != ST_OK;
}

static struct weights *open_base(const char *path, const char *outer_key)
{
    struct weights *w;

    if (weights_open_as(&w, &(struct weights_request){ path, outer_key, WEIGHTS_DIT }) != ST_OK)
        give_up("%s", error_last()->msg);
    return w;
}

/* The largest error of the merged tensors, relative L2. */
static double merge_error(const struct weight_adapter *a, int times)
{
    struct weights *w = open_base(CASE "model/longlive_base.pt", "generator");
    struct weights *want;
    double most = 0;

    for (int i = 0; i < times; i++) assert_int_equal(weights_add_adapter(w, a), ST_OK);
    assert_int_equal(weights_open(&want, CASE "merged.safetensors", NULL), ST_OK);
    assert_int_equal(weights_count(want), 10);
    for (int i = 0; i < weights_count(want); i++) {
        const struct weight_info *const info = weights_at(want, i);
        int const at = weights_find(w, info->name);
        const void *data;
        float *const got = malloc((size_t)info->count * sizeof *got);
        double error = 0, norm = 0;
        assert_non_null(got);
        memset(got, 0xff, (size_t)info->count * sizeof *got);
        assert_true(at >= 0);
        assert_false(weights_plain(w, at));
        assert_int_equal(weights_read(w, at, 0, info->count, got), ST_OK);
        assert_int_equal(weights_fetch(want, i, &data), ST_OK);
        for (int64_t e = 0; e < info->count; e++) {
            double const b = (double)((const float *)data)[e], d = (double)got[e] - b;
            error += d * d;
            norm += b * b;
        }
        double const rel = sqrt(error / norm);
        if (!(rel <= most)) most = rel;
        free(got);
    }
    assert_true(weights_plain(w, weights_find(w, "blocks.0.norm3.weight")));
    weights_close(&want);
    weights_close(&w);
    return most;
}

static void golden_merge(void **state)
{
    struct weight_adapter a = { CASE "model/lora.pt", "generator_lora", 8, 16, 1 };

    (void)state;
    double error = merge_error(&a, 1);
    print_message("merged: %.2e off\n", error);
    assert_true(error <= 5e-7);
    a = (struct weight_adapter){ .path = CASE "model/lora.pt", .alpha = 8, .scale = 2 };
    error = merge_error(&a, 1); /* the file's own outer key, the shapes' rank */
    assert_true(error <= 5e-7);
    a.scale = 1;
    error = merge_error(&a, 2); /* two adapters are both added */
    assert_true(error <= 5e-7);
    error = merge_error(&a, 1); /* factor 1 for 2 shows */
    assert_true(error > 1e-3);
}

/* ---- made ones: layer a.q [2, 3] with bias, factors of rank 1, and what they come to ------- */

static float q[6] = { 1, 2, 3, 4, 5, 6 }, bias[2] = { 7, 8 };
static float down[3] = { 1, 10, 100 }, up[2] = { 1, 2 }, alpha[1] = { 3 },
             diff[6] = { 1, 1, 1, 1, 1, 1 };

static void write_base(void)
{
    struct tensor_file_item const item[] = {
        { "model.blocks.0.a.q.weight", { q, DT_F32, 2, { 2, 3 } } },
        { "model.blocks.0.a.q.bias", { bias, DT_F32, 1, { 2 } } },
        { "model.blocks.0.modulation", { bias, DT_F32, 1, { 2 } } },
    };
    assert_int_equal(tensor_file_write(base_path, item, COUNT_OF(item)), ST_OK);
}

#define DOWN(name, r, k)                                                                           \
    {                                                                                              \
        name,                                                                                      \
        {                                                                                          \
            down, DT_F32, 2, { r, k }                                                              \
        }                                                                                          \
    }
#define UP(name, n, r)                                                                             \
    {                                                                                              \
        name,                                                                                      \
        {                                                                                          \
            up, DT_F32, 2, { n, r }                                                                \
        }                                                                                          \
    }
#define ALPHA(name)                                                                                \
    {                                                                                              \
        name,                                                                                      \
        {                                                                                          \
            alpha, DT_F32, 1, { 1 }                                                                \
        }                                                                                          \
    }

enum { ITEMS = 4 };

static void every_form(void **state)
{
    static const struct {
        struct tensor_file_item item[ITEMS];
        double alpha, scale;
        float factor; /* of up x down */
        float all;    /* added to every weight, and 2 of it to the bias */
    } rows[] = {
        { { DOWN("base_model.model.blocks.0.a.q.lora_A.weight", 1, 3),
            UP("base_model.model.blocks.0.a.q.lora_B.weight", 2, 1) },
          2,
          0,
          2,
          0 },
        { { DOWN("diffusion_model.blocks.0.a.q.lora_down.weight", 1, 3),
            UP("diffusion_model.blocks.0.a.q.lora_up.weight", 2, 1),
            ALPHA("diffusion_model.blocks.0.a.q.alpha") },
          0,
          0.5,
          1.5f,
          0 },
        { { DOWN("lora_unet_blocks_0_a_q.lora_down.weight", 1, 3),
            UP("lora_unet_blocks_0_a_q.lora_up.weight", 2, 1),
            ALPHA("lora_unet_blocks_0_a_q.alpha") },
          3,
          -1,
          -3,
          0 },
        { { DOWN("transformer.blocks.0.a.q.lora_A.default.weight", 1, 3),
            UP("transformer.blocks.0.a.q.lora_B.default.weight", 2, 1),
            { "text_encoder.x.lora_A.weight", { up, DT_F32, 1, { 2 } } } },
          1,
          1,
          1,
          0 },
        { { { "diffusion_model.blocks.0.a.q.diff", { diff, DT_F32, 2, { 2, 3 } } },
            { "diffusion_model.blocks.0.a.q.diff_b", { diff, DT_F32, 1, { 2 } } },
            { "diffusion_model.blocks.0.diff_m", { diff, DT_F32, 1, { 2 } } } },
          0,
          2,
          0,
          2 },
    };

    (void)state;
    write_base();
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct weight_adapter const a = { .path = lora_path,
                                          .alpha = rows[i].alpha,
                                          .scale = rows[i].scale };
        float got[6] = { NAN, NAN, NAN, NAN, NAN, NAN };
        int n = 0;
        while (n < ITEMS && rows[i].item[n].name) n++;
        assert_int_equal(tensor_file_write(lora_path, rows[i].item, n), ST_OK);
        struct weights *w = open_base(base_path, NULL);
        if (weights_add_adapter(w, &a) != ST_OK) give_up("%s", error_last()->msg);
        int const at = weights_find(w, "blocks.0.a.q.weight");
        assert_int_equal(weights_read(w, at, 0, 6, got), ST_OK);
        for (int e = 0; e < 6; e++)
            assert_true(got[e] == q[e] + rows[i].factor * up[e / 3] * down[e % 3] + rows[i].all);
        got[0] = got[1] = got[2] = NAN;
        assert_int_equal(weights_read(w, at, 3, 3, got), ST_OK); /* the second row */
        assert_true(got[1] == q[4] + rows[i].factor * up[1] * down[1] + rows[i].all);
        assert_int_equal(weights_read(w, weights_find(w, "blocks.0.a.q.bias"), 0, 2, got), ST_OK);
        assert_true(got[0] == bias[0] + rows[i].all && got[1] == bias[1] + rows[i].all);
        assert_int_equal(weights_read(w, weights_find(w, "blocks.0.modulation"), 0, 2, got), ST_OK);
        assert_true(got[0] == bias[0] + rows[i].all && got[1] == bias[1] + rows[i].all);
        weights_close(&w);
    }
}

static void misfits(void **state)
{
    static const struct {
        struct tensor_file_item item[ITEMS];
        int rank;
        double alpha;
        const char *want;
    } rows[] = {
        { { DOWN("blocks.0.a.q.lora_A.weight", 1, 3), UP("blocks.0.a.q.lora_B.weight", 2, 1) },
          0,
          0,
          "alpha    blocks.0.a.q: given neither in the file nor beside it" },
        { { DOWN("blocks.0.a.q.lora_A.weight", 1, 3), UP("blocks.0.a.q.lora_B.weight", 2, 1) },
          2,
          1,
          "rank     blocks.0.a.q is of 1, 2 was given" },
        { { DOWN("blocks.0.a.q.lora_A.weight", 1, 3), UP("blocks.0.a.q.lora_B.weight", 2, 1),
            ALPHA("blocks.0.a.q.alpha") },
          0,
          4,
          "alpha    blocks.0.a.q is 3 in the file, 4 was given" },
        { { DOWN("blocks.0.a.q.lora_A.weight", 1, 2), UP("blocks.0.a.q.lora_B.weight", 2, 1) },
          0,
          1,
          "shape    blocks.0.a.q: factors [2, 1] and [1, 2] for [2, 3]" },
        { { DOWN("blocks.0.a.q.lora_A.weight", 1, 3), UP("blocks.0.a.q.lora_B.weight", 1, 2) },
          0,
          1,
          "shape    blocks.0.a.q: factors [1, 2] and [1, 3] for [2, 3]" },
        { { DOWN("blocks.1.a.q.lora_A.weight", 1, 3), UP("blocks.1.a.q.lora_B.weight", 2, 1) },
          0,
          1,
          "unknown  blocks.1.a.q: the model has no such layer" },
        { { DOWN("blocks.0.a.q.lora_A.weight", 1, 3) },
          0,
          1,
          "missing  blocks.0.a.q: the other of its two factors" },
        { { ALPHA("blocks.0.a.q.alpha") }, 0, 1, "there is an alpha alone" },
        { { DOWN("blocks.0.a.q.lora_A.weight", 1, 3), DOWN("x.blocks.0.a.q.lokr_w1", 1, 3) },
          0,
          1,
          "unread   x.blocks.0.a.q.lokr_w1: of another kind of adapter" },
        { { DOWN("blocks.0.a.q.lora_A.weight", 1, 3),
            DOWN("model.blocks.0.a.q.lora_down.weight", 1, 3),
            UP("blocks.0.a.q.lora_B.weight", 2, 1) },
          0,
          1,
          "twice    blocks.0.a.q.lora_" },
        { { DOWN("lora_te1_x.lora_down.weight", 1, 3) }, 0, 1, "it changes nothing of the model" },
        { { DOWN("blocks.0.a.q.weight", 1, 3) }, 0, 1, "it seems to be no LoRA" },
        { { { "blocks.0.a.q.diff", { diff, DT_F32, 1, { 5 } } } },
          0,
          1,
          "shape    blocks.0.a.q.diff is [5] for [2, 3]" },
    };

    (void)state;
    write_base();
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct weight_adapter const a = { .path = lora_path,
                                          .rank = rows[i].rank,
                                          .alpha = rows[i].alpha };
        float got[6];
        int n = 0;
        while (n < ITEMS && rows[i].item[n].name) n++;
        assert_int_equal(tensor_file_write(lora_path, rows[i].item, n), ST_OK);
        struct weights *w = open_base(base_path, NULL);
        assert_int_equal(weights_add_adapter(w, &a), ST_FORMAT);
        if (!strstr(error_last()->msg, rows[i].want))
            give_up("%s\nwanted: %s", error_last()->msg, rows[i].want);
        /* Of one that was refused nothing is added. */
        assert_int_equal(weights_read(w, weights_find(w, "blocks.0.a.q.weight"), 0, 6, got), ST_OK);
        assert_memory_equal(got, q, sizeof q);
        weights_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_merge),
        cmocka_unit_test(every_form),
        cmocka_unit_test(misfits),
    };
    return cmocka_run_group_tests_name("unit_adapter", tests, setup, teardown);
}
