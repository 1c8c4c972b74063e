/*
 * file.c - files read whole or mapped, and written so that a reader sees all of one or nothing.
 *
 * A draft is written beside its place, fsynced, renamed onto it, and the folder fsynced: after a
 * crash there is the old file or the new one. Opening for reading is non-blocking and refuses what
 * is not a regular file, so a FIFO named in a job cannot hang the program.
 */
#define _GNU_SOURCE
#include "base/file.h"
#include "base/fd.h"
#include "base/file_guard.h"
#include "base/file_pledge.h"
#include "base/file_watch.h"
#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

status file_open_status(int why)
{
    static const int lasting[] = { ENOENT,       ENOTDIR, EACCES, EPERM,  EISDIR, ELOOP,
                                   ENAMETOOLONG, ENXIO,   ENODEV, EINVAL, EROFS };

    for (int i = 0; i < COUNT_OF(lasting); i++)
        if (why == lasting[i]) return ST_FORMAT;
    return ST_IO;
}

static struct file_stamp stamp_of(const struct stat *s)
{
    return (struct file_stamp){ .device = (int64_t)s->st_dev,
                                .inode = (int64_t)s->st_ino,
                                .size = s->st_size,
                                .modified = { s->st_mtim.tv_sec, s->st_mtim.tv_nsec },
                                .changed = { s->st_ctim.tv_sec, s->st_ctim.tv_nsec } };
}

/* stat or lstat, which may wait for a disk as long as an open. */
static int stat_path(int (*look)(const char *, struct stat *), const char *path, struct stat *s)
{
    file_watch_begin(path);
    int const rc = look(path, s), why = errno;
    file_watch_end();
    errno = why;
    return rc;
}

status file_stamp_of(struct file_stamp *out, const char *path)
{
    struct stat s;

    if (stat_path(stat, path, &s))
        return fail(file_open_status(errno), "%s: %s", path, strerror(errno));
    *out = stamp_of(&s);
    return ST_OK;
}

status file_open(const char *path, int *fd, struct file_stamp *stamp)
{
    struct stat s;

    *fd = fd_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) return fail(file_open_status(errno), "%s: %s", path, strerror(errno));
    if (!fstat(*fd, &s) && S_ISREG(s.st_mode)) {
        *stamp = stamp_of(&s);
        file_pledge_note(path, stamp);
        return ST_OK;
    }
    close(*fd);
    *fd = -1;
    return fail(ST_FORMAT, "%s: not a regular file", path);
}

status file_map(struct file_map *out, const char *path)
{
    int fd;

    *out = (struct file_map){ 0 };
    TRY(file_open(path, &fd, &out->stamp));
    out->size = (size_t)out->stamp.size;
    if (out->size) {
        void *const p = mmap(NULL, out->size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            int const why = errno;
            close(fd);
            *out = (struct file_map){ 0 };
            return fail(ST_IO, "%s: cannot map: %s", path, strerror(why));
        }
        out->data = p;
        file_guard_add(out->data, out->size, path);
    }
    close(fd);
    return ST_OK;
}

void file_unmap(struct file_map *m)
{
    if (m->data) file_guard_remove(m->data);
    if (m->data) munmap((void *)(uintptr_t)m->data, m->size);
    *m = (struct file_map){ 0 };
}

status file_read(const char *path, size_t limit, char **text, size_t *len)
{
    status st = ST_OK;
    char *buf = NULL;
    size_t n = 0;
    struct file_stamp stamp = { 0 };
    int fd = -1;

    *text = NULL;
    *len = 0;
    TRY(file_open(path, &fd, &stamp));
    size_t const size = (size_t)stamp.size;
    if (size > limit)
        FAIL_OUT(ST_FORMAT, "%s: %zu bytes; at most %zu are allowed", path, size, limit);
    buf = malloc(size + 1);
    if (!buf) FAIL_OUT(ST_NOMEM, "%s: no memory for %zu bytes", path, size);
    TRY_OUT(fd_read(fd, path, 0, buf, size, &n)); /* if it shrinks meanwhile, what is there */
    buf[n] = '\0';
    *text = buf;
    *len = n;
    buf = NULL; /* handed over */
out:
    free(buf);
    close(fd);
    return st;
}

status dir_sync(const char *path)
{
    int const fd = fd_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    status st = ST_OK;

    if (fd < 0) return fail(ST_IO, "%s: %s", path, strerror(errno));
    if (fd_sync(fd)) st = fail(ST_IO, "%s: fsync: %s", path, strerror(errno));
    close(fd);
    return st;
}

/* Its name has a number that nobody else uses just now. */
static status open_beside(struct file_draft *d)
{
    enum { TRIES = 1000 };

    for (int i = 0; i < TRIES; i++) {
        free(d->tmp);
        d->tmp = str_format("%s.tmp.%ld.%d", d->path, (long)getpid(), i);
        if (!d->tmp) return fail(ST_NOMEM, "%s: no memory for its name", d->path);
        d->fd = fd_open(d->tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC);
        if (d->fd >= 0) return ST_OK;
        if (errno != EEXIST) break;
    }
    status const st = fail(ST_IO, "%s: %s", d->tmp, strerror(errno));
    free(d->tmp);
    d->tmp = NULL; /* it is not ours to remove */
    return st;
}

status file_draft_open(struct file_draft *d, const char *path)
{
    *d = (struct file_draft){ .path = str_format("%s", path), .fd = -1 };
    status const st = d->path ? open_beside(d) : fail(ST_NOMEM, "%s: no memory for its name", path);

    if (st != ST_OK) file_draft_close(d);
    return st;
}

status file_draft_add(struct file_draft *d, const void *data, size_t len)
{
    return fd_write(d->fd, d->tmp, data, len);
}

status file_draft_commit(struct file_draft *d)
{
    if (fd_sync(d->fd)) return fail(ST_IO, "%s: fsync: %s", d->tmp, strerror(errno));
    int const rc = fd_close(d->fd);
    d->fd = -1;
    if (rc) return fail(ST_IO, "%s: %s", d->tmp, strerror(errno));
    if (rename(d->tmp, d->path)) return fail(ST_IO, "%s: %s", d->path, strerror(errno));
    free(d->tmp);
    d->tmp = NULL; /* it is no more */

    char *const dir = path_dir(d->path);
    if (!dir) return fail(ST_NOMEM, "%s: no memory for the name of its folder", d->path);
    status const st = dir_sync(dir);
    free(dir);
    return st;
}

void file_draft_close(struct file_draft *d)
{
    if (d->tmp) {
        if (d->fd >= 0) close(d->fd);
        unlink(d->tmp);
    }
    free(d->tmp);
    free(d->path);
    *d = (struct file_draft){ 0 };
}

/* A pipe or a device: what is written goes through it. */
static status write_through(const char *path, const void *data, size_t len)
{
    int const fd = fd_open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0) return fail(ST_IO, "%s: %s", path, strerror(errno));
    status const st = fd_write(fd, path, data, len);
    if (fd_close(fd) && st == ST_OK) return fail(ST_IO, "%s: %s", path, strerror(errno));
    return st;
}

/* Where a link leads, which may be to a file that is not there yet; the caller frees. */
static char *resolve_link(const char *path)
{
    struct stat s;

    if (lstat(path, &s) || !S_ISLNK(s.st_mode)) return str_format("%s", path);
    if (stat(path, &s)) {
        int const fd = fd_open(path, O_WRONLY | O_CREAT | O_CLOEXEC);
        if (fd >= 0) close(fd);
    }
    return realpath(path, NULL);
}

static status write_whole(const char *path, const void *data, size_t len)
{
    struct file_draft d;
    status st = ST_OK;

    TRY(file_draft_open(&d, path));
    TRY_OUT(file_draft_add(&d, data, len));
    TRY_OUT(file_draft_commit(&d));
out:
    file_draft_close(&d);
    return st;
}

status file_write(const char *path, const void *data, size_t len)
{
    struct stat s;
    bool const there = stat(path, &s) == 0;

    if (there && S_ISDIR(s.st_mode)) return fail(ST_IO, "%s: a folder, not a file", path);
    if (there && !S_ISREG(s.st_mode)) return write_through(path, data, len);
    char *const place = resolve_link(path);
    if (!place) return fail(ST_IO, "%s: %s", path, strerror(errno));
    status const st = write_whole(place, data, len);
    free(place);
    return st;
}

/* The folder at `path`, whose parent is there. */
static status make_one(const char *path)
{
    file_watch_begin(path);
    int const why = mkdir(path, 0777) ? errno : 0;
    file_watch_end();
    if (why) return why == EEXIST ? ST_OK : fail(ST_IO, "%s: %s", path, strerror(why));
    char *const parent = path_dir(path);
    if (!parent) return fail(ST_NOMEM, "%s: no memory for its name", path);
    status const st = dir_sync(parent);
    free(parent);
    return st;
}

status dir_make(const char *path)
{
    char *const p = str_format("%s", path);
    status st = ST_OK;

    if (!p) return fail(ST_NOMEM, "%s: no memory for its name", path);
    for (char *at = p + 1; st == ST_OK; at++) {
        if (*at && *at != '/') continue;
        char const end = *at;
        *at = '\0';
        st = make_one(p);
        *at = end;
        if (!end) break;
    }
    if (st == ST_OK && !path_is_folder(p)) st = fail(ST_IO, "%s: not a folder", p);
    free(p);
    return st;
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *at)
{
    (void)s, (void)kind, (void)at;
    return remove(path);
}

status dir_remove(const char *path)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) && errno != ENOENT)
        return fail(ST_IO, "%s: %s", path, strerror(errno));
    return ST_OK;
}

bool path_exists(const char *path)
{
    struct stat s;
    return stat_path(lstat, path, &s) == 0;
}

bool path_is_missing(const char *path)
{
    struct stat s;
    return stat_path(lstat, path, &s) && (errno == ENOENT || errno == ENOTDIR);
}

bool path_is_folder(const char *path)
{
    struct stat s;
    return !stat_path(stat, path, &s) && S_ISDIR(s.st_mode);
}
