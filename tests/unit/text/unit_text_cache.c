/* unit_text_cache.c - the cache of embeddings keeps to its limit, and what was used longest ago
 * goes first. */
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/strbuf.h"
#include "pipeline/text/text_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DIM = 256, HEADER = 16 + 64 + 8 + 8 + 64, ENTRY = HEADER + DIM * (int)sizeof(float) };

static char dir[] = "/tmp/unit_text_cache.XXXXXX";
static float rows[DIM];

static struct text_entry entry(int number, char key[65])
{
    snprintf(key, 65, "%064x", (unsigned)number);
    rows[0] = (float)number;
    return (
        struct text_entry){ .key = key, .dim = DIM, .text_len = 1, .tokens = 1, .embeds = rows };
}

static void put(struct text_cache *c, int number)
{
    char key[65];
    struct text_entry const e = entry(number, key);
    assert_int_equal(text_cache_write(c, &e), ST_OK);
}

static bool get(const struct text_cache *c, int number)
{
    char key[65];
    struct text_entry e = entry(number, key);

    rows[0] = -1;
    bool const there = text_cache_read(c, &e);
    if (there) assert_true(rows[0] == (float)number);
    return there;
}

/* As if it had been used so long ago. */
static void age(const char *name, int seconds)
{
    char *const path = str_format("%s/%s", dir, name);
    struct timespec const t = { .tv_sec = time(NULL) - seconds }, both[2] = { t, t };

    assert_int_equal(utimensat(AT_FDCWD, path, both, 0), 0);
    free(path);
}

static void age_entry(int number, int seconds)
{
    char name[80];

    snprintf(name, sizeof name, "%064x.embeds", (unsigned)number);
    age(name, seconds);
}

static int count_entries(void)
{
    DIR *const d = opendir(dir);
    int found = 0;

    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d));) found += strstr(e->d_name, ".embeds") != NULL;
    closedir(d);
    return found;
}

static int begin(void **state)
{
    (void)state;
    strcpy(dir + sizeof dir - 7, "XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    return dir_remove(dir) == ST_OK ? 0 : -1;
}

/* Of any number of prompts the newest stay. */
static void bounded(void **state)
{
    struct text_cache c = { .dir = dir, .limit = 20 * ENTRY };
    int most = 0;

    (void)state;
    for (int i = 0; i < 200; i++) {
        put(&c, i);
        int const n = count_entries();
        if (n > most) most = n;
        assert_true(get(&c, i));
    }
    assert_in_range(most, 18, 20);
    assert_false(get(&c, 0));
}

static void least_used_first(void **state)
{
    struct text_cache c = { .dir = dir, .limit = 10 * ENTRY };

    (void)state;
    for (int i = 0; i < 10; i++) put(&c, i);
    for (int i = 0; i < 10; i++) age_entry(i, 1000 - i);
    assert_true(get(&c, 0)); /* used now */
    put(&c, 10);
    assert_true(get(&c, 0));
    assert_false(get(&c, 1));
    assert_true(get(&c, 9));
    assert_true(get(&c, 10));
}

/* Others write there too: what they have added is seen by the time a tenth has been written. */
static void shared(void **state)
{
    struct text_cache a = { .dir = dir, .limit = 40 * ENTRY }, b = a;

    (void)state;
    for (int i = 0; i < 200; i++) {
        put(&a, 2 * i);
        put(&b, 2 * i + 1);
        assert_in_range(count_entries(), 1, 44);
    }
}

/* What is none of the cache's stays; what a writer has left goes, unless it is at work. */
static void strangers(void **state)
{
    static const char *const names[] = {
        "notes.txt", "short.embeds",
        "00000000000000000000000000000000000000000000000000000000000000ff.embeds.tmp.1.0",
        "00000000000000000000000000000000000000000000000000000000000000fe.embeds.tmp.1.0"
    };
    struct text_cache c = { .dir = dir, .limit = 2 * ENTRY };

    (void)state;
    for (int i = 0; i < COUNT_OF(names); i++) {
        char *const path = str_format("%s/%s", dir, names[i]);
        assert_int_equal(file_write(path, "mine", 4), ST_OK);
        free(path);
    }
    age(names[0], 100000);
    age(names[1], 100000);
    age(names[2], 100000);
    for (int i = 0; i < 5; i++) put(&c, i);
    for (int i = 0; i < COUNT_OF(names); i++) {
        char *const path = str_format("%s/%s", dir, names[i]);
        assert_int_equal(path_exists(path), i != 2);
        free(path);
    }
}

/* One that is larger than all that there may be is not kept, and nothing goes for it. */
static void too_large(void **state)
{
    struct text_cache c = { .dir = dir, .limit = 3 * ENTRY }, small = { dir, ENTRY - 1, 0, 0 };

    (void)state;
    put(&c, 1);
    put(&small, 2);
    assert_true(get(&c, 1));
    assert_false(get(&c, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bounded, begin, end),
        cmocka_unit_test_setup_teardown(least_used_first, begin, end),
        cmocka_unit_test_setup_teardown(shared, begin, end),
        cmocka_unit_test_setup_teardown(strangers, begin, end),
        cmocka_unit_test_setup_teardown(too_large, begin, end),
    };
    return cmocka_run_group_tests_name("unit_text_cache", tests, NULL, NULL);
}
