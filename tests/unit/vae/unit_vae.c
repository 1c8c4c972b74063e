/* unit_vae.c - the autoencoder against recorded clips, and its streaming. */
#include "tests/support/unit.h"

#include "base/strbuf.h"
#include "tests/support/as_bytes.h"
#include "tests/support/vae_clip.h"
#include <math.h>
#include <stdio.h>

static struct vae *open_for(const struct clip *c, const struct kern_backend *b,
                            enum dtype precision, int threads)
{
    char *const path = str_format("%s%s", c->dir, MODEL);
    struct vae *v;

    assert_int_equal(vae_open(&v,
                              &(struct vae_config){
                                  .backend = b,
                                  .threads = threads,
                                  .precision = precision,
                                  .latent_h = c->h,
                                  .latent_w = c->w,
                                  .path = path,
                                  .encoder = true,
                              }),
                     ST_OK);
    free(path);
    return v;
}

/* ---- running ------------------------------------------------------------------ */

/* The clip in calls of 1 + `blocks` * 4, then `blocks` * 4 pictures; caller frees. */
static float *encode(struct vae *v, const struct clip *c, int blocks)
{
    float *const out = poisoned(latent_count(c) * c->frames);
    int from = 0, made = 0;

    while (from < c->pictures) {
        int n = blocks * VAE_PICTURES + (from == 0), frames = -1;
        if (n > c->pictures - from) n = c->pictures - from;
        assert_int_equal(vae_encode(v, c->pixels + from * picture_count(c), n,
                                    out + made * latent_count(c), &frames),
                         ST_OK);
        assert_int_equal(frames, n / VAE_PICTURES + (from == 0));
        from += n;
        made += frames;
    }
    assert_int_equal(made, c->frames);
    return out;
}

static void near(const char *what, const float *got, const float *want, int64_t count, double tol)
{
    double error = 0, size = 0;

    for (int64_t i = 0; i < count; i++) {
        double const d = (double)got[i] - (double)want[i];
        error += d * d;
        size += (double)want[i] * (double)want[i];
    }
    error = sqrt(error / size);
    print_message("  %s rel_l2 %.3g\n", what, error);
    assert_true(error <= tol);
}

static void matches(const char *dir, const struct kern_backend *real, enum dtype precision,
                    double tol)
{
    struct clip c = clip_open(dir);
    struct kern_backend const b = counting(real);
    struct vae *v = open_for(&c, &b, precision, 2);
    float *const pictures = decode(v, &c, 3), *const latents = encode(v, &c, 3);
    char what[96];

    snprintf(what, sizeof what, "%s %s %s decoded", real->name, dir, dtype_name(precision));
    near(what, pictures, c.decoded, picture_count(&c) * c.pictures, tol);
    snprintf(what, sizeof what, "%s %s %s encoded", real->name, dir, dtype_name(precision));
    near(what, latents, c.encoded, latent_count(&c) * c.frames, tol);
    free(pictures);
    free(latents);
    vae_close(&v);
    assert_null(v);
    assert_int_equal(counted.held, 0);
    clip_close(&c);
}

static void golden_on(const struct kern_backend *b)
{
    matches(SMALL, b, DT_F32, 1e-4);
    matches(SMALL, b, DT_BF16, 2e-2);
    matches(ODD, b, DT_F32, 1e-4);
    matches(ODD, b, DT_BF16, 2e-2);
}

static void golden(void **state)
{
    (void)state;
    every_backend(golden_on);
}

static void cuts_on(const struct kern_backend *b)
{
    struct clip c = clip_open(ODD);

    for (int k = 0; k < 2; k++) {
        struct vae *v = open_for(&c, b, k ? DT_BF16 : DT_F32, 1 + k);
        float *const pictures = decode(v, &c, c.frames), *const latents = encode(v, &c, c.frames);
        for (int step = 1; step < c.frames; step++) {
            assert_int_equal(vae_reset(v), ST_OK);
            same_and_free(encode(v, &c, step), latents, latent_count(&c) * c.frames);
            same_and_free(decode(v, &c, step), pictures, picture_count(&c) * c.pictures);
        }
        free(pictures);
        free(latents);
        vae_close(&v);
    }
    clip_close(&c);
}

/* Past and new frames in one piece, or not: the same numbers. */
static void joins_on(const struct kern_backend *real)
{
    struct clip c = clip_open(ODD);
    struct kern_backend b = counting(real);

    b.joins = !b.joins;
    for (int k = 0; k < 2; k++) {
        struct vae *v = open_for(&c, real, k ? DT_BF16 : DT_F32, 1);
        float *const pictures = decode(v, &c, c.frames), *const latents = encode(v, &c, c.frames);
        vae_close(&v);
        v = open_for(&c, &b, k ? DT_BF16 : DT_F32, 1);
        for (int step = 1; step <= c.frames; step++) {
            assert_int_equal(vae_reset(v), ST_OK);
            same_and_free(decode(v, &c, step), pictures, picture_count(&c) * c.pictures);
            same_and_free(encode(v, &c, step), latents, latent_count(&c) * c.frames);
        }
        vae_close(&v);
        free(pictures);
        free(latents);
    }
    clip_close(&c);
}

static void joined_frames_give_the_same_bits(void **state)
{
    (void)state;
    every_backend(joins_on);
}

static void any_cut_gives_the_same_bits(void **state)
{
    (void)state;
    every_backend(cuts_on);
}

static void clips_on(const struct kern_backend *b)
{
    struct clip c = clip_open(ODD);
    struct clip other = reversed(&c);
    int64_t const pixels = picture_count(&c) * c.pictures, values = latent_count(&c) * c.frames;
    struct vae *v = open_for(&c, b, DT_F32, 1);
    float *const pictures = decode(v, &other, 3), *const latents = encode(v, &other, 3);
    int made;

    vae_close(&v);
    v = open_for(&c, b, DT_F32, 1);
    free(decode(v, &c, 3));
    free(encode(v, &c, 3));
    assert_int_equal(vae_reset(v), ST_OK);
    assert_int_equal(vae_decode(v, c.latents, 1, c.decoded, &made), ST_OK); /* a clip cut short */
    assert_int_equal(vae_reset(v), ST_OK);
    same_and_free(decode(v, &other, 3), pictures, pixels);
    same_and_free(encode(v, &other, 3), latents, values);
    vae_close(&v);
    free(pictures);
    free(latents);
    clip_close_reversed(&other);
    clip_close(&c);
}

static void a_reset_forgets_the_clip(void **state)
{
    (void)state;
    every_backend(clips_on);
}

/* ---- a decoder that begins inside a clip --------------------------------------------- */

/* Latents of a clip as long as it takes, from the recorded ones. */
static float *long_clip(const struct clip *c, int frames)
{
    int64_t const count = latent_count(c);
    float *const x = malloc((size_t)(frames * count) * sizeof *x);

    assert_non_null(x);
    for (int i = 0; i < frames; i++)
        for (int64_t k = 0; k < count; k++)
            x[i * count + k] = c->latents[(i % c->frames) * count + k] * (1 + 0.01f * (float)i);
    return x;
}

/* Pictures of the last frame of n. */
static float *last_pictures(struct vae *v, const struct clip *c, const float *latents, int n)
{
    int64_t const pixels = picture_count(c) * VAE_PICTURES;
    float *const all = poisoned(picture_count(c) * n * VAE_PICTURES);
    float *const last = malloc((size_t)pixels * sizeof *last);
    int made;

    assert_non_null(last);
    assert_int_equal(vae_reset(v), ST_OK);
    assert_int_equal(vae_decode(v, latents, n, all, &made), ST_OK);
    memcpy(last, all + made * picture_count(c) - pixels, (size_t)pixels * sizeof *last);
    free(all);
    return last;
}

/* Fed vae_past() frames it goes on to the bit as if it had seen all; what lies before them has no
 * part in it, and what they are has. */
static void begins_inside_a_clip(void **state)
{
    enum { BEFORE = 3 };
    struct clip c = clip_open(SMALL);
    int const past = vae_past(), frames = BEFORE + past + 1;
    int64_t const count = latent_count(&c);
    size_t const bytes = (size_t)(picture_count(&c) * VAE_PICTURES) * sizeof(float);
    struct vae *v = open_for(&c, kern_backend_find("cpu"), DT_F32, 1);
    float *const x = long_clip(&c, frames);
    float *const whole = last_pictures(v, &c, x, frames);
    float *const warmed = last_pictures(v, &c, x + BEFORE * count, past + 1);

    (void)state;
    assert_int_equal(past, 38);
    assert_memory_equal(whole, warmed, bytes);
    for (int64_t k = 0; k < count; k++) x[(frames - 1 - past / 2) * count + k] += 1;
    float *const other = last_pictures(v, &c, x, frames);
    assert_memory_not_equal(whole, other, bytes);
    free(x);
    free(whole);
    free(warmed);
    free(other);
    vae_close(&v);
    clip_close(&c);
}

/* ---- pictures as bytes ---------------------------------------------------------- */

static const unsigned sets[] = { 1u << PIX_YUV420P, 0, 1u << PIX_YUV444P10 | 1u << PIX_YUV422P };

static struct pixels_layout layout_for(const struct clip *c, unsigned formats)
{
    return pixels_layout((int)c->w * VAE_SCALE, (int)c->h * VAE_SCALE, formats);
}

/* In calls of `step` latent frames: what the floats come to. */
static void decodes_to(struct vae *v, const struct clip *c, const struct pictures *want, int step)
{
    struct pixels_layout const layout = layout_for(c, want->formats);
    unsigned char *const got = room_for_bytes(c->pictures, &layout);
    int made = 0;

    assert_int_equal(vae_reset(v), ST_OK);
    for (int i = 0; i < c->frames; i += step) {
        struct vae_out out = { .pixels = got + made * layout.bytes, .formats = want->formats };
        int const n = c->frames - i < step ? c->frames - i : step;
        assert_int_equal(vae_decode_latents(v, c->latents + i * latent_count(c), n, &out), ST_OK);
        made += out.pictures;
    }
    assert_int_equal(made, c->pictures);
    assert_memory_equal(got, want->at, (size_t)(made * layout.bytes));
    free(got);
}

static void refuses_more(struct vae *v, const struct clip *c)
{
    unsigned char byte;
    struct vae_out out = { .pixels = &byte, .formats = (1u << PIX_COUNT) - 1 };
    float number;
    int pictures;

    assert_int_equal(vae_decode_latents(v, c->latents, 1, &out), ST_ARG);
    assert_non_null(strstr(error_last()->msg, " bytes; it was opened for "));
    out.pixels = NULL;
    assert_int_equal(vae_decode_latents(v, c->latents, 1, &out), ST_ARG);
    assert_non_null(strstr(error_last()->msg, "out without pixels"));
    assert_int_equal(vae_decode(v, c->latents, 1, &number, &pictures), ST_ARG);
    assert_non_null(strstr(error_last()->msg, "opened for bytes"));
}

static void notes_what_is_none(struct vae *v, const struct clip *c)
{
    struct pixels_layout const layout = layout_for(c, sets[0]);
    unsigned char *const got = room_for_bytes(1, &layout);
    struct vae_out out = { .pixels = got, .formats = sets[0] };
    struct pixels_flaw flaw;

    assert_int_equal(vae_reset(v), ST_OK);
    c->latents[7] = NAN;
    assert_int_equal(vae_decode_latents(v, c->latents, 1, &out), ST_OK);
    assert_true(pixels_flaw(&flaw, got));
    assert_string_equal(flaw.value, "nan");
    free(got);
}

static void pictures_on(const struct kern_backend *b)
{
    struct clip c = clip_open(ODD);
    struct vae_config config = { .backend = b,
                                 .threads = 2,
                                 .precision = DT_BF16,
                                 .latent_h = c.h,
                                 .latent_w = c.w,
                                 .path = ODD MODEL };
    struct vae *v;

    assert_int_equal(vae_open(&v, &config), ST_OK);
    float *const rgb = decode(v, &c, 1);
    vae_close(&v);
    config.picture_bytes = layout_for(&c, sets[COUNT_OF(sets) - 1]).bytes;
    assert_int_equal(vae_open(&v, &config), ST_OK);
    for (int i = 0; i < COUNT_OF(sets); i++) {
        struct pixels_layout const layout = layout_for(&c, sets[i]);
        struct pictures want = as_bytes(rgb, c.pictures, &layout);
        for (int step = 1; step <= 3; step++) decodes_to(v, &c, &want, step);
        free_bytes(&want);
    }
    refuses_more(v, &c);
    notes_what_is_none(v, &c);
    vae_close(&v);
    free(rgb);
    clip_close(&c);
}

static void pictures_leave_as_bytes(void **state)
{
    (void)state;
    every_backend(pictures_on);
}

/* ---- bytes held ------------------------------------------------------------------ */

static void bytes_on(const struct kern_backend *real)
{
    struct clip c = clip_open(ODD);
    struct kern_backend const b = counting(real);

    for (int k = 0; k < 4; k++) {
        struct vae_config config = {
            .backend = &b,
            .threads = 1,
            .precision = k & 1 ? DT_BF16 : DT_F32,
            .latent_h = c.h,
            .latent_w = c.w,
            .path = ODD MODEL,
            .encoder = k & 2,
        };

        struct vae_bytes need;
        struct vae *v;
        int made;

        assert_int_equal(vae_measure(&need, &config), ST_OK);
        counted.bytes = 0;
        counted.calls = 0;
        assert_int_equal(vae_open(&v, &config), ST_OK);
        assert_int_equal(counted.bytes, need.weights + need.scratch + need.cache);
        assert_int_equal(counted.calls, 4);
        assert_int_equal(vae_decode(v, c.latents, c.frames, c.decoded, &made), ST_OK);
        assert_int_equal(counted.calls, 4);
        vae_close(&v);
        size_t const pinned = need.pinned;
        config.picture_bytes = 4800;
        assert_int_equal(vae_measure(&need, &config), ST_OK);
        counted.bytes = 0;
        assert_int_equal(vae_open(&v, &config), ST_OK);
        assert_int_equal(counted.bytes, need.weights + need.scratch + need.cache);
        assert_int_equal(pinned, 2 * picture_count(&c) * (int64_t)sizeof(float));
        assert_int_equal(need.pinned, 2 * 2 * 4800);
        vae_close(&v);
    }
    clip_close(&c);
}

static void the_plan_is_what_is_taken(void **state)
{
    (void)state;
    every_backend(bytes_on);
}

/* The encoder without the decoder: the same latents, of its own memory alone. */
static void alone_on(const struct kern_backend *real)
{
    struct clip c = clip_open(ODD);
    struct kern_backend const b = counting(real);
    struct vae_config config = { .backend = &b,
                                 .threads = 1,
                                 .latent_h = c.h,
                                 .latent_w = c.w,
                                 .path = ODD MODEL,
                                 .precision = DT_F32,
                                 .alone = true };
    struct vae *const both = open_for(&c, real, DT_F32, 1), *v;
    float *const want = encode(both, &c, 1);
    struct vae_bytes need;
    int made;

    assert_int_equal(vae_measure(&need, &config), ST_OK);
    counted.bytes = 0;
    assert_int_equal(vae_open(&v, &config), ST_OK);
    assert_int_equal(counted.bytes, need.weights + need.scratch + need.cache);
    for (int again = 0; again < 2; again++) {
        float *const got = encode(v, &c, 1);
        assert_memory_equal(got, want, (size_t)(latent_count(&c) * c.frames) * sizeof *want);
        free(got);
        assert_int_equal(vae_reset(v), ST_OK);
    }
    assert_int_equal(vae_decode(v, c.latents, 1, c.decoded, &made), ST_ARG);
    assert_string_equal(error_last()->msg, "vae: opened without the decoder");
    vae_close(&v);
    struct vae *whole = both;
    vae_close(&whole);
    free(want);
    clip_close(&c);
}

static void an_encoder_alone(void **state)
{
    (void)state;
    every_backend(alone_on);
}

static void wrong_calls(void **state)
{
    struct clip c = clip_open(ODD);
    const struct kern_backend *const b = kern_backend_find("ref");
    struct vae_config config = { .backend = b, .threads = 1, .latent_h = c.h, .latent_w = c.w };
    struct vae_bytes need;
    int made;

    (void)state;
    config.path = ODD MODEL;
    config.precision = DT_F16;
    assert_int_equal(vae_measure(&need, &config), ST_ARG);
    assert_string_equal(error_last()->msg, "vae: computes in F32 or BF16, not in F16");
    config.precision = DT_F32;
    config.latent_h = 0;
    assert_int_equal(vae_measure(&need, &config), ST_ARG);
    assert_string_equal(error_last()->msg, "vae: latent of 0 x 3; each side 1 to 4096");
    config.latent_h = c.h;

    struct vae *v = NULL;
    assert_int_equal(vae_open(&v, &config), ST_OK);
    assert_int_equal(vae_encode(v, c.pixels, 1, c.latents, &made), ST_ARG);
    assert_string_equal(error_last()->msg, "vae: opened without the encoder");
    vae_close(&v);
    v = open_for(&c, b, DT_F32, 1);
    assert_int_equal(vae_encode(v, c.pixels, 4, c.latents, &made), ST_ARG);
    assert_string_equal(error_last()->msg, "vae: 4 pictures; needs 1 + 4k at the start of a clip");
    assert_int_equal(vae_encode(v, c.pixels, 1, c.latents, &made), ST_OK);
    assert_int_equal(vae_encode(v, c.pixels, 5, c.latents, &made), ST_ARG);
    assert_string_equal(error_last()->msg, "vae: 5 pictures; needs 4k within a clip");
    c.latents[7] = NAN;
    assert_int_equal(vae_decode(v, c.latents, 1, c.decoded, &made), ST_MISMATCH);
    assert_non_null(strstr(error_last()->msg, "of a frame is not a number"));
    vae_close(&v);
    clip_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(any_cut_gives_the_same_bits),
        cmocka_unit_test(joined_frames_give_the_same_bits),
        cmocka_unit_test(a_reset_forgets_the_clip),
        cmocka_unit_test(begins_inside_a_clip),
        cmocka_unit_test(pictures_leave_as_bytes),
        cmocka_unit_test(the_plan_is_what_is_taken),
        cmocka_unit_test(an_encoder_alone),
        cmocka_unit_test(wrong_calls),
    };
    return cmocka_run_group_tests_name("unit_vae", tests, NULL, NULL);
}
