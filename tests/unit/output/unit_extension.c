/* unit_extension.c - a finished clip keeps what a longer one goes on from, also where it was left
 * and gone on with itself; the longer one is the same to the byte, and the shorter one stays. */
#include "tests/support/unit.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "pipeline/output/finished_clip.h"
#include "pipeline/resume/snapshot.h"
#include "tests/support/clips.h"
#include "tests/support/writer_fixture.h"

#include <dirent.h>
#include <stdio.h>

enum { SHORT = 9, LONG = 13, WINDOW = 2, FRAMES = 2 };

static const char identity[] = "backend ref\nclip 0123\n", any_length[] = "backend ref\n";
static const float window[WINDOW * FRAMES * WRITER_LATENT] = { 1, 2, 3 };
static int every; /* blocks from checkpoint to checkpoint */

static struct clip_writer_config config_of(const char *dir, int64_t blocks)
{
    struct clip_writer_config c = writer_config(dir, blocks * WRITER_BLOCK - 5);

    c.formats = 2;
    c.preview = "contact.png";
    c.preview_columns = 3;
    c.latents.file = "latents.safetensors";
    c.latents.dtype = DT_BF16;
    c.latents.frames = blocks * FRAMES;
    c.latents.height = WRITER_H / 8;
    c.latents.width = WRITER_W / 8;
    c.checkpoint.identity = identity;
    c.checkpoint.frames = FRAMES;
    c.checkpoint.latent = FRAMES * WRITER_LATENT;
    c.extension.identity = any_length;
    c.extension.clip = "{}";
    c.extension.model = "{}";
    c.extension.blocks = blocks - WINDOW;
    c.resume.identity = identity;
    return c;
}

static void push_blocks(struct clip_writer *s, int64_t from, int64_t to, int64_t blocks)
{
    for (int64_t b = from; b < to; b++) {
        ok(writer_push(s, b * WRITER_BLOCK, WRITER_BLOCK));
        ok(writer_push_latents(s, b * FRAMES, FRAMES));
        if ((b + 1) % every == 0 && b + 1 < blocks) ok(clip_writer_checkpoint(s, window, WINDOW));
        if (b + 1 == blocks - WINDOW) ok(clip_writer_extension(s, window, WINDOW));
    }
}

static void make_clip(const struct clip_writer_config *c, int64_t from, int64_t blocks)
{
    enum clip_outcome outcome;
    struct clip_writer *s;

    ok(clip_writer_open(&s, c));
    push_blocks(s, from, blocks, blocks);
    ok(clip_writer_commit(s, NULL, &outcome));
    assert_int_equal(outcome, CLIP_PUBLISHED);
    clip_writer_close(&s);
}

/* Left behind so many blocks, then made by whoever goes on. */
static void make_left_at(const char *dir, int64_t at)
{
    struct clip_writer_config c = config_of(dir, SHORT);
    struct snapshot_lock *lock;
    struct clip_writer *s;
    char *from, *why;
    int64_t blocks;

    ok(clip_writer_open(&s, &c));
    push_blocks(s, 0, at, SHORT);
    clip_writer_leave(&s);
    ok(snapshot_find(&from, &blocks, &lock, &why,
                     &(struct snapshot_search){ .target = dir, .identity = identity }));
    assert_int_equal(blocks, at / every * every);
    c.resume.dir = from;
    c.resume.blocks = blocks;
    make_clip(&c, blocks, SHORT);
    snapshot_unlock(&lock);
    free(from);
    free(why);
}

/* Every file of `want` but clip.json is in `dir`, the same to the byte. */
static int compare_folders(const char *dir, const char *want)
{
    DIR *const d = opendir(want);
    int files = 0;

    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.' || !strcmp(e->d_name, "clip.json") ||
            !strcmp(e->d_name, FINISHED_EXTENSION))
            continue;
        char *const a = path_join(dir, e->d_name), *const b = path_join(want, e->d_name);
        char x[DIGEST_HEX], y[DIGEST_HEX];
        ok(digest_file(a, x));
        ok(digest_file(b, y));
        if (strcmp(x, y) != 0) print_error("%s, checkpoints every %d blocks\n", a, every);
        assert_string_equal(x, y);
        free(a);
        free(b);
        files++;
    }
    closedir(d);
    return files;
}

static void extend(const char *dir, const char *kept)
{
    struct clip_writer_config c = config_of(dir, LONG);
    int64_t blocks, coded;

    ok(snapshot_find_in(kept, &blocks, &coded,
                        &(struct snapshot_search){ .identity = any_length }));
    assert_int_equal(blocks, SHORT - WINDOW);
    assert_int_equal(coded, blocks / every * every);
    c.resume.dir = kept;
    c.resume.identity = any_length;
    c.resume.blocks = blocks;
    c.resume.extends = true;
    make_clip(&c, coded, LONG);
}

static void is_the_longer_clip(void **state)
{
    static const int intervals[] = { 1, 4, SHORT - WINDOW, 20 };

    (void)state;
    for (int i = 0; i < COUNT_OF(intervals); i++) {
        char *const top = clips_folder(), *const whole = path_join(top, "whole");
        char *const whole_kept = path_join(whole, FINISHED_EXTENSION);
        every = intervals[i];
        struct clip_writer_config const c = config_of(whole, LONG);
        make_clip(&c, 0, LONG);
        for (int64_t at = 0; at < SHORT; at += 4) { /* left never, before, and behind its place */
            char *const dir = str_format("%s/short%lld", top, (long long)at);
            char *const longer = str_format("%s-v2", dir);
            char *const kept = path_join(dir, FINISHED_EXTENSION);
            char *const longer_kept = path_join(longer, FINISHED_EXTENSION);
            struct finished_clip there;
            make_left_at(dir, at);
            extend(longer, kept);
            assert_int_equal(compare_folders(longer, whole), 4);
            assert_int_equal(compare_folders(longer_kept, whole_kept), every > LONG ? 4 : 6);
            ok(finished_clip_read(&there, longer, FINISHED_HASHES));
            assert_int_equal(there.files, every > LONG ? 8 : 10);
            ok(finished_clip_read(&there, dir, FINISHED_HASHES)); /* it stays as it was */
            free(longer_kept);
            free(kept);
            free(longer);
            free(dir);
        }
        free(whole_kept);
        free(whole);
        clips_folder_drop(top);
    }
}

static status open_from(const char *top, const char *kept)
{
    char *const dir = path_join(top, "longer");
    struct clip_writer_config c = config_of(dir, LONG);
    struct clip_writer *s;

    c.resume.dir = kept;
    c.resume.identity = any_length;
    c.resume.blocks = SHORT - WINDOW;
    c.resume.extends = true;
    status const st = clip_writer_open(&s, &c);
    clip_writer_close(&s);
    free(dir);
    return st;
}

static void flip_byte(const char *path, size_t at)
{
    char *bytes;
    size_t len;

    ok(file_read(path, 1 << 24, &bytes, &len));
    bytes[at < len ? at : len - 1] ^= 1;
    ok(file_write(path, bytes, len));
    free(bytes);
}

static void what_cannot_be(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "short");
    char *const kept = path_join(dir, FINISHED_EXTENSION);
    static const char *const files[] = { "latents", "snapshot.7", "clip.mp4.packets" };
    struct snapshot_search const other = { .identity = "backend cpu\n" };
    int64_t blocks, coded;

    (void)state;
    every = 2;
    make_left_at(dir, 0);
    assert_int_equal(snapshot_find_in(kept, &blocks, &coded, &other), ST_MISMATCH);
    assert_non_null(strstr(error_last()->msg, "`backend ref` there, `backend cpu` now"));
    assert_int_equal(snapshot_find_in(top, &blocks, &coded, &other), ST_FORMAT);
    for (int i = 0; i < COUNT_OF(files); i++) {
        char *const path = path_join(kept, files[i]);
        flip_byte(path, 500);
        assert_int_equal(open_from(top, kept), ST_FORMAT);
        flip_byte(path, 500);
        ok(open_from(top, kept)); /* and is not removed by whoever gave it up */
        free(path);
    }
    error_clear();
    free(kept);
    free(dir);
    clips_folder_drop(top);
}

/* Names in clip.json lead to the clip's folder and that one in it, nowhere else. */
static void names_lead_nowhere(void **state)
{
    static const struct {
        const char *name;
        status st;
    } names[] = { { "extend/a", ST_OK },        { "extend/../a", ST_MISMATCH },
                  { "extend/..", ST_MISMATCH }, { "extend/", ST_MISMATCH },
                  { "..", ST_MISMATCH },        { "other/a", ST_MISMATCH } };
    char *const top = clips_folder(), *const record = path_join(top, "clip.json");
    char *const kept = path_join(top, FINISHED_EXTENSION), *const file = path_join(kept, "a");
    struct finished_clip there;

    (void)state;
    ok(dir_make(kept));
    ok(file_write(file, "abc", 3));
    for (int i = 0; i < COUNT_OF(names); i++) {
        char *const text =
            str_format("{\"files\": [{\"name\": \"%s\", \"bytes\": 3}]}", names[i].name);
        ok(file_write(record, text, strlen(text)));
        assert_int_equal(finished_clip_read(&there, top, FINISHED_SIZES), names[i].st);
        if (names[i].st) assert_non_null(strstr(error_last()->msg, "cannot be understood"));
        free(text);
    }
    error_clear();
    free(file);
    free(kept);
    free(record);
    clips_folder_drop(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_longer_clip),
        cmocka_unit_test(what_cannot_be),
        cmocka_unit_test(names_lead_nowhere),
    };
    codec_quiet();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
