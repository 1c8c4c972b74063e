/*
 * snapshot.c - a checkpoint as a file of records, and the search for the furthest one.
 *
 *   record 0: sizes    1: identity    2: where the clip's files stand    3 ...: the window
 */
#include "pipeline/resume/snapshot.h"
#include "base/file.h"
#include "base/strbuf.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORD_SIZES, RECORD_IDENTITY, RECORD_WRITER, RECORD_WINDOW };
enum { SNAPSHOT_VERSION = 2 };

/* A block's latent has no more floats, nor a writer's state bytes: what is beyond is none. */
enum { MOST_FLOATS = 1 << 28, MOST_BYTES = 1 << 30 };

struct sizes {
    int64_t version, blocks, coded, latent, windows, identity, writer;
};

static char *snapshot_path(const char *dir, int64_t blocks)
{
    return str_format("%s/snapshot.%lld", dir, (long long)blocks);
}

char *snapshot_latents_path(const char *dir) { return path_join(dir, "latents"); }

/* ---- writing ---------------------------------------------------------------------------- */

static status add_record(struct file_draft *d, int64_t number, const void *bytes, size_t len)
{
    unsigned char head[JOURNAL_HEAD];

    TRY(journal_head(head, number, bytes, len));
    TRY(file_draft_add(d, head, sizeof head));
    return file_draft_add(d, bytes, len);
}

static status add_records(struct file_draft *d, const struct snapshot *s)
{
    struct sizes const sizes = { .version = SNAPSHOT_VERSION,
                                 .blocks = s->blocks,
                                 .coded = s->coded,
                                 .latent = s->latent,
                                 .windows = s->windows,
                                 .identity = (int64_t)strlen(s->identity),
                                 .writer = (int64_t)s->writer_bytes };

    TRY(add_record(d, RECORD_SIZES, &sizes, sizeof sizes));
    TRY(add_record(d, RECORD_IDENTITY, s->identity, strlen(s->identity)));
    TRY(add_record(d, RECORD_WRITER, s->writer, s->writer_bytes));
    for (int i = 0; i < s->windows; i++)
        TRY(add_record(d, RECORD_WINDOW + i, s->window + i * s->latent,
                       (size_t)s->latent * sizeof *s->window));
    return ST_OK;
}

status snapshot_write(const char *dir, const struct snapshot *s)
{
    char *const path = snapshot_path(dir, s->blocks);
    struct file_draft d = { .fd = -1 };
    status st = ST_OK;

    if (!path) return fail(ST_NOMEM, "%s: no memory for a snapshot", dir);
    TRY_OUT(file_draft_open(&d, path));
    TRY_OUT(add_records(&d, s));
    TRY_OUT(file_draft_commit(&d));
out:
    file_draft_close(&d);
    free(path);
    return st;
}

void snapshot_remove(const char *dir, int64_t blocks)
{
    char *const path = snapshot_path(dir, blocks);

    if (path) unlink(path);
    free(path);
}

static void free_snapshot(struct snapshot *s)
{
    free(s->identity);
    free(s->window);
    free(s->writer);
    *s = (struct snapshot){ 0 };
}

/* ---- reading ---------------------------------------------------------------------------- */

/* The first record. Of another form it has another length, and its version in front, too. */
static status read_sizes(struct journal_reader *r, struct sizes *out)
{
    int64_t version = SNAPSHOT_VERSION;
    bool more;

    TRY(journal_read(r, sizeof *out, &more));
    if (more && r->len >= sizeof version) memcpy(&version, r->bytes, sizeof version);
    if (version != SNAPSHOT_VERSION)
        return fail(ST_FORMAT, "%s: a snapshot of form %lld; this program reads form %d", r->path,
                    (long long)version, SNAPSHOT_VERSION);
    if (!more || r->number != RECORD_SIZES || r->len != sizeof *out)
        return fail(ST_FORMAT, "%s: no snapshot's sizes", r->path);
    memcpy(out, r->bytes, sizeof *out);
    return ST_OK;
}

static status check_sizes(const struct journal_reader *r, const struct sizes *s)
{
    if (s->blocks < 1 || s->coded < 0 || s->coded > s->blocks || s->latent < 1 ||
        s->latent > MOST_FLOATS || s->windows < 0 || s->windows > SNAPSHOT_WINDOW ||
        s->identity < 0 || s->identity > SNAPSHOT_IDENTITY || s->writer < 0 ||
        s->writer > MOST_BYTES)
        return fail(ST_FORMAT, "%s: no snapshot's sizes", r->path);
    int64_t const floats = (int64_t)sizeof(float) * s->windows * s->latent;
    if (s->identity + s->writer + floats > r->end)
        return fail(ST_FORMAT, "%s: shorter than its sizes say", r->path);
    return ST_OK;
}

/* The next record's bytes, in memory of their own with a NUL behind. */
static status take_record(struct journal_reader *r, int64_t number, int64_t len, void **out)
{
    TRY(journal_expect(r, number, (size_t)len));
    char *const own = malloc((size_t)len + 1);
    if (!own) return fail(ST_NOMEM, "%s: no memory for %lld bytes", r->path, (long long)len);
    memcpy(own, r->bytes, (size_t)len);
    own[len] = '\0';
    *out = own;
    return ST_OK;
}

static status read_window(struct journal_reader *r, struct snapshot *s)
{
    size_t const bytes = (size_t)s->latent * sizeof *s->window;

    s->window = malloc((size_t)s->windows * bytes + 1);
    if (!s->window) return fail(ST_NOMEM, "%s: no memory for its window", r->path);
    for (int i = 0; i < s->windows; i++) {
        TRY(journal_expect(r, RECORD_WINDOW + i, bytes));
        memcpy(s->window + i * s->latent, r->bytes, bytes);
    }
    return ST_OK;
}

static status take_records(struct snapshot *s, struct journal_reader *r)
{
    struct sizes sizes;
    void *identity = NULL;

    TRY(read_sizes(r, &sizes));
    TRY(check_sizes(r, &sizes));
    s->blocks = sizes.blocks;
    s->coded = sizes.coded;
    s->latent = sizes.latent;
    s->windows = (int)sizes.windows;
    TRY(take_record(r, RECORD_IDENTITY, sizes.identity, &identity));
    s->identity = identity;
    s->writer_bytes = (size_t)sizes.writer;
    TRY(take_record(r, RECORD_WRITER, sizes.writer, &s->writer));
    TRY(read_window(r, s));
    return r->at == r->end ? ST_OK : fail(ST_FORMAT, "%s: more than a snapshot", r->path);
}

static status read_snapshot(struct snapshot *out, const char *dir, int64_t blocks)
{
    char *const path = snapshot_path(dir, blocks);
    struct journal_reader r = { .fd = -1 };
    status st = ST_OK;

    *out = (struct snapshot){ 0 };
    if (!path) return fail(ST_NOMEM, "%s: no memory for a snapshot", dir);
    TRY_OUT(journal_reader_open(&r, path, -1));
    TRY_OUT(take_records(out, &r));
    if (out->blocks != blocks)
        st = fail(ST_FORMAT, "%s: is of block %lld", path, (long long)out->blocks);
out:
    if (st != ST_OK) free_snapshot(out);
    journal_reader_close(&r);
    free(path);
    return st;
}

/* ---- latents ---------------------------------------------------------------------------- */

static int64_t record_bytes(const struct snapshot *s)
{
    return JOURNAL_HEAD + s->latent * (int64_t)sizeof(float);
}

static status open_latents(struct snapshot_reader *r, const char *dir)
{
    char *const path = snapshot_latents_path(dir);
    int64_t length;
    status st;

    if (!path) return fail(ST_NOMEM, "%s: no memory for its latents", dir);
    if (__builtin_mul_overflow(r->s.blocks, record_bytes(&r->s), &length))
        st = fail(ST_FORMAT, "%s: %lld blocks", path, (long long)r->s.blocks);
    else st = journal_reader_open(&r->latents, path, length);
    free(path);
    return st;
}

status snapshot_reader_open(struct snapshot_reader *r, const char *dir, int64_t blocks)
{
    *r = (struct snapshot_reader){ .latents.fd = -1 };
    TRY(read_snapshot(&r->s, dir, blocks));
    status const st = open_latents(r, dir);
    if (st != ST_OK) snapshot_reader_close(r);
    return st;
}

void snapshot_reader_close(struct snapshot_reader *r)
{
    free_snapshot(&r->s);
    journal_reader_close(&r->latents);
}

status snapshot_latent(struct snapshot_reader *r, int64_t block, const float **x0)
{
    if (block < 0 || block >= r->s.blocks)
        return fail(ST_ARG, "%s: block %lld of %lld", r->latents.path, (long long)block,
                    (long long)r->s.blocks);
    journal_seek(&r->latents, block * record_bytes(&r->s));
    TRY(journal_expect(&r->latents, block, (size_t)r->s.latent * sizeof(float)));
    *x0 = (const float *)(const void *)r->latents.bytes; /* malloc's alignment */
    return ST_OK;
}

status snapshot_window(const struct snapshot_reader *r, int64_t block, const float **x)
{
    int64_t const i = block - r->s.blocks;

    if (i < 0 || i >= r->s.windows)
        return fail(ST_FORMAT, "%s: its snapshot of block %lld has no latent of block %lld",
                    r->latents.path, (long long)r->s.blocks, (long long)block);
    *x = r->s.window + i * r->s.latent;
    return ST_OK;
}

/* ---- the search ------------------------------------------------------------------------- */

/* What is looked for, and what has been found. */
struct search {
    const struct snapshot_search *c;
    const char *name; /* of the clip's folder */
    bool stopped, differs;
    char *dir;
    int64_t blocks, coded;
    struct snapshot_lock *lock; /* on `dir` */
    struct strbuf why;
};

/* Of a text of lines the one at which another differs from it. */
static void note_difference(struct search *s, const char *dir, const char *theirs)
{
    const char *a = s->c->identity, *b = theirs;

    while (*a && *b) {
        size_t const m = strcspn(a, "\n"), n = strcspn(b, "\n");
        if (m != n || memcmp(a, b, m) != 0) break;
        a += m + (a[m] == '\n');
        b += n + (b[n] == '\n');
    }
    strbuf_addf(&s->why, "%s%s: `%.*s` there, `%.*s` now", s->why.len ? "; " : "", dir,
                (int)strcspn(b, "\n"), b, (int)strcspn(a, "\n"), a);
}

static status check_latent(const struct search *s, const struct snapshot_reader *r, int64_t block,
                           const float *x0)
{
    if (!s->c->check || s->c->check(s->c->check_arg, &r->s, block, x0) == ST_OK) return ST_OK;
    struct error const why = *error_last();
    return fail(ST_FORMAT, "%s: block %lld: %.3000s", r->latents.path, (long long)block, why.msg);
}

/* Whoever goes on reads them on several ranks: that they are whole is found out before. */
static status read_all_latents(struct search *s, struct snapshot_reader *r)
{
    const float *x0;

    for (int64_t block = 0; block < r->s.blocks; block++) {
        s->stopped = s->c->stop && s->c->stop(s->c->stop_arg);
        if (s->stopped) return fail(ST_CANCELED, "%s: stopped", r->latents.path);
        TRY(snapshot_latent(r, block, &x0));
        TRY(check_latent(s, r, block, x0));
    }
    return ST_OK;
}

/* Of an attempt, the furthest snapshot that reads well and has its latents. Those behind it are
 * passed over with their reason. */
static void try_snapshot(struct search *s, const char *dir, int64_t blocks)
{
    struct snapshot_reader r;

    if (blocks <= s->blocks || s->stopped) return;
    if (snapshot_reader_open(&r, dir, blocks) != ST_OK) {
        strbuf_addf(&s->why, "%s%s", s->why.len ? "; " : "", error_last()->msg);
        error_clear();
        return;
    }
    if (strcmp(r.s.identity, s->c->identity) != 0) {
        note_difference(s, dir, r.s.identity);
        s->differs = true;
    } else if (read_all_latents(s, &r) != ST_OK) {
        strbuf_addf(&s->why, "%s%s", s->why.len ? "; " : "", error_last()->msg);
        error_clear();
    } else {
        free(s->dir);
        s->dir = str_format("%s", dir);
        s->blocks = s->dir ? blocks : 0;
        s->coded = r.s.coded;
    }
    snapshot_reader_close(&r);
}

static bool parse_blocks(const char *name, int64_t *blocks)
{
    static const char prefix[] = "snapshot.";
    const char *const digits = name + sizeof prefix - 1;

    if (strncmp(name, prefix, sizeof prefix - 1) != 0) return false;
    size_t const n = strspn(digits, "0123456789");
    if (!n || n > 15 || digits[n]) return false;
    *blocks = strtoll(digits, NULL, 10);
    return true;
}

static void try_snapshots(struct search *s, const char *dir)
{
    DIR *const d = opendir(dir);
    const struct dirent *e;
    int64_t blocks;

    if (!d) return; /* gone meanwhile */
    while ((e = readdir(d)))
        if (parse_blocks(e->d_name, &blocks)) try_snapshot(s, dir, blocks);
    closedir(d);
}

/* Under its lock, which stays with the furthest. */
static void search_attempt(struct search *s, const char *dir)
{
    int64_t const before = s->blocks;
    struct snapshot_lock *lock;

    if (!snapshot_lock(&lock, dir, false)) {
        strbuf_addf(&s->why, "%s%s: cannot be locked: it is being removed", s->why.len ? "; " : "",
                    dir);
        return;
    }
    try_snapshots(s, dir);
    if (s->blocks > before) {
        snapshot_unlock(&s->lock);
        s->lock = lock;
    } else snapshot_unlock(&lock);
}

/* NAME.PID.xxxxxx, or NAME with other such endings without a dot in NAME's place. */
static bool is_attempt_at(const char *folder, const char *name)
{
    size_t const n = strlen(name);
    const char *end = folder + n;

    if (strncmp(folder, name, n) != 0 || *end != '.') return false;
    size_t const digits = strspn(end + 1, "0123456789");
    return digits && end[1 + digits] == '.' && end[2 + digits] && !strchr(end + 2 + digits, '.');
}

static void search_shelf(struct search *s, const char *shelf)
{
    DIR *const d = opendir(shelf);
    const struct dirent *e;

    if (!d) return; /* another user's, or gone meanwhile */
    while ((e = readdir(d))) {
        char *const dir = is_attempt_at(e->d_name, s->name) ? path_join(shelf, e->d_name) : NULL;
        if (dir) search_attempt(s, dir);
        free(dir);
    }
    closedir(d);
}

/* OUT/.attempts, and those of users to whom that one is closed. */
static void search_shelves(struct search *s, const char *out)
{
    static const char prefix[] = ".attempts";
    DIR *const d = opendir(out);
    const struct dirent *e;

    if (!d) return; /* there has never been anything */
    while ((e = readdir(d))) {
        char *const shelf =
            strncmp(e->d_name, prefix, sizeof prefix - 1) ? NULL : path_join(out, e->d_name);
        if (shelf) search_shelf(s, shelf);
        free(shelf);
    }
    closedir(d);
}

status snapshot_find(char **dir, int64_t *blocks, struct snapshot_lock **lock, char **why,
                     const struct snapshot_search *c)
{
    const char *const slash = strrchr(c->target, '/');
    char *const out = path_dir(c->target);
    struct search s = { .c = c, .name = slash ? slash + 1 : c->target };

    if (out) search_shelves(&s, out);
    *dir = s.dir;
    *blocks = s.blocks;
    *lock = s.lock;
    *why = s.why.s;
    free(out);
    if (!out) return fail(ST_NOMEM, "%s: no memory for its name", c->target);
    return s.stopped ? fail(ST_CANCELED, "%s: stopped", c->target) : ST_OK;
}

status snapshot_find_in(const char *dir, int64_t *blocks, int64_t *coded,
                        const struct snapshot_search *c)
{
    struct search s = { .c = c };
    status st = ST_OK;

    try_snapshots(&s, dir);
    *blocks = s.blocks;
    *coded = s.coded;
    if (s.stopped) st = fail(ST_CANCELED, "%s: stopped", dir);
    else if (!s.blocks)
        st = fail(s.differs ? ST_MISMATCH : ST_FORMAT, "%s",
                  s.why.len ? s.why.s : "there is nothing to go on from");
    free(s.dir);
    strbuf_free(&s.why);
    return st;
}
