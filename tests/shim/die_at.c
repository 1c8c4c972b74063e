/*
 * die_at.c - a library to be preloaded: the process is killed in front of its n-th write, pwrite,
 * fsync, fdatasync, rename or unlink of a file, DIE_AT=n. With DIE_COUNT=FILE it says how many
 * there were.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls;

__attribute__((destructor)) static void say_count(void)
{
    const char *const path = getenv("DIE_COUNT");
    FILE *const f = path ? fopen(path, "w") : NULL;

    if (!f) return;
    fprintf(f, "%ld\n", (long)calls);
    fclose(f);
}

static void count_call(void)
{
    const char *const at = getenv("DIE_AT");
    if (atomic_fetch_add(&calls, 1) + 1 == (at ? atol(at) : -1)) raise(SIGKILL);
}

#define NEXT(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t n)
{
    if (fd > 2) count_call();
    return NEXT(write)(fd, bytes, n);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    count_call();
    return NEXT(pwrite)(fd, bytes, n, at);
}

/* SQLite's names. */
ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at)
{
    count_call();
    return NEXT(pwrite64)(fd, bytes, n, at);
}

int fdatasync(int fd)
{
    count_call();
    return NEXT(fdatasync)(fd);
}

int fsync(int fd)
{
    count_call();
    return NEXT(fsync)(fd);
}

int rename(const char *from, const char *to)
{
    count_call();
    return NEXT(rename)(from, to);
}

int unlink(const char *path)
{
    count_call();
    return NEXT(unlink)(path);
}
