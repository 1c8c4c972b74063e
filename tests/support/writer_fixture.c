/* writer_fixture.c - one small clip, with two formats, prompts, labels and latents: a test of
 * the writer says only what it changes. */
#include "tests/support/writer_fixture.h"
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/strbuf.h"
#include "pipeline/weights/weights.h"
#include "tests/support/as_bytes.h"
#include "tests/support/clips.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>

const struct video_config writer_formats[] = {
    { .path = "clip.mp4", .codec = "h264", .preset = "ultrafast" },
    { .path = "master.mkv", .codec = "ffv1", .pix = "yuv420p10" },
};
static const struct sidecar_prompt prompts[] = {
    { .text = "a lighthouse — \"dusk\"", .asked_at = "0s" },
    { .text = "waves", .asked_at = "1s", .asked_blend = "0.5s", .block = 1, .first_picture = 9 },
};
static const double steps[] = { 1000, 750.5 };
const struct sidecar_info writer_about = {
    .task_id = "0123456789abcdef",
    .job = "harbour",
    .prompt = prompts,
    .prompts = 2,
    .seed = UINT64_MAX,
    .step = steps,
    .steps = 2,
    .shift = 5,
    .guidance = 1,
    .labels = { &(struct sidecar_pair){ "show", "harbour" }, 1 },
};

struct clip_writer_config writer_config(const char *dir, int64_t pictures)
{
    return (struct clip_writer_config){ .dir = dir,
                                        .width = WRITER_W,
                                        .height = WRITER_H,
                                        .fps_num = 16,
                                        .fps_den = 1,
                                        .pictures = pictures,
                                        .format = writer_formats,
                                        .formats = 1,
                                        .about = &writer_about };
}

status writer_push_rgb(struct clip_writer *s, const float *rgb, int n)
{
    struct pixels_layout const layout =
        pixels_layout(WRITER_W, WRITER_H, 1u << PIX_YUV420P | 1u << PIX_YUV420P10);
    struct pictures p = as_bytes(rgb, n, &layout);
    status const st = clip_writer_pictures(s, &p);

    free_bytes(&p);
    return st;
}

status writer_push(struct clip_writer *s, int64_t from, int n)
{
    float *const rgb = malloc(sizeof(float) * WRITER_VALUES * (size_t)n);
    assert_non_null(rgb);
    for (int i = 0; i < n; i++)
        clips_picture(rgb + (ptrdiff_t)i * WRITER_VALUES, WRITER_W, WRITER_H, from + i);
    status const st = writer_push_rgb(s, rgb, n);
    free(rgb);
    return st;
}

static float latent_at(int64_t i) { return (float)sin(0.37 * (double)i) * 3; }

status writer_push_latents(struct clip_writer *s, int64_t from, int n)
{
    float x[4 * WRITER_LATENT];
    for (int64_t i = 0; i < n * WRITER_LATENT; i++) x[i] = latent_at(from * WRITER_LATENT + i);
    return clip_writer_latents(s, x, n);
}

static char *listing(const char *dir)
{
    struct strbuf t = { 0 };
    struct dirent **names;
    int const n = scandir(dir, &names, NULL, alphasort);

    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i]->d_name, ".") && strcmp(names[i]->d_name, ".."))
            strbuf_addf(&t, "%s%s", t.len ? " " : "", names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return t.s ? t.s : strdup("");
}

void writer_lists(const char *dir, const char *want)
{
    char *const got = listing(dir);
    assert_string_equal(got, want);
    free(got);
}

void writer_latents_match(const char *dir, const char *name, enum dtype dtype, int64_t frames)
{
    char *const path = path_join(dir, name);
    struct weights *w;
    const void *data;

    ok(weights_open(&w, path, NULL));
    assert_int_equal(weights_count(w), 1);
    struct tensor t = weights_at(w, 0)->t;
    assert_string_equal(weights_at(w, 0)->name, "latents");
    assert_int_equal(t.dtype, dtype);
    assert_int_equal(t.ndim, 4);
    assert_int_equal(t.dim[0], frames);
    assert_int_equal(t.dim[1], 16);
    assert_int_equal(t.dim[2], WRITER_H / 8);
    assert_int_equal(t.dim[3], WRITER_W / 8);
    ok(weights_fetch(w, 0, &data));
    for (int64_t i = 0; i < frames * WRITER_LATENT; i++) {
        float const want = latent_at(i);
        float const got =
            dtype == DT_F32 ? ((const float *)data)[i] : f32_from_bf16(((const uint16_t *)data)[i]);
        assert_true(got == (dtype == DT_F32 ? want : f32_from_bf16(bf16_from_f32(want))));
    }
    weights_close(&w);
    free(path);
}

/* Width and height stand behind 16 bytes of a PNG, high byte first. */
void writer_png_is(const char *dir, const char *name, int width, int height)
{
    char *const path = path_join(dir, name);
    struct file_map m;

    ok(file_map(&m, path));
    assert_true(m.size > 24);
    assert_memory_equal(m.data, "\x89PNG\r\n\x1a\n", 8);
    assert_int_equal(m.data[18] << 8 | m.data[19], width);
    assert_int_equal(m.data[22] << 8 | m.data[23], height);
    file_unmap(&m);
    free(path);
}
