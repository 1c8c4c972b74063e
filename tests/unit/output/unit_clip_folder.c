/* unit_clip_folder.c - what a finished clip's folder holds, and what clip.json says of it. */
#include "tests/support/unit.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "tests/support/clips.h"
#include "tests/support/writer_fixture.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

static json_t *load(const char *dir)
{
    char *const path = path_join(dir, "clip.json");
    json_error_t e;
    json_t *const j = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
    assert_non_null(j);
    free(path);
    return j;
}

/* The value at "a.b.2.c". */
static json_t *at(json_t *j, const char *path)
{
    char key[64];

    while (*path && j) {
        size_t const n = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)n, path);
        j = json_is_array(j) ? json_array_get(j, (size_t)atoi(key)) : json_object_get(j, key);
        path += n + (path[n] == '.');
    }
    return j;
}

static void is_text(json_t *j, const char *path, const char *want)
{
    const char *const got = json_string_value(at(j, path));
    if (!got) print_error("%s is no text\n", path);
    assert_non_null(got);
    assert_string_equal(got, want);
}

static void is_int(json_t *j, const char *path, int64_t want)
{
    if (!json_is_integer(at(j, path))) print_error("%s is no whole number\n", path);
    assert_true(json_is_integer(at(j, path)));
    assert_int_equal(json_integer_value(at(j, path)), want);
}

static void hashes_match(json_t *j, const char *dir, int files)
{
    struct file_map m;
    char hex[DIGEST_HEX];

    assert_int_equal(json_array_size(at(j, "files")), files);
    for (int i = 0; i < files; i++) {
        json_t *const f = json_array_get(at(j, "files"), (size_t)i);
        char *const path = path_join(dir, json_string_value(at(f, "name")));
        ok(file_map(&m, path));
        is_int(f, "bytes", (int64_t)m.size);
        file_unmap(&m);
        ok(digest_file(path, hex));
        is_text(f, "sha256", hex);
        free(path);
    }
}

static void frames_match(json_t *j, int64_t pictures, const int64_t *ends, int blocks)
{
    uint8_t *const all = malloc((size_t)(pictures * WRITER_VALUES));
    float rgb[WRITER_VALUES];
    char hex[DIGEST_HEX], key[64];

    assert_non_null(all);
    for (int64_t i = 0; i < pictures; i++) {
        clips_picture(rgb, WRITER_W, WRITER_H, i);
        pixels_to_rgb8(all + i * WRITER_VALUES, rgb, WRITER_VALUES);
    }
    ok(digest_bytes(all, (size_t)(pictures * WRITER_VALUES), hex));
    is_text(j, "frames.sha256", hex);
    assert_int_equal(json_array_size(at(j, "frames.blocks")), blocks);
    for (int b = 0; b < blocks; b++) {
        int64_t const first = b ? ends[b - 1] : 0;
        ok(digest_bytes(all + first * WRITER_VALUES, (size_t)((ends[b] - first) * WRITER_VALUES),
                        hex));
        snprintf(key, sizeof key, "frames.blocks.%d.sha256", b);
        is_text(j, key, hex);
        snprintf(key, sizeof key, "frames.blocks.%d.first", b);
        is_int(j, key, first);
        snprintf(key, sizeof key, "frames.blocks.%d.count", b);
        is_int(j, key, ends[b] - first);
    }
    free(all);
}

static void a_whole_clip(void **state)
{
    char *const top = clips_folder(), *const out = path_join(top, "out/show");
    char *const dir = path_join(out, "clip-1");
    struct clip_writer_config c = writer_config(dir, 19);
    struct sidecar_run const run = { .wall = 2,
                                     .stage = (const char *const[]){ "decode" },
                                     .stage_seconds = (const double[]){ 1.5 },
                                     .stages = 1 };
    enum clip_outcome outcome;
    struct clip_writer *s;
    struct clips_file video;

    (void)state;
    c.formats = 2;
    c.preview = "contact.png";
    c.preview_columns = 6;
    c.latents.file = "latents.safetensors";
    c.latents.dtype = DT_BF16;
    c.latents.frames = 6;
    c.latents.height = WRITER_H / 8;
    c.latents.width = WRITER_W / 8;
    ok(clip_writer_open(&s, &c));
    char *const attempt = strdup(clip_writer_attempt(s));
    ok(writer_push(s, 0, 9));
    ok(writer_push_latents(s, 0, 3));
    ok(writer_push(s, 9, WRITER_BLOCK)); /* two more than asked for */
    ok(writer_push_latents(s, 3, 3));
    writer_lists(out, ".attempts");
    ok(clip_writer_commit(s, &run, &outcome));
    clip_writer_close(&s);
    assert_null(s);
    assert_int_equal(outcome, CLIP_PUBLISHED);
    writer_lists(out, "clip-1");
    writer_lists(dir, "clip.json clip.mp4 contact.png latents.safetensors master.mkv");

    json_t *const j = load(dir);
    is_int(j, "schema", 1);
    assert_true(json_is_true(at(j, "synthetic")));
    is_text(j, "identity.task_id", "0123456789abcdef");
    is_text(j, "identity.attempt", attempt);
    assert_true(json_is_null(at(j, "identity.owner")));
    is_int(j, "video.frames", 19);
    assert_true(json_number_value(at(j, "video.duration")) == 19 / 16.0);
    is_text(j, "video.streams.0.encoder", "libx264");
    is_int(j, "video.streams.0.crf", 18);
    is_text(j, "video.streams.1.pix", "yuv420p10");
    assert_true(json_is_null(at(j, "video.streams.1.crf")));
    is_int(j, "video.streams.1.keyframes", 19);
    is_text(j, "generation.seed", "18446744073709551615");
    is_text(j, "generation.prompts.0.text", "a lighthouse — \"dusk\"");
    is_text(j, "generation.prompts.1.asked.blend", "0.5s");
    is_int(j, "generation.prompts.1.frame", 9);
    assert_true(json_number_value(at(j, "generation.steps.1")) == 750.5);
    is_text(j, "rights.labels.show", "harbour");
    is_int(j, "quality.nan_frames", 0);
    is_int(j, "quality.frozen_frames", 0);
    assert_true(json_number_value(at(j, "quality.motion_mean")) > 0.001);
    assert_true(json_number_value(at(j, "run.stage_seconds.decode")) == 1.5);
    is_text(j, "latents.dtype", "BF16");
    is_int(j, "latents.shape.0", 6);
    hashes_match(j, dir, 4);
    frames_match(j, 19, (const int64_t[]){ 9, 19 }, 2);
    writer_latents_match(dir, "latents.safetensors", DT_BF16, 6);
    writer_png_is(dir, "contact.png", 4 + 2 * (WRITER_W + 4), 4 + (WRITER_H + 4));
    for (int i = 0; i < 2; i++) {
        char *const path = path_join(dir, writer_formats[i].path);
        clips_decode(&video, path, NULL, NULL);
        assert_int_equal(video.frames, 19);
        assert_string_equal(video.comment, writer_about.task_id);
        free(path);
    }
    json_decref(j);
    free(attempt);
    free(dir);
    free(out);
    clips_folder_drop(top);
}

static void sidecar_refuses(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct sidecar_info wrong[2] = { writer_about, writer_about };
    static const char *const keys[] = { "owner", "shift" };
    enum clip_outcome outcome;
    struct clip_writer *s;

    (void)state;
    wrong[0].owner = "caf\xe9";
    wrong[1].shift = NAN;
    for (int i = 0; i < 2; i++) {
        struct clip_writer_config c = writer_config(dir, 1);
        c.about = &wrong[i];
        ok(clip_writer_open(&s, &c));
        ok(writer_push(s, 0, 1));
        assert_int_equal(clip_writer_commit(s, NULL, &outcome), ST_ARG);
        char *const want = str_format("clip.json: %s: not UTF-8, not finite", keys[i]);
        assert_non_null(strstr(error_last()->msg, want));
        free(want);
        clip_writer_close(&s);
        writer_lists(top, "");
    }
    free(dir);
    clips_folder_drop(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_clip),
        cmocka_unit_test(sidecar_refuses),
    };
    codec_quiet();
    return cmocka_run_group_tests_name("unit_clip_folder", tests, NULL, NULL);
}
