/* attempt.c - a folder filled in private and published by one rename. */
#define _XOPEN_SOURCE 700 /* S_ISVTX */
#include "base/file.h"
#include "base/log.h"
#include "base/process_mark.h"
#include "base/strbuf.h"
#include "pipeline/output/attempts.h"
#include "pipeline/output/output_internal.h"
#include "pipeline/resume/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The last part of a path; NULL if it is none that a folder can be given. */
static const char *folder_name(const char *path)
{
    const char *const slash = strrchr(path, '/');
    const char *const name = slash ? slash + 1 : path;

    return *name && strcmp(name, ".") && strcmp(name, "..") ? name : NULL;
}

char *attempt_shelf(const char *out)
{
    char *const shelf = path_join(out, ".attempts");

    if (!shelf || !path_exists(shelf) || !access(shelf, W_OK | X_OK)) return shelf;
    char *const own = str_format("%s-%ld", shelf, (long)geteuid());
    free(shelf);
    return own;
}

static status make_shelf(const char *shelf, const char *parent)
{
    struct stat s;

    if (mkdir(shelf, 0777)) {
        if (errno == EEXIST) return ST_OK;
        if (errno != ENOENT) return fail(ST_IO, "%s: %s", shelf, strerror(errno));
        TRY(dir_make(parent));
        if (mkdir(shelf, 0777) && errno != EEXIST)
            return fail(ST_IO, "%s: %s", shelf, strerror(errno));
    }
    /* Whatever the umask; nobody removes what another user has there. A disk without permissions
     * needs none. */
    if (!stat(parent, &s)) (void)!chmod(shelf, (s.st_mode & 0777) | S_ISVTX);
    return dir_sync(parent);
}

status attempt_shelf_make(const char *inside)
{
    char *const shelf = path_dir(inside), *const parent = shelf ? path_dir(shelf) : NULL;
    status const st =
        parent ? make_shelf(shelf, parent) : fail(ST_NOMEM, "%s: no memory for its name", inside);

    free(shelf);
    free(parent);
    return st;
}

void attempt_shelf_drop(const char *inside)
{
    char *const shelf = path_dir(inside);

    if (shelf) rmdir(shelf);
    free(shelf);
}

#define UNIQUE "XXXXXX"

/* Another attempt that ends may just be removing the empty shelf: try again. */
static status make_private(struct attempt *a)
{
    char *const unique = a->own + strlen(a->own) - (sizeof UNIQUE - 1);

    for (int tries = 0; tries < 100; tries++) {
        TRY(attempt_shelf_make(a->own));
        memcpy(unique, UNIQUE, sizeof UNIQUE); /* mkdtemp fills it in even when it fails */
        if (mkdtemp(a->own)) return ST_OK;
        if (errno != ENOENT) break;
    }
    return fail(ST_IO, "%s: %s", a->own, strerror(errno));
}

static status mark_private(const struct attempt *a)
{
    char *const path = path_join(a->own, ATTEMPT_OWNER);
    char mark[PROCESS_MARK];
    struct written written;
    status st = ST_OK;

    if (!path) return fail(ST_NOMEM, "%s: no memory for a name", a->own);
    TRY_OUT(process_mark(mark));
    TRY_OUT(write_checked(path, mark, strlen(mark), &written));
out:
    free(path);
    return st;
}

/* A checkpoint in it is on the disk only when the folder itself is, and the shelf, which another
 * process may have made a moment ago. */
static status sync_shelf(const struct attempt *a)
{
    char *const shelf = path_dir(a->own);
    status st = shelf ? dir_sync(shelf) : fail(ST_NOMEM, "%s: no memory for a name", a->own);

    if (st == ST_OK) st = dir_sync(a->parent);
    free(shelf);
    return st;
}

static status make_folders(struct attempt *a, const char *name)
{
    char *const shelf = attempt_shelf(a->parent);
    char *const own = shelf ? str_format("%s/%s.%ld." UNIQUE, shelf, name, (long)getpid()) : NULL;

    free(shelf);
    if (!own) return fail(ST_NOMEM, "%s: no memory for its name", a->target);
    a->own = own;
    status const st = make_private(a);
    if (st != ST_OK) {
        a->own = NULL; /* it is not ours to remove */
        free(own);
        return st;
    }
    a->id = folder_name(a->own);
    TRY(mark_private(a));
    TRY(sync_shelf(a));
    a->dir = path_join(a->own, name);
    if (!a->dir) return fail(ST_NOMEM, "%s: no memory for its name", a->target);
    return dir_make(a->dir);
}

status attempt_open(struct attempt *a, const char *target)
{
    const char *const name = folder_name(target);

    *a = (struct attempt){ 0 };
    if (!name) return fail(ST_ARG, "%s: not a name for a clip's folder", target);
    if (path_exists(target))
        return fail(ST_ARG, "%s: already exists; a finished clip is never overwritten", target);
    a->target = str_format("%s", target);
    a->parent = path_dir(target);
    status const st = a->target && a->parent ? make_folders(a, name)
                                             : fail(ST_NOMEM, "%s: no memory for its name", target);
    if (st != ST_OK) attempt_close(a);
    return st;
}

static bool same_folder(const struct stat *a, const char *path)
{
    struct stat s;
    return !stat(path, &s) && s.st_dev == a->st_dev && s.st_ino == a->st_ino;
}

static status publish_folder(const struct attempt *a, const char *place, bool *won)
{
    struct stat self;

    TRY(dir_sync(a->dir));
    if (stat(a->dir, &self)) return fail(ST_IO, "%s: %s", a->dir, strerror(errno));
    int const why = rename(a->dir, place) ? errno : 0;
    if (why && !same_folder(&self, place)) {
        if (path_exists(place)) return ST_OK;
        return fail(ST_IO, "%s: %s", place, strerror(why));
    }
    *won = true;
    TRY(dir_sync(a->parent));
    return dir_sync(a->own);
}

status attempt_publish(struct attempt *a, const char *place, bool *won)
{
    *won = false;
    status const st = publish_folder(a, place, won);
    if (st == ST_OK || *won) return st;
    a->keep = true;
    struct error const why = *error_last();
    return fail(st, "%.3000s; the finished clip stays in %s", why.msg, a->dir);
}

status attempt_remove(const char *own)
{
    DIR *const d = opendir(own);
    status st = ST_OK;

    for (const struct dirent *e; st == ST_OK && d && (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
            !strcmp(e->d_name, ATTEMPT_OWNER))
            continue;
        char *const path = path_join(own, e->d_name);
        st = path ? dir_remove(path) : fail(ST_NOMEM, "%s: no memory for a name", own);
        free(path);
    }
    if (d) closedir(d);
    return st == ST_OK ? dir_remove(own) : st;
}

/* Somebody may go on from it, who took its owner for gone: then it is left to the sweep. */
static status remove_unused(const char *dir)
{
    struct snapshot_lock *lock;

    if (!snapshot_lock(&lock, dir, true)) return ST_OK;
    status const st = attempt_remove(dir);
    snapshot_unlock(&lock);
    return st;
}

void attempt_close(struct attempt *a)
{
    if (a->own && !a->keep && remove_unused(a->own) != ST_OK) {
        log_warn("not removed: %s", error_last()->msg);
        error_clear();
    }
    if (a->own) attempt_shelf_drop(a->own);
    attempt_leave(a);
}

void attempt_leave(struct attempt *a)
{
    free(a->target);
    free(a->parent);
    free(a->own);
    free(a->dir);
    *a = (struct attempt){ 0 };
}
