/* unit_base.c - the floor: error record, arena, text, characters, files, threads, pool. */
#define _GNU_SOURCE /* pthread_getname_np */
#include "tests/support/unit.h"

#include "base/arena.h"
#include "base/array.h"
#include "base/choice.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/file_guard.h"
#include "base/file_kind.h"
#include "base/file_watch.h"
#include "base/pool.h"
#include "base/process_mark.h"
#include "base/strbuf.h"
#include "base/thread.h"
#include "base/utf8.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static status inner(void) { return fail(ST_IO, "disk %d", 7); }

static status outer(void)
{
    TRY(inner());
    return ST_OK;
}

static void error_travels(void **state)
{
    (void)state;
    assert_int_equal(outer(), ST_IO);
    assert_string_equal(error_last()->msg, "disk 7");
    assert_int_equal(error_last()->depth, 2);
    assert_string_equal(error_last()->at[1].expr, "inner()");
    assert_int_equal(fail(ST_ARG, "about: %s", error_last()->msg), ST_ARG);
    assert_string_equal(error_last()->msg, "about: disk 7");
    for (int i = 0; i < ST_COUNT; i++) assert_string_not_equal(status_name(i), "unknown");
}

static status layout(struct arena *a, void *at[3])
{
    TRY(arena_take(a, 33, &at[0]));
    TRY(arena_take(a, 0, &at[1]));
    TRY(arena_take(a, 257, &at[2]));
    return ST_OK;
}

static void arena_runs_twice(void **state)
{
    static _Alignas(256) unsigned char memory[4096];
    struct arena measured, real;
    void *at[3];

    (void)state;
    arena_measure(&measured, "m");
    assert_int_equal(layout(&measured, at), ST_OK);
    assert_null(at[2]);
    arena_over(&real, "scratch", memory, measured.used);
    assert_int_equal(layout(&real, at), ST_OK);
    assert_int_equal(real.used, measured.used);
    assert_int_equal((uintptr_t)at[2] % ARENA_ALIGN, 0);
    arena_over(&real, "scratch", memory, measured.used - 1);
    assert_int_equal(layout(&real, at), ST_NOMEM);
    assert_non_null(strstr(error_last()->msg, "arena scratch: 257 bytes"));

    void *huge;
    arena_measure(&measured, "m");
    assert_int_equal(arena_take(&measured, 100, &huge), ST_OK);
    assert_int_equal(arena_take(&measured, SIZE_MAX - 50, &huge), ST_NOMEM);
}

static void arrays_grow(void **state)
{
    int *at = NULL, room = 0, count = 0, full = INT_MAX / 2 + 1;

    (void)state;
    for (; count < 1000; count++) {
        at = array_grow(at, count, &room, sizeof *at);
        assert_non_null(at);
        assert_true(room > count);
        at[count] = count;
    }
    for (int i = 0; i < count; i++) assert_int_equal(at[i], i);
    assert_ptr_equal(array_grow(at, room - 1, &room, sizeof *at), at);
    assert_null(array_grow(at, full, &full, 1)); /* no int is twice as large */
    assert_int_equal(full, INT_MAX / 2 + 1);
    full = 1 << 20;
    assert_null(array_grow(at, full, &full, SIZE_MAX >> 10));
    free(at);
}

static void text_and_paths(void **state)
{
    struct strbuf t = { 0 };

    (void)state;
    for (int i = 0; i < 100; i++) strbuf_addf(&t, "%d,", i);
    assert_int_equal(t.len, 290);
    assert_false(t.failed);
    strbuf_free(&t);

    const struct {
        const char *dir, *name, *want;
    } joins[] = {
        { "a", "b", "a/b" },
        { "a/", "b", "a/b" },
        { ".", "b", "b" },
        { "a", "/b", "/b" },
    };
    for (int i = 0; i < COUNT_OF(joins); i++) {
        char *const got = path_join(joins[i].dir, joins[i].name);
        assert_string_equal(got, joins[i].want);
        free(got);
    }
}

static void files(void **state)
{
    char dir[] = "/tmp/unit_base.XXXXXX", hex[DIGEST_HEX];
    char *text;
    size_t len;
    struct file_map m;

    (void)state;
    assert_non_null(mkdtemp(dir));
    char *const deep = path_join(dir, "a/b");
    char *const path = path_join(deep, "f");
    assert_int_equal(dir_make(deep), ST_OK);
    assert_int_equal(file_write(path, "abc", 3), ST_OK);
    assert_int_equal(file_read(path, 3, &text, &len), ST_OK);
    assert_string_equal(text, "abc");
    free(text);
    assert_int_equal(file_read(path, 2, &text, &len), ST_FORMAT);
    assert_int_equal(file_read(deep, 9, &text, &len), ST_FORMAT);
    assert_int_equal(digest_file(path, hex), ST_OK);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(file_write(path, "", 0), ST_OK);
    assert_int_equal(file_map(&m, path), ST_OK);
    assert_null(m.data);
    file_unmap(&m);
    assert_int_equal(dir_make(path), ST_IO);
    assert_int_equal(dir_remove(dir), ST_OK);
    assert_false(path_exists(dir));
    assert_int_equal(dir_remove(dir), ST_OK);
    free(deep);
    free(path);
}

static bool stop_at_third(void *arg) { return ++*(int *)arg == 3; }

/* A question before each piece, and no piece behind a yes. */
static void a_stop_ends_a_digest(void **state)
{
    enum { PIECES = 5 };
    char dir[] = "/tmp/unit_base.XXXXXX", hex[DIGEST_HEX], want[DIGEST_HEX];
    int asked = 0;

    (void)state;
    assert_non_null(mkdtemp(dir));
    char *const path = path_join(dir, "f");
    assert_int_equal(file_write(path, "abc", 3), ST_OK);
    assert_int_equal(truncate(path, PIECES * (off_t)FILE_WATCH_PIECE - 1), 0);
    assert_int_equal(digest_file_unless(path, stop_at_third, &asked, hex), ST_CANCELED);
    assert_int_equal(asked, 3);
    assert_non_null(strstr(error_last()->msg, path));
    asked = 3; /* nobody stops any more */
    assert_int_equal(digest_file_unless(path, stop_at_third, &asked, hex), ST_OK);
    assert_int_equal(asked, 3 + PIECES);
    assert_int_equal(digest_file(path, want), ST_OK);
    assert_string_equal(hex, want);
    assert_int_equal(dir_remove(dir), ST_OK);
    free(path);
}

static void expect_text(const char *path, const char *want)
{
    char *text;
    size_t len;

    assert_int_equal(file_read(path, 99, &text, &len), ST_OK);
    assert_string_equal(text, want);
    free(text);
}

/* Whatever stands at the path stays what it is. */
static void files_behind_links_and_pipes(void **state)
{
    char dir[] = "/tmp/unit_base.XXXXXX", got[4] = "";
    struct stat s;

    (void)state;
    assert_non_null(mkdtemp(dir));
    char *const file = path_join(dir, "file"), *const link = path_join(dir, "link");
    char *const pipe = path_join(dir, "pipe"), *const far = path_join(dir, "far");
    assert_int_equal(symlink("file", link), 0);
    assert_int_equal(symlink("link", far), 0);
    assert_int_equal(file_write(far, "new", 3), ST_OK); /* it leads nowhere yet */
    expect_text(file, "new");
    assert_int_equal(file_write(link, "abc", 3), ST_OK);
    expect_text(file, "abc");
    assert_true(lstat(link, &s) == 0 && S_ISLNK(s.st_mode));
    assert_true(lstat(file, &s) == 0 && S_ISREG(s.st_mode));

    assert_int_equal(mkfifo(pipe, 0600), 0);
    int const fd = open(pipe, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(file_write(pipe, "abc", 3), ST_OK);
    assert_int_equal(read(fd, got, 3), 3);
    assert_string_equal(got, "abc");
    close(fd);
    assert_true(lstat(pipe, &s) == 0 && S_ISFIFO(s.st_mode));

    assert_int_equal(file_write(dir, "abc", 3), ST_IO);
    assert_non_null(strstr(error_last()->msg, "a folder"));
    assert_int_equal(dir_remove(dir), ST_OK);
    free(file);
    free(link);
    free(pipe);
    free(far);
}

static status count_up(void *arg, int64_t task, int worker)
{
    (void)worker;
    atomic_fetch_add((atomic_llong *)arg, task);
    return ST_OK;
}

static status fail_at_70(void *arg, int64_t task, int worker)
{
    (void)arg, (void)worker;
    return task == 70 ? fail(ST_DEVICE, "task 70") : ST_OK;
}

static void pool_shares_out(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        struct pool *p;
        assert_int_equal(pool_open(&p, threads), ST_OK);
        for (int round = 0; round < 50; round++) {
            atomic_llong sum = 0;
            assert_int_equal(pool_run(p, 101, count_up, &sum), ST_OK);
            assert_int_equal(sum, 5050);
        }
        error_clear();
        assert_int_equal(pool_run(p, 101, fail_at_70, NULL), ST_DEVICE);
        assert_string_equal(error_last()->msg, "task 70");
        assert_int_equal(pool_run(p, 0, fail_at_70, NULL), ST_OK);
        pool_close(&p);
        assert_null(p);
    }
    struct pool *none;
    assert_int_equal(pool_open(&none, 0), ST_ARG);
}

static void words_have_places(void **state)
{
    (void)state;
    assert_int_equal(choice_find("mp4|mov|mkv", "mp4"), 0);
    assert_int_equal(choice_find("mp4|mov|mkv", "mkv"), 2);
    assert_int_equal(choice_find("mp4|mov|mkv", "mp"), -1);
    assert_int_equal(choice_find("mp4|mov|mkv", "mp4|mov"), -1);
    assert_int_equal(choice_find("mp4||mkv", ""), -1);
    assert_int_equal(choice_find(NULL, "mp4"), -1);

    char buf[4];
    assert_true(choice_at(buf, sizeof buf, "mp4|mov|webm", 0));
    assert_string_equal(buf, "mp4");
    assert_true(choice_at(buf, sizeof buf, "mp4|mov|webm", 2));
    assert_string_equal(buf, "web");
    assert_false(choice_at(buf, sizeof buf, "mp4|mov|webm", 3));
    assert_string_equal(buf, "");
    assert_false(choice_at(buf, sizeof buf, NULL, 0));
}

static status come_to(void *arg)
{
    char name[TASK_NAME];

    if (pthread_getname_np(pthread_self(), name, sizeof name)) name[0] = 0;
    const status st = *(const status *)arg;
    return st == ST_OK ? ST_OK : fail(st, "%s in %s", status_name(st), name);
}

/* `own` is what the caller has come to when it joins a thread that came to `theirs`. */
static void tasks_bring_their_failure(void **state)
{
    static const struct {
        status theirs, own, all;
        const char *msg;
    } rows[] = {
        { ST_OK, ST_OK, ST_OK, "" },
        { ST_IO, ST_OK, ST_IO, "io in a task with a l" },
        { ST_OK, ST_COMM, ST_COMM, "own" },
        { ST_IO, ST_COMM, ST_COMM, "own" },
        { ST_PEER, ST_IO, ST_IO, "own" },
        { ST_IO, ST_PEER, ST_IO, "io in a task with a l" },
        { ST_PEER, ST_CANCELED, ST_PEER, "peer in a task with a l" },
    };
    struct task t = { 0 };

    (void)state;
    assert_int_equal(task_join(&t, ST_IO), ST_IO); /* never started */
    for (int i = 0; i < COUNT_OF(rows); i++) {
        status theirs = rows[i].theirs;
        error_clear();
        assert_int_equal(task_start(&t, "a task with a long name", 3, come_to, &theirs), ST_OK);
        status const own = rows[i].own == ST_OK ? ST_OK : fail(rows[i].own, "own");
        assert_int_equal(task_join(&t, own), rows[i].all);
        assert_string_equal(error_last()->msg, rows[i].msg);
        assert_int_equal(error_last()->st, rows[i].all);
        assert_false(t.started);
    }
}

static void characters(void **state)
{
    static const struct {
        const char *s;
        int bytes;
    } rows[] = {
        { "a", 1 },
        { "\xc3\xa4", 2 },
        { "\xe2\x82\xac", 3 },
        { "\xf0\x9f\x8e\xac", 4 },
        { "\x80", 0 },
        { "\xc1\x81", 0 },
        { "\xe0\x80\x80", 0 },
        { "\xf0\x80\x80\x80", 0 },
        { "\xe2\x82", 0 },
        { "\xed\xa0\x80", 0 },
        { "\xf4\x90\x80\x80", 0 },
        { "\xf5\x80\x80\x80", 0 },
    };

    uint32_t c;
    char back[4];

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(utf8_decode(&c, rows[i].s, strlen(rows[i].s)), rows[i].bytes);
        if (rows[i].bytes == (int)strlen(rows[i].s))
            assert_true(utf8_valid(rows[i].s, strlen(rows[i].s)));
        if (!rows[i].bytes) assert_false(utf8_valid(rows[i].s, strlen(rows[i].s)));
        if (!rows[i].bytes) continue;
        assert_int_equal(utf8_encode(back, c), rows[i].bytes);
        assert_memory_equal(back, rows[i].s, (size_t)rows[i].bytes);
    }
    assert_int_equal(utf8_decode_lax(&c, "\xed\xa0\x80", 3), 3);
    assert_int_equal(c, 0xd800);
    assert_int_equal(utf8_decode(&c, "", 0), 0);
    assert_true(utf8_printable('\n'));
    assert_false(utf8_printable('\t'));
    assert_false(utf8_printable(0x80));
    assert_false(utf8_printable(0xfeff));
}

/* A mapped file that is cut, one of a model's many: a line with its name and code 1, no SIGBUS. */
static void cut_while_mapped(void **state)
{
    char name[] = "/tmp/unit_base.XXXXXX", said[256] = { 0 };
    int const fd = mkstemp(name);
    int pipe_end[2], how;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    assert_int_equal(pipe(pipe_end), 0);
    pid_t const child = fork();
    if (!child) {
        struct file_map m;
        dup2(pipe_end[1], STDERR_FILENO);
        file_guard_begin();
        for (int i = 0; i < 500; i++)
            if (file_map(&m, name) != ST_OK) _exit(6);
        if (ftruncate(fd, 100)) _exit(7);
        _exit(((volatile const unsigned char *)m.data)[1 << 19] + 8);
    }
    assert_true(child > 0);
    close(pipe_end[1]);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 1);
    assert_true(read(pipe_end[0], said, sizeof said - 1) > 0);
    assert_memory_equal(said, "rollmill: io: /tmp/unit_base.", 29);
    assert_non_null(strstr(said, ": cannot be read: it was cut"));
    close(pipe_end[0]);
    close(fd);
    unlink(name);
}

/* Its own process; one that has ended, before somebody asks how it ended and after. */
static void process_marks(void **state)
{
    char mine[PROCESS_MARK], theirs[PROCESS_MARK] = { 0 };
    int pipe_end[2];
    siginfo_t ended;

    (void)state;
    assert_int_equal(process_mark(mine), ST_OK);
    assert_int_equal(process_mark_state(mine), PROCESS_LIVES);
    assert_int_equal(process_mark_state("no mark"), PROCESS_UNKNOWN);
    assert_int_equal(pipe(pipe_end), 0);
    pid_t const child = fork();
    if (!child) {
        char mark[PROCESS_MARK];
        if (process_mark(mark) != ST_OK || write(pipe_end[1], mark, strlen(mark)) < 1) _exit(7);
        pause();
    }
    assert_true(child > 0);
    assert_true(read(pipe_end[0], theirs, sizeof theirs - 1) > 0);
    assert_int_equal(process_mark_state(theirs), PROCESS_LIVES);
    kill(child, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT), 0);
    assert_int_equal(process_mark_state(theirs), PROCESS_GONE);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(process_mark_state(theirs), PROCESS_GONE);
    close(pipe_end[0]);
    close(pipe_end[1]);
}

/* What may be over soon is no fault of the file. */
static void open_errors(void **state)
{
    int const soon[] = { EIO, ESTALE, EMFILE, ENFILE, ENOMEM, EAGAIN, EINTR, ETIMEDOUT };
    int const stays[] = { ENOENT, ENOTDIR, EACCES, EISDIR, ELOOP };

    (void)state;
    for (int i = 0; i < COUNT_OF(soon); i++) assert_int_equal(file_open_status(soon[i]), ST_IO);
    for (int i = 0; i < COUNT_OF(stays); i++)
        assert_int_equal(file_open_status(stays[i]), ST_FORMAT);
}

/* One that somebody sends ends the process, too. */
static void bus_error_sent(void **state)
{
    int how;

    (void)state;
    pid_t const child = fork();
    if (!child) {
        file_guard_begin();
        kill(getpid(), SIGBUS);
        _exit(7);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    assert_int_equal(WTERMSIG(how), SIGBUS);
}

/* What most often lies in a model's place. */
static void kinds_of_files(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *want; /* how it begins; NULL: not known */
    } rows[] = {
#define BYTES(s) s, sizeof(s) - 1
        { BYTES(""), "an empty file" },
        { BYTES("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"),
          "a Git LFS pointer" },
        { BYTES("<!DOCTYPE html><html>"), "a web page" },
        { BYTES("\xef\xbb\xbf\n  <HTML lang=en>"), "a web page" },
        { BYTES("GGUF\3\0\0\0"), "a GGUF file" },
        { BYTES("{\n \"metadata\": {},\n \"weight_map\": {}}"), "the index of a model in several" },
        { BYTES("{\"meta\":{}}"), FILE_KIND_JSON },
        { BYTES(" [1]"), FILE_KIND_JSON },
        { BYTES("\x80\2\x8a\nl\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M"),
          "a torch file in the form from before torch 1.6" },
        { BYTES("\x80\2}."), "a Python pickle" },
        { BYTES("PK\3\4"), "a zip file" },
        { BYTES("\x1f\x8b\x08"), "a gzip archive" },
        { BYTES("\2\0\0\0\0\0\0\0{}"), "a safetensors file" },
        { BYTES("\n\x0e\n\5<pad>\x15\0\0\0\0"), NULL },
        { BYTES("hello"), NULL },
        { BYTES("GGU"), NULL },
        { BYTES("<"), NULL },
#undef BYTES
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        const char *const kind = file_kind(rows[i].bytes, rows[i].len);
        if (!rows[i].want) assert_null(kind);
        else {
            assert_non_null(kind);
            assert_memory_equal(kind, rows[i].want, strlen(rows[i].want));
        }
    }
    assert_string_equal(file_kind(NULL, 0), "an empty file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_travels),
        cmocka_unit_test(arena_runs_twice),
        cmocka_unit_test(arrays_grow),
        cmocka_unit_test(text_and_paths),
        cmocka_unit_test(words_have_places),
        cmocka_unit_test(characters),
        cmocka_unit_test(files),
        cmocka_unit_test(a_stop_ends_a_digest),
        cmocka_unit_test(process_marks),
        cmocka_unit_test(open_errors),
        cmocka_unit_test(cut_while_mapped),
        cmocka_unit_test(bus_error_sent),
        cmocka_unit_test(kinds_of_files),
        cmocka_unit_test(files_behind_links_and_pipes),
        cmocka_unit_test(pool_shares_out),
        cmocka_unit_test(tasks_bring_their_failure),
    };
    return cmocka_run_group_tests_name("unit_base", tests, NULL, NULL);
}
