/* unit_random_model.c - made models have the release's names and shapes. */
#include "tests/support/unit.h"

#include "pipeline/weights/weights.h"
#include "tools/random_model.h"
#include <math.h>

/* The sizes of rolling-5-step, text-small and vae-small. */
static const struct model_size golden = {
    .dit_dim = 64,
    .dit_ffn = 128,
    .dit_heads = 2,
    .dit_layers = 2,
    .freq_dim = 256,
    .text_dim = 64,
    .text_ffn = 160,
    .text_heads = 4,
    .text_layers = 3,
    .vocab = 384,
    .vae_width = 4,
};

static void same_list(const struct random_list *l, const char *file, bool same_order)
{
    struct weights *w;

    assert_false(l->failed);
    assert_int_equal(weights_open(&w, file, NULL), ST_OK);
    assert_int_equal(l->count, weights_count(w));
    for (int i = 0; i < l->count; i++) {
        int const at = weights_find(w, l->at[i].name);
        if (at < 0) print_error("%s is not in %s\n", l->at[i].name, file);
        assert_true(at >= 0);
        assert_true(tensor_same_shape(&weights_at(w, at)->t, &l->at[i].t));
        assert_int_equal(weights_at(w, at)->t.dtype, l->at[i].t.dtype);
        if (same_order) assert_int_equal(at, i);
    }
    weights_close(&w);
}

static void release_names_and_shapes(void **state)
{
    struct random_list l = { 0 };

    (void)state;
    random_dit(&l, &golden, DT_F32);
    same_list(&l, "tests/golden/rolling-5-step/model/rolling_forcing_dmd.pt", true);
    same_list(&l, "tests/golden/rolling-5-step/model/diffusion_pytorch_model.safetensors", false);
    random_free(&l);
    random_text(&l, &golden);
    same_list(&l, "tests/golden/text-small/model/models_t5_umt5-xxl-enc-bf16.pth", true);
    random_free(&l);
    random_vae(&l, &golden);
    same_list(&l, "tests/golden/vae-small/model/Wan2.1_VAE.pth", true);
    random_free(&l);
}

/* A value depends on seed, name and element, not on how the work is cut. */
static void values(void **state)
{
    enum { N = 20000 };
    static float a[N], b[N];
    struct random_tensor t = { .name = "x", .mean = 3, .spread = 0.5f };
    double sum = 0, squares = 0;

    (void)state;
    t.t.dtype = DT_F32;
    random_fill(a, &t, 1, 0, N);
    random_fill(b, &t, 1, 0, 777);
    random_fill(b + 777, &t, 1, 777, N - 777);
    assert_memory_equal(a, b, sizeof a);
    random_fill(b, &t, 2, 0, N);
    assert_memory_not_equal(a, b, sizeof a);
    t.name[0] = 'y';
    random_fill(b, &t, 1, 0, N);
    assert_memory_not_equal(a, b, sizeof a);
    for (int i = 0; i < N; i++) {
        sum += a[i];
        squares += (a[i] - 3.0) * (a[i] - 3.0);
    }
    /* Of 20000: the mean within 5 standard errors, the spread too. */
    assert_true(fabs(sum / N - 3) <= 5 * 0.5 / sqrt(N));
    assert_true(fabs(sqrt(squares / N) - 0.5) <= 5 * 0.5 / sqrt(2.0 * N));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(release_names_and_shapes),
        cmocka_unit_test(values),
    };
    return cmocka_run_group_tests_name("unit_random_model", tests, NULL, NULL);
}
