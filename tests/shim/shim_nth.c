/*
 * shim_nth.c - LD_PRELOAD: a system call, or a call for memory, goes wrong while a program runs.
 *
 * NTH_CALL: write, read, seek, cut (ftruncate), sync, close, rename, folder, open, look (stat,
 * lstat, opendir), map, lock (flock), wait (nanosleep, poll, waitpid), thread or memory. Calls of
 * files count where the file lies below the folder NTH_BELOW and NTH_FILE, where it is given, is in
 * its path; waits and threads count always.
 * NTH_AT: the call that goes wrong, from 1; left out, none does. NTH_LASTING=1: all from there on.
 * NTH_EVERY=N: each N-th from there on.
 * NTH_ERROR: with which errno. NTH_HANGS=1: it never returns. NTH_PAUSES=SECONDS: it is done that
 * much later. NTH_FLIP=1: a write is done, with one bit of its bytes changed. NTH_SHORT=1: a read
 * or a write does half of what was asked for.
 * NTH_SITE=OBJECT+OFFSET: the first call for memory that returns there goes wrong; OBJECT begins
 * the name of a file.
 * NTH_COUNT: a file into which the number of calls goes at the end; for memory, a line
 * `OBJECT+OFFSET CALLS` for each place that calls.
 *
 * A program that crashes is told where: `crashed in OBJECT+OFFSET`, or `in made code`, which a
 * library has generated.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { FILES = 1024, SITES = 1 << 14 };

static struct {
    const char *call, *below, *file, *count, *site;
    long at, every; /* 0: that one alone */
    int error, pauses;
    bool hangs, flip, halves, memory;
    uintptr_t site_at; /* 0: none */
} plan;
static atomic_long seen;
static atomic_bool done;
static atomic_bool ours[FILES]; /* files below the folder, by number */
static atomic_uintptr_t site[SITES];
static atomic_long site_calls[SITES];

#define NEXT(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

/* ---- the plan ------------------------------------------------------------------------ */

static bool yes(const char *name)
{
    const char *const value = getenv(name);
    return value && !strcmp(value, "1");
}

static const char *base_name(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int find_site(struct dl_phdr_info *object, size_t size, void *arg)
{
    const char *const plus = strrchr(plan.site, '+');
    char self[PATH_MAX] = "";
    const char *name = object->dlpi_name;

    (void)size, (void)arg;
    if (!*name && readlink("/proc/self/exe", self, sizeof self - 1) > 0) name = self;
    name = base_name(name);
    size_t const n = (size_t)(plus - plan.site);
    if (strlen(name) != n || strncmp(name, plan.site, n)) return 0;
    plan.site_at = object->dlpi_addr + strtoul(plus + 1, NULL, 16);
    return 1;
}

__attribute__((constructor)) static void read_plan(void)
{
    const char *const at = getenv("NTH_AT"), *const error = getenv("NTH_ERROR");
    const char *const every = getenv("NTH_EVERY");

    plan.call = getenv("NTH_CALL");
    plan.below = getenv("NTH_BELOW");
    plan.file = getenv("NTH_FILE");
    plan.count = getenv("NTH_COUNT");
    plan.site = getenv("NTH_SITE");
    plan.at = at ? atol(at) : 0;
    plan.error = error ? atoi(error) : EIO;
    plan.every = every ? atol(every) : yes("NTH_LASTING");
    plan.hangs = yes("NTH_HANGS");
    plan.pauses = getenv("NTH_PAUSES") ? atoi(getenv("NTH_PAUSES")) : 0;
    plan.flip = yes("NTH_FLIP");
    plan.halves = yes("NTH_SHORT");
    if (plan.site && strrchr(plan.site, '+')) dl_iterate_phdr(find_site, NULL);
    plan.memory = plan.site_at || (plan.call && !strcmp(plan.call, "memory"));
}

__attribute__((destructor)) static void say_count(void)
{
    if (!plan.count) return;
    plan.memory = false;
    FILE *const f = fopen(plan.count, "w");
    if (!f) return;
    fprintf(f, "%ld\n", (long)seen);
    for (int i = 0; i < SITES; i++) {
        Dl_info where;
        uintptr_t const at = site[i];
        if (at && dladdr((void *)at, &where)) // NOLINT(performance-no-int-to-ptr)
            fprintf(f, "%s+%lx %ld\n", base_name(where.dli_fname),
                    (unsigned long)(at - (uintptr_t)where.dli_fbase), (long)site_calls[i]);
    }
    fclose(f);
}

static bool goes_wrong(long n)
{
    if (!plan.at || n < plan.at) return false;
    return plan.every ? (n - plan.at) % plan.every == 0 : n == plan.at;
}

/* Is it this call's turn? */
static bool turn(const char *call)
{
    if (!plan.call || strcmp(plan.call, call)) return false;
    long const n = atomic_fetch_add(&seen, 1) + 1;
    bool const hit = goes_wrong(n);
    while (hit && plan.hangs) pause();
    if (hit && plan.pauses) sleep((unsigned)plan.pauses);
    return hit && !plan.pauses;
}

static bool refused(const char *call)
{
    if (!turn(call)) return false;
    errno = plan.error;
    return true;
}

/* ---- crashes ------------------------------------------------------------------------- */

/* Behind a call through a null pointer the caller's place counts, which lies on the stack. */
static uintptr_t crash_place(const void *context)
{
    const greg_t *const reg = ((const ucontext_t *)context)->uc_mcontext.gregs;
    uintptr_t at = (uintptr_t)reg[REG_RIP];

    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    if (at < 4096) memcpy(&at, (const void *)reg[REG_RSP], sizeof at);
    return at;
}

static void report_crash(int number, siginfo_t *info, void *context)
{
    uintptr_t const at = crash_place(context);
    char words[PATH_MAX + 64] = "crashed in made code\n";
    Dl_info where;

    (void)info;
    plan.memory = false;
    if (dladdr((void *)at, &where)) // NOLINT(performance-no-int-to-ptr)
        snprintf(words, sizeof words, "crashed in %s+%lx\n", base_name(where.dli_fname),
                 (unsigned long)(at - (uintptr_t)where.dli_fbase));
    (void)!write(STDERR_FILENO, words, strlen(words));
    signal(number, SIG_DFL); /* and again, for its code */
}

__attribute__((constructor)) static void watch_crashes(void)
{
    struct sigaction const act = { .sa_sigaction = report_crash, .sa_flags = SA_SIGINFO };

    sigaction(SIGSEGV, &act, NULL);
}

/* ---- files --------------------------------------------------------------------------- */

static bool below(const char *path)
{
    return plan.below && !strncmp(path, plan.below, strlen(plan.below)) &&
           (!plan.file || strstr(path, plan.file));
}

/* A path as it is given, from here or from the root. */
static bool path_counts(const char *path)
{
    char whole[2 * PATH_MAX] = "";

    if (*path != '/' && !getcwd(whole, PATH_MAX)) return false;
    strncat(whole, "/", 2);
    strncat(whole, path, PATH_MAX - 2);
    return below(*path == '/' ? path : whole);
}

static void remember(int fd)
{
    char link[64], path[PATH_MAX] = "";

    if (fd < 0 || fd >= FILES) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ours[fd] = readlink(link, path, sizeof path - 1) > 0 && below(path);
}

static bool file_counts(int fd) { return fd > STDERR_FILENO && fd < FILES && ours[fd]; }

typedef int (*opens)(const char *path, int flags, ...);

static int open_by(opens real, const char *path, int flags, mode_t mode)
{
    if (path_counts(path) && refused("open")) return -1;
    int const fd = real(path, flags, mode);
    remember(fd);
    return fd;
}

int open(const char *path, int flags, ...)
{
    va_list more;

    va_start(more, flags);
    mode_t const mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open_by(NEXT(open), path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list more;

    va_start(more, flags);
    mode_t const mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open_by(NEXT(open64), path, flags, mode);
}

int stat(const char *path, struct stat *s)
{
    return path_counts(path) && refused("look") ? -1 : NEXT(stat)(path, s);
}

int lstat(const char *path, struct stat *s)
{
    return path_counts(path) && refused("look") ? -1 : NEXT(lstat)(path, s);
}

DIR *opendir(const char *path)
{
    return path_counts(path) && refused("look") ? NULL : NEXT(opendir)(path);
}

/* Its bytes with one bit changed; NULL: as they are. The caller frees. */
static void *changed(const void *bytes, size_t n)
{
    unsigned char *const copy = n ? malloc(n) : NULL;

    if (!copy) return NULL;
    memcpy(copy, bytes, n);
    copy[n / 2] ^= 4;
    return copy;
}

static size_t half(size_t n) { return n > 1 ? n / 2 : n; }

ssize_t write(int fd, const void *bytes, size_t n)
{
    if (!file_counts(fd) || !turn("write")) return NEXT(write)(fd, bytes, n);
    if (plan.halves) return NEXT(write)(fd, bytes, half(n));
    void *const other = plan.flip ? changed(bytes, n) : NULL;
    ssize_t const done_n = plan.flip ? NEXT(write)(fd, other ? other : bytes, n) : -1;
    free(other);
    if (!plan.flip) errno = plan.error;
    return done_n;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    if (!file_counts(fd) || !turn("write")) return NEXT(pwrite)(fd, bytes, n, at);
    if (plan.halves) return NEXT(pwrite)(fd, bytes, half(n), at);
    void *const other = plan.flip ? changed(bytes, n) : NULL;
    ssize_t const done_n = plan.flip ? NEXT(pwrite)(fd, other ? other : bytes, n, at) : -1;
    free(other);
    if (!plan.flip) errno = plan.error;
    return done_n;
}

ssize_t read(int fd, void *bytes, size_t n)
{
    if (!file_counts(fd) || !turn("read")) return NEXT(read)(fd, bytes, n);
    if (plan.halves) return NEXT(read)(fd, bytes, half(n));
    errno = plan.error;
    return -1;
}

ssize_t pread(int fd, void *bytes, size_t n, off_t at)
{
    if (!file_counts(fd) || !turn("read")) return NEXT(pread)(fd, bytes, n, at);
    if (plan.halves) return NEXT(pread)(fd, bytes, half(n), at);
    errno = plan.error;
    return -1;
}

off_t lseek(int fd, off_t to, int from)
{
    return file_counts(fd) && refused("seek") ? -1 : NEXT(lseek)(fd, to, from);
}

int ftruncate(int fd, off_t size)
{
    return file_counts(fd) && refused("cut") ? -1 : NEXT(ftruncate)(fd, size);
}

int flock(int fd, int how)
{
    return file_counts(fd) && refused("lock") ? -1 : NEXT(flock)(fd, how);
}

int nanosleep(const struct timespec *t, struct timespec *left)
{
    if (!refused("wait")) return NEXT(nanosleep)(t, left);
    if (left) *left = *t;
    return -1;
}

int poll(struct pollfd *fds, nfds_t n, int ms)
{
    return refused("wait") ? -1 : NEXT(poll)(fds, n, ms);
}

pid_t waitpid(pid_t pid, int *how, int options)
{
    return refused("wait") ? -1 : NEXT(waitpid)(pid, how, options);
}

int fsync(int fd) { return file_counts(fd) && refused("sync") ? -1 : NEXT(fsync)(fd); }

/* As Linux does it: the number is free, whatever close says. */
int close(int fd)
{
    bool const wrong = file_counts(fd) && turn("close");
    if (fd >= 0 && fd < FILES) ours[fd] = false;
    int const rc = NEXT(close)(fd);
    if (!wrong) return rc;
    errno = plan.error;
    return -1;
}

int rename(const char *from, const char *to)
{
    return path_counts(to) && refused("rename") ? -1 : NEXT(rename)(from, to);
}

int mkdir(const char *path, mode_t mode)
{
    return path_counts(path) && refused("folder") ? -1 : NEXT(mkdir)(path, mode);
}

char *mkdtemp(char *path)
{
    return path_counts(path) && refused("folder") ? NULL : NEXT(mkdtemp)(path);
}

void *mmap(void *at, size_t n, int protect, int flags, int fd, off_t from)
{
    if (file_counts(fd) && refused("map")) return MAP_FAILED;
    return NEXT(mmap)(at, n, protect, flags, fd, from);
}

int pthread_create(pthread_t *out, const pthread_attr_t *attr, void *(*main)(void *), void *arg)
{
    return turn("thread") ? EAGAIN : NEXT(pthread_create)(out, attr, main, arg);
}

/* ---- memory -------------------------------------------------------------------------- */

/* glibc's own, which need no dlsym: that calls for memory itself. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);

static void count_site(uintptr_t from)
{
    for (size_t i = from * 2654435761U % SITES;; i = (i + 1) % SITES) {
        uintptr_t at = 0;
        if (atomic_compare_exchange_strong(&site[i], &at, from) || at == from) {
            atomic_fetch_add(&site_calls[i], 1);
            return;
        }
    }
}

static bool no_memory(void *from)
{
    if (!plan.memory) return false;
    if (plan.site_at)
        return (uintptr_t)from == plan.site_at && !atomic_exchange(&done, true) && (errno = ENOMEM);
    if (plan.count) count_site((uintptr_t)from);
    return turn("memory") && (errno = ENOMEM);
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t n) { return no_memory(CALLER) ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return no_memory(CALLER) ? NULL : __libc_calloc(n, size); }

void *realloc(void *p, size_t n) { return n && no_memory(CALLER) ? NULL : __libc_realloc(p, n); }

void *aligned_alloc(size_t align, size_t n)
{
    return no_memory(CALLER) ? NULL : __libc_memalign(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
    if (no_memory(CALLER)) return ENOMEM;
    *out = __libc_memalign(align, n);
    return *out ? 0 : ENOMEM;
}

char *strdup(const char *s)
{
    size_t const n = strlen(s) + 1;
    char *const copy = no_memory(CALLER) ? NULL : __libc_malloc(n);
    return copy ? memcpy(copy, s, n) : NULL;
}

char *strndup(const char *s, size_t limit)
{
    size_t const n = strnlen(s, limit);
    char *const copy = no_memory(CALLER) ? NULL : __libc_malloc(n + 1);
    if (!copy) return NULL;
    copy[n] = '\0';
    return memcpy(copy, s, n);
}
