/*
 * clip_claim.c - claims as small files.
 *
 * A claim is judged and taken under the file's own lock, held for that moment alone. The name may
 * have been removed in between, so whoever has the lock looks whether it still is that file's.
 */
#define _DEFAULT_SOURCE
#include "pipeline/output/clip_claim.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/thread.h"
#include "pipeline/output/output_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct clip_claims {
    char mark[PROCESS_MARK];
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    char **path; /* [count] */
    int count, room;
    bool over;
    struct task renewer;
};

/* ---- one file ----------------------------------------------------------------------- */

static char *claim_path(const char *dir)
{
    char *const out = path_dir(dir), *const shelf = out ? attempt_shelf(out) : NULL;
    char *const path = shelf ? str_format("%s/%s.claim", shelf, strrchr(dir, '/') + 1) : NULL;

    free(out);
    free(shelf);
    return path;
}

static bool same_file(int fd, const char *path)
{
    struct stat a, b;
    return !fstat(fd, &a) && !lstat(path, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* The open file under its lock, and still the one of this name; the shelf may be removed by others
 * whenever it is empty. *fd -1: somebody else keeps it locked. */
static status open_locked(int *fd, const char *path, bool make)
{
    enum { TRIES = 100 };
    struct timespec const pause = { 0, 10000000 };

    for (int i = 0; i < TRIES; i++) {
        if (make) TRY(attempt_shelf_make(path));
        *fd = fd_open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0));
        if (*fd < 0 && errno == ENOENT && make) continue;
        if (*fd < 0) return fail(ST_IO, "%s: %s", path, strerror(errno));
        int rc;
        FD_AGAIN(rc, flock(*fd, LOCK_EX | LOCK_NB));
        if (!rc) {
            if (same_file(*fd, path)) return ST_OK;
        } else if (errno != EWOULDBLOCK) {
            int const why = errno;
            close(*fd);
            return fail(ST_IO, "%s: cannot be locked: %s", path, strerror(why));
        }
        close(*fd);
        *fd = -1;
        nanosleep(&pause, NULL);
    }
    return ST_OK;
}

/* One that cannot be read may be somebody's: it is not blank. */
static status read_mark(int fd, const char *path, char mark[PROCESS_MARK])
{
    size_t n;
    status const st = fd_read(fd, path, 0, mark, PROCESS_MARK - 1, &n);

    mark[st == ST_OK ? n : 0] = '\0';
    return st;
}

/* Read back: a claim in which nobody can be found would keep the clip from all. */
static status write_mark(int fd, const char *path, const char *mark)
{
    char found[PROCESS_MARK];
    struct stat shelf;
    int rc;
    char *const dir = path_dir(path);

    /* Who may write to the shelf may take a claim over. */
    if (dir && !stat(dir, &shelf)) (void)!fchmod(fd, shelf.st_mode & 0666);
    free(dir);
    FD_AGAIN(rc, ftruncate(fd, 0));
    if (rc) return fail(ST_IO, "%s: %s", path, strerror(errno));
    TRY(fd_write_at(fd, path, 0, mark, strlen(mark)));
    if (fd_sync(fd)) return fail(ST_IO, "%s: fsync: %s", path, strerror(errno));
    TRY(read_mark(fd, path, found));
    if (!strcmp(found, mark)) return ST_OK;
    return fail(ST_IO, "%s: holds other bytes than were written", path);
}

bool clip_claim_is_over(const char *path, time_t date)
{
    char *const probe = str_format("%s.%ld", path, (long)getpid());
    int const fd = probe ? fd_open(probe, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC) : -1;
    struct stat now;
    bool over = false;

    if (fd >= 0) {
        over = !fstat(fd, &now) && now.st_mtime - date > CLAIM_LEASE_S;
        close(fd);
        unlink(probe);
    }
    free(probe);
    return over;
}

static bool is_free(int fd, const char *path, const char *mark)
{
    struct stat s;

    if (!*mark) return true; /* whoever made it has it under its lock until it is written */
    switch (process_mark_state(mark)) {
    case PROCESS_GONE: return true;
    case PROCESS_LIVES: return false;
    default: return !fstat(fd, &s) && clip_claim_is_over(path, s.st_mtime);
    }
}

/* ---- those that are held ---------------------------------------------------------------- */

static int find_claim(const struct clip_claims *c, const char *path)
{
    for (int i = 0; i < c->count; i++)
        if (!strcmp(c->path[i], path)) return i;
    return -1;
}

/* Takes the path over. */
static status remember_path(struct clip_claims *c, char *path)
{
    if (c->count == c->room) {
        int const room = c->room ? 2 * c->room : 16;
        char **const more = realloc(c->path, (size_t)room * sizeof(char *));
        if (!more) return fail(ST_NOMEM, "%s: no memory for the claim", path);
        c->path = more;
        c->room = room;
    }
    c->path[c->count++] = path;
    return ST_OK;
}

/* A mark of ours that cannot be written goes, with its file. */
static status claim_if_free(int fd, const char *path, const char *own, bool *held,
                            char by[PROCESS_WORDS])
{
    char mark[PROCESS_MARK];

    TRY(read_mark(fd, path, mark));
    *held = is_free(fd, path, mark);
    if (!*held) {
        process_mark_words(mark, by);
        return ST_OK;
    }
    status const st = write_mark(fd, path, own);
    if (st == ST_OK) return ST_OK;
    *held = false;
    unlink(path);
    attempt_shelf_drop(path);
    return st;
}

static status take_claim(struct clip_claims *c, const char *path, bool *held,
                         char by[PROCESS_WORDS])
{
    int fd;

    TRY(open_locked(&fd, path, true));
    if (fd < 0) {
        snprintf(by, PROCESS_WORDS, "somebody who keeps the claim locked");
        return ST_OK;
    }
    status const st = claim_if_free(fd, path, c->mark, held, by);
    close(fd);
    return st;
}

static bool is_abandoned(const char *mark, bool unknown_too)
{
    enum process_state const state = process_mark_state(mark);
    return !*mark || state == PROCESS_GONE || (state == PROCESS_UNKNOWN && unknown_too);
}

status clip_claim_sweep(const char *path, bool unknown_too)
{
    char mark[PROCESS_MARK];
    status st = ST_OK;
    int fd = -1;

    if (open_locked(&fd, path, false) != ST_OK) error_clear(); /* it has gone, or is not ours */
    if (fd < 0) return ST_OK;
    TRY_OUT(read_mark(fd, path, mark));
    if (is_abandoned(mark, unknown_too) && unlink(path))
        st = fail(ST_IO, "%s: cannot be removed: %s", path, strerror(errno));
out:
    close(fd);
    return st;
}

status clip_claims_take(struct clip_claims *c, const char *dir, bool *held, char by[PROCESS_WORDS])
{
    char *path = claim_path(dir);
    status st = ST_OK;

    *held = false;
    if (!path) return fail(ST_NOMEM, "%s: no memory for the claim", dir);
    pthread_mutex_lock(&c->lock);
    *held = find_claim(c, path) >= 0;
    if (!*held) {
        TRY_OUT(take_claim(c, path, held, by));
        if (*held) TRY_OUT(remember_path(c, path));
        if (*held) path = NULL; /* handed over */
    }
out:
    pthread_mutex_unlock(&c->lock);
    free(path);
    return st;
}

/* Unless it has been taken over meanwhile. */
static void remove_claim(const struct clip_claims *c, const char *path)
{
    char mark[PROCESS_MARK];
    int fd = -1;

    if (open_locked(&fd, path, false) != ST_OK) error_clear();
    else if (fd >= 0) {
        if (read_mark(fd, path, mark) != ST_OK) error_clear(); /* others take it once we are gone */
        if (!strcmp(mark, c->mark)) unlink(path);
        close(fd);
    }
    attempt_shelf_drop(path);
}

void clip_claims_give_back(struct clip_claims *c, const char *dir)
{
    char *const path = claim_path(dir);

    pthread_mutex_lock(&c->lock);
    int const i = path ? find_claim(c, path) : -1;
    if (i >= 0) {
        remove_claim(c, path);
        free(c->path[i]);
        c->path[i] = c->path[--c->count];
    }
    pthread_mutex_unlock(&c->lock);
    free(path);
}

static status renew_claims(void *arg)
{
    struct clip_claims *const c = arg;

    pthread_mutex_lock(&c->lock);
    while (!c->over) {
        if (condvar_wait_for(&c->changed, &c->lock, CLAIM_RENEW_S)) continue;
        for (int i = 0; i < c->count; i++)
            if (utimensat(AT_FDCWD, c->path[i], NULL, AT_SYMLINK_NOFOLLOW))
                log_warn("%s: cannot be renewed: %s", c->path[i], strerror(errno));
    }
    pthread_mutex_unlock(&c->lock);
    return ST_OK;
}

status clip_claims_open(struct clip_claims **out)
{
    struct clip_claims *const c = *out = calloc(1, sizeof *c);
    status st = ST_OK;

    if (!c) return fail(ST_NOMEM, "claims: no memory");
    pthread_mutex_init(&c->lock, NULL);
    condvar_init(&c->changed);
    TRY_OUT(process_mark(c->mark));
    TRY_OUT(task_start(&c->renewer, "claims", -1, renew_claims, c));
out:
    if (st != ST_OK) clip_claims_close(out);
    return st;
}

void clip_claims_close(struct clip_claims **claims)
{
    struct clip_claims *const c = *claims;

    if (!c) return;
    pthread_mutex_lock(&c->lock);
    c->over = true;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
    if (task_join(&c->renewer, ST_OK) != ST_OK) error_clear();
    for (int i = 0; i < c->count; i++) {
        remove_claim(c, c->path[i]);
        free(c->path[i]);
    }
    free(c->path);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
    *claims = NULL;
}
