/* unit_resume.c - a clip that is left behind a checkpoint and gone on with is the same to the byte;
 * what is damaged, cut or of another clip is not gone on with. */
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/journal.h"
#include "base/strbuf.h"
#include "pipeline/output/attempts.h"
#include "pipeline/resume/snapshot.h"
#include "tests/support/clips.h"
#include "tests/support/writer_fixture.h"

#include <stdio.h>

enum { BLOCKS = 9, EVERY = 2, PICTURES = BLOCKS * WRITER_BLOCK, FRAMES = 2 };

static const char identity[] = "backend ref\ncontent 0123\n";
static const char *const files[] = { "clip.mp4", "master.mkv", "contact.png",
                                     "latents.safetensors" };

static struct clip_writer_config config_of(const char *dir, const char *from, int64_t blocks)
{
    struct clip_writer_config c = writer_config(dir, PICTURES);

    c.formats = 2;
    c.preview = "contact.png";
    c.preview_columns = 3;
    c.latents.file = "latents.safetensors";
    c.latents.dtype = DT_BF16;
    c.latents.frames = BLOCKS * FRAMES;
    c.latents.height = WRITER_H / 8;
    c.latents.width = WRITER_W / 8;
    c.checkpoint.identity = identity;
    c.checkpoint.frames = FRAMES;
    c.checkpoint.latent = FRAMES * WRITER_LATENT;
    c.resume.dir = from;
    c.resume.identity = identity;
    c.resume.blocks = blocks;
    return c;
}

static const float window[2 * FRAMES * WRITER_LATENT] = { 1, 2, 3 };

static void push_blocks(struct clip_writer *s, int64_t from, int64_t to)
{
    for (int64_t b = from; b < to; b++) {
        ok(writer_push(s, b * WRITER_BLOCK, WRITER_BLOCK));
        ok(writer_push_latents(s, b * FRAMES, FRAMES));
        if ((b + 1) % EVERY == 0 && b + 1 < BLOCKS) ok(clip_writer_checkpoint(s, window, 2));
    }
}

static void hash_files(const char *dir, char hex[][DIGEST_HEX])
{
    for (int i = 0; i < COUNT_OF(files); i++) {
        char *const path = path_join(dir, files[i]);
        ok(digest_file(path, hex[i]));
        free(path);
    }
}

/* What clip.json says of files and pictures; not of the attempt. */
static char *about_pictures(const char *dir)
{
    char *const path = path_join(dir, "clip.json"), *text;
    size_t len;

    ok(file_read(path, 1 << 20, &text, &len));
    free(path);
    char *const files_at = strstr(text, "\"files\""), *const end = strstr(text, "\"generation\"");
    char *const quality = strstr(text, "\"quality\"");
    assert_true(files_at && end > files_at && quality > end);
    char *const out = str_format("%.*s%.400s", (int)(end - files_at), files_at, quality);
    free(text);
    return out;
}

static void commit(struct clip_writer *s)
{
    enum clip_outcome outcome;

    ok(clip_writer_commit(s, NULL, &outcome));
    assert_int_equal(outcome, CLIP_PUBLISHED);
}

static void make_whole(const char *dir, char hex[][DIGEST_HEX])
{
    struct clip_writer_config const c = config_of(dir, NULL, 0);
    struct clip_writer *s;

    ok(clip_writer_open(&s, &c));
    push_blocks(s, 0, BLOCKS);
    commit(s);
    clip_writer_close(&s);
    hash_files(dir, hex);
}

/* An attempt that is left with so many blocks. */
static void leave_at(const char *dir, const char *from, int64_t begin, int64_t blocks)
{
    struct clip_writer_config const c = config_of(dir, from, begin);
    struct clip_writer *s;

    ok(clip_writer_open(&s, &c));
    push_blocks(s, begin, blocks);
    clip_writer_leave(&s);
}

static char *search(const char *dir, const char *who, int64_t *blocks, char **why)
{
    struct snapshot_lock *lock;
    char *from;

    ok(snapshot_find(&from, blocks, &lock, why,
                     &(struct snapshot_search){ .target = dir, .identity = who }));
    assert_int_equal(lock != NULL, from != NULL);
    snapshot_unlock(&lock);
    return from;
}

static char *find(const char *dir, int64_t *blocks)
{
    char *why, *const from = search(dir, identity, blocks, &why);

    free(why);
    return from;
}

/* Left at every block, and once more on the way. */
static void goes_on(void **state)
{
    char *const top = clips_folder(), *const whole = path_join(top, "whole");
    char want[COUNT_OF(files)][DIGEST_HEX], hex[COUNT_OF(files)][DIGEST_HEX];
    char *const shelf = path_join(top, ".attempts");

    (void)state;
    make_whole(whole, want);
    char *const about = about_pictures(whole);
    for (int64_t at = 0; at < BLOCKS; at++) {
        char *const dir = str_format("%s/clip%lld", top, (long long)at);
        int64_t blocks;
        struct clip_writer *s;

        leave_at(dir, NULL, 0, at);
        char *from = find(dir, &blocks);
        assert_int_equal(blocks, at / EVERY * EVERY);
        assert_int_equal(from != NULL, blocks > 0);
        if (at == 3) { /* a second one, which dies further on */
            leave_at(dir, from, blocks, 7);
            free(from);
            from = find(dir, &blocks);
            assert_int_equal(blocks, 6);
        }
        struct clip_writer_config const c = config_of(dir, from, blocks);
        ok(clip_writer_open(&s, &c));
        push_blocks(s, blocks, BLOCKS);
        commit(s);
        clip_writer_close(&s);
        hash_files(dir, hex);
        assert_memory_equal(hex, want, sizeof want);
        char *const now = about_pictures(dir);
        assert_string_equal(now, about);
        assert_false(path_exists(shelf)); /* nothing is left of any attempt */
        free(now);
        free(from);
        free(dir);
    }
    free(about);
    free(shelf);
    free(whole);
    clips_folder_drop(top);
}

/* The two newest stay; what is damaged in the newest leads to the one before; all latents are
 * needed. */
static void damaged(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    int64_t blocks;

    (void)state;
    leave_at(dir, NULL, 0, 7);
    char *const from = find(dir, &blocks);
    assert_int_equal(blocks, 6);
    char *const newest = path_join(from, "snapshot.6"), *const before =
                                                            path_join(from, "snapshot.4");
    char *const latents = path_join(from, "latents"), *gone = path_join(from, "snapshot.2");
    char *bytes;
    size_t len;

    assert_true(path_exists(before));
    assert_false(path_exists(gone));
    ok(file_read(newest, 1 << 24, &bytes, &len));
    for (size_t i = 0; i < len; i += len / 23) { /* a flipped bit, and an end */
        struct snapshot_reader r;
        bytes[i] ^= 1;
        ok(file_write(newest, bytes, len));
        assert_int_equal(snapshot_reader_open(&r, from, 6), ST_FORMAT);
        bytes[i] ^= 1;
        ok(file_write(newest, bytes, i));
        assert_int_equal(snapshot_reader_open(&r, from, 6), ST_FORMAT);
        free(find(dir, &blocks));
        assert_int_equal(blocks, 4);
    }
    ok(file_write(newest, bytes, len));
    free(bytes);
    free(find(dir, &blocks));
    assert_int_equal(blocks, 6);

    ok(file_read(latents, 1 << 24, &bytes, &len)); /* of 7 blocks */
    size_t const record = len / 7;
    ok(file_write(latents, bytes, 6 * record + 5)); /* a torn tail */
    free(find(dir, &blocks));
    assert_int_equal(blocks, 6);
    ok(file_write(latents, bytes, 6 * record - 1));
    free(find(dir, &blocks));
    assert_int_equal(blocks, 4);
    bytes[2 * record - 3] ^= 1;
    ok(file_write(latents, bytes, len));
    free(find(dir, &blocks));
    assert_int_equal(blocks, 0);
    struct clip_writer_config const c = config_of(dir, from, 6);
    struct clip_writer *s;
    assert_int_equal(clip_writer_open(&s, &c), ST_FORMAT);
    assert_non_null(strstr(error_last()->msg, "checksum"));
    assert_null(s);
    error_clear();
    free(bytes);
    free(newest);
    free(before);
    free(latents);
    free(gone);
    free(from);
    free(dir);
    clips_folder_drop(top);
}

/* One that another version of the program has written is said to be that, whatever its length. */
static void other_form(void **state)
{
    static int64_t const first[6] = { 1, 6 };
    char *const top = clips_folder(), *const path = path_join(top, "snapshot.6");
    struct snapshot_reader r;
    struct journal j;

    (void)state;
    ok(journal_open(&j, path));
    ok(journal_append(&j, 0, first, sizeof first));
    ok(journal_sync(&j));
    journal_close(&j);
    assert_int_equal(snapshot_reader_open(&r, top, 6), ST_FORMAT);
    assert_non_null(strstr(error_last()->msg, "a snapshot of form 1; this program reads form 2"));
    error_clear();
    free(path);
    clips_folder_drop(top);
}

static bool stop_at_third(void *arg) { return ++*(int *)arg == 3; }

/* Before any of the latents that are read to see that they are whole. */
static void a_stop_ends_the_search(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct snapshot_lock *lock;
    char *from, *why;
    int64_t blocks;
    int asked = 0;

    (void)state;
    leave_at(dir, NULL, 0, 7);
    assert_int_equal(snapshot_find(&from, &blocks, &lock, &why,
                                   &(struct snapshot_search){ .target = dir,
                                                              .identity = identity,
                                                              .stop = stop_at_third,
                                                              .stop_arg = &asked }),
                     ST_CANCELED);
    assert_int_equal(asked, 3);
    error_clear();
    snapshot_unlock(&lock);
    free(from);
    free(why);
    free(dir);
    clips_folder_drop(top);
}

/* Another clip, other means: named, and not taken. */
static void others(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    char *why;
    int64_t blocks;

    (void)state;
    leave_at(dir, NULL, 0, 5);
    assert_null(search(dir, "backend cpu\ncontent 0123\n", &blocks, &why));
    assert_non_null(strstr(why, "`backend ref` there, `backend cpu` now"));
    free(why);
    char *const other = path_join(top, "cli"), *const longer = path_join(top, "clip.1.a");
    assert_null(search(other, identity, &blocks, &why));
    assert_null(why);
    assert_null(search(longer, identity, &blocks, &why));
    free(other);
    free(longer);

    char *const from = find(dir, &blocks);
    struct clip_writer *s;
    struct clip_writer_config c = config_of(dir, from, blocks);
    c.formats = 1;
    assert_int_equal(clip_writer_open(&s, &c), ST_FORMAT);
    c = config_of(dir, from, blocks);
    c.preview = NULL;
    assert_int_equal(clip_writer_open(&s, &c), ST_FORMAT);
    c = config_of(dir, from, blocks);
    c.pictures--;
    assert_int_equal(clip_writer_open(&s, &c), ST_FORMAT);
    c = config_of(dir, from, blocks);
    c.resume.identity = "backend cpu\n";
    assert_int_equal(clip_writer_open(&s, &c), ST_MISMATCH);
    error_clear();
    assert_int_equal(blocks, 4); /* and it is still there */
    free(find(dir, &blocks));
    assert_int_equal(blocks, 4);
    free(from);
    free(dir);
    clips_folder_drop(top);
}

/* Not a stop but a failure: nothing stays. Nor does an attempt without a checkpoint. */
static void leaves_nothing(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct clip_writer_config const c = config_of(dir, NULL, 0);
    struct clip_writer *s;

    (void)state;
    ok(clip_writer_open(&s, &c));
    push_blocks(s, 0, 5);
    clip_writer_close(&s);
    writer_lists(top, "");
    leave_at(dir, NULL, 0, EVERY - 1);
    writer_lists(top, "");
    free(dir);
    clips_folder_drop(top);
}

/* Whatever else is known of it: it stays for as long as one goes on from it. */
static void a_lock_keeps_it(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct snapshot_search const c = { .target = dir, .identity = identity };
    struct snapshot_lock *lock, *second, *alone;
    struct attempts_found found;
    char *from, *why;
    int64_t blocks;

    (void)state;
    leave_at(dir, NULL, 0, 5);
    ok(snapshot_find(&from, &blocks, &lock, &why, &c));
    char *const owner = path_join(from, "owner");
    ok(file_write(owner, "?", 1)); /* nobody knows whose it is */
    assert_true(snapshot_lock(&second, from, false));
    for (int holders = 2; holders; holders--) {
        ok(attempts_sweep(top, true, &found));
        assert_int_equal(found.alive, 1);
        assert_int_equal(found.removed, 0);
        snapshot_unlock(holders == 2 ? &second : &lock);
    }
    assert_true(snapshot_lock(&alone, from, true)); /* as it is removed: nobody goes on from it */
    assert_null(search(dir, identity, &blocks, &why));
    assert_non_null(strstr(why, "cannot be locked"));
    free(why);
    snapshot_unlock(&alone);
    ok(attempts_sweep(top, true, &found));
    assert_int_equal(found.removed, 1);
    assert_false(path_exists(from));
    free(owner);
    free(from);
    free(dir);
    clips_folder_drop(top);
}

/* The clip is there, made by this very attempt: its folder in it has become the clip's. */
static void nothing_to_go_on_with(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct attempts_found found;
    int64_t blocks;

    (void)state;
    leave_at(dir, NULL, 0, 5);
    char *const from = find(dir, &blocks), *const owner = path_join(from, "owner");
    char *const made = path_join(from, "clip");
    ok(file_write(owner, "?", 1));
    ok(attempts_sweep(top, false, &found));
    assert_int_equal(found.resumable, 1);
    assert_int_equal(rename(made, dir), 0);
    ok(attempts_sweep(top, false, &found));
    assert_int_equal(found.resumable, 0);
    assert_int_equal(found.unknown, 1);
    free(made);
    free(owner);
    free(from);
    free(dir);
    clips_folder_drop(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on),
        cmocka_unit_test(damaged),
        cmocka_unit_test(other_form),
        cmocka_unit_test(others),
        cmocka_unit_test(a_stop_ends_the_search),
        cmocka_unit_test(leaves_nothing),
        cmocka_unit_test(a_lock_keeps_it),
        cmocka_unit_test(nothing_to_go_on_with),
    };
    codec_quiet();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
