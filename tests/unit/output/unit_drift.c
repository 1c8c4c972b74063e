/* unit_drift.c - measures of pictures whose figures are known, and figures of known series. */
#include "tests/support/unit.h"

#include "pipeline/output/drift.h"

#include <math.h>

enum { W = 8, H = 6, PICTURES = 40 };

static void fill(uint8_t *rgb8, int r, int g, int b)
{
    for (int i = 0; i < W * H; i++) {
        rgb8[3 * i] = (uint8_t)r;
        rgb8[3 * i + 1] = (uint8_t)g;
        rgb8[3 * i + 2] = (uint8_t)b;
    }
}

static void is_near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9)) print_error("%.12g, wanted %.12g\n", got, want);
    assert_true(fabs(got - want) <= 1e-9);
}

/* A clip of one picture, many times over: its measures, and no drift. */
static void check_still(const uint8_t *rgb8, double brightness, double contrast, double saturation,
                        double sharpness)
{
    double const want[] = { brightness, contrast, saturation, sharpness };
    struct drift d = { 0 };
    struct drift_figures f;

    for (int i = 0; i < PICTURES; i++) ok(drift_add_picture(&d, rgb8, W, H));
    for (int m = 0; m < COUNT_OF(want); m++) {
        assert_true(drift_figures(&f, &d, (enum drift_measure)m, 5));
        is_near(f.first, want[m]);
        is_near(f.last, want[m]);
        is_near(f.vde, 0);
    }
    assert_false(drift_figures(&f, &d, DRIFT_LATENT_MEAN, 5));
    drift_free(&d);
}

static void pictures(void **state)
{
    uint8_t rgb8[3 * W * H];

    (void)state;
    fill(rgb8, 51, 51, 51);
    check_still(rgb8, 0.2, 0, 0, 0);
    fill(rgb8, 255, 0, 51); /* luma (54 * 255 + 19 * 51 + 128) / 256 = 58 */
    check_still(rgb8, 58 / 255.0, 0, 1, 0);
    for (int i = 0; i < W * H; i++) /* a chess board: the Laplacian is 4 or -4 everywhere */
        memset(rgb8 + 3 * i, (i % W + i / W) % 2 ? 255 : 0, 3);
    check_still(rgb8, 0.5, 0.5, 0, 16);
}

/* Brightness falls by 5 a picture from 250: chunks of 4 pictures lie 20 apart. */
static void falling(void **state)
{
    uint8_t rgb8[3 * W * H];
    struct drift d = { 0 };
    struct drift_figures f;
    double sum = 0;

    (void)state;
    for (int i = 0; i < PICTURES; i++) {
        int const v = 250 - 5 * i;
        fill(rgb8, v, v, v);
        ok(drift_add_picture(&d, rgb8, W, H));
    }
    for (int chunk = 1; chunk < DRIFT_CHUNKS; chunk++) sum += (DRIFT_CHUNKS - chunk) * 20.0 * chunk;
    assert_true(drift_figures(&f, &d, DRIFT_BRIGHTNESS, 2));
    is_near(f.first, 247.5 / 255);
    is_near(f.last, 57.5 / 255);
    is_near(f.vde, sum / 45 / 242.5);
    assert_true(drift_figures(&f, &d, DRIFT_BRIGHTNESS, 1000)); /* at most half of the clip */
    is_near(f.first, (250 - 5 * 9.5) / 255);
    assert_int_equal(drift_add_picture(&d, rgb8, W, H - 1), ST_ARG);
    drift_free(&d);
}

/* The mean of latents may be 0; its scale is their deviation. */
static void latents(void **state)
{
    struct drift d = { 0 };
    struct drift_figures f;

    (void)state;
    for (int i = 0; i < DRIFT_CHUNKS; i++) {
        float const shift = i ? 1 : 0;
        float const v[] = { shift - 2, shift + 2 };
        assert_false(drift_figures(&f, &d, DRIFT_LATENT_MEAN, 1));
        ok(drift_add_latent(&d, v, COUNT_OF(v)));
    }
    assert_true(drift_figures(&f, &d, DRIFT_LATENT_MEAN, 1));
    is_near(f.first, 0);
    is_near(f.last, 1);
    is_near(f.vde, 0.5);
    assert_true(drift_figures(&f, &d, DRIFT_LATENT_DEVIATION, 1));
    is_near(f.first, 2);
    is_near(f.vde, 0);
    drift_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures),
        cmocka_unit_test(falling),
        cmocka_unit_test(latents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
