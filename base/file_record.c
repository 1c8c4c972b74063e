/*
 * file_record.c - chunk by chunk, what was written and whether it is there.
 *
 * A muxer writes mostly forward, but it also goes back to fill in a size, and to put an index in
 * front it reads the whole file and writes it again further on. So a chunk that is left is
 * hashed, and one that is entered again is read and must have that hash before anything is added
 * to it: what the disk has changed meanwhile is never taken for what was meant.
 */
#include "base/file_record.h"
#include "base/fd.h"
#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = FILE_RECORD_CHUNK };

status file_record_open(struct file_record *r, const char *path)
{
    *r = (struct file_record){ .path = str_format("%s", path), .chunk = malloc(CHUNK) };
    if (r->path && r->chunk) return ST_OK;
    file_record_close(r);
    return fail(ST_NOMEM, "%s: no memory to write it", path);
}

void file_record_close(struct file_record *r)
{
    free(r->path);
    free(r->chunk);
    free(r->sum);
    *r = (struct file_record){ 0 };
}

/* Bytes of chunk i that the file has. */
static size_t chunk_bytes(const struct file_record *r, int64_t i)
{
    int64_t const left = r->size - i * CHUNK;
    return left <= 0 ? 0 : left < CHUNK ? (size_t)left : CHUNK;
}

static status read_all(const struct file_record *r, int fd, int64_t pos, void *buf, size_t len)
{
    size_t got;

    TRY(fd_read(fd, r->path, pos, buf, len, &got));
    if (got == len) return ST_OK;
    return fail(ST_IO, "%s: reading back at byte %lld: the file ends there", r->path,
                (long long)(pos + (int64_t)got));
}

/* Chunk i as read is what was written? */
static status check_chunk(const struct file_record *r, int64_t i, const void *data, size_t len)
{
    char hex[DIGEST_HEX];

    TRY(digest_bytes(data, len, hex));
    if (!strcmp(hex, r->sum[i])) return ST_OK;
    return fail(ST_IO,
                "%s: bytes %lld to %lld are not what was written: the disk, or the way to "
                "it, has changed them",
                r->path, (long long)(i * CHUNK), (long long)(i * CHUNK + (int64_t)len - 1));
}

static status keep_sum(struct file_record *r)
{
    if (r->at >= r->room) {
        int64_t const room = r->room ? 2 * r->room : 64;
        char(*const more)[DIGEST_HEX] = realloc(r->sum, (size_t)room * sizeof *more);
        if (!more) return fail(ST_NOMEM, "%s: no memory for its hashes", r->path);
        r->sum = more;
        r->room = room;
    }
    return digest_bytes(r->chunk, chunk_bytes(r, r->at), r->sum[r->at]);
}

/* Have chunk i in memory. */
static status enter_chunk(struct file_record *r, int fd, int64_t i)
{
    size_t const len = chunk_bytes(r, i);

    if (i == r->at) return ST_OK;
    TRY(keep_sum(r));
    r->at = i;
    if (!len) return ST_OK;
    TRY(read_all(r, fd, i * CHUNK, r->chunk, len));
    return check_chunk(r, i, r->chunk, len);
}

/* Bytes of a piece that lie in the chunk where it begins. */
static size_t first_piece(int64_t pos, size_t len)
{
    size_t const left = (size_t)(CHUNK - pos % CHUNK);
    return len < left ? len : left;
}

static status keep_bytes(struct file_record *r, int fd, int64_t pos, const void *data, size_t n)
{
    TRY(enter_chunk(r, fd, pos / CHUNK));
    memcpy(r->chunk + pos % CHUNK, data, n);
    if (pos + (int64_t)n > r->size) r->size = pos + (int64_t)n;
    return ST_OK;
}

status file_record_add(struct file_record *r, const void *data, size_t len)
{
    const unsigned char *at = data;

    for (size_t n; len; at += n, len -= n) {
        n = first_piece(r->size, len);
        TRY(keep_bytes(r, -1, r->size, at, n));
    }
    return ST_OK;
}

/* A muxer whose index is longer than what it has written moves that behind the file's end first. */
static status fill_gap(struct file_record *r, int fd, int64_t pos)
{
    static const unsigned char zeros[4096];

    while (r->size < pos) {
        size_t n = first_piece(r->size, sizeof zeros);
        int64_t const at = r->size;
        if ((int64_t)n > pos - at) n = (size_t)(pos - at);
        TRY(keep_bytes(r, fd, at, zeros, n));
        TRY(fd_write_at(fd, r->path, at, zeros, n));
    }
    return ST_OK;
}

status file_record_write(struct file_record *r, int fd, int64_t pos, const void *data, size_t len)
{
    const unsigned char *at = data;

    if (pos < 0) return fail(ST_ARG, "%s: byte %lld", r->path, (long long)pos);
    TRY(fill_gap(r, fd, pos));
    for (size_t n; len; at += n, pos += (int64_t)n, len -= n) {
        n = first_piece(pos, len);
        TRY(keep_bytes(r, fd, pos, at, n));
        TRY(fd_write_at(fd, r->path, pos, at, n));
    }
    return ST_OK;
}

status file_record_read(struct file_record *r, int fd, int64_t pos, void *buf, size_t len)
{
    unsigned char *at = buf;

    if (pos < 0 || pos > r->size || (int64_t)len > r->size - pos)
        return fail(ST_ARG, "%s: byte %lld lies behind its end", r->path,
                    (long long)(pos + (int64_t)len));
    for (size_t n; len; at += n, pos += (int64_t)n, len -= n) {
        n = first_piece(pos, len);
        TRY(enter_chunk(r, fd, pos / CHUNK));
        memcpy(at, r->chunk + pos % CHUNK, n);
    }
    return ST_OK;
}

static status check_content(struct file_record *r, int fd, struct digest *all,
                            char sha256[DIGEST_HEX])
{
    struct stat s;

    if (fstat(fd, &s)) return fail(ST_IO, "%s: %s", r->path, strerror(errno));
    for (int64_t i = 0; i * CHUNK < r->size; i++) {
        size_t const len = chunk_bytes(r, i);
        TRY(read_all(r, fd, i * CHUNK, r->chunk, len));
        TRY(check_chunk(r, i, r->chunk, len));
        TRY(digest_add(all, r->chunk, len));
    }
    if (s.st_size != r->size)
        return fail(ST_IO, "%s: %lld bytes are there, %lld were written", r->path,
                    (long long)s.st_size, (long long)r->size);
    return digest_end(all, sha256);
}

status file_record_check(struct file_record *r, char sha256[DIGEST_HEX])
{
    struct digest all = { 0 };
    status st = ST_OK;

    TRY(keep_sum(r));
    int const fd = fd_open(r->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return fail(ST_IO, "%s: reading back: %s", r->path, strerror(errno));
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* where it cannot, memory is read */
    TRY_OUT(digest_open(&all));
    TRY_OUT(check_content(r, fd, &all, sha256));
out:
    digest_close(&all);
    close(fd);
    return st;
}
