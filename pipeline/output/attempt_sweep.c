/* attempt_sweep.c - the attempts folder looked through: what the dead have left goes. */
#include "base/file.h"
#include "base/log.h"
#include "base/process_mark.h"
#include "base/strbuf.h"
#include "pipeline/output/attempts.h"
#include "pipeline/output/output_internal.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The mark in this file; none: "". */
static void load_mark(const char *path, char mark[PROCESS_MARK])
{
    char *text = NULL;
    size_t len = 0;

    mark[0] = '\0';
    if (file_read(path, PROCESS_MARK - 1, &text, &len) == ST_OK) memcpy(mark, text, len + 1);
    else error_clear();
    free(text);
}

/* SHELF/NAME.PID.xxxxxx/NAME/clip.json is written last, when all else is there. */
static bool is_finished(const char *own)
{
    DIR *const d = opendir(own);
    bool found = false;

    for (const struct dirent *e; d && !found && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        char *const record = str_format("%s/%s/clip.json", own, e->d_name);
        found = record && path_exists(record);
        free(record);
    }
    if (d) closedir(d);
    return found;
}

static status sweep_entry(const char *path, bool unknown_too, struct attempts_found *found)
{
    char mark[PROCESS_MARK];
    struct stat s;

    if (lstat(path, &s)) return ST_OK; /* it has just gone */
    bool const folder = S_ISDIR(s.st_mode);
    char *const owner = folder ? path_join(path, ATTEMPT_OWNER) : str_format("%s", path);
    if (!owner) return fail(ST_NOMEM, "%s: no memory for a name", path);
    load_mark(owner, mark);
    free(owner);

    enum process_state const state = process_mark_state(mark);
    bool const finished = folder && is_finished(path);
    bool const remove =
        !finished && (state == PROCESS_GONE || (state == PROCESS_UNKNOWN && unknown_too));
    if (remove) TRY(dir_remove(path));
    if (!folder) return ST_OK; /* claims are not counted */
    found->removed += remove;
    found->alive += state == PROCESS_LIVES;
    found->finished += finished && state != PROCESS_LIVES;
    found->unknown += !finished && !remove && state == PROCESS_UNKNOWN;
    return ST_OK;
}

static status sweep_shelf(const char *shelf, bool unknown_too, struct attempts_found *found)
{
    DIR *const d = opendir(shelf);
    status st = ST_OK;

    if (!d) return ST_OK; /* none, or closed to us */
    for (const struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        char *const path = path_join(shelf, e->d_name);
        status const one = path ? sweep_entry(path, unknown_too, found)
                                : fail(ST_NOMEM, "%s: no memory for a name", shelf);
        if (one != ST_OK && st == ST_OK) st = one;
        free(path);
    }
    closedir(d);
    rmdir(shelf);
    return st;
}

status attempts_sweep(const char *out, bool unknown_too, struct attempts_found *found)
{
    DIR *const d = opendir(out);
    status st = ST_OK;

    *found = (struct attempts_found){ 0 };
    if (!d) return ST_OK;
    for (const struct dirent *e; (e = readdir(d));) {
        if (strncmp(e->d_name, ".attempts", strlen(".attempts")) != 0) continue;
        char *const shelf = path_join(out, e->d_name);
        status const one = shelf ? sweep_shelf(shelf, unknown_too, found)
                                 : fail(ST_NOMEM, "%s: no memory for a name", out);
        if (one != ST_OK && st == ST_OK) st = one;
        free(shelf);
    }
    closedir(d);
    return st;
}
