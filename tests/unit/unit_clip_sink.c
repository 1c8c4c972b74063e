/* unit_clip_sink.c - a clip's folder: complete or not there; what clip.json says of it. */
#include "tests/unit/unit.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/text.h"
#include "pipeline/clip_sink.h"
#include "pipeline/contact.h"
#include "pipeline/weights.h"
#include "tests/unit/clips.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { W = 64, H = 48, BLOCK = 12, VALUES = 3 * W * H, LATENT = 16 * (H / 8) * (W / 8) };

static const struct clip_format formats[] = {
    { .file = "clip.mp4", .codec = "h264", .preset = "ultrafast", .crf = -1 },
    { .file = "master.mkv", .codec = "ffv1", .pix = "yuv420p10", .crf = -1 },
};
static const struct sidecar_prompt prompts[] = {
    { .text = "a lighthouse — \"dusk\"", .asked_at = "0s" },
    { .text = "waves", .asked_at = "1s", .asked_blend = "0.5s", .block = 1, .first_picture = 9 },
};
static const double steps[] = { 1000, 750.5 };
static const struct sidecar_about about = {
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

static struct clip_sink_config config(const char *dir, int64_t pictures)
{
    return (struct clip_sink_config){ .dir = dir,
                                      .width = W,
                                      .height = H,
                                      .fps_num = 16,
                                      .fps_den = 1,
                                      .pictures = pictures,
                                      .format = formats,
                                      .formats = 1,
                                      .about = &about };
}

/* Push pictures from..from + n - 1 of the pattern as one block. */
static status push(struct clip_sink *s, int64_t from, int n)
{
    float *const rgb = malloc(sizeof(float) * VALUES * (size_t)n);
    assert_non_null(rgb);
    for (int i = 0; i < n; i++) clips_picture(rgb + (ptrdiff_t)i * VALUES, W, H, from + i);
    status const st = clip_sink_pictures(s, rgb, n);
    free(rgb);
    return st;
}

static float latent_at(int64_t i) { return (float)sin(0.37 * (double)i) * 3; }

static status push_latents(struct clip_sink *s, int64_t from, int n)
{
    float x[4 * LATENT];
    for (int64_t i = 0; i < n * LATENT; i++) x[i] = latent_at(from * LATENT + i);
    return clip_sink_latents(s, x, n);
}

/* Names in a folder, sorted: "a b c". */
static char *listing(const char *dir)
{
    struct text t = { 0 };
    struct dirent **names;
    int const n = scandir(dir, &names, NULL, alphasort);

    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i]->d_name, ".") && strcmp(names[i]->d_name, ".."))
            text_addf(&t, "%s%s", t.len ? " " : "", names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return t.s ? t.s : strdup("");
}

static void lists(const char *dir, const char *want)
{
    char *const got = listing(dir);
    assert_string_equal(got, want);
    free(got);
}

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
    uint8_t *const all = malloc((size_t)(pictures * VALUES));
    float rgb[VALUES];
    char hex[DIGEST_HEX], key[64];

    assert_non_null(all);
    for (int64_t i = 0; i < pictures; i++) {
        clips_picture(rgb, W, H, i);
        pixels_to_rgb8(all + i * VALUES, rgb, VALUES);
    }
    ok(digest_bytes(all, (size_t)(pictures * VALUES), hex));
    is_text(j, "frames.sha256", hex);
    assert_int_equal(json_array_size(at(j, "frames.blocks")), blocks);
    for (int b = 0; b < blocks; b++) {
        int64_t const first = b ? ends[b - 1] : 0;
        ok(digest_bytes(all + first * VALUES, (size_t)((ends[b] - first) * VALUES), hex));
        snprintf(key, sizeof key, "frames.blocks.%d.sha256", b);
        is_text(j, key, hex);
        snprintf(key, sizeof key, "frames.blocks.%d.first", b);
        is_int(j, key, first);
        snprintf(key, sizeof key, "frames.blocks.%d.count", b);
        is_int(j, key, ends[b] - first);
    }
    free(all);
}

static void latents_match(const char *dir, const char *name, enum dtype dtype, int64_t frames)
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
    assert_int_equal(t.dim[2], H / 8);
    assert_int_equal(t.dim[3], W / 8);
    ok(weights_fetch(w, 0, &data));
    for (int64_t i = 0; i < frames * LATENT; i++) {
        float const want = latent_at(i);
        float const got =
            dtype == DT_F32 ? ((const float *)data)[i] : f32_from_bf16(((const uint16_t *)data)[i]);
        assert_true(got == (dtype == DT_F32 ? want : f32_from_bf16(bf16_from_f32(want))));
    }
    weights_close(&w);
    free(path);
}

/* Width and height stand behind 16 bytes of a PNG, high byte first. */
static void png_is(const char *dir, const char *name, int width, int height)
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

static void a_whole_clip(void **state)
{
    char *const top = clips_folder(), *const out = path_join(top, "out/show");
    char *const dir = path_join(out, "clip-1");
    struct clip_sink_config c = config(dir, 19);
    struct sidecar_run const run = { .wall = 2,
                                     .stage = (const char *const[]){ "decode" },
                                     .stage_seconds = (const double[]){ 1.5 },
                                     .stages = 1 };
    enum clip_outcome outcome;
    struct clip_sink *s;
    struct clips_file video;

    (void)state;
    c.formats = 2;
    c.preview = "contact.png";
    c.preview_columns = 6;
    c.latents.file = "latents.safetensors";
    c.latents.dtype = DT_BF16;
    c.latents.frames = 6;
    c.latents.height = H / 8;
    c.latents.width = W / 8;
    ok(clip_sink_open(&s, &c));
    char *const attempt = strdup(clip_sink_attempt(s));
    ok(push(s, 0, 9));
    ok(push_latents(s, 0, 3));
    ok(push(s, 9, BLOCK)); /* two more than asked for */
    ok(push_latents(s, 3, 3));
    lists(out, ".attempts");
    ok(clip_sink_commit(s, &run, &outcome));
    clip_sink_close(&s);
    assert_null(s);
    assert_int_equal(outcome, CLIP_PUBLISHED);
    lists(out, "clip-1");
    lists(dir, "clip.json clip.mp4 contact.png latents.safetensors master.mkv");

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
    latents_match(dir, "latents.safetensors", DT_BF16, 6);
    png_is(dir, "contact.png", 4 + 2 * (W + 4), 4 + (H + 4));
    for (int i = 0; i < 2; i++) {
        char *const path = path_join(dir, formats[i].file);
        clips_decode(&video, path, NULL, NULL);
        assert_int_equal(video.frames, 19);
        assert_string_equal(video.comment, about.task_id);
        free(path);
    }
    json_decref(j);
    free(attempt);
    free(dir);
    free(out);
    clips_folder_drop(top);
}

enum { WIDE = 2 * CONTACT_WIDTH, CELL = CONTACT_WIDTH + CONTACT_GAP };

/* Cell k shows candidate 4 k: columns of 4 k and 4 k + 1, whose mean rounds up. */
static void see_sheet(void *arg, int64_t i, int64_t pts, bool key, const unsigned char *planes,
                      size_t len)
{
    int const columns = 20, width = CONTACT_GAP + columns * CELL, down = 2 + CONTACT_GAP;

    (void)arg, (void)i, (void)pts, (void)key;
    assert_int_equal(len, 3 * width * (CONTACT_GAP + 3 * down));
    for (int k = 0; k < 60; k++) {
        int const x = CONTACT_GAP + k % columns * CELL, y = CONTACT_GAP + k / columns * down;
        const unsigned char *const cell = planes + 3 * (y * width + x);
        int const want = k < 50 ? 4 * k + 1 : cell[-3]; /* no cell: background */
        assert_int_equal(cell[0], want);
        assert_int_equal(cell[3 * (width + CONTACT_WIDTH - 1) + 2], want);
        assert_int_not_equal(cell[-3], 4 * k + 1);
    }
}

static void sheet_is_spread_and_reduced(void **state)
{
    char *const top = clips_folder(), *const path = path_join(top, "sheet.png");
    uint8_t rgb[5 * WIDE * 3]; /* the fifth row fills no square */
    struct clips_file file;
    struct contact *s;
    struct contact_config c = { .path = path, .width = WIDE, .height = 5, .columns = 20 };

    (void)state;
    ok(contact_open(&s, &c));
    assert_int_equal(contact_commit(s), ST_ARG);
    for (int k = 0; k < 200; k++) {
        for (int i = 0; i < (int)sizeof rgb; i++) rgb[i] = (uint8_t)(k + i / 3 % 2);
        contact_add(s, rgb);
    }
    ok(contact_commit(s));
    contact_close(&s);
    clips_decode(&file, path, see_sheet, NULL);
    assert_int_equal(file.frames, 1);
    assert_string_equal(file.pix, "rgb24");
    c.columns = 0;
    assert_int_equal(contact_open(&s, &c), ST_ARG);
    assert_null(s);
    c.path = "sheet.jpg";
    assert_int_equal(contact_open(&s, &c), ST_ARG);
    assert_string_equal(error_last()->msg, "sheet.jpg: a contact sheet's name must end in .png");
    free(path);
    clips_folder_drop(top);
}

static void first_attempt_wins(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct clip_sink_config const c = config(dir, 5);
    struct clip_sink *s[3];
    enum clip_outcome outcome;

    (void)state;
    for (int i = 0; i < 3; i++) ok(clip_sink_open(&s[i], &c));
    for (int i = 0; i < 3; i++) ok(push(s[i], i, 5));
    char *const winner = strdup(clip_sink_attempt(s[1]));
    ok(clip_sink_commit(s[1], NULL, &outcome));
    assert_int_equal(outcome, CLIP_PUBLISHED);
    ok(clip_sink_commit(s[2], NULL, &outcome));
    assert_int_equal(outcome, CLIP_THERE_ALREADY);
    for (int i = 0; i < 3; i++) clip_sink_close(&s[i]); /* 0 gives up */
    lists(top, "clip");
    lists(dir, "clip.json clip.mp4");
    json_t *const j = load(dir);
    is_text(j, "identity.attempt", winner);
    json_decref(j);
    assert_int_equal(clip_sink_open(&s[0], &c), ST_ARG);
    char *const msg =
        text_format("%s: is there already; a finished clip is never overwritten", dir);
    assert_string_equal(error_last()->msg, msg);
    free(msg);
    free(winner);
    free(dir);
    clips_folder_drop(top);
}

/* Never returns: a child that is killed. Says so on fd once it is in the middle. */
static void render_for_ever(const char *dir, int fd)
{
    struct clip_sink_config c = config(dir, INT64_MAX / (1 << 20));
    struct clip_sink *s;

    c.formats = 2;
    if (clip_sink_open(&s, &c) != ST_OK) _exit(1);
    for (int64_t i = 0; push(s, i, 5) == ST_OK; i += 5)
        if (i == 50 && write(fd, "m", 1) != 1) _exit(1);
    _exit(1);
}

static void killed_in_the_middle(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    enum clip_outcome outcome;
    struct clip_sink *s;
    int fd[2], how;
    char byte;

    (void)state;
    assert_int_equal(pipe(fd), 0);
    pid_t const child = fork();
    assert_true(child >= 0);
    if (!child) render_for_ever(dir, fd[1]);
    assert_int_equal(read(fd[0], &byte, 1), 1);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    close(fd[0]);
    close(fd[1]);
    lists(top, ".attempts");

    struct clip_sink_config const c = config(dir, 5);
    ok(clip_sink_open(&s, &c));
    ok(push(s, 0, 5));
    ok(clip_sink_commit(s, NULL, &outcome));
    clip_sink_close(&s);
    assert_int_equal(outcome, CLIP_PUBLISHED);
    lists(top, ".attempts clip"); /* the dead attempt is another's to remove */
    lists(dir, "clip.json clip.mp4");
    free(dir);
    clips_folder_drop(top);
}

static void not_a_picture(void **state)
{
    static const struct {
        float v;
        const char *name;
    } bad[] = { { NAN, "nan" }, { -INFINITY, "-inf" } };
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct clip_sink_config c = config(dir, 30);
    float rgb[2 * VALUES] = { 0 }, latent[LATENT] = { 0 };
    struct clip_sink *s;

    (void)state;
    c.latents.file = "x0.safetensors";
    c.latents.dtype = DT_F32;
    c.latents.frames = 2;
    c.latents.height = H / 8;
    c.latents.width = W / 8;
    for (int i = 0; i < COUNT_OF(bad); i++) {
        ok(clip_sink_open(&s, &c));
        ok(push(s, 0, 3));
        rgb[VALUES + 3 * (7 * W + 5) + 1] = bad[i].v;
        assert_int_equal(clip_sink_pictures(s, rgb, 2), ST_MISMATCH);
        char *msg =
            text_format("%s: frame 4 is not a picture: %s at column 5, row 7", dir, bad[i].name);
        assert_string_equal(error_last()->msg, msg);
        free(msg);
        latent[9] = bad[i].v;
        assert_int_equal(clip_sink_latents(s, latent, 1), ST_MISMATCH);
        msg = text_format("%s: latent frame 0 is not finite: %s at element 9", dir, bad[i].name);
        assert_string_equal(error_last()->msg, msg);
        free(msg);
        clip_sink_close(&s);
        lists(top, "");
    }
    free(dir);
    clips_folder_drop(top);
}

static void commit_wants_all(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct clip_sink_config c = config(dir, 5);
    enum clip_outcome outcome;
    struct clip_sink *s;

    (void)state;
    c.latents.file = "x0.safetensors";
    c.latents.dtype = DT_F32;
    c.latents.frames = 2;
    c.latents.height = H / 8;
    c.latents.width = W / 8;
    ok(clip_sink_open(&s, &c));
    ok(push(s, 0, 4));
    assert_int_equal(clip_sink_commit(s, NULL, &outcome), ST_ARG);
    char *msg = text_format("%s: 4 of 5 pictures have come", dir);
    assert_string_equal(error_last()->msg, msg);
    free(msg);
    ok(push(s, 4, 1));
    ok(push_latents(s, 0, 1));
    assert_int_equal(clip_sink_commit(s, NULL, &outcome), ST_ARG);
    msg = text_format("%s: 1 of 2 latent frames have come", dir);
    assert_string_equal(error_last()->msg, msg);
    free(msg);
    ok(push_latents(s, 1, 1));
    assert_int_equal(push_latents(s, 2, 1), ST_ARG);
    ok(clip_sink_commit(s, NULL, &outcome));
    clip_sink_close(&s);
    latents_match(dir, "x0.safetensors", DT_F32, 2);
    free(dir);
    clips_folder_drop(top);
}

static void refusals(void **state)
{
    static const struct clip_format twice[] = { { .file = "a.mp4", .codec = "h264", .crf = -1 },
                                                { .file = "a.mp4", .codec = "h264", .crf = -1 } };
    static const struct clip_format up = { .file = "../a.mp4", .codec = "h264", .crf = -1 };
    static const struct clip_format hidden = { .file = ".mp4", .codec = "h264", .crf = -1 };
    static const struct clip_format crf = { .file = "a.mp4", .codec = "h264", .crf = 99 };
    static const struct {
        const char *dir; /* behind the test's folder */
        const struct clip_format *format;
        int formats;
        int64_t pictures;
        const char *preview;
        enum dtype latents;
        status st;
        const char *msg; /* behind the folder's name, or all of it */
    } cases[] = {
        { "clip", formats, 1, 0, NULL, DT_F32, ST_ARG, "/clip: 0 pictures; allowed: 1 or more" },
        { "clip", formats, 0, 9, NULL, DT_F32, ST_ARG, "/clip: 0 video files; allowed: 1..16" },
        { "clip", &crf, 1, 9, NULL, DT_F32, ST_ARG, "a.mp4: h264 takes crf 0..51, not 99" },
        { "clip", twice, 2, 9, NULL, DT_F32, ST_ARG, "/clip: two files are to be named a.mp4" },
        { "clip", &up, 1, 9, NULL, DT_F32, ST_ARG,
          "/clip: `../a.mp4` is no name for a file of a clip" },
        { "clip", &hidden, 1, 9, NULL, DT_F32, ST_ARG,
          "/clip: `.mp4` is no name for a file of a clip" },
        { "clip", formats, 1, 9, "clip.json", DT_F32, ST_ARG,
          "/clip: `clip.json` is no name for a file of a clip" },
        { "clip", formats, 1, 9, NULL, DT_F16, ST_ARG,
          "/clip: latents as F16; allowed: F32, BF16" },
        { "file/clip", formats, 1, 9, NULL, DT_F32, ST_IO, "/file/.attempts: Not a directory" },
        { "a/..", formats, 1, 9, NULL, DT_F32, ST_ARG, "/a/..: no name for a clip's folder" },
        { "a/", formats, 1, 9, NULL, DT_F32, ST_ARG, "/a/: no name for a clip's folder" },
        { "file", formats, 1, 9, NULL, DT_F32, ST_ARG,
          "/file: is there already; a finished clip is never overwritten" },
    };
    char *const top = clips_folder(), *const file = path_join(top, "file");
    struct clip_sink *s;

    (void)state;
    ok(file_write(file, "x", 1));
    for (int i = 0; i < COUNT_OF(cases); i++) {
        char *const dir = path_join(top, cases[i].dir);
        struct clip_sink_config c = config(dir, cases[i].pictures);
        c.format = cases[i].format;
        c.formats = cases[i].formats;
        c.preview = cases[i].preview;
        c.preview_columns = 4;
        c.latents.dtype = cases[i].latents;
        c.latents.file = cases[i].latents == DT_F16 ? "l" : NULL;
        assert_int_equal(clip_sink_open(&s, &c), cases[i].st);
        assert_null(s);
        char *const want = text_format("%s%s", cases[i].msg[0] == '/' ? top : "", cases[i].msg);
        assert_string_equal(error_last()->msg, want);
        lists(top, "file");
        free(want);
        free(dir);
    }
    free(file);
    clips_folder_drop(top);
}

static void sidecar_refuses(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct sidecar_about wrong[2] = { about, about };
    static const char *const keys[] = { "owner", "shift" };
    enum clip_outcome outcome;
    struct clip_sink *s;

    (void)state;
    wrong[0].owner = "caf\xe9";
    wrong[1].shift = NAN;
    for (int i = 0; i < 2; i++) {
        struct clip_sink_config c = config(dir, 1);
        c.about = &wrong[i];
        ok(clip_sink_open(&s, &c));
        ok(push(s, 0, 1));
        assert_int_equal(clip_sink_commit(s, NULL, &outcome), ST_ARG);
        char *const want = text_format("clip.json: %s: not UTF-8, not finite", keys[i]);
        assert_non_null(strstr(error_last()->msg, want));
        free(want);
        clip_sink_close(&s);
        lists(top, "");
    }
    free(dir);
    clips_folder_drop(top);
}

static void full_disk(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct clip_sink_config c = config(dir, 400);
    struct rlimit was, tight;
    enum clip_outcome outcome;
    struct clip_sink *s;
    status st = ST_OK;

    (void)state;
    c.formats = 2;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    tight = was;
    tight.rlim_cur = 100000;
    ok(clip_sink_open(&s, &c));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    for (int i = 0; st == ST_OK && i < 400; i += BLOCK) st = push(s, i, BLOCK);
    if (st == ST_OK) st = clip_sink_commit(s, NULL, &outcome);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(st, ST_IO);
    assert_non_null(strstr(error_last()->msg, "master.mkv: writing: File too large"));
    clip_sink_close(&s);
    lists(top, "");
    free(dir);
    clips_folder_drop(top);
}

/* Resident pages of this process. */
static long resident(void)
{
    long all = 0, in = 0;
    FILE *const f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &all, &in), 2);
    fclose(f);
    return in;
}

/* Freed memory is given back soon, so that what is resident is what is used. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "quarantine_size_mb=1:detect_leaks=1"; }

static void memory_stays(void **state)
{
    enum { WARM = 360, LONG = 3600 };
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct clip_sink_config c = config(dir, LONG);
    enum clip_outcome outcome;
    struct clip_sink *s;
    long warm = 0;

    (void)state;
    c.preview = "contact.png";
    c.preview_columns = 8;
    ok(clip_sink_open(&s, &c));
    for (int i = 0; i < LONG; i += BLOCK) {
        if (i == WARM) warm = resident();
        ok(push(s, i, BLOCK));
    }
    /* one picture more in memory a frame would be 3240 * 4608 bytes = 14.9 MB */
    assert_true((resident() - warm) * sysconf(_SC_PAGESIZE) < 4 << 20);
    ok(clip_sink_commit(s, NULL, &outcome));
    clip_sink_close(&s);
    png_is(dir, "contact.png", 4 + 8 * (W + 4), 4 + 10 * (H + 4)); /* 300 blocks, every 4th */
    free(dir);
    clips_folder_drop(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_clip),         cmocka_unit_test(first_attempt_wins),
        cmocka_unit_test(killed_in_the_middle), cmocka_unit_test(not_a_picture),
        cmocka_unit_test(commit_wants_all),     cmocka_unit_test(refusals),
        cmocka_unit_test(sidecar_refuses),      cmocka_unit_test(full_disk),
        cmocka_unit_test(memory_stays),         cmocka_unit_test(sheet_is_spread_and_reduced),
    };
    codec_quiet();
    return cmocka_run_group_tests_name("unit_clip_sink", tests, NULL, NULL);
}
