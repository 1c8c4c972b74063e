/* attempt_sweep.c - the attempts folder looked through: what the dead have left goes. */
#include "base/file.h"
#include "base/file_watch.h"
#include "base/log.h"
#include "base/process_mark.h"
#include "base/strbuf.h"
#include "pipeline/output/attempts.h"
#include "pipeline/output/clip_claim.h"
#include "pipeline/output/finished_clip.h"
#include "pipeline/output/output_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The mark in an attempt's folder; none: "". */
static status load_owner(const char *own, char mark[PROCESS_MARK])
{
    char *const path = path_join(own, ATTEMPT_OWNER), *text = NULL;
    size_t len = 0;

    mark[0] = '\0';
    if (!path) return fail(ST_NOMEM, "%s: no memory for a name", own);
    if (file_read(path, PROCESS_MARK - 1, &text, &len) == ST_OK) memcpy(mark, text, len + 1);
    else error_clear();
    free(text);
    free(path);
    return ST_OK;
}

static DIR *open_folder(const char *path)
{
    file_watch_begin(path);
    DIR *const d = opendir(path);
    int const why = errno;
    file_watch_end();
    errno = why;
    return d;
}

/* None there, or closed to us. */
static status fail_folder(const char *path)
{
    if (file_open_status(errno) == ST_FORMAT) return ST_OK;
    return fail(ST_IO, "%s: %s", path, strerror(errno));
}

/* What is in an attempt's folder, SHELF/NAME.PID.xxxxxx. */
struct content {
    bool finished;  /* NAME/clip.json is there, which is written last, and not published since */
    bool resumable; /* there is a snapshot, and no OUT/NAME */
    bool begun;     /* there is more than an owner's mark, whole or not */
};

/* Is there an OUT/NAME? The attempt's own NAME may have become it. */
static bool is_made(const char *shelf, const char *own)
{
    const char *const name = strrchr(own, '/') + 1;
    int dots = 0, len = (int)strlen(name);

    while (len > 0 && (dots += name[--len] == '.') < 2) continue;
    char *const place = str_format("%s/../%.*s", shelf, len, name);
    bool const made = len > 0 && place && path_exists(place);
    free(place);
    return made;
}

/* Has another attempt published the clip that is finished in own/name? */
static bool is_published(const char *shelf, const char *own, const char *name)
{
    char *const mine = path_join(own, name), *const place = str_format("%s/../%s", shelf, name);
    struct finished_clip a, b;
    bool const same = mine && place && finished_clip_read(&a, mine, FINISHED_RECORD) == ST_OK &&
                      finished_clip_read(&b, place, FINISHED_SIZES) == ST_OK && a.task_id[0] &&
                      !strcmp(a.task_id, b.task_id) && !strcmp(a.numerics_id, b.numerics_id);

    error_clear();
    free(mine);
    free(place);
    return same;
}

static struct content look_inside(const char *shelf, const char *own)
{
    struct content found = { 0 };
    bool snapshot = false;
    DIR *const d = open_folder(own);

    for (const struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        char *const record = str_format("%s/%s/clip.json", own, e->d_name);
        found.finished |= record && path_exists(record) && !is_published(shelf, own, e->d_name);
        snapshot |= !strncmp(e->d_name, "snapshot.", strlen("snapshot."));
        found.begun |= strncmp(e->d_name, ATTEMPT_OWNER, strlen(ATTEMPT_OWNER)) != 0;
        free(record);
    }
    if (d) closedir(d);
    found.resumable = snapshot && !is_made(shelf, own);
    return found;
}

/* Not one that a render has chosen to go on from. */
static status remove_attempt(const char *own, struct attempts_found *found)
{
    struct snapshot_lock *lock;

    if (!snapshot_lock(&lock, own, true)) {
        found->alive++;
        return ST_OK;
    }
    status const st = attempt_remove(own);
    snapshot_unlock(&lock);
    found->removed += st == ST_OK;
    return st;
}

static status sweep_attempt(const char *shelf, const char *own, time_t date, bool unknown_too,
                            struct attempts_found *found)
{
    char mark[PROCESS_MARK];
    TRY(load_owner(own, mark));
    struct content const inside = look_inside(shelf, own);
    bool const blank = !*mark && !inside.begun && clip_claim_is_over(own, date);
    enum process_state const state = blank ? PROCESS_GONE : process_mark_state(mark);
    bool const lives = state == PROCESS_LIVES, unknown = state == PROCESS_UNKNOWN;

    if (lives) found->alive++;
    else if (inside.finished) found->finished++;
    else if (inside.resumable && !unknown_too) found->resumable++;
    else if (unknown && !unknown_too) found->unknown++;
    else return remove_attempt(own, found);
    return ST_OK;
}

static status sweep_entry(const char *shelf, const char *path, bool unknown_too,
                          struct attempts_found *found)
{
    struct stat s;

    if (lstat(path, &s)) return ST_OK; /* it has just gone */
    if (!S_ISDIR(s.st_mode)) return clip_claim_sweep(path, unknown_too);
    return sweep_attempt(shelf, path, s.st_mtime, unknown_too, found);
}

static status sweep_shelf(const char *shelf, bool unknown_too, struct attempts_found *found)
{
    DIR *const d = open_folder(shelf);
    struct error why = { .st = ST_OK };
    status st = ST_OK;

    if (!d) return fail_folder(shelf);
    for (const struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        char *const path = path_join(shelf, e->d_name);
        status const one = path ? sweep_entry(shelf, path, unknown_too, found)
                                : fail(ST_NOMEM, "%s: no memory for a name", shelf);
        if (one != ST_OK && st == ST_OK) {
            st = one;
            why = *error_last();
        }
        free(path);
    }
    closedir(d);
    rmdir(shelf);
    if (st != ST_OK) error_adopt(&why);
    return st;
}

status attempts_sweep(const char *out, bool unknown_too, struct attempts_found *found)
{
    DIR *const d = open_folder(out);
    struct error why = { .st = ST_OK };
    status st = ST_OK;

    *found = (struct attempts_found){ 0 };
    if (!d) return fail_folder(out);
    for (const struct dirent *e; (e = readdir(d));) {
        if (strncmp(e->d_name, ".attempts", strlen(".attempts")) != 0) continue;
        char *const shelf = path_join(out, e->d_name);
        status const one = shelf ? sweep_shelf(shelf, unknown_too, found)
                                 : fail(ST_NOMEM, "%s: no memory for a name", out);
        if (one != ST_OK && st == ST_OK) {
            st = one;
            why = *error_last();
        }
        free(shelf);
    }
    closedir(d);
    if (st != ST_OK) error_adopt(&why);
    return st;
}
