/*
 * av_file.c - the file under a muxer.
 *
 * libavformat's own file writer moves by lseek and forgets one that fails, and it never sees what
 * the disk has made of its bytes. Here every call has its position, so there is no seek that can
 * fail, and what is written is recorded before it goes out. A muxer that puts the index in front
 * opens its own file to read it; that is served from here too, so that it moves no byte that is not
 * what it wrote.
 */
#include "base/fd.h"
#include "base/strbuf.h"
#include "pipeline/output/av/av_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libavutil/error.h>
#include <libavutil/mem.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER = 1 << 16 /* bytes that libavformat collects */ };

/* The first failure is kept; libavformat is told a code. */
static int keep_failure(struct av_file *f, status st)
{
    if (f->st == ST_OK) {
        f->st = st;
        f->why = *error_last();
    }
    error_clear();
    return st == ST_NOMEM ? AVERROR(ENOMEM) : AVERROR(EIO);
}

static int write_bytes(void *file, av_compat_bytes *data, int len)
{
    struct av_file *const f = file;
    status const st = file_record_write(&f->record, f->fd, f->at, data, (size_t)len);

    if (st != ST_OK) return keep_failure(f, st);
    f->at += len;
    return len;
}

static int read_bytes(void *file, uint8_t *data, int len)
{
    struct av_file *const f = file;
    int64_t const left = f->record.size - f->read_at;
    int const n = left < len ? (int)left : len;

    if (n <= 0) return AVERROR_EOF;
    status const st = file_record_read(&f->record, f->fd, f->read_at, data, (size_t)n);
    if (st != ST_OK) return keep_failure(f, st);
    f->read_at += n;
    return n;
}

static int64_t seek_to(const struct av_file *f, int64_t *at, int64_t offset, int whence)
{
    int64_t const from = whence == SEEK_CUR ? *at : whence == SEEK_END ? f->record.size : 0;

    if (whence & AVSEEK_SIZE) return f->record.size;
    if (from + offset < 0) return AVERROR(EINVAL);
    return *at = from + offset;
}

static int64_t seek_write(void *file, int64_t offset, int whence)
{
    struct av_file *const f = file;
    return seek_to(f, &f->at, offset, whence & ~AVSEEK_FORCE);
}

static int64_t seek_read(void *file, int64_t offset, int whence)
{
    struct av_file *const f = file;
    return seek_to(f, &f->read_at, offset, whence & ~AVSEEK_FORCE);
}

static void free_io(AVIOContext **io)
{
    if (*io) av_freep(&(*io)->buffer);
    avio_context_free(io);
}

static AVIOContext *make_io(struct av_file *f, bool writes)
{
    unsigned char *buffer = av_malloc(BUFFER);
    AVIOContext *const io =
        buffer ? avio_alloc_context(buffer, BUFFER, writes, f, writes ? NULL : read_bytes,
                                    writes ? write_bytes : NULL, writes ? seek_write : seek_read)
               : NULL;

    if (!io) av_free(buffer);
    return io;
}

/* The muxer's own file, to read; it asks for no other. */
static int open_again(AVFormatContext *mux, AVIOContext **io, const char *url, int flags,
                      AVDictionary **options)
{
    struct av_file *const f = mux->opaque;

    (void)url, (void)options;
    if (flags & AVIO_FLAG_WRITE) return AVERROR(EPERM);
    f->read_at = 0;
    *io = make_io(f, false);
    return *io ? 0 : AVERROR(ENOMEM);
}

static int close_again(AVFormatContext *mux, AVIOContext *io)
{
    (void)mux;
    free_io(&io);
    return 0;
}

status av_file_open(struct av_file *f, const char *path, AVFormatContext *mux)
{
    *f = (struct av_file){ .fd = -1 };
    TRY(file_record_open(&f->record, path));
    f->fd = fd_open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC);
    if (f->fd < 0) return fail(ST_IO, "%s: %s", path, strerror(errno));
    f->io = make_io(f, true);
    if (!f->io) return fail(ST_NOMEM, "%s: no memory to write it", path);
    mux->pb = f->io;
    mux->opaque = f;
    mux->io_open = open_again;
    mux->io_close2 = close_again;
    return ST_OK;
}

status av_file_result(struct av_file *f, int r, const char *what)
{
    char why[AV_ERROR_MAX_STRING_SIZE];

    if (r >= 0 && f->io && f->io->error < 0) r = f->io->error;
    if (f->st != ST_OK) {
        error_adopt(&f->why);
        return f->st;
    }
    if (r >= 0) return ST_OK;
    av_strerror(r, why, sizeof why);
    return fail(r == AVERROR(ENOMEM) ? ST_NOMEM : ST_IO, "%s: %s: %s", f->record.path, what, why);
}

status av_file_commit(struct av_file *f, char sha256[DIGEST_HEX])
{
    avio_flush(f->io);
    TRY(av_file_result(f, 0, "writing"));
    if (fd_sync(f->fd)) return fail(ST_IO, "%s: fsync: %s", f->record.path, strerror(errno));
    int const rc = fd_close(f->fd);
    f->fd = -1;
    if (rc) return fail(ST_IO, "%s: close: %s", f->record.path, strerror(errno));
    return file_record_check(&f->record, sha256);
}

void av_file_close(struct av_file *f)
{
    if (f->io) free_io(&f->io);
    if (f->record.path && f->fd >= 0) close(f->fd);
    file_record_close(&f->record);
    *f = (struct av_file){ 0 };
}
