/*
 * store_sqlite.c - the store in one file on a disk of this machine.
 *
 * In WAL mode readers wait for nobody and writers take turns (BEGIN IMMEDIATE). That needs memory
 * which all processes share and locks that hold, so the file must not lie on a file system of
 * another machine; those are refused by name, and one that is not known too.
 */
#include "base/file.h"
#include "base/strbuf.h"
#include "jobs/queue/queue_internal.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <time.h>

enum { BUSY_TURNS = 2500, BUSY_MS = 6, WAL_BYTES = 64 << 20 };

struct lite {
    struct store base;
    sqlite3 *db;
    sqlite3_stmt *stmt[STATEMENT_COUNT];
    int64_t seen;         /* data_version when last waited */
    int64_t event, ready; /* and statement `news` */
    bool wrote;           /* since then, itself: that is no news */
};

static enum store_answer lite_answer(struct lite *s, int rc, const char *what)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE)
        snprintf(s->base.error, sizeof s->base.error, "sqlite: %s: %s", what,
                 s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc));
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE: return STORE_OK;
    case SQLITE_BUSY: /* another writer is stopped, or its disk is */
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_NOMEM: return STORE_DOWN;
    case SQLITE_LOCKED: return STORE_AGAIN;
    default: return STORE_BAD;
    }
}

static void sleep_ms(int ms)
{
    struct timespec const t = { ms / 1000, ms % 1000 * 1000000L };
    nanosleep(&t, NULL);
}

/* SQLite's own wait grows to 100 ms between two looks and so starves the unlucky. */
static int wait_busy(void *arg, int times)
{
    (void)arg;
    if (times >= BUSY_TURNS) return 0;
    sleep_ms(1 + rand() % BUSY_MS);
    return 1;
}

static void now_ms(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct timespec t;

    (void)n, (void)v;
    clock_gettime(CLOCK_REALTIME, &t);
    sqlite3_result_int64(c, (sqlite3_int64)t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

/* ---- where the file may lie ---- */

/* The kernel's numbers of file systems: statfs(2). */
struct file_system {
    uint32_t magic;
    const char *name;
    bool local;
};

static const struct file_system file_systems[] = {
    { 0xEF53, "ext4", true },          { 0x58465342, "XFS", true },
    { 0x9123683E, "btrfs", true },     { 0x2FC12FC1, "ZFS", true },
    { 0xF2F52010, "F2FS", true },      { 0xCA451A4E, "bcachefs", true },
    { 0x01021994, "tmpfs", true },     { 0x858458F6, "ramfs", true },
    { 0x794C7630, "overlay", true },   { 0x3153464A, "JFS", true },
    { 0x6969, "NFS", false },          { 0xFF534D42, "CIFS", false },
    { 0xFE534D42, "SMB", false },      { 0x517B, "SMB", false },
    { 0x0BD00BD0, "Lustre", false },   { 0x47504653, "GPFS", false },
    { 0x19830326, "BeeGFS", false },   { 0x00C36400, "Ceph", false },
    { 0x5346414F, "AFS", false },      { 0x6B414653, "AFS", false },
    { 0x01021997, "9p", false },       { 0x65735546, "FUSE", false },
    { 0x6A656A63, "virtiofs", false }, { 0x01161970, "GFS2", false },
    { 0x7461636F, "OCFS2", false },    { 0xAAD7AAEA, "PanFS", false },
    { 0x20030528, "OrangeFS", false }, { 0x786F4256, "vboxsf", false },
    { 0x9FA0, "proc", false },
};

static bool is_local(uint32_t magic, const char *path, char *why, size_t size)
{
    for (int i = 0; i < COUNT_OF(file_systems); i++) {
        const struct file_system *const f = &file_systems[i];
        if (f->magic != magic) continue;
        if (!f->local)
            snprintf(why, size,
                     "%s lies on %s, where SQLite's locks do not hold; allowed: a disk of this "
                     "machine, or postgresql://",
                     path, f->name);
        return f->local;
    }
    snprintf(why, size,
             "%s lies on a file system (0x%x) that is not known to be of this machine; allowed: "
             "another disk, or postgresql://",
             path, (unsigned)magic);
    return false;
}

static bool check_place(const char *path, char *why, size_t size)
{
    char *const folder = path_dir(path);
    struct statfs fs;
    bool ok = false;

    if (folder && !statfs(folder, &fs)) ok = is_local((uint32_t)fs.f_type, path, why, size);
    else snprintf(why, size, "%s: %s", path, folder ? strerror(errno) : "no memory");
    free(folder);
    return ok;
}

/* ---- statements ---- */

static enum store_answer lite_script(struct lite *s, const char *sql)
{
    return lite_answer(s, sqlite3_exec(s->db, sql, NULL, NULL, NULL), "script");
}

static enum store_answer lite_begin(struct store *b, bool durable)
{
    (void)durable;
    ((struct lite *)b)->wrote = true;
    return lite_script((struct lite *)b, "BEGIN IMMEDIATE");
}

static enum store_answer lite_commit(struct store *b)
{
    return lite_script((struct lite *)b, "COMMIT");
}

static void lite_rollback(struct store *b)
{
    struct lite *const s = (struct lite *)b;
    if (s->db && !sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

static int prepare_statement(struct lite *s, enum statement id)
{
    if (s->stmt[id]) return SQLITE_OK;
    return sqlite3_prepare_v3(s->db, queue_sql_sqlite[id], -1, SQLITE_PREPARE_PERSISTENT,
                              &s->stmt[id], NULL);
}

/* By name, $1 ...: SQLite numbers parameters by their first appearance. One that this store's text
 * does not use is passed over. */
static int bind_values(sqlite3_stmt *st, const struct store_value *value, int n)
{
    int rc = SQLITE_OK;

    for (int i = 0; i < n && rc == SQLITE_OK; i++) {
        char name[16];
        snprintf(name, sizeof name, "$%d", i + 1);
        int const at = sqlite3_bind_parameter_index(st, name);
        if (at == 0) continue;
        rc = value[i].text ? sqlite3_bind_text(st, at, value[i].text, -1, SQLITE_STATIC)
                           : sqlite3_bind_int64(st, at, value[i].number);
    }
    return rc;
}

static void give_row(sqlite3_stmt *st, store_row_fn each, void *arg)
{
    struct store_row row = { .n = sqlite3_column_count(st) };

    for (int i = 0; i < row.n && i < STORE_COLUMNS; i++) {
        const char *const t = (const char *)sqlite3_column_text(st, i);
        row.text[i] = t ? t : "";
    }
    if (each) each(arg, &row);
}

static enum store_answer lite_run(struct store *b, enum statement id,
                                  const struct store_value *value, int n, store_row_fn each,
                                  void *arg)
{
    struct lite *const s = (struct lite *)b;
    int rc = prepare_statement(s, id);

    if (rc == SQLITE_OK) rc = bind_values(s->stmt[id], value, n);
    if (rc != SQLITE_OK) return lite_answer(s, rc, queue_statement_name[id]);
    while ((rc = sqlite3_step(s->stmt[id])) == SQLITE_ROW) give_row(s->stmt[id], each, arg);
    enum store_answer const a = lite_answer(s, rc, queue_statement_name[id]);
    sqlite3_reset(s->stmt[id]);
    return a;
}

static enum store_answer lite_make_tables(struct store *b)
{
    return lite_script((struct lite *)b, queue_sql_sqlite[STATEMENT_schema]);
}

static enum store_answer lite_bulk_nothing(struct store *b)
{
    (void)b;
    return STORE_OK;
}

static enum store_answer lite_bulk_row(struct store *b, const struct store_value *value, int n)
{
    return lite_run(b, STATEMENT_clip_add, value, n, NULL, NULL);
}

static enum store_answer lite_has_tables(struct store *b, bool *yes)
{
    struct lite *const s = (struct lite *)b;
    static const char ask[] = "SELECT 1 FROM sqlite_master WHERE name = 'meta'";
    sqlite3_stmt *st = NULL;
    int const rc = sqlite3_prepare_v2(s->db, ask, -1, &st, NULL);

    *yes = rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;
    sqlite3_finalize(st);
    return lite_answer(s, rc, "tables");
}

/* A number in memory that all share; it changes with others' commits. */
static int64_t data_version(struct lite *s)
{
    sqlite3_stmt *st = NULL;
    int64_t v = -1;

    if (sqlite3_prepare_v2(s->db, "PRAGMA data_version", -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return v;
}

static void get_news(void *arg, const struct store_row *r)
{
    for (int i = 0; i < 2 && r->text[i]; i++) ((int64_t *)arg)[i] = strtoll(r->text[i], NULL, 10);
}

/* Something was committed: is it more than a world's beat, or what it has claimed or ended? Else
 * one's beat would wake the others, whose claims would wake it. */
static enum store_answer look_for_news(struct lite *s, bool *news)
{
    int64_t const v = data_version(s);
    int64_t now[2] = { 0, 0 };

    if (v == s->seen && !s->wrote) return STORE_OK;
    TRY_STORE(lite_run(&s->base, STATEMENT_news, NULL, 0, get_news, now));
    *news = v != s->seen && (now[0] != s->event || now[1] != s->ready);
    s->seen = v;
    s->wrote = false;
    s->event = now[0];
    s->ready = now[1];
    return STORE_OK;
}

/* ms 0: only a look. */
static enum store_answer lite_wait(struct store *b, int ms, bool *news)
{
    struct lite *const s = (struct lite *)b;
    enum { LOOK_MS = 50 };

    *news = false;
    TRY_STORE(look_for_news(s, news));
    for (int t = 0; t < ms && !*news; t += LOOK_MS) {
        sleep_ms(ms < LOOK_MS ? ms : LOOK_MS);
        TRY_STORE(look_for_news(s, news));
    }
    return STORE_OK;
}

static void lite_close(struct store *b)
{
    struct lite *const s = (struct lite *)b;

    for (int i = 0; i < STATEMENT_COUNT; i++) sqlite3_finalize(s->stmt[i]);
    sqlite3_close(s->db);
    free(s);
}

static const struct store_ops lite_ops = {
    .begin = lite_begin,
    .commit = lite_commit,
    .rollback = lite_rollback,
    .run = lite_run,
    .make_tables = lite_make_tables,
    .bulk_begin = lite_bulk_nothing,
    .bulk_row = lite_bulk_row,
    .bulk_end = lite_bulk_nothing,
    .has_tables = lite_has_tables,
    .wait = lite_wait,
    .close = lite_close,
};

/* ---- opening ---- */

/* The change to WAL asks for a lock without waiting for it. */
static enum store_answer set_journal(struct lite *s)
{
    enum store_answer a = STORE_DOWN;

    for (int tries = 0; a == STORE_DOWN && tries < 100; tries++) {
        if (tries) sleep_ms(20);
        a = lite_script(s, "PRAGMA journal_mode = WAL");
    }
    return a;
}

static enum store_answer set_up(struct lite *s)
{
    char pragmas[128];

    sqlite3_busy_handler(s->db, wait_busy, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    int const rc = sqlite3_create_function(s->db, "now_ms", 0, SQLITE_UTF8 | SQLITE_DIRECTONLY,
                                           NULL, now_ms, NULL, NULL);
    if (rc != SQLITE_OK) return lite_answer(s, rc, "now_ms");
    TRY_STORE(set_journal(s));
    snprintf(pragmas, sizeof pragmas,
             "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = %d",
             WAL_BYTES);
    TRY_STORE(lite_script(s, pragmas));
    s->seen = -1; /* the first look takes what there is */
    return STORE_OK;
}

/* The folder of a queue that is to be made, and everything above it. */
static bool make_folder(struct lite *s, const char *path)
{
    char *const folder = path_dir(path);
    bool const made = folder && dir_make(folder) == ST_OK;

    if (!made) snprintf(s->base.error, sizeof s->base.error, "%.400s", error_last()->msg);
    error_clear();
    free(folder);
    return made;
}

enum store_answer store_sqlite_open(struct store **out, const char *path, bool make)
{
    struct lite *const s = calloc(1, sizeof *s);

    *out = s ? &s->base : NULL;
    if (!s) return STORE_BAD;
    s->base.ops = &lite_ops;
    if (make && !make_folder(s, path)) return STORE_BAD;
    if (!make && !path_exists(path)) {
        snprintf(s->base.error, sizeof s->base.error,
                 "%.400s: there is no queue; `rollmill queue make` makes one", path);
        return STORE_BAD;
    }
    if (!check_place(path, s->base.error, sizeof s->base.error)) return STORE_BAD;
    int const rc = sqlite3_open_v2(
        path, &s->db, SQLITE_OPEN_READWRITE | (make ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_NOMUTEX,
        NULL);
    return rc == SQLITE_OK ? set_up(s) : lite_answer(s, rc, path);
}
