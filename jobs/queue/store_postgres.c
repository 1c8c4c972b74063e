/*
 * store_postgres.c - the store in a PostgreSQL server, through libpq.
 *
 * What went wrong is told by its SQLSTATE: a lost race, a server that is away, or an error of ours.
 * A COMMIT of a transaction that failed succeeds with the tag ROLLBACK, so the tag is compared. A
 * world that is stopped inside a transaction loses it, and its locks, after ten seconds.
 */
#include "jobs/queue/queue_internal.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TYPE_TEXT = 25, TYPE_INT8 = 20, COPY_BYTES = 60000 };

struct pg {
    struct store base;
    PGconn *c;
    bool prepared[STATEMENT_COUNT];
    bool listening;
    char *buf; /* of COPY */
    size_t len, size;
};

/* What every session sets first. */
static const char session[] =
    "SET search_path = rollmill, pg_catalog; SET timezone = 'UTC'; "
    "SET client_min_messages = warning; SET lock_timeout = '5s'; SET statement_timeout = '60s'; "
    "SET idle_in_transaction_session_timeout = '10s'; SET tcp_keepalives_idle = 30; "
    "SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; "
    "SET default_transaction_isolation = 'read committed'";

static bool is_class(const char *state, const char *two) { return !strncmp(state, two, 2); }

static enum store_answer pg_failed(struct pg *s, const PGresult *r, const char *what)
{
    const char *const state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;

    snprintf(s->base.error, sizeof s->base.error, "postgresql: %s: %s", what,
             r ? PQresultErrorMessage(r) : PQerrorMessage(s->c));
    for (char *p = s->base.error; *p; p++)
        if (*p == '\n' || *p == '\t') *p = ' ';
    if (PQstatus(s->c) != CONNECTION_OK || !state) return STORE_DOWN;
    if (is_class(state, "40") ||
        !strcmp(state, "55P03")) /* deadlock, serialization, lock_timeout */
        return STORE_AGAIN;
    /* connection, resources, operator (shutdown, cancel), system, idle in a transaction */
    if (is_class(state, "08") || is_class(state, "53") || is_class(state, "57") ||
        is_class(state, "58") || !strcmp(state, "25P03"))
        return STORE_DOWN;
    return STORE_BAD;
}

/* Takes the result. */
static enum store_answer pg_judge(struct pg *s, PGresult *r, ExecStatusType wanted,
                                  const char *what)
{
    enum store_answer const a = PQresultStatus(r) == wanted ? STORE_OK : pg_failed(s, r, what);

    PQclear(r);
    return a;
}

static enum store_answer pg_command(struct pg *s, const char *sql, const char *what)
{
    PGresult *const r = PQexec(s->c, sql);
    bool const rows = PQresultStatus(r) == PGRES_TUPLES_OK;
    return pg_judge(s, r, rows ? PGRES_TUPLES_OK : PGRES_COMMAND_OK, what);
}

static enum store_answer begin_session(struct pg *s)
{
    if (PQstatus(s->c) != CONNECTION_OK) return pg_failed(s, NULL, "connect");
    return pg_command(s, session, "session");
}

/* Prepared statements and LISTEN are gone with a connection. */
static enum store_answer reopen_session(struct pg *s)
{
    if (PQstatus(s->c) == CONNECTION_OK) return STORE_OK;
    memset(s->prepared, 0, sizeof s->prepared);
    s->listening = false;
    PQreset(s->c);
    return begin_session(s);
}

static bool in_transaction(const struct pg *s) { return PQtransactionStatus(s->c) != PQTRANS_IDLE; }

static enum store_answer pg_begin(struct store *b, bool durable)
{
    struct pg *const s = (struct pg *)b;

    TRY_STORE(reopen_session(s));
    if (in_transaction(s)) TRY_STORE(pg_command(s, "ROLLBACK", "rollback"));
    return pg_command(s, durable ? "BEGIN" : "BEGIN; SET LOCAL synchronous_commit = off", "begin");
}

static enum store_answer pg_commit(struct store *b)
{
    struct pg *const s = (struct pg *)b;
    PGresult *const r = PQexec(s->c, "COMMIT");
    bool const kept = PQresultStatus(r) == PGRES_COMMAND_OK && !strcmp(PQcmdStatus(r), "COMMIT");
    enum store_answer const a = kept ? STORE_OK : pg_failed(s, r, "commit");

    PQclear(r);
    return a;
}

static void pg_rollback(struct store *b)
{
    struct pg *const s = (struct pg *)b;

    if (PQstatus(s->c) == CONNECTION_OK && in_transaction(s))
        (void)pg_command(s, "ROLLBACK", "rollback");
}

/* ---- statements ---- */

enum { VALUES_MOST = 20 };

static enum store_answer prepare_statement(struct pg *s, enum statement id,
                                           const struct store_value *value, int n)
{
    const char *const name = queue_statement_name[id];
    Oid type[VALUES_MOST];

    if (s->prepared[id]) return STORE_OK;
    for (int i = 0; i < n; i++) type[i] = value[i].text ? TYPE_TEXT : TYPE_INT8;
    TRY_STORE(pg_judge(s, PQprepare(s->c, name, queue_sql_postgres[id], n, type), PGRES_COMMAND_OK,
                       name));
    s->prepared[id] = true;
    return STORE_OK;
}

static void give_rows(const PGresult *r, store_row_fn each, void *arg)
{
    struct store_row row = { .n = PQnfields(r) };

    for (int i = 0; each && i < PQntuples(r); i++) {
        for (int k = 0; k < row.n && k < STORE_COLUMNS; k++) row.text[k] = PQgetvalue(r, i, k);
        each(arg, &row);
    }
}

static enum store_answer pg_run(struct store *b, enum statement id, const struct store_value *value,
                                int n, store_row_fn each, void *arg)
{
    struct pg *const s = (struct pg *)b;
    const char *text[VALUES_MOST];
    char number[VALUES_MOST][24];
    enum store_answer a = STORE_OK;

    TRY_STORE(reopen_session(s));
    TRY_STORE(prepare_statement(s, id, value, n));
    for (int i = 0; i < n; i++) {
        snprintf(number[i], sizeof number[i], "%lld", (long long)value[i].number);
        text[i] = value[i].text ? value[i].text : number[i];
    }
    PGresult *const r = PQexecPrepared(s->c, queue_statement_name[id], n, text, NULL, NULL, 0);
    if (PQresultStatus(r) == PGRES_TUPLES_OK) give_rows(r, each, arg);
    else if (PQresultStatus(r) != PGRES_COMMAND_OK) a = pg_failed(s, r, queue_statement_name[id]);
    PQclear(r);
    return a;
}

static enum store_answer pg_make_tables(struct store *b)
{
    return pg_command((struct pg *)b, queue_sql_postgres[STATEMENT_schema], "schema");
}

static enum store_answer pg_has_tables(struct store *b, bool *yes)
{
    struct pg *const s = (struct pg *)b;

    *yes = false;
    TRY_STORE(pg_command(s, "SELECT pg_advisory_xact_lock(7238517)", "lock"));
    PGresult *const r = PQexec(s->c, "SELECT to_regclass('rollmill.meta') IS NOT NULL");
    bool const ok = PQresultStatus(r) == PGRES_TUPLES_OK;
    *yes = ok && *PQgetvalue(r, 0, 0) == 't';
    return pg_judge(s, r, PGRES_TUPLES_OK, "tables");
}

/* ---- many rows: COPY in its text form ---- */

static enum store_answer pg_bulk_begin(struct store *b)
{
    struct pg *const s = (struct pg *)b;
    static const char copy[] =
        "COPY clips (job, idx, task, folder, axis_values, blocks, pictures, video_ms) FROM STDIN";

    TRY_STORE(pg_command(s, "SET LOCAL statement_timeout = 0", "copy"));
    return pg_judge(s, PQexec(s->c, copy), PGRES_COPY_IN, "copy");
}

static bool buffer_text(struct pg *s, const char *t, size_t n)
{
    if (s->len + n > s->size) {
        size_t const size = (s->len + n) * 2;
        char *const more = realloc(s->buf, size);
        if (!more) return false;
        s->buf = more;
        s->size = size;
    }
    memcpy(s->buf + s->len, t, n);
    s->len += n;
    return true;
}

static bool put_escaped(struct pg *s, const char *t)
{
    bool ok = true;

    for (; ok && *t; t++) {
        switch (*t) {
        case '\\': ok = buffer_text(s, "\\\\", 2); break;
        case '\t': ok = buffer_text(s, "\\t", 2); break;
        case '\n': ok = buffer_text(s, "\\n", 2); break;
        case '\r': ok = buffer_text(s, "\\r", 2); break;
        default: ok = buffer_text(s, t, 1);
        }
    }
    return ok;
}

static enum store_answer flush_copy(struct pg *s)
{
    int const rc = s->len ? PQputCopyData(s->c, s->buf, (int)s->len) : 1;

    s->len = 0;
    return rc == 1 ? STORE_OK : pg_failed(s, NULL, "copy");
}

static enum store_answer pg_bulk_row(struct store *b, const struct store_value *value, int n)
{
    struct pg *const s = (struct pg *)b;
    bool ok = true;

    for (int i = 0; i < n; i++) {
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)value[i].number);
        ok = ok && put_escaped(s, value[i].text ? value[i].text : number) &&
             buffer_text(s, i + 1 < n ? "\t" : "\n", 1);
    }
    if (ok) return s->len < COPY_BYTES ? STORE_OK : flush_copy(s);
    snprintf(s->base.error, sizeof s->base.error, "no memory for the clips");
    return STORE_BAD;
}

static enum store_answer pg_bulk_end(struct store *b)
{
    struct pg *const s = (struct pg *)b;
    enum store_answer a = STORE_OK;

    TRY_STORE(flush_copy(s));
    if (PQputCopyEnd(s->c, NULL) != 1) return pg_failed(s, NULL, "copy");
    for (PGresult *r = PQgetResult(s->c); r; r = PQgetResult(s->c)) {
        enum store_answer const one = pg_judge(s, r, PGRES_COMMAND_OK, "copy");
        if (a == STORE_OK) a = one;
    }
    return a;
}

/* ---- waiting ---- */

static enum store_answer start_listening(struct pg *s, bool *begun)
{
    *begun = false;
    TRY_STORE(reopen_session(s));
    if (s->listening) return STORE_OK;
    TRY_STORE(pg_command(s, "LISTEN rollmill", "listen"));
    s->listening = *begun = true;
    return STORE_OK;
}

static enum store_answer pg_wait(struct store *b, int ms, bool *news)
{
    struct pg *const s = (struct pg *)b;
    struct timespec const all = { ms / 1000, ms % 1000 * 1000000L };
    bool begun;
    enum store_answer const a = start_listening(s, &begun);

    *news = begun; /* look once more: it may have come just before */
    if (a == STORE_OK && begun) return a;
    if (a != STORE_OK) {
        nanosleep(&all, NULL);
        return a;
    }
    struct pollfd fd = { .fd = PQsocket(s->c), .events = POLLIN };
    (void)poll(&fd, 1, ms);
    PQconsumeInput(s->c);
    for (PGnotify *note = PQnotifies(s->c); note; note = PQnotifies(s->c)) {
        *news = true;
        PQfreemem(note);
    }
    return PQstatus(s->c) == CONNECTION_OK ? STORE_OK : STORE_DOWN;
}

static void pg_close(struct store *b)
{
    struct pg *const s = (struct pg *)b;

    PQfinish(s->c);
    free(s->buf);
    free(s);
}

static const struct store_ops pg_ops = {
    .begin = pg_begin,
    .commit = pg_commit,
    .rollback = pg_rollback,
    .run = pg_run,
    .make_tables = pg_make_tables,
    .bulk_begin = pg_bulk_begin,
    .bulk_row = pg_bulk_row,
    .bulk_end = pg_bulk_end,
    .has_tables = pg_has_tables,
    .wait = pg_wait,
    .close = pg_close,
};

enum { STARTING_TRIES = 120 }; /* of half a second */

/* A server that recovers from a crash, or is being started or stopped, says so to whoever comes; it
 * is waited for. One that says anything else, or nothing, is tried once more: it may have been
 * about to. */
static void await_server(struct pg *s, const char *const *key, const char *const *value)
{
    struct timespec const pause = { 0, 500000000L };
    bool starting = true;

    for (int i = 0; i < STARTING_TRIES && starting && PQstatus(s->c) != CONNECTION_OK; i++) {
        starting = PQpingParams(key, value, 1) == PQPING_REJECT;
        if (starting) nanosleep(&pause, NULL);
        PQreset(s->c);
    }
}

enum store_answer store_postgres_open(struct store **out, const char *url)
{
    /* What the URL says comes last and wins. Without tcp_user_timeout a server that vanished
     * would hold a call for a quarter of an hour. */
    static const char *const key[] = { "connect_timeout", "tcp_user_timeout",
                                       "fallback_application_name", "dbname", NULL };
    const char *const value[] = { "5", "15000", "rollmill", url, NULL };
    struct pg *const s = calloc(1, sizeof *s);

    *out = s ? &s->base : NULL;
    if (!s) return STORE_BAD;
    s->base.ops = &pg_ops;
    s->c = PQconnectdbParams(key, value, 1);
    await_server(s, key, value);
    return begin_session(s);
}

bool store_postgres_has_password(const char *url)
{
    PQconninfoOption *const all = PQconninfoParse(url, NULL);
    bool has = false;

    for (const PQconninfoOption *o = all; o && o->keyword; o++)
        if (!strcmp(o->keyword, "password") || !strcmp(o->keyword, "sslpassword"))
            has = has || (o->val && *o->val);
    PQconninfoFree(all);
    return has;
}
