/* queue_sql.c - SQL for tests, on both stores. */
#include "tests/support/queue_sql.h"
#include "base/file.h"
#include "base/strbuf.h"

#include <libpq-fe.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[] = "/tmp/queue-test.XXXXXX";
static char url[4096];
static struct strbuf answer;

static bool is_sqlite(void) { return !strncmp(queue_sql_url(), "sqlite:", 7); }

const char *queue_sql_url(void)
{
    const char *const given = getenv("QUEUE_TEST_URL");

    if (url[0]) return url;
    if (given) snprintf(url, sizeof url, "%s", given);
    else if (mkdtemp(folder)) snprintf(url, sizeof url, "sqlite:%s/queue.db", folder);
    else abort();
    return url;
}

static void end_with(const char *sql, const char *why)
{
    fprintf(stderr, "%s: %s\n", sql, why);
    abort();
}

static int take_row(void *arg, int n, char **text, char **name)
{
    (void)arg, (void)name;
    if (answer.len) strbuf_addf(&answer, ",");
    for (int i = 0; i < n; i++) strbuf_addf(&answer, "%s%s", i ? "|" : "", text[i] ? text[i] : "");
    return 0;
}

static void run_sqlite(const char *sql)
{
    sqlite3 *db;
    char *why = NULL;

    if (sqlite3_open(queue_sql_url() + 7, &db)) end_with(sql, "cannot open");
    sqlite3_busy_timeout(db, 10000);
    if (sqlite3_exec(db, sql, take_row, NULL, &why)) end_with(sql, why);
    sqlite3_close(db);
}

static void run_postgres(const char *sql)
{
    PGconn *const c = PQconnectdb(queue_sql_url());

    PQclear(PQexec(c, "SET client_min_messages = warning; SET search_path = rollmill"));
    PGresult *const r = PQexec(c, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK && PQresultStatus(r) != PGRES_COMMAND_OK)
        end_with(sql, PQerrorMessage(c));
    for (int i = 0; i < PQntuples(r); i++) {
        char *text[16];
        for (int k = 0; k < PQnfields(r) && k < 16; k++) text[k] = PQgetvalue(r, i, k);
        take_row(NULL, PQnfields(r), text, NULL);
    }
    PQclear(r);
    PQfinish(c);
}

const char *queue_sql(const char *sql)
{
    strbuf_free(&answer);
    if (is_sqlite()) run_sqlite(sql);
    else run_postgres(sql);
    return answer.s ? answer.s : "";
}

void queue_sql_reset(void)
{
    if (!is_sqlite()) {
        queue_sql("DROP SCHEMA IF EXISTS rollmill CASCADE");
        return;
    }
    static const char *const ends[] = { "", "-wal", "-shm" };
    for (int i = 0; i < COUNT_OF(ends); i++) {
        char path[4200];
        snprintf(path, sizeof path, "%s%s", queue_sql_url() + 7, ends[i]);
        remove(path);
    }
}

void queue_sql_pass(int64_t ms)
{
    char sql[1024];

    snprintf(sql, sizeof sql,
             "UPDATE workers SET lease_until = lease_until - %lld, seen = seen - %lld, "
             "thawed = thawed - %lld, joined = joined - %lld; "
             "UPDATE clips SET not_before = not_before - %lld, bad_until = bad_until - %lld; "
             "UPDATE hosts SET blocked_until = blocked_until - %lld; "
             "UPDATE jobs SET closed = closed - %lld WHERE closed > 0; "
             "UPDATE attempts SET began = began - %lld; "
             "UPDATE attempts SET ended = ended - %lld WHERE ended > 0; "
             "UPDATE events SET t = t - %lld",
             (long long)ms, (long long)ms, (long long)ms, (long long)ms, (long long)ms,
             (long long)ms, (long long)ms, (long long)ms, (long long)ms, (long long)ms,
             (long long)ms);
    queue_sql(sql);
}

void queue_sql_end(void)
{
    strbuf_free(&answer);
    if (!getenv("QUEUE_TEST_URL") && url[0] && dir_remove(folder) != ST_OK) abort();
}
