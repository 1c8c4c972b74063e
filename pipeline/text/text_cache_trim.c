/*
 * text_cache_trim.c - the oldest entries of a folder go until the rest fits.
 *
 * Only names that the cache itself gives are looked at: a folder of a person's choice may hold
 * other things.
 */
#include "base/array.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "pipeline/text/text_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { KEY = 64, LEFT_BEHIND_S = 3600 };

struct found {
    char *path;
    int64_t bytes;
    struct timespec used;
};

struct listing {
    struct found *at;
    int count, room;
    int64_t bytes;
};

/* KEY.embeds; with more behind it, what a writer has not renamed yet. */
static bool is_entry(const char *name, bool *draft)
{
    static const char end[] = ".embeds";
    size_t const known = KEY + sizeof end - 1;

    if (strspn(name, "0123456789abcdef") != KEY || strncmp(name + KEY, end, sizeof end - 1) != 0)
        return false;
    *draft = !strncmp(name + known, ".tmp.", 5);
    return *draft || !name[known];
}

static status keep_found(struct listing *l, char *path, const struct stat *s)
{
    struct found *const more = array_grow(l->at, l->count, &l->room, sizeof *more);

    if (!more) return fail(ST_NOMEM, "%s: no memory to list the cache", path);
    l->at = more;
    l->at[l->count++] = (struct found){ path, s->st_size, s->st_mtim };
    l->bytes += s->st_size;
    return ST_OK;
}

static status look_at(struct listing *l, const char *dir, const char *name)
{
    bool draft;
    struct stat s;

    if (!is_entry(name, &draft)) return ST_OK;
    char *const path = path_join(dir, name);
    if (!path) return fail(ST_NOMEM, "%s: no memory for a name in it", dir);
    bool const there = !lstat(path, &s) && S_ISREG(s.st_mode);
    if (there && !draft) return keep_found(l, path, &s);
    if (there && time(NULL) - s.st_mtime > LEFT_BEHIND_S) unlink(path);
    free(path);
    return ST_OK;
}

static status list_entries(struct listing *l, const char *dir)
{
    DIR *const d = opendir(dir);
    status st = ST_OK;

    if (!d) return fail(ST_IO, "%s: %s", dir, strerror(errno));
    for (const struct dirent *e; st == ST_OK && (e = readdir(d));) st = look_at(l, dir, e->d_name);
    closedir(d);
    return st;
}

static int compare_used(const void *a, const void *b)
{
    const struct timespec *const x = &((const struct found *)a)->used;
    const struct timespec *const y = &((const struct found *)b)->used;

    if (x->tv_sec != y->tv_sec) return x->tv_sec < y->tv_sec ? -1 : 1;
    return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

status text_cache_trim(const char *dir, int64_t limit, int64_t *held)
{
    struct listing l = { 0 };
    int64_t const most = limit - limit / 10;
    status st = list_entries(&l, dir);

    if (st == ST_OK && l.at && l.bytes > limit) {
        qsort(l.at, (size_t)l.count, sizeof *l.at, compare_used);
        for (int i = 0; i < l.count && l.bytes > most; i++)
            if (!unlink(l.at[i].path) || errno == ENOENT) l.bytes -= l.at[i].bytes;
    }
    *held = l.bytes;
    for (int i = 0; l.at && i < l.count; i++) free(l.at[i].path);
    free(l.at);
    return st;
}
