/*
 * unit_written.c - a clip's files on a disk that fails, lies or changes what it is given.
 *
 * A small clip with every kind of file is written again and again, each time with one more of its
 * system calls gone wrong: until the clip passes unharmed. Linked so that the program's calls go
 * through here. Whatever happens, a clip that appears is the clip, and one that does not has a
 * reason that names a file.
 *
 * unit_written N: one call in N alone, for a valgrind, under which all take hours.
 */
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/file_record.h"
#include "base/strbuf.h"
#include "pipeline/output/clip_claim.h"
#include "tests/support/clips.h"
#include "tests/support/writer_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum fault { FAILS, LIES, FLIPS, SHORT };
enum call { WRITES, READS, SYNCS, CLOSES, RENAMES, FOLDERS, CALLS };

static struct {
    bool on;
    enum call call;
    enum fault fault;
    long nth, seen;
    bool done;
} plan;

static bool hit(enum call call)
{
    if (!plan.on || plan.call != call || ++plan.seen != plan.nth) return false;
    plan.done = true;
    return true;
}

static int refuse(void)
{
    errno = EIO;
    return -1;
}

ssize_t __real_write(int fd, const void *data, size_t n);
ssize_t __real_pwrite(int fd, const void *data, size_t n, off_t at);
ssize_t __real_pread(int fd, void *data, size_t n, off_t at);
int __real_fsync(int fd);
int __real_close(int fd);
int __real_rename(const char *from, const char *to);
int __real_mkdir(const char *path, mode_t mode);
ssize_t __wrap_write(int fd, const void *data, size_t n);
ssize_t __wrap_pwrite(int fd, const void *data, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *data, size_t n, off_t at);
int __wrap_fsync(int fd);
int __wrap_close(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_mkdir(const char *path, mode_t mode);

/* A write gone wrong; at -1: where the file stands. */
static ssize_t write_wrong(int fd, const void *data, size_t n, off_t at)
{
    ssize_t done = -1;

    if (plan.fault == FAILS) return refuse();
    if (plan.fault == LIES) {
        if (at < 0) assert_true(lseek(fd, (off_t)n, SEEK_CUR) >= 0);
        return (ssize_t)n;
    }
    unsigned char *const copy = malloc(n + 1);
    assert_non_null(copy);
    memcpy(copy, data, n);
    if (plan.fault == FLIPS && n) copy[n / 2] ^= 16;
    if (plan.fault == SHORT) n = (n + 1) / 2;
    done = at < 0 ? __real_write(fd, copy, n) : __real_pwrite(fd, copy, n, at);
    free(copy);
    return done;
}

ssize_t __wrap_write(int fd, const void *data, size_t n)
{
    return fd > 2 && hit(WRITES) ? write_wrong(fd, data, n, -1) : __real_write(fd, data, n);
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t n, off_t at)
{
    return hit(WRITES) ? write_wrong(fd, data, n, at) : __real_pwrite(fd, data, n, at);
}

ssize_t __wrap_pread(int fd, void *data, size_t n, off_t at)
{
    if (!hit(READS)) return __real_pread(fd, data, n, at);
    if (plan.fault == FAILS) return refuse();
    ssize_t const got = __real_pread(fd, data, n, at);
    if (got > 0) ((unsigned char *)data)[got / 2] ^= 1;
    return got;
}

int __wrap_fsync(int fd) { return hit(SYNCS) ? refuse() : __real_fsync(fd); }

int __wrap_close(int fd)
{
    bool const bad = hit(CLOSES);
    int const rc = __real_close(fd);
    return bad ? refuse() : rc;
}

/* One that lies is done, and says it is not. */
int __wrap_rename(const char *from, const char *to)
{
    bool const bad = hit(RENAMES);
    if (bad && plan.fault == FAILS) return refuse();
    int const rc = __real_rename(from, to);
    return bad ? refuse() : rc;
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    return hit(FOLDERS) ? refuse() : __real_mkdir(path, mode);
}

static long stride = 1;
static int kept; /* clips that could not be published */

static status write_clip(const char *dir)
{
    struct clip_writer_config c = writer_config(dir, 9);
    enum clip_outcome outcome;
    struct clip_writer *s = NULL;
    status st = ST_OK;

    c.formats = 2;
    c.preview = "contact.png";
    c.preview_columns = 2;
    c.latents.file = "latents.safetensors";
    c.latents.dtype = DT_F32;
    c.latents.frames = 3;
    c.latents.height = WRITER_H / 8;
    c.latents.width = WRITER_W / 8;
    TRY_OUT(clip_writer_open(&s, &c));
    TRY_OUT(writer_push(s, 0, 9));
    TRY_OUT(writer_push_latents(s, 0, 3));
    TRY_OUT(clip_writer_commit(s, NULL, &outcome));
    assert_int_equal(outcome, CLIP_PUBLISHED);
out:
    plan.on = false;
    clip_writer_close(&s);
    return st;
}

static const char *const files[] = { "clip.mp4", "master.mkv", "contact.png",
                                     "latents.safetensors" };

static void hash_files(const char *dir, char hex[][DIGEST_HEX])
{
    for (int i = 0; i < COUNT_OF(files); i++) {
        char *const path = path_join(dir, files[i]);
        ok(digest_file(path, hex[i]));
        free(path);
    }
}

/* The clip that could not be published is where the message says. */
static void check_kept(const char (*want)[DIGEST_HEX])
{
    char hex[COUNT_OF(files)][DIGEST_HEX];
    const char *const dir = strstr(error_last()->msg, "stays in ") + strlen("stays in ");

    assert_true(plan.call == RENAMES || plan.call == SYNCS || plan.call == CLOSES);
    hash_files(dir, hex);
    assert_memory_equal(hex, want, sizeof hex);
    kept++;
}

/* Returns whether the plan came to be carried out. */
static bool try_plan(const char *top, const char (*want)[DIGEST_HEX])
{
    char *const out = path_join(top, "new/out"), *const dir = path_join(out, "clip");
    char hex[COUNT_OF(files)][DIGEST_HEX];

    plan.seen = 0;
    plan.done = false;
    plan.on = true;
    status const st = write_clip(dir);
    if (st == ST_OK) {
        hash_files(dir, hex);
        assert_memory_equal(hex, want, sizeof hex);
        writer_lists(out, "clip");
    } else {
        bool const synced = strstr(error_last()->msg, "fsync") != NULL;
        assert_true(plan.done);
        assert_int_equal(st, ST_IO);
        if (strncmp(error_last()->msg, "/tmp", 4) != 0) print_error("%s\n", error_last()->msg);
        assert_int_equal(strncmp(error_last()->msg, "/tmp", 4), 0); /* it begins with a path */
        if (strstr(error_last()->msg, "the finished clip stays in")) check_kept(want);
        /* a folder that cannot be synced after the rename: the clip is there, and whole */
        if (path_exists(dir)) {
            assert_true(synced || plan.call == CLOSES);
            hash_files(dir, hex);
            assert_memory_equal(hex, want, sizeof hex);
        }
    }
    error_clear();
    char *const made = path_join(top, "new");
    ok(dir_remove(made));
    free(made);
    free(dir);
    free(out);
    return plan.done;
}

static void every_call_goes_wrong(void **state)
{
    static const struct {
        enum call call;
        enum fault fault;
        int least; /* so often it is called */
    } plans[] = {
        { WRITES, FAILS, 15 }, { WRITES, LIES, 15 }, { WRITES, FLIPS, 15 }, { WRITES, SHORT, 15 },
        { READS, FAILS, 4 },   { READS, FLIPS, 4 },  { SYNCS, FAILS, 8 },   { CLOSES, FAILS, 6 },
        { RENAMES, FAILS, 5 }, { RENAMES, LIES, 5 }, { FOLDERS, FAILS, 4 },
    };
    char *const top = clips_folder(), *const plain = path_join(top, "plain");
    char want[COUNT_OF(files)][DIGEST_HEX];

    (void)state;
    ok(write_clip(plain));
    hash_files(plain, want);
    for (int i = 0; i < COUNT_OF(plans); i++) {
        plan.call = plans[i].call;
        plan.fault = plans[i].fault;
        plan.nth = 1;
        while (try_plan(top, (const char(*)[DIGEST_HEX])want)) plan.nth += stride;
        if (plan.nth <= plans[i].least)
            print_error("call %d: %ld times\n", plan.call, plan.nth - 1);
        assert_true(plan.nth > plans[i].least);
    }
    if (stride == 1) assert_int_equal(kept, 2); /* its own folder not synced, not renamed */
    free(plain);
    clips_folder_drop(top);
}

/* A video of many chunks, which the muxer reads and moves to put its index in front: a bit that
 * flips on the way out is found when it is moved, and is not hashed as if it had been meant. */
static void moved_with_care(void **state)
{
    static const struct video_config large = {
        .path = "clip.mp4", .codec = "h264", .preset = "ultrafast", .has_crf = true, .crf = 1
    };
    enum { PICTURES = 96 };
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    struct clip_writer_config c = writer_config(dir, PICTURES);
    enum clip_outcome outcome;
    struct clip_writer *s;
    long n = 1;

    (void)state;
    c.format = &large;
    plan.call = WRITES;
    plan.fault = FLIPS;
    for (;; n += stride) {
        plan.nth = n;
        plan.seen = 0;
        plan.done = false;
        plan.on = true;
        status st = clip_writer_open(&s, &c);
        for (int i = 0; i < PICTURES && st == ST_OK; i += WRITER_BLOCK)
            st = writer_push(s, i, WRITER_BLOCK);
        if (st == ST_OK) st = clip_writer_commit(s, NULL, &outcome);
        plan.on = false;
        clip_writer_close(&s);
        if (!plan.done) break;
        assert_int_equal(st, ST_IO);
        assert_non_null(strstr(error_last()->msg, " not what was written"));
        writer_lists(top, "");
    }
    assert_true(n > 8); /* chunks, moved chunks, clip.json */
    free(dir);
    clips_folder_drop(top);
}

/* What a flipped bit is told as, by whom it was written: the muxer, at once, and bit by bit. */
static void the_place_is_named(void **state)
{
    char *const top = clips_folder(), *const path = path_join(top, "file");
    enum { SIZE = 3 * FILE_RECORD_CHUNK + 5 };
    unsigned char *const bytes = malloc(SIZE);
    struct file_record r;
    char hex[DIGEST_HEX], want[DIGEST_HEX];

    (void)state;
    assert_non_null(bytes);
    for (int i = 0; i < SIZE; i++) bytes[i] = (unsigned char)(i * 7 + i / 251);
    for (int wrong = 0; wrong < 3; wrong++) {
        ok(file_record_open(&r, path));
        for (int at = 0; at < SIZE; at += 40000)
            ok(file_record_add(&r, bytes + at, (size_t)(SIZE - at < 40000 ? SIZE - at : 40000)));
        if (wrong == 1) bytes[2 * FILE_RECORD_CHUNK + 17] ^= 1;
        ok(file_write(path, bytes, SIZE - (wrong == 2)));
        if (wrong == 1) bytes[2 * FILE_RECORD_CHUNK + 17] ^= 1;
        status const st = file_record_check(&r, hex);
        assert_int_equal(st, wrong ? ST_IO : ST_OK);
        if (wrong == 1)
            assert_non_null(strstr(error_last()->msg, "bytes 131072 to 196607 are not what was"));
        if (wrong == 2)
            assert_non_null(strstr(error_last()->msg, "byte 196612: the file ends there"));
        if (!wrong) {
            ok(digest_bytes(bytes, SIZE, want));
            assert_string_equal(hex, want);
        }
        file_record_close(&r);
    }
    free(bytes);
    free(path);
    clips_folder_drop(top);
}

/* Written at random places, some behind the end, and read; once the disk has changed a chunk, it is
 * neither read nor added to. */
static void back_and_forth(void **state)
{
    enum { SIZE = 5 * FILE_RECORD_CHUNK };
    char *const top = clips_folder(), *const path = path_join(top, "file");
    unsigned char *const want = calloc(1, SIZE), *const got = malloc(SIZE);
    int const fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    struct file_record r;
    char hex[DIGEST_HEX], all[DIGEST_HEX];
    unsigned seed = 1;
    int64_t size = 0;

    (void)state;
    assert_true(fd >= 0 && want && got);
    ok(file_record_open(&r, path));
    for (int i = 0; i < 300; i++) {
        seed = seed * 1103515245 + 12345;
        int64_t const reach = size + (i % 5 ? 1 : 100000); /* a gap is zeros */
        int64_t const pos = (int64_t)(seed >> 3) % (reach < SIZE ? reach : SIZE);
        int64_t const n = 1 + (int64_t)(seed >> 7) % 90000;
        int64_t const len = n < SIZE - pos ? n : SIZE - pos;
        for (int64_t k = 0; k < len; k++) want[pos + k] = (unsigned char)(seed + (unsigned)k * 31);
        ok(file_record_write(&r, fd, pos, want + pos, (size_t)len));
        if (pos + len > size) size = pos + len;
        if (i % 7 == 0) {
            ok(file_record_read(&r, fd, pos / 2, got, (size_t)(size - pos / 2)));
            assert_memory_equal(got, want + pos / 2, (size_t)(size - pos / 2));
        }
    }
    assert_int_equal(size, SIZE);
    assert_int_equal(file_record_write(&r, fd, -1, want, 1), ST_ARG);
    assert_int_equal(file_record_read(&r, fd, SIZE - 1, got, 2), ST_ARG);
    ok(file_record_write(&r, fd, SIZE - 1, want + SIZE - 1, 1)); /* leaves the others */
    got[0] = want[70000] ^ 1;
    assert_int_equal(pwrite(fd, got, 1, 70000), 1);
    assert_int_equal(file_record_write(&r, fd, 70001, want, 1), ST_IO);
    assert_non_null(strstr(error_last()->msg, "bytes 65536 to 131071 are not what was written"));
    close(fd);
    file_record_close(&r);

    ok(file_record_open(&r, path));
    ok(file_record_add(&r, want, SIZE));
    ok(file_write(path, want, SIZE));
    ok(file_record_check(&r, hex));
    ok(digest_bytes(want, SIZE, all));
    assert_string_equal(hex, all);
    file_record_close(&r);
    free(want);
    free(got);
    free(path);
    clips_folder_drop(top);
}

/* A link where a temporary file would be made is not followed. */
static void no_link_is_followed(void **state)
{
    char *const top = clips_folder(), *const path = path_join(top, "report");
    char *const victim = path_join(top, "victim");
    char *text;
    size_t len;

    (void)state;
    ok(file_write(victim, "precious", 8));
    for (int i = 0; i < 3; i++) {
        char *const beside = str_format("%s.tmp.%ld.%d", path, (long)getpid(), i);
        assert_int_equal(symlink(victim, beside), 0);
        free(beside);
    }
    ok(file_write(path, "a report", 8));
    ok(file_read(victim, 100, &text, &len));
    assert_string_equal(text, "precious");
    free(text);
    struct stat s;
    assert_int_equal(lstat(path, &s), 0);
    assert_true(S_ISREG(s.st_mode));
    ok(file_read(path, 100, &text, &len));
    assert_string_equal(text, "a report");
    free(text);
    free(victim);
    free(path);
    clips_folder_drop(top);
}

/* A claim that cannot be read is not blank: somebody may be at work. */
static void unread_claim_is_kept(void **state)
{
    char *const top = clips_folder(), *const dir = path_join(top, "clip");
    char *const claim = path_join(top, ".attempts/clip.claim");
    struct clip_claims *owner, *other;
    char by[PROCESS_WORDS];
    bool held;

    (void)state;
    ok(clip_claims_open(&owner));
    ok(clip_claims_open(&other));
    ok(clip_claims_take(owner, dir, &held, by));
    assert_true(held);
    plan = (__typeof__(plan)){ .on = true, .call = READS, .fault = FAILS, .nth = 1 };
    status const st = clip_claims_take(other, dir, &held, by);
    plan.on = false;
    assert_true(plan.done);
    assert_int_equal(st, ST_IO);
    assert_non_null(strstr(error_last()->msg, "clip.claim"));
    assert_false(held);
    assert_true(path_exists(claim));
    ok(clip_claims_take(other, dir, &held, by));
    assert_false(held);
    clip_claims_close(&other);
    clip_claims_close(&owner);
    assert_false(path_exists(claim));
    free(claim);
    free(dir);
    clips_folder_drop(top);
}

int main(int argc, char **argv)
{
    if (argc > 1) stride = atol(argv[1]) > 0 ? atol(argv[1]) : 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_place_is_named),  cmocka_unit_test(back_and_forth),
        cmocka_unit_test(no_link_is_followed), cmocka_unit_test(every_call_goes_wrong),
        cmocka_unit_test(moved_with_care),     cmocka_unit_test(unread_claim_is_kept),
    };
    codec_quiet();
    return cmocka_run_group_tests_name("unit_written", tests, NULL, NULL);
}
