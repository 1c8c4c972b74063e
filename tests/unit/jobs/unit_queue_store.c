/*
 * unit_queue_store.c - a queue's address, its version, and that each store has all statements; on
 * the store of QUEUE_TEST_URL, else on SQLite.
 */
#include "tests/support/unit.h"

#include "jobs/queue/queue_internal.h"
#include "tests/support/queue_sql.h"

#include <stdio.h>
#include <string.h>

static void versions(void **state)
{
    struct queue *q;
    int from;

    (void)state;
    queue_sql_reset();
    assert_int_equal(queue_open(&q, queue_sql_url(), true), QUEUE_OK);
    queue_close(&q);
    assert_int_equal(queue_upgrade(&q, queue_sql_url(), &from), QUEUE_OK);
    assert_int_equal(from, QUEUE_SCHEMA);
    queue_close(&q);
    queue_sql("UPDATE meta SET value = '9' WHERE key = 'schema'");
    assert_int_equal(queue_open(&q, queue_sql_url(), false), QUEUE_REFUSED);
    assert_non_null(strstr(queue_error(q), "newer version"));
    queue_close(&q);
    queue_sql("UPDATE meta SET value = '0' WHERE key = 'schema'");
    assert_int_equal(queue_open(&q, queue_sql_url(), true), QUEUE_REFUSED);
    assert_non_null(strstr(queue_error(q), "queue upgrade"));
    queue_close(&q);
}

static void every_statement_has_a_text(void **state)
{
    (void)state;
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        assert_non_null(queue_sql_sqlite[i]);
        assert_non_null(queue_sql_postgres[i]);
    }
}

static void urls(void **state)
{
    static const struct {
        const char *url, *words;
    } bad[] = {
        { "mysql://host/db", "allowed: sqlite:PATH or postgresql://" },
        { "queue.db", "allowed: sqlite:PATH" },
        { "sqlite:", "allowed: sqlite:PATH" },
        { "sqlite:/nowhere/at/all.db", "there is no queue" },
        { "sqlite:/proc/version", "proc" },
        { "postgresql:///postgres?host=/nowhere", "postgresql: connect" },
    };
    struct queue *q;

    (void)state;
    for (int i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(queue_open(&q, bad[i].url, false), QUEUE_REFUSED);
        if (!strstr(queue_error(q), bad[i].words))
            print_error("%s: %s\n", bad[i].url, queue_error(q));
        assert_non_null(strstr(queue_error(q), bad[i].words));
        queue_close(&q);
    }
    assert_true(queue_url_has_password("postgresql://me:secret@host/db"));
    assert_true(queue_url_has_password("postgres://host/db?password=secret"));
    assert_false(queue_url_has_password("postgresql://me@host:5432/db"));
    assert_false(queue_url_has_password("sqlite:/a:b@c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions),
        cmocka_unit_test(every_statement_has_a_text),
        cmocka_unit_test(urls),
    };
    int const failed = cmocka_run_group_tests_name("unit_queue_store", tests, NULL, NULL);

    queue_sql_end();
    return failed;
}
