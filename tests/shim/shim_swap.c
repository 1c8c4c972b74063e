/*
 * shim_swap.c - LD_PRELOAD: another file takes a file's name while a program runs.
 *
 * SWAP_PATH: words of the path that is looked for. At its SWAP_N-th open, before it, SWAP_BY is
 * renamed onto it, and behind it SWAP_BACK, where that is given; or with SWAP_BY left out the file
 * is cut to SWAP_SIZE bytes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_int seen;

/* Has it been done? */
static bool meddle(const char *path)
{
    const char *const words = getenv("SWAP_PATH"), *const by = getenv("SWAP_BY");
    const char *const n = getenv("SWAP_N"), *const size = getenv("SWAP_SIZE");

    if (!words || !n || !strstr(path, words) || atomic_fetch_add(&seen, 1) + 1 != atoi(n))
        return false;
    if (by && rename(by, path)) _exit(99);
    if (size && truncate(path, atol(size))) _exit(99);
    return true;
}

static int open_by(const char *name, const char *path, int flags, mode_t mode)
{
    int (*real)(const char *, int, ...) = NULL;

    *(void **)&real = dlsym(RTLD_NEXT, name);
    const char *const back = meddle(path) ? getenv("SWAP_BACK") : NULL;
    int const fd = real(path, flags, mode);
    if (back && rename(back, path)) _exit(99);
    return fd;
}

int open(const char *path, int flags, ...)
{
    va_list more;

    va_start(more, flags);
    mode_t const mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open_by("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list more;

    va_start(more, flags);
    mode_t const mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open_by("open64", path, flags, mode);
}
