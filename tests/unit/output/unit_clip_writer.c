/* unit_clip_writer.c - attempts at a clip: complete or not there; what is refused; memory. */
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/strbuf.h"
#include "pipeline/output/attempts.h"
#include "pipeline/output/finished_clip.h"
#include "pipeline/weights/weights.h"
#include "tests/support/as_bytes.h"
#include "tests/support/clips.h"
#include "tests/support/writer_fixture.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* clip.json holds this. */
static void says(const char *dir, const char *words)
{
    char *const path = path_join(dir, "clip.json");
    char *text;
    size_t len;

    ok(file_read(path, 1 << 20, &text, &len));
    assert_non_null(strstr(text, words));
    free(text);
    free(path);
}

static void first_attempt_wins(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct clip_writer_config const c = writer_config(dir, 5);
    struct clip_writer *s[3];
    enum clip_outcome outcome;

    (void)state;
    for (int i = 0; i < 3; i++) ok(clip_writer_open(&s[i], &c));
    for (int i = 0; i < 3; i++) ok(writer_push(s[i], i, 5));
    char *const winner = strdup(clip_writer_attempt(s[1]));
    ok(clip_writer_commit(s[1], NULL, &outcome));
    assert_int_equal(outcome, CLIP_PUBLISHED);
    ok(clip_writer_commit(s[2], NULL, &outcome));
    assert_int_equal(outcome, CLIP_THERE_ALREADY);
    for (int i = 0; i < 3; i++) clip_writer_close(&s[i]); /* 0 gives up */
    writer_lists(top, "clip");
    writer_lists(dir, "clip.json clip.mp4");
    says(dir, winner);
    assert_int_equal(clip_writer_open(&s[0], &c), ST_ARG);
    char *const msg = str_format("%s: already exists; a finished clip is never overwritten", dir);
    assert_string_equal(error_last()->msg, msg);
    free(msg);
    free(winner);
    free(dir);
    clips_folder_drop(top);
}

/* Never returns: a child that is killed. Says so on fd once it is in the middle. */
static void render_for_ever(const char *dir, int fd)
{
    struct clip_writer_config c = writer_config(dir, INT64_MAX / (1 << 20));
    struct clip_writer *s;

    c.formats = 2;
    if (clip_writer_open(&s, &c) != ST_OK) _exit(1);
    for (int64_t i = 0; writer_push(s, i, 5) == ST_OK; i += 5)
        if (i == 50 && write(fd, "m", 1) != 1) _exit(1);
    _exit(1);
}

static void killed_in_the_middle(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    enum clip_outcome outcome;
    struct clip_writer *s;
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
    writer_lists(top, ".attempts");

    struct clip_writer_config const c = writer_config(dir, 5);
    ok(clip_writer_open(&s, &c));
    ok(writer_push(s, 0, 5));
    ok(clip_writer_commit(s, NULL, &outcome));
    clip_writer_close(&s);
    assert_int_equal(outcome, CLIP_PUBLISHED);
    writer_lists(top, ".attempts clip"); /* the dead attempt is another's to remove */
    writer_lists(dir, "clip.json clip.mp4");

    struct attempts_found found;
    char *const other = path_join(top, "other"), *const shelf = path_join(top, ".attempts");
    char *const unmarked = path_join(shelf, "clip.1.abcdef");
    char *const claim = path_join(shelf, "c.claim"), *const blank = path_join(shelf, "d.claim");
    struct clip_writer_config const alive = writer_config(other, 5);
    ok(clip_writer_open(&s, &alive));
    ok(dir_make(unmarked));
    ok(file_write(claim, "?", 1)); /* by a process that nobody knows */
    ok(file_write(blank, "", 0));  /* nobody could write who they were */
    ok(attempts_sweep(top, false, &found));
    assert_int_equal(found.removed, 1);
    assert_int_equal(found.alive, 1);
    assert_int_equal(found.unknown, 1);
    assert_true(path_exists(unmarked));
    assert_true(path_exists(claim));
    assert_false(path_exists(blank));
    ok(attempts_sweep(top, true, &found));
    assert_int_equal(found.removed, 1);
    assert_int_equal(found.alive, 1);
    assert_false(path_exists(claim));
    clip_writer_close(&s);
    writer_lists(top, "clip");
    free(other);
    free(shelf);
    free(unmarked);
    free(blank);
    free(claim);
    free(dir);
    clips_folder_drop(top);
}

/* What takes the clip's name while it is made is left alone, and so is the clip. */
static void name_is_taken(void **state)
{
    static const char other[] = "{\"identity\": {\"task_id\": \"another\"}}\n";
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    char *const second = path_join(top, "clip-v2"), *const third = path_join(top, "clip-v3");
    char *const record = path_join(second, "clip.json");
    struct clip_writer_config const c = writer_config(dir, 5);
    enum clip_outcome outcome;
    struct clip_writer *s;

    (void)state;
    ok(clip_writer_open(&s, &c));
    ok(writer_push(s, 0, 5));
    ok(file_write(dir, "somebody's", 10));
    ok(dir_make(second));
    ok(file_write(record, other, strlen(other)));
    ok(clip_writer_commit(s, NULL, &outcome));
    assert_int_equal(outcome, CLIP_ELSEWHERE);
    assert_string_equal(clip_writer_place(s), third);
    clip_writer_close(&s);
    writer_lists(top, "clip clip-v2 clip-v3");
    writer_lists(second, "clip.json");
    writer_lists(third, "clip.json clip.mp4");
    struct finished_clip found;
    ok(finished_clip_read(&found, third, FINISHED_HASHES));
    assert_int_equal(found.files, 1);
    assert_string_equal(found.task_id, "0123456789abcdef");
    free(record);
    free(second);
    free(third);
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
    struct clip_writer_config c = writer_config(dir, 30);
    float rgb[2 * WRITER_VALUES] = { 0 }, latent[WRITER_LATENT] = { 0 };
    struct clip_writer *s;

    (void)state;
    c.latents.file = "x0.safetensors";
    c.latents.dtype = DT_F32;
    c.latents.frames = 2;
    c.latents.height = WRITER_H / 8;
    c.latents.width = WRITER_W / 8;
    for (int i = 0; i < COUNT_OF(bad); i++) {
        ok(clip_writer_open(&s, &c));
        ok(writer_push(s, 0, 3));
        rgb[WRITER_VALUES + 3 * (7 * WRITER_W + 5) + 1] = bad[i].v;
        assert_int_equal(writer_push_rgb(s, rgb, 2), ST_MISMATCH);
        char *msg = str_format("%s: frame 4 has a value that is not finite: %s at column 5, row 7",
                               dir, bad[i].name);
        assert_string_equal(error_last()->msg, msg);
        free(msg);
        latent[9] = bad[i].v;
        assert_int_equal(clip_writer_latents(s, latent, 1), ST_MISMATCH);
        msg = str_format("%s: latent frame 0 is not finite: %s at element 9", dir, bad[i].name);
        assert_string_equal(error_last()->msg, msg);
        free(msg);
        clip_writer_close(&s);
        writer_lists(top, "");
    }
    free(dir);
    clips_folder_drop(top);
}

static void a_pix_is_missing(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct clip_writer_config const c = writer_config(dir, 30);
    struct pixels_layout const layout = pixels_layout(WRITER_W, WRITER_H, 1u << PIX_YUV422P);
    float rgb[WRITER_VALUES] = { 0 };
    struct pictures p = as_bytes(rgb, 1, &layout);
    struct clip_writer *s;

    (void)state;
    ok(clip_writer_open(&s, &c));
    assert_int_equal(clip_writer_pictures(s, &p), ST_ARG);
    char *const msg = str_format("%s: frames lack the format yuv420p of clip.mp4", dir);
    assert_string_equal(error_last()->msg, msg);
    clip_writer_close(&s);
    free_bytes(&p);
    free(msg);
    free(dir);
    clips_folder_drop(top);
}

static void commit_wants_all(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct clip_writer_config c = writer_config(dir, 5);
    enum clip_outcome outcome;
    struct clip_writer *s;

    (void)state;
    c.latents.file = "x0.safetensors";
    c.latents.dtype = DT_F32;
    c.latents.frames = 2;
    c.latents.height = WRITER_H / 8;
    c.latents.width = WRITER_W / 8;
    ok(clip_writer_open(&s, &c));
    ok(writer_push(s, 0, 4));
    assert_int_equal(clip_writer_commit(s, NULL, &outcome), ST_ARG);
    char *msg = str_format("%s: 4 of 5 frames received", dir);
    assert_string_equal(error_last()->msg, msg);
    free(msg);
    ok(writer_push(s, 4, 1));
    ok(writer_push_latents(s, 0, 1));
    assert_int_equal(clip_writer_commit(s, NULL, &outcome), ST_ARG);
    msg = str_format("%s: 1 of 2 latent frames received", dir);
    assert_string_equal(error_last()->msg, msg);
    free(msg);
    ok(writer_push_latents(s, 1, 1));
    assert_int_equal(writer_push_latents(s, 2, 1), ST_ARG);
    ok(clip_writer_commit(s, NULL, &outcome));
    clip_writer_close(&s);
    writer_latents_match(dir, "x0.safetensors", DT_F32, 2);
    free(dir);
    clips_folder_drop(top);
}

static void refusals(void **state)
{
    static const struct video_config twice[] = { { .path = "a.mp4", .codec = "h264" },
                                                 { .path = "a.mp4", .codec = "h264" } };
    static const struct video_config up = { .path = "../a.mp4", .codec = "h264" };
    static const struct video_config hidden = { .path = ".mp4", .codec = "h264" };
    static const struct video_config crf = {
        .path = "a.mp4", .codec = "h264", .has_crf = true, .crf = 99
    };
    static const struct {
        const char *dir; /* behind the test's folder */
        const struct video_config *format;
        int formats;
        int64_t pictures;
        const char *preview;
        enum dtype latents;
        status st;
        const char *msg; /* behind the folder's name, or all of it */
    } cases[] = {
        { "clip", writer_formats, 1, 0, NULL, DT_F32, ST_ARG,
          "/clip: 0 pictures; allowed: 1 or more" },
        { "clip", writer_formats, 0, 9, NULL, DT_F32, ST_ARG,
          "/clip: 0 video files; allowed: 1..16" },
        { "clip", &crf, 1, 9, NULL, DT_F32, ST_ARG, "a.mp4: h264 takes crf 0..51, not 99" },
        { "clip", twice, 2, 9, NULL, DT_F32, ST_ARG, "/clip: two files are to be named a.mp4" },
        { "clip", &up, 1, 9, NULL, DT_F32, ST_ARG,
          "/clip: `../a.mp4` is no name for a file of a clip" },
        { "clip", &hidden, 1, 9, NULL, DT_F32, ST_ARG,
          "/clip: `.mp4` is no name for a file of a clip" },
        { "clip", writer_formats, 1, 9, "clip.json", DT_F32, ST_ARG,
          "/clip: `clip.json` is no name for a file of a clip" },
        { "clip", writer_formats, 1, 9, NULL, DT_F16, ST_ARG,
          "/clip: latents as F16; allowed: F32, BF16" },
        { "file/clip", writer_formats, 1, 9, NULL, DT_F32, ST_IO,
          "/file/.attempts: Not a directory" },
        { "a/..", writer_formats, 1, 9, NULL, DT_F32, ST_ARG,
          "/a/..: not a name for a clip's folder" },
        { "a/", writer_formats, 1, 9, NULL, DT_F32, ST_ARG, "/a/: not a name for a clip's folder" },
        { "file", writer_formats, 1, 9, NULL, DT_F32, ST_ARG,
          "/file: already exists; a finished clip is never overwritten" },
    };
    char *const top = clips_folder(), *const file = path_join(top, "file");
    struct clip_writer *s;

    (void)state;
    ok(file_write(file, "x", 1));
    for (int i = 0; i < COUNT_OF(cases); i++) {
        char *const dir = path_join(top, cases[i].dir);
        struct clip_writer_config c = writer_config(dir, cases[i].pictures);
        c.format = cases[i].format;
        c.formats = cases[i].formats;
        c.preview = cases[i].preview;
        c.preview_columns = 4;
        c.latents.dtype = cases[i].latents;
        c.latents.file = cases[i].latents == DT_F16 ? "l" : NULL;
        assert_int_equal(clip_writer_open(&s, &c), cases[i].st);
        assert_null(s);
        char *const want = str_format("%s%s", cases[i].msg[0] == '/' ? top : "", cases[i].msg);
        assert_string_equal(error_last()->msg, want);
        writer_lists(top, "file");
        free(want);
        free(dir);
    }
    free(file);
    clips_folder_drop(top);
}

static void full_disk(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct clip_writer_config c = writer_config(dir, 400);
    struct rlimit was, tight;
    enum clip_outcome outcome;
    struct clip_writer *s;
    status st = ST_OK;

    (void)state;
    c.formats = 2;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    tight = was;
    tight.rlim_cur = 100000;
    ok(clip_writer_open(&s, &c));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    for (int i = 0; st == ST_OK && i < 400; i += WRITER_BLOCK) st = writer_push(s, i, WRITER_BLOCK);
    if (st == ST_OK) st = clip_writer_commit(s, NULL, &outcome);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(st, ST_IO);
    assert_non_null(strstr(error_last()->msg, "master.mkv.packets: "));
    assert_non_null(strstr(error_last()->msg, "File too large"));
    clip_writer_close(&s);
    writer_lists(top, "");
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
enum { DIM = 5, TEXTS = 3 };

static float row_at(int64_t i) { return (float)cos(0.9 * (double)i); }

static void embeddings_match(const char *dir, enum dtype dtype, const struct clip_writer_text *x)
{
    char *const path = path_join(dir, "e.safetensors");
    struct weights *w;

    ok(weights_open(&w, path, NULL));
    assert_int_equal(weights_count(w), TEXTS);
    for (int k = 0; k < TEXTS; k++) {
        char name[24];
        snprintf(name, sizeof name, "prompt.%d", k);
        int const at = weights_find(w, name);
        assert_true(at >= 0);
        struct tensor const t = weights_at(w, at)->t;
        const void *data;
        assert_int_equal(t.dtype, dtype);
        assert_int_equal(t.ndim, 2);
        assert_int_equal(t.dim[0], x[k].tokens);
        assert_int_equal(t.dim[1], DIM);
        ok(weights_fetch(w, at, &data));
        for (int64_t i = 0; i < x[k].tokens * DIM; i++) {
            uint16_t const short_one = bf16_from_f32(x[k].rows[i]);
            if (dtype == DT_F32) assert_memory_equal((const float *)data + i, x[k].rows + i, 4);
            else assert_memory_equal((const uint16_t *)data + i, &short_one, 2);
        }
    }
    weights_close(&w);
    free(path);
}

/* One tensor a prompt, in the order of the schedule, also where two are alike; the folder's record
 * counts the file among the clip's. A value that is not finite fails the clip. */
static void embeddings_are_kept(void **state)
{
    static enum dtype const dtypes[] = { DT_F32, DT_BF16 };
    float rows[4 * DIM];
    struct clip_writer_text const text[TEXTS] = { { rows, 4 }, { rows + DIM, 1 }, { rows, 4 } };
    struct finished_clip there;
    enum clip_outcome outcome;
    struct clip_writer *s;

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) rows[i] = row_at(i);
    for (int i = 0; i < 2 * COUNT_OF(dtypes); i++) {
        char *const top = clips_folder(), *const dir = path_join(top, "clip");
        struct clip_writer_config c = writer_config(dir, 5);
        bool const broken = i >= COUNT_OF(dtypes);
        c.embeddings.file = "e.safetensors";
        c.embeddings.dtype = dtypes[i % 2];
        c.embeddings.text = text;
        c.embeddings.texts = TEXTS;
        c.embeddings.dim = DIM;
        if (broken) rows[DIM + 1] = NAN;
        ok(clip_writer_open(&s, &c));
        ok(writer_push(s, 0, 5));
        assert_int_equal(clip_writer_commit(s, NULL, &outcome), broken ? ST_MISMATCH : ST_OK);
        clip_writer_close(&s);
        writer_lists(top, broken ? "" : "clip");
        if (!broken) {
            embeddings_match(dir, dtypes[i], text);
            ok(finished_clip_read(&there, dir, FINISHED_HASHES));
            says(dir, "\"name\": \"e.safetensors\"");
        }
        free(dir);
        clips_folder_drop(top);
    }
}

const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "quarantine_size_mb=1:detect_leaks=1"; }

static void memory_stays(void **state)
{
    enum { WARM = 360, LONG = 3600 };
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct clip_writer_config c = writer_config(dir, LONG);
    enum clip_outcome outcome;
    struct clip_writer *s;
    long warm = 0;

    (void)state;
    c.preview = "contact.png";
    c.preview_columns = 8;
    ok(clip_writer_open(&s, &c));
    for (int i = 0; i < LONG; i += WRITER_BLOCK) {
        if (i == WARM) warm = resident();
        ok(writer_push(s, i, WRITER_BLOCK));
    }
    /* one picture more in memory a frame would be 3240 * 4608 bytes = 14.9 MB */
    assert_true((resident() - warm) * sysconf(_SC_PAGESIZE) < 4 << 20);
    ok(clip_writer_commit(s, NULL, &outcome));
    clip_writer_close(&s);
    writer_png_is(dir, "contact.png", 4 + 8 * (WRITER_W + 4),
                  4 + 10 * (WRITER_H + 4)); /* 300 blocks, every 4th */
    free(dir);
    clips_folder_drop(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_attempt_wins), cmocka_unit_test(killed_in_the_middle),
        cmocka_unit_test(name_is_taken),      cmocka_unit_test(not_a_picture),
        cmocka_unit_test(a_pix_is_missing),   cmocka_unit_test(commit_wants_all),
        cmocka_unit_test(refusals),           cmocka_unit_test(full_disk),
        cmocka_unit_test(memory_stays),       cmocka_unit_test(embeddings_are_kept),
    };
    codec_quiet();
    return cmocka_run_group_tests_name("unit_clip_sink", tests, NULL, NULL);
}
