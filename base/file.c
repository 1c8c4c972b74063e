#define _GNU_SOURCE
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static status open_regular(const char *path, int *fd, size_t *size)
{
    struct stat s;

    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) return fail(ST_FORMAT, "%s: %s", path, strerror(errno));
    if (fstat(*fd, &s) || !S_ISREG(s.st_mode)) {
        close(*fd);
        *fd = -1;
        return fail(ST_FORMAT, "%s: not a regular file", path);
    }
    *size = (size_t)s.st_size;
    return ST_OK;
}

status file_map(struct file_map *out, const char *path)
{
    int fd;

    *out = (struct file_map){ 0 };
    TRY(open_regular(path, &fd, &out->size));
    if (out->size) {
        void *const p = mmap(NULL, out->size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            int const why = errno;
            close(fd);
            *out = (struct file_map){ 0 };
            return fail(ST_IO, "%s: cannot map: %s", path, strerror(why));
        }
        out->data = p;
    }
    close(fd);
    return ST_OK;
}

void file_unmap(struct file_map *m)
{
    if (m->data) munmap((void *)(uintptr_t)m->data, m->size);
    *m = (struct file_map){ 0 };
}

status file_read(const char *path, size_t limit, char **text, size_t *len)
{
    status st = ST_OK;
    char *buf = NULL;
    size_t size, n = 0;
    int fd;

    *text = NULL;
    *len = 0;
    TRY(open_regular(path, &fd, &size));
    if (size > limit) {
        st = fail(ST_FORMAT, "%s: %zu bytes; at most %zu are allowed", path, size, limit);
        goto out;
    }
    buf = malloc(size + 1);
    if (!buf) {
        st = fail(ST_NOMEM, "%s: %zu bytes", path, size);
        goto out;
    }
    while (n < size) {
        ssize_t const got = read(fd, buf + n, size - n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            st = fail(ST_IO, "%s: %s", path, strerror(errno));
            goto out;
        }
        if (got == 0) break; /* shrank while we read: what is there counts */
        n += (size_t)got;
    }
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
    int const fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    status st = ST_OK;

    if (fd < 0) return fail(ST_IO, "%s: %s", path, strerror(errno));
    if (fsync(fd)) st = fail(ST_IO, "%s: fsync: %s", path, strerror(errno));
    close(fd);
    return st;
}

static status write_all(int fd, const char *path, const unsigned char *data, size_t len)
{
    while (len) {
        ssize_t const n = write(fd, data, len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(ST_IO, "%s: %s", path, strerror(errno));
        data += n;
        len -= (size_t)n;
    }
    if (fsync(fd)) return fail(ST_IO, "%s: fsync: %s", path, strerror(errno));
    return ST_OK;
}

status file_write(const char *path, const void *data, size_t len)
{
    status st = ST_OK;
    char *const tmp = text_format("%s.tmp.%ld", path, (long)getpid());
    char *const dir = path_dir(path);
    int fd = -1;

    if (!tmp || !dir) {
        st = fail(ST_NOMEM, "%s: no memory for its name", path);
        goto out;
    }
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        st = fail(ST_IO, "%s: %s", tmp, strerror(errno));
        goto out;
    }
    TRY_OUT(write_all(fd, tmp, data, len));
    if (close(fd)) {
        fd = -1;
        st = fail(ST_IO, "%s: %s", tmp, strerror(errno));
        goto out;
    }
    fd = -1;
    if (rename(tmp, path)) {
        st = fail(ST_IO, "%s: %s", path, strerror(errno));
        goto out;
    }
    TRY_OUT(dir_sync(dir));
out:
    if (fd >= 0) close(fd);
    if (st != ST_OK && tmp) unlink(tmp);
    free(tmp);
    free(dir);
    return st;
}

status dir_make(const char *path)
{
    char *const p = text_format("%s", path);
    status st = ST_OK;

    if (!p) return fail(ST_NOMEM, "%s: no memory for its name", path);
    for (char *at = p + 1; st == ST_OK; at++) {
        if (*at && *at != '/') continue;
        char const end = *at;
        *at = '\0';
        if (mkdir(p, 0777) && errno != EEXIST) st = fail(ST_IO, "%s: %s", p, strerror(errno));
        *at = end;
        if (!end) break;
    }
    struct stat s;
    if (st == ST_OK && (stat(p, &s) || !S_ISDIR(s.st_mode)))
        st = fail(ST_IO, "%s: not a folder", p);
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
    return lstat(path, &s) == 0;
}

status bytes_sha256(const void *data, size_t len, char hex[65])
{
    unsigned char sum[32];

    if (!EVP_Digest(data, len, sum, NULL, EVP_sha256(), NULL))
        return fail(ST_NOMEM, "sha256: the library refused");
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    return ST_OK;
}

status file_sha256(const char *path, char hex[65])
{
    struct file_map m;

    TRY(file_map(&m, path));
    status const st = bytes_sha256(m.data, m.size, hex);
    file_unmap(&m);
    return st;
}
