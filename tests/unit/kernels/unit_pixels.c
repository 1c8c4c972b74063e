/* unit_pixels.c - float RGB to YUV and bytes, against a model in doubles; quality; digest. */
#include "tests/support/unit.h"

#include "base/digest.h"
#include "kernels/pixels.h"
#include "pipeline/output/quality.h"
#include <math.h>

enum { GUARD = 0xa5, PAD = 6 };

static uint32_t seed;

/* -1.3..1.3, so that some are clipped. */
static float random_value(void)
{
    seed = seed * 1664525u + 1013904223u;
    return ((float)(seed >> 8) / 16777216.0f - 0.5f) * 2.6f;
}

static double unit(double v) { return (fmin(fmax(v, -1.0), 1.0) + 1.0) / 2.0; }

/* Scaled Y, Cb or Cr of one pixel; columns and rows beyond the edge are the edge. */
static double model_at(const float *rgb, int w, int h, int x, int y, int plane, int bits)
{
    x = x < 0 ? 0 : x >= w ? w - 1 : x;
    y = y >= h ? h - 1 : y;
    const float *const p = rgb + 3 * (y * w + x);
    double const r = unit(p[0]), g = unit(p[1]), b = unit(p[2]);
    double const luma = 0.2126 * r + 0.7152 * g + 0.0722 * b, scale = pow(2, bits - 8);

    if (plane == 0) return (219 * luma + 16) * scale;
    if (plane == 1) return (224 * (b - luma) / 1.8556 + 128) * scale;
    return (224 * (r - luma) / 1.5748 + 128) * scale;
}

static double model(const float *rgb, int w, int h, int x, int y, int plane,
                    const struct pix_info *p)
{
    static const int weight[3] = { 1, 2, 1 };
    int const across = plane ? p->across : 1, down = plane ? p->down : 1;
    double sum = 0;

    for (int dy = 0; dy < down; dy++)
        for (int dx = -1; dx <= 1; dx++) {
            if (across == 1 && dx) continue;
            double const k = across == 1 ? 1.0 : weight[dx + 1] / 4.0;
            sum += k / down * model_at(rgb, w, h, across * x + dx, down * y + dy, plane, p->bits);
        }
    return sum;
}

static void one_size(enum pix pix, int w, int h)
{
    const struct pix_info *const p = pix_info(pix);
    int const bytes = p->bits > 8 ? 2 : 1, stride = w * bytes + PAD;
    size_t const size = (size_t)stride * (size_t)h;
    float *const rgb = malloc(sizeof(float) * 3 * (size_t)(w * h));
    float *const scratch = malloc(sizeof(float) * PIXELS_SCRATCH * (size_t)w);
    struct pixels_yuv job = { .rgb = rgb, .width = w, .height = h, .pix = pix, .scratch = scratch };

    for (int i = 0; i < 3 * w * h; i++) rgb[i] = random_value();
    for (int i = 0; i < 3; i++) {
        job.plane[i] = malloc(size);
        job.stride[i] = stride;
        memset(job.plane[i], GUARD, size);
    }
    pixels_to_yuv(&job);
    for (int i = 0; i < 3; i++) {
        int const columns = i ? (w + p->across - 1) / p->across : w;
        int const rows = i ? (h + p->down - 1) / p->down : h;
        for (int y = 0; y < h; y++) {
            const unsigned char *const row = job.plane[i] + y * stride;
            int const used = y < rows ? columns : 0;
            for (int x = 0; x < used; x++) {
                int const got = bytes == 1 ? row[x] : row[2 * x] | row[2 * x + 1] << 8;
                /* half for rounding; float32 sums of ten terms below 1024 err by less than 1e-3 */
                double const err = fabs(got - model(rgb, w, h, x, y, i, p));
                if (err <= 0.5 + 1e-3) continue;
                print_error("%s %dx%d plane %d (%d, %d): off by %g\n", p->name, w, h, i, x, y, err);
                assert_true(false);
            }
            for (int k = used * bytes; k < stride; k++) assert_int_equal(row[k], GUARD);
        }
        free(job.plane[i]);
    }
    free(rgb);
    free(scratch);
}

static void yuv_is_the_model(void **state)
{
    static const int sizes[][2] = {
        { 1, 1 }, { 2, 2 }, { 7, 5 }, { 16, 16 }, { 33, 18 }, { 64, 3 }
    };

    (void)state;
    seed = 20240607;
    for (int p = 0; p < PIX_COUNT; p++)
        for (int i = 0; i < COUNT_OF(sizes); i++) one_size((enum pix)p, sizes[i][0], sizes[i][1]);
}

static void known_colours(void **state)
{
    static const struct {
        float rgb[3];
        int y, cb, cr;
    } colours[] = {
        { { -1, -1, -1 }, 16, 128, 128 },   { { 1, 1, 1 }, 235, 128, 128 },
        { { 1, -1, -1 }, 63, 102, 240 },    { { -1, 1, -1 }, 173, 42, 26 },
        { { -1, -1, 1 }, 32, 240, 118 },    { { -1, 170 / 127.5f - 1, -1 }, 120, 70, 60 },
        { { 2, 9, 1e30f }, 235, 128, 128 }, { { NAN, -INFINITY, NAN }, 16, 128, 128 },
    };
    unsigned char out[3];
    float scratch[PIXELS_SCRATCH];

    (void)state;
    for (int i = 0; i < COUNT_OF(colours); i++) {
        pixels_to_yuv(&(struct pixels_yuv){ .rgb = colours[i].rgb,
                                            .width = 1,
                                            .height = 1,
                                            .pix = PIX_YUV444P,
                                            .plane = { out, out + 1, out + 2 },
                                            .stride = { 1, 1, 1 },
                                            .scratch = scratch });
        assert_int_equal(out[0], colours[i].y);
        assert_int_equal(out[1], colours[i].cb);
        assert_int_equal(out[2], colours[i].cr);
    }
}

static void bytes(void **state)
{
    static const float in[] = { -1, 1, 0, -2, 2, -1 + 1 / 255.0f, 1 - 1.01f / 255, 0.5f };
    static const uint8_t want[] = { 0, 255, 128, 0, 255, 1, 254, 191 };
    uint8_t out[COUNT_OF(in)], luma[2];
    static const uint8_t rgb[] = { 255, 255, 255, 10, 20, 30 };

    (void)state;
    pixels_to_rgb8(out, in, COUNT_OF(in));
    assert_memory_equal(out, want, sizeof want);
    pixels_to_luma8(luma, rgb, 2);
    assert_int_equal(luma[0], 255);
    assert_int_equal(luma[1], (54 * 10 + 183 * 20 + 19 * 30 + 128) / 256);
}

static void bad_values_are_found(void **state)
{
    static const float bad[] = { NAN, -NAN, INFINITY, -INFINITY };
    static float v[10000];

    (void)state;
    for (int i = 0; i < COUNT_OF(v); i++) v[i] = 1e38f;
    assert_int_equal(pixels_first_bad(v, COUNT_OF(v)), -1);
    assert_int_equal(pixels_first_bad(v, 0), -1);
    for (int i = 0; i < COUNT_OF(bad); i++) {
        v[9999] = v[4096 + i] = bad[i];
        assert_int_equal(pixels_first_bad(v, COUNT_OF(v)), 4096 + i);
        v[4096 + i] = 0;
        assert_int_equal(pixels_first_bad(v, COUNT_OF(v)), 9999);
    }
}

static void names(void **state)
{
    enum pix p;

    (void)state;
    for (int i = 0; i < PIX_COUNT; i++) {
        assert_true(pix_from_name(&p, pix_info((enum pix)i)->name));
        assert_int_equal(p, i);
    }
    assert_false(pix_from_name(&p, "rgb24"));
    assert_false(pix_from_name(&p, ""));
}

static void grey(uint8_t *rgb, int pixels, int value) { memset(rgb, value, (size_t)pixels * 3); }

static void quality_counts(void **state)
{
    static const int frames[] = { 0, 0, 100, 100, 255 };
    enum { PIXELS = 200 };
    uint8_t rgb[PIXELS * 3];
    struct quality q;

    (void)state;
    assert_int_equal(quality_init(&q, PIXELS), ST_OK);
    assert_true(quality_luma_mean(&q) == 0 && quality_motion_mean(&q) == 0);
    for (int i = 0; i < COUNT_OF(frames); i++) {
        grey(rgb, PIXELS, frames[i]);
        quality_add(&q, rgb);
    }
    assert_int_equal(q.frames, 5);
    assert_int_equal(q.black, 2);
    assert_int_equal(q.frozen, 2);
    assert_int_equal(q.luma_min, 0);
    assert_int_equal(q.luma_max, 255);
    assert_true(fabs(quality_luma_mean(&q) - 455 / (5 * 255.0)) < 1e-12);
    assert_true(fabs(quality_motion_mean(&q) - 255 / (4 * 255.0)) < 1e-12);
    grey(rgb, PIXELS, 0);
    grey(rgb, 5, 255); /* 2.5 % bright: not black */
    quality_add(&q, rgb);
    assert_int_equal(q.black, 2);
    grey(rgb, 1, 0); /* 2 % bright: black */
    quality_add(&q, rgb);
    assert_int_equal(q.black, 3);
    quality_free(&q);
    quality_free(&q);
}

static void digests(void **state)
{
    struct digest d;
    char hex[DIGEST_HEX], whole[DIGEST_HEX];

    (void)state;
    assert_int_equal(digest_open(&d), ST_OK);
    assert_int_equal(digest_add(&d, "frames ", 7), ST_OK);
    assert_int_equal(digest_add(&d, "pass by", 7), ST_OK);
    assert_int_equal(digest_end(&d, hex), ST_OK);
    assert_int_equal(digest_bytes("frames pass by", 14, whole), ST_OK);
    assert_string_equal(hex, whole);
    assert_int_equal(digest_end(&d, hex), ST_OK); /* it has begun anew */
    assert_int_equal(digest_bytes("", 0, whole), ST_OK);
    assert_string_equal(hex, whole);
    digest_close(&d);
    digest_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yuv_is_the_model),
        cmocka_unit_test(known_colours),
        cmocka_unit_test(bytes),
        cmocka_unit_test(bad_values_are_found),
        cmocka_unit_test(names),
        cmocka_unit_test(quality_counts),
        cmocka_unit_test(digests),
    };
    return cmocka_run_group_tests_name("unit_pixels", tests, NULL, NULL);
}
