/*
 * fd.c - calls on a file that are made again.
 *
 * A local disk is hardly ever interrupted. A network folder, a file system in user space or a pipe
 * is, by any signal that has a handler - be it a library's, which restarts nothing.
 */
#define _XOPEN_SOURCE 700
#include "base/fd.h"
#include "base/file_watch.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int fd_open(const char *path, int flags)
{
    int fd;

    file_watch_begin(path);
    FD_AGAIN(fd, open(path, flags, 0666));
    int const why = errno;
    file_watch_end();
    errno = why;
    return fd;
}

int fd_sync(int fd)
{
    int rc;

    FD_AGAIN(rc, fsync(fd));
    return rc;
}

int fd_close(int fd)
{
    int const rc = close(fd);
    return rc && errno == EINTR ? 0 : rc;
}

status fd_read(int fd, const char *path, int64_t at, void *to, size_t len, size_t *got)
{
    for (*got = 0; *got < len;) {
        ssize_t n;
        file_watch_begin(path);
        FD_AGAIN(n, pread(fd, (char *)to + *got, file_watch_piece(len - *got), (off_t)at));
        int const why = errno;
        file_watch_end();
        if (n < 0)
            return fail(ST_IO, "%s: reading at byte %lld: %s", path, (long long)at, strerror(why));
        if (!n) break;
        *got += (size_t)n;
        at += n;
    }
    return ST_OK;
}

static status fail_write(const char *path, const char *where, ssize_t n)
{
    return fail(ST_IO, "%s: %s%s", path, where, n < 0 ? strerror(errno) : "nothing was written");
}

status fd_write(int fd, const char *path, const void *data, size_t len)
{
    const unsigned char *from = data;

    for (ssize_t n; len; from += n, len -= (size_t)n) {
        FD_AGAIN(n, write(fd, from, len));
        if (n <= 0) return fail_write(path, "", n);
    }
    return ST_OK;
}

status fd_write_at(int fd, const char *path, int64_t at, const void *data, size_t len)
{
    const unsigned char *from = data;
    char where[64];

    for (ssize_t n; len; from += n, at += n, len -= (size_t)n) {
        FD_AGAIN(n, pwrite(fd, from, len, (off_t)at));
        if (n > 0) continue;
        snprintf(where, sizeof where, "writing at byte %lld: ", (long long)at);
        return fail_write(path, where, n);
    }
    return ST_OK;
}
