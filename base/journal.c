/*
 * journal.c - records with checksums, appended and read back.
 *
 * Appending hands a record to the kernel, which survives a kill; journal_sync puts it on disk,
 * which survives a power loss too. Reading goes by pread into memory of the reader, not by mapping:
 * a file that is cut meanwhile is an error with a name, and a record's length is believed only as
 * far as the file reaches.
 */
#include "base/journal.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = { 'r', 'm', 'r', 'e', 'c', 'o', 'r', 'd' };

/* What a record's head says, in front of its checksum. */
struct head_words {
    char magic[8];
    int64_t number, bytes;
};
_Static_assert(sizeof(struct head_words) + DIGEST_HEX - 1 == JOURNAL_HEAD, "no padding");

static status sum_record(char hex[DIGEST_HEX], const struct head_words *w, const void *bytes)
{
    struct digest d;
    status st = ST_OK;

    TRY(digest_open(&d));
    TRY_OUT(digest_add(&d, w, sizeof *w));
    TRY_OUT(digest_add(&d, bytes, (size_t)w->bytes));
    TRY_OUT(digest_end(&d, hex));
out:
    digest_close(&d);
    return st;
}

status journal_head(unsigned char head[JOURNAL_HEAD], int64_t number, const void *bytes, size_t len)
{
    struct head_words w = { .number = number, .bytes = (int64_t)len };
    char hex[DIGEST_HEX];

    memcpy(w.magic, magic, sizeof magic);
    TRY(sum_record(hex, &w, bytes));
    memcpy(head, &w, sizeof w);
    memcpy(head + sizeof w, hex, DIGEST_HEX - 1);
    return ST_OK;
}

/* ---- writing ---------------------------------------------------------------------------- */

status journal_open(struct journal *j, const char *path)
{
    *j = (struct journal){ .path = str_format("%s", path), .fd = -1 };
    if (!j->path) return fail(ST_NOMEM, "%s: no memory for its name", path);
    j->fd = fd_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC);
    if (j->fd >= 0) return ST_OK;
    status const st = fail(ST_IO, "%s: %s", path, strerror(errno));
    journal_close(j);
    return st;
}

status journal_append(struct journal *j, int64_t number, const void *bytes, size_t len)
{
    size_t const all = JOURNAL_HEAD + len;

    if (all > j->room) {
        unsigned char *const more = realloc(j->record, all);
        if (!more) return fail(ST_NOMEM, "%s: no memory for a record of %zu bytes", j->path, len);
        j->record = more;
        j->room = all;
    }
    TRY(journal_head(j->record, number, bytes, len));
    if (len) memcpy(j->record + JOURNAL_HEAD, bytes, len);
    TRY(fd_write(j->fd, j->path, j->record, all));
    j->size += (int64_t)all;
    return ST_OK;
}

status journal_sync(struct journal *j)
{
    return fd_sync(j->fd) ? fail(ST_IO, "%s: fsync: %s", j->path, strerror(errno)) : ST_OK;
}

void journal_close(struct journal *j)
{
    if (j->path && j->fd >= 0) close(j->fd);
    free(j->path);
    free(j->record);
    *j = (struct journal){ .fd = -1 };
}

/* ---- reading ---------------------------------------------------------------------------- */

status journal_reader_open(struct journal_reader *r, const char *path, int64_t length)
{
    struct stat s;
    status st = ST_OK;

    *r = (struct journal_reader){ .path = str_format("%s", path), .fd = -1 };
    if (!r->path) FAIL_OUT(ST_NOMEM, "%s: no memory for its name", path);
    r->fd = fd_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (r->fd < 0) FAIL_OUT(file_open_status(errno), "%s: %s", path, strerror(errno));
    if (fstat(r->fd, &s) || !S_ISREG(s.st_mode))
        FAIL_OUT(ST_FORMAT, "%s: not a regular file", path);
    r->end = length < 0 ? s.st_size : length;
    if (r->end > s.st_size)
        st = fail(ST_FORMAT, "%s: %lld bytes; %lld are expected", path, (long long)s.st_size,
                  (long long)r->end);
out:
    if (st != ST_OK) journal_reader_close(r);
    return st;
}

void journal_reader_close(struct journal_reader *r)
{
    if (r->path && r->fd >= 0) close(r->fd);
    free(r->path);
    free(r->bytes);
    *r = (struct journal_reader){ .fd = -1 };
}

static status read_at(const struct journal_reader *r, int64_t at, void *to, size_t len)
{
    size_t got;

    TRY(fd_read(r->fd, r->path, at, to, len, &got));
    return got == len ? ST_OK : fail(ST_FORMAT, "%s: was cut while it was read", r->path);
}

static status fail_record(const struct journal_reader *r, const char *what)
{
    return fail(ST_FORMAT, "%s: the record at byte %lld %s", r->path, (long long)r->at, what);
}

static status grow_record(struct journal_reader *r, size_t len)
{
    if (len <= r->room) return ST_OK;
    unsigned char *const more = realloc(r->bytes, len);
    if (!more) return fail(ST_NOMEM, "%s: no memory for a record of %zu bytes", r->path, len);
    r->bytes = more;
    r->room = len;
    return ST_OK;
}

status journal_read(struct journal_reader *r, size_t most, bool *more)
{
    int64_t const left = r->end - r->at;
    struct head_words w;
    char sum[DIGEST_HEX], hex[DIGEST_HEX] = "";

    *more = left > 0;
    if (!*more) return ST_OK;
    if (left < JOURNAL_HEAD) return fail_record(r, "is truncated");
    TRY(read_at(r, r->at, &w, sizeof w));
    TRY(read_at(r, r->at + (int64_t)sizeof w, hex, DIGEST_HEX - 1));
    if (memcmp(w.magic, magic, sizeof magic) != 0) return fail_record(r, "does not begin as one");
    if (w.bytes < 0 || w.bytes > left - JOURNAL_HEAD) return fail_record(r, "is truncated");
    if ((uint64_t)w.bytes > most) return fail_record(r, "is longer than any record can be");
    TRY(grow_record(r, (size_t)w.bytes + 1));
    TRY(read_at(r, r->at + JOURNAL_HEAD, r->bytes, (size_t)w.bytes));
    TRY(sum_record(sum, &w, r->bytes));
    if (strcmp(sum, hex) != 0)
        return fail_record(r, "is not what was written: its checksum differs");
    r->number = w.number;
    r->len = (size_t)w.bytes;
    r->at += JOURNAL_HEAD + w.bytes;
    return ST_OK;
}

status journal_expect(struct journal_reader *r, int64_t number, size_t len)
{
    bool more;

    TRY(journal_read(r, len, &more));
    if (more && r->number == number && r->len == len) return ST_OK;
    if (!more) return fail(ST_FORMAT, "%s: record %lld is missing", r->path, (long long)number);
    return fail(ST_FORMAT, "%s: record %lld of %zu bytes; %lld of %zu is expected", r->path,
                (long long)r->number, r->len, (long long)number, len);
}

void journal_seek(struct journal_reader *r, int64_t at) { r->at = at < 0 ? r->end : at; }
