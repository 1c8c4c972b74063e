/* unit_file_hash.c - hashes of whole files and what is kept of them: a file that is known is not
 * read, one that was touched in any way is, and a cache that is damaged is as good as none.
 * Readings are counted, and the clock goes ahead (--wrap). */
#include "tests/support/unit.h"

#include "base/file_hash.h"
#include "base/file_pledge.h"
#include "base/strbuf.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int readings;
static time_t ahead_s;

status __real_digest_file(const char *path, char hex[DIGEST_HEX]);
time_t __real_time(time_t *t);
status __wrap_digest_file(const char *path, char hex[DIGEST_HEX]);
time_t __wrap_time(time_t *t);

status __wrap_digest_file(const char *path, char hex[DIGEST_HEX])
{
    readings++;
    return __real_digest_file(path, hex);
}

time_t __wrap_time(time_t *t) { return __real_time(t) + ahead_s; }

static char dir[] = "/tmp/unit_file_hash.XXXXXX";
static char *cache;

static char *path_of(const char *name) { return str_format("%s/%s", dir, name); }

static void put(const char *name, const char *text)
{
    char *const path = path_of(name);
    assert_int_equal(file_write(path, text, strlen(text)), ST_OK);
    free(path);
}

/* Hash it: it holds this text, and was read so often. */
static void expect(const char *name, const char *text, int times)
{
    char *const path = path_of(name), hex[DIGEST_HEX], want[DIGEST_HEX];
    struct file_stamp stamp, now;

    readings = 0;
    assert_int_equal(file_hash(path, cache, &stamp, hex), ST_OK);
    assert_int_equal(digest_bytes(text, strlen(text), want), ST_OK);
    assert_string_equal(hex, want);
    assert_int_equal(readings, times);
    assert_int_equal(file_stamp_of(&now, path), ST_OK);
    assert_memory_equal(&now, &stamp, sizeof now);
    free(path);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(dir)) return -1;
    cache = path_of("a/b/hashes");
    return cache ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    free(cache);
    return dir_remove(dir) == ST_OK ? 0 : -1;
}

static int begin(void **state)
{
    (void)state;
    ahead_s = 10;
    return dir_remove(cache) == ST_OK ? 0 : -1;
}

static void read_once(void **state)
{
    (void)state;
    put("one", "one");
    put("two", "two");
    expect("one", "one", 1);
    expect("one", "one", 0);
    expect("two", "two", 1);
    expect("one", "one", 0);
    expect("two", "two", 0);
    char *const own = cache;
    cache = NULL;
    expect("one", "one", 1);
    cache = own;
}

/* Whatever has been done to it, it is read. */
static void changed(void **state)
{
    char *const path = path_of("one"), *const other = path_of("other");
    struct timespec const old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    struct stat s;

    (void)state;
    put("one", "one");
    expect("one", "one", 1);
    assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0); /* touch */
    expect("one", "one", 1);
    expect("one", "one", 0);
    put("one", "eno"); /* a new file of its name, as long */
    expect("one", "eno", 1);
    put("other", "neo");
    assert_int_equal(stat(path, &s), 0);
    struct timespec const same[2] = { s.st_atim, s.st_mtim };
    assert_int_equal(utimensat(AT_FDCWD, other, same, 0), 0); /* with the date of the one before */
    assert_int_equal(rename(other, path), 0);
    expect("one", "neo", 1);
    int const fd = open(path, O_WRONLY); /* written to, and its date set back */
    assert_int_equal(write(fd, "eon", 3), 3);
    close(fd);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    expect("one", "eon", 1);
    expect("one", "eon", 0);
    free(path);
    free(other);
}

/* What may yet be written to within the same tick is not kept. */
static void just_now(void **state)
{
    (void)state;
    put("new", "new");
    ahead_s = 0;
    expect("new", "new", 1);
    expect("new", "new", 1);
    ahead_s = 10;
    expect("new", "new", 1);
    expect("new", "new", 0);
}

static void damaged(void **state)
{
    struct stat s;

    (void)state;
    put("one", "one");
    expect("one", "one", 1);
    assert_int_equal(stat(cache, &s), 0);
    for (off_t at = 0; at < s.st_size; at += 7) { /* a bit anywhere */
        char c;
        int const fd = open(cache, O_RDWR);
        assert_int_equal(pread(fd, &c, 1, at), 1);
        c ^= 1;
        assert_int_equal(pwrite(fd, &c, 1, at), 1);
        close(fd);
        expect("one", "one", 1);
        expect("one", "one", 0);
    }
    for (off_t size = s.st_size - 1; size >= 0; size -= 11) { /* cut */
        assert_int_equal(truncate(cache, size), 0);
        expect("one", "one", 1);
        expect("one", "one", 0);
    }
    assert_int_equal(dir_remove(cache), ST_OK);
    assert_int_equal(mkdir(cache, 0700), 0); /* another thing than a file */
    expect("one", "one", 1);
    expect("one", "one", 1);
}

/* As many as there may be, one more: the oldest has gone. */
static void bounded(void **state)
{
    struct strbuf t = { 0 };
    char sum[DIGEST_HEX], *text;
    size_t len;
    int lines = 0;

    (void)state;
    put("one", "one");
    strbuf_addf(&t, "rollmill-hashes 1\n");
    assert_int_equal(digest_bytes("x", 1, sum), ST_OK);
    for (int i = 0; i < FILE_HASHES; i++)
        strbuf_addf(&t, "7777 %d 1 2.000000003 4.000000005 %s\n", i, sum);
    assert_int_equal(digest_bytes(t.s, t.len, sum), ST_OK);
    strbuf_addf(&t, "sum %s\n", sum);
    assert_int_equal(file_write(cache, t.s, t.len), ST_OK);
    expect("one", "one", 1);
    expect("one", "one", 0);
    assert_int_equal(file_read(cache, 1 << 22, &text, &len), ST_OK);
    for (size_t i = 0; i < len; i++) lines += text[i] == '\n';
    assert_int_equal(lines, FILE_HASHES + 2);
    assert_null(strstr(text, "\n7777 0 1 "));
    assert_non_null(strstr(text, "\n7777 1 1 "));
    free(text);
    strbuf_free(&t);
}

static void refused(void **state)
{
    char *const path = path_of("none"), hex[DIGEST_HEX];
    struct file_stamp stamp;

    (void)state;
    assert_int_equal(file_hash(path, cache, &stamp, hex), ST_FORMAT);
    assert_int_equal(file_hash(dir, cache, &stamp, hex), ST_FORMAT);
    free(path);
}

/* A link that led elsewhere for one open: the file at its end looks as before, the open tells. */
static void turned_back(void **state)
{
    char *const link = path_of("link"), *const one = path_of("one"), *const two = path_of("two");
    struct file_pledge pledge = { 0 };
    struct file_stamp stamp;
    struct file_map map;

    (void)state;
    put("one", "1");
    put("two", "2");
    assert_int_equal(symlink(one, link), 0);
    assert_int_equal(file_stamp_of(&stamp, link), ST_OK);
    file_pledge_begin(&pledge, link);
    assert_int_equal(file_map(&map, link), ST_OK);
    file_unmap(&map);
    assert_true(file_pledge_kept(&pledge, &stamp));
    assert_true(!unlink(link) && !symlink(two, link));
    assert_int_equal(file_map(&map, link), ST_OK);
    file_unmap(&map);
    assert_true(!unlink(link) && !symlink(one, link));
    assert_false(file_pledge_kept(&pledge, &stamp));
    file_pledge_end(&pledge);
    free(link);
    free(one);
    free(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(turned_back, begin), cmocka_unit_test_setup(read_once, begin),
        cmocka_unit_test_setup(changed, begin),     cmocka_unit_test_setup(just_now, begin),
        cmocka_unit_test_setup(damaged, begin),     cmocka_unit_test_setup(bounded, begin),
        cmocka_unit_test_setup(refused, begin),
    };
    return cmocka_run_group_tests_name("unit_file_hash", tests, make_folder, remove_folder);
}
