/* attempt.c - a folder filled in private and published by one rename. */
#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "pipeline/output/output_internal.h"

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

#define UNIQUE "XXXXXX"

/* Another attempt that ends may just be removing the empty shelf: try again. */
static status make_private(struct attempt *a)
{
    char *const unique = a->own + strlen(a->own) - (sizeof UNIQUE - 1);

    for (int tries = 0; tries < 100; tries++) {
        TRY(dir_make(a->shelf));
        memcpy(unique, UNIQUE, sizeof UNIQUE); /* mkdtemp fills it in even when it fails */
        if (mkdtemp(a->own)) return ST_OK;
        if (errno != ENOENT) break;
    }
    return fail(ST_IO, "%s: %s", a->own, strerror(errno));
}

status attempt_open(struct attempt *a, const char *target)
{
    const char *const name = folder_name(target);
    status st = ST_OK;
    char *made = NULL;

    *a = (struct attempt){ 0 };
    if (!name) return fail(ST_ARG, "%s: not a name for a clip's folder", target);
    if (path_exists(target))
        return fail(ST_ARG, "%s: already exists; a finished clip is never overwritten", target);
    a->target = str_format("%s", target);
    a->parent = path_dir(target);
    a->shelf = a->parent ? path_join(a->parent, ".attempts") : NULL;
    made = a->shelf ? str_format("%s/%s.%ld." UNIQUE, a->shelf, name, (long)getpid()) : NULL;
    if (!a->target || !made) FAIL_OUT(ST_NOMEM, "%s: no memory for its name", target);
    a->own = made;
    st = make_private(a);
    if (st != ST_OK) a->own = NULL; /* it is not ours to remove */
    else made = NULL;
    TRY_OUT(st);
    a->id = folder_name(a->own);
    a->dir = path_join(a->own, name);
    if (!a->dir) FAIL_OUT(ST_NOMEM, "%s: no memory for its name", target);
    TRY_OUT(dir_make(a->dir));
out:
    free(made);
    if (st != ST_OK) attempt_close(a);
    return st;
}

static bool same_folder(const struct stat *a, const char *path)
{
    struct stat s;
    return !stat(path, &s) && s.st_dev == a->st_dev && s.st_ino == a->st_ino;
}

status attempt_publish(struct attempt *a, bool *won)
{
    struct stat self;

    *won = false;
    TRY(dir_sync(a->dir));
    if (stat(a->dir, &self)) return fail(ST_IO, "%s: %s", a->dir, strerror(errno));
    int const why = rename(a->dir, a->target) ? errno : 0;
    if (why && !same_folder(&self, a->target)) {
        if (path_exists(a->target)) return ST_OK;
        return fail(ST_IO, "%s: %s", a->target, strerror(why));
    }
    *won = true;
    TRY(dir_sync(a->parent));
    return dir_sync(a->own);
}

void attempt_close(struct attempt *a)
{
    if (a->own && dir_remove(a->own) != ST_OK) {
        log_warn("not removed: %s", error_last()->msg);
        error_clear();
    }
    if (a->shelf) rmdir(a->shelf);
    attempt_leave(a);
}

void attempt_leave(struct attempt *a)
{
    free(a->target);
    free(a->parent);
    free(a->shelf);
    free(a->own);
    free(a->dir);
    *a = (struct attempt){ 0 };
}
