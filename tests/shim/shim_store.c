/*
 * shim_store.c - LD_PRELOAD: what befalls a queue's store, or a clip's folder, at a point that is
 * named.
 *
 * POINT: the process is killed, or with STOP=1 stopped (SIGSTOP),
 *     commit:N      in front of its N-th commit: all of a transaction but its end is done
 *     committed:N   behind it, before anything is known of it
 *     publish       in front of the rename onto a path that ends in FOLDER
 *     published     behind that
 * A commit is a COMMIT that goes to a PostgreSQL server, or what is written into a SQLite file's
 * write-ahead log from the last sync to the next.
 *
 * POWER=1: with the process goes the power: what the log has of writes behind its last sync is
 * lost. FULL=FILE: while FILE is there the disk of the log is full. HIDE=1: FOLDER is not there,
 * as an old cache has it, until something is renamed onto it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

static int commits;
static bool writes;  /* into the log, since its last sync */
static int log_fd;   /* the log's, once it is known */
static off_t synced; /* bytes of it */
static bool renamed;

static bool is_at(const char *point, int n)
{
    const char *const at = getenv("POINT");
    char own[32];

    if (n) snprintf(own, sizeof own, "%s:%d", point, n);
    else snprintf(own, sizeof own, "%s", point);
    return at && !strcmp(at, own);
}

static void come_to(const char *point, int n)
{
    if (!is_at(point, n)) return;
    if (getenv("POWER") && log_fd && ftruncate(log_fd, synced)) _exit(99);
    raise(getenv("STOP") ? SIGSTOP : SIGKILL);
}

static bool ends_in(const char *path, const char *end)
{
    size_t const n = strlen(path), m = end ? strlen(end) : 0;
    return m && n >= m && !strcmp(path + n - m, end);
}

static bool is_log(int fd)
{
    char link[64], path[4096];

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t const n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return false;
    path[n] = '\0';
    return ends_in(path, ".db-wal");
}

static bool is_full(void)
{
    const char *const flag = getenv("FULL");
    return flag && !access(flag, F_OK);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at)
{
    if (is_log(fd)) {
        if (is_full()) {
            errno = ENOSPC;
            return -1;
        }
        log_fd = fd;
        if (!writes) come_to("commit", ++commits);
        writes = true;
    }
    return NEXT(pwrite64)(fd, bytes, n, at);
}

static int sync_by(int (*call)(int), int fd)
{
    int const rc = call(fd);
    struct stat now;

    if (rc || !is_log(fd)) return rc;
    if (!fstat(fd, &now)) synced = now.st_size;
    if (writes) come_to("committed", commits);
    writes = false;
    return rc;
}

int fdatasync(int fd) { return sync_by(NEXT(fdatasync), fd); }
int fsync(int fd) { return sync_by(NEXT(fsync), fd); }

/* libpq's. A simple query: Q, its length, its text. */
ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    bool const is_commit =
        n > 10 && !memcmp(bytes, "Q", 1) && !memcmp((const char *)bytes + 5, "COMMIT", 6);

    if (is_commit) come_to("commit", ++commits);
    ssize_t const sent = NEXT(send)(fd, bytes, n, flags);
    if (is_commit) come_to("committed", commits);
    return sent;
}

int rename(const char *from, const char *to)
{
    bool const is_folder = ends_in(to, getenv("FOLDER"));

    if (is_folder) come_to("publish", 0);
    int const rc = NEXT(rename)(from, to);
    if (is_folder) renamed = true;
    if (is_folder) come_to("published", 0);
    return rc;
}

int lstat(const char *path, struct stat *out)
{
    if (getenv("HIDE") && !renamed && ends_in(path, getenv("FOLDER"))) {
        errno = ENOENT;
        return -1;
    }
    return NEXT(lstat)(path, out);
}
