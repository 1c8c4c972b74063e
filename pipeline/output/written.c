/* written.c - a file that is written in one go, and read back. */
#include "base/fd.h"
#include "base/file.h"
#include "base/file_record.h"
#include "pipeline/output/output_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

status write_checked(const char *path, const void *data, size_t len, struct written *out)
{
    struct file_record record;
    status st = ST_OK;

    TRY_OUT(file_record_open(&record, path));
    TRY_OUT(file_record_add(&record, data, len));
    TRY_OUT(file_write(path, data, len));
    TRY_OUT(file_record_check(&record, out->sha256));
    out->bytes = record.size;
out:
    file_record_close(&record);
    return st;
}

static status copy_bytes(struct file_draft *d, struct file_record *r, int in, const char *from,
                         int64_t bytes)
{
    char piece[1 << 16];
    size_t want = sizeof piece, got = sizeof piece;

    for (int64_t left = bytes; left && got == want; left -= bytes < 0 ? 0 : (int64_t)got) {
        want = bytes >= 0 && left < (int64_t)sizeof piece ? (size_t)left : sizeof piece;
        TRY(fd_read(in, from, r->size, piece, want, &got));
        TRY(file_record_add(r, piece, got));
        TRY(file_draft_add(d, piece, got));
    }
    if (bytes < 0 || r->size == bytes) return ST_OK;
    return fail(ST_IO, "%s: %lld bytes are left of %lld", from, (long long)r->size,
                (long long)bytes);
}

status copy_checked(const char *path, const char *from, int64_t bytes, struct written *out)
{
    int const in = fd_open(from, O_RDONLY | O_CLOEXEC);
    struct file_draft d = { .fd = -1 };
    struct file_record record = { 0 };
    status st = ST_OK;

    if (in < 0) FAIL_OUT(ST_IO, "%s: %s", from, strerror(errno));
    TRY_OUT(file_record_open(&record, path));
    TRY_OUT(file_draft_open(&d, path));
    TRY_OUT(copy_bytes(&d, &record, in, from, bytes));
    TRY_OUT(file_draft_commit(&d));
    TRY_OUT(file_record_check(&record, out->sha256));
    out->bytes = record.size;
out:
    file_draft_close(&d);
    file_record_close(&record);
    if (in >= 0) close(in);
    return st;
}
