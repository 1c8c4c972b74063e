/* clip_folder.c - folders of clips: made early, chosen once, told apart by the task they hold. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "cmd/clip_folder.h"
#include "base/file.h"
#include "base/file_watch.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "pipeline/output/attempts.h"
#include "pipeline/output/finished_clip.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { VERSIONS = 10000 };

/* The first of base-v2, base-v3 ... that is free. */
static status find_version(const char *base, char **dir)
{
    for (int version = 2; version < VERSIONS; version++) {
        char *const at = str_format("%s-v%d", base, version);
        if (!at) return fail(ST_NOMEM, "%s: no memory for its name", base);
        if (!path_exists(at)) {
            *dir = at;
            return ST_OK;
        }
        free(at);
    }
    return fail(ST_IO, "%s: no free name up to %s-v%d", base, base, VERSIONS);
}

/* The version of this clip with these numerics, or the first name that is free. */
static status find_numerics(const char *base, const char *task, const char *numerics, char **dir,
                            enum clip_folder_state *what)
{
    struct finished_clip there;

    for (int version = 2; version < VERSIONS; version++) {
        char *const at = str_format("%s-v%d", base, version);
        if (!at) return fail(ST_NOMEM, "%s: no memory for its name", base);
        *what = FOLDER_FREE;
        if (path_exists(at) && finished_clip_read(&there, at, FINISHED_SIZES) == ST_OK &&
            !strcmp(there.task_id, task) && !strcmp(there.numerics_id, numerics))
            *what = FOLDER_DONE;
        error_clear();
        *dir = at;
        if (*what == FOLDER_DONE || !path_exists(at)) return ST_OK;
        *dir = NULL;
        free(at);
    }
    return fail(ST_IO, "%s: no free name up to %s-v%d", base, base, VERSIONS);
}

/* What the skip rule finds. */
static status look_at_clip(const char *at, const char *task, const struct clip_folder_rules *r,
                           enum clip_folder_state *what, bool *other_numerics)
{
    enum finished_depth const depth = r->verify ? FINISHED_HASHES : FINISHED_SIZES;
    struct finished_clip there;
    status const st = finished_clip_read(&there, at, depth);

    if (st == ST_NOMEM || st == ST_IO) return st;
    if ((st != ST_OK && st != ST_MISMATCH) || strcmp(there.task_id, task) != 0)
        return fail(ST_FORMAT,
                    "%s: exists and is not this clip (task %s); remove it, give the clip another "
                    "name, or set output.on_exists: version",
                    at, task);
    *what = st == ST_OK ? FOLDER_DONE : FOLDER_DAMAGED;
    if (st != ST_OK && !r->quiet)
        log_warn("%s: damaged, and is made again:\n%s", at, error_last()->msg);
    error_clear();
    *other_numerics = *r->numerics && strcmp(there.numerics_id, r->numerics) != 0;
    if (*what == FOLDER_DONE && *other_numerics && !r->quiet)
        log_warn("%s: made with other numerics (%s, here %s); %s", at,
                 there.numerics_id[0] ? there.numerics_id : "not known", r->numerics,
                 r->same_numerics ? "one of these is wanted beside it"
                                  : "kept; see --same-numerics");
    return ST_OK;
}

status clip_folder_find(const char *base, const char *task, const struct clip_folder_rules *r,
                        char **dir, enum clip_folder_state *what)
{
    bool other_numerics = false;

    *dir = NULL;
    *what = FOLDER_FREE;
    if (path_exists(base)) {
        if (r->on_exists == JOB_VERSION) return find_version(base, dir);
        if (r->on_exists == JOB_ERROR)
            return fail(ST_FORMAT, "%s: already exists, and output.on_exists is error", base);
        TRY(look_at_clip(base, task, r, what, &other_numerics));
        if (*what == FOLDER_DONE && other_numerics && r->same_numerics)
            return find_numerics(base, task, r->numerics, dir, what);
    }
    *dir = str_format("%s", base);
    return *dir ? ST_OK : fail(ST_NOMEM, "%s: no memory for its name", base);
}

status clip_folder_set_aside(const char *dir)
{
    char *const parent = path_dir(dir);
    status st = ST_OK;
    bool done = false;

    for (int n = 1; st == ST_OK && !done && n < VERSIONS; n++) {
        char *const aside = str_format("%s.damaged-%d", dir, n);
        if (!aside) st = fail(ST_NOMEM, "%s: no memory for its name", dir);
        else if (!path_exists(aside)) {
            done = !rename(dir, aside);
            if (!done) st = fail(ST_IO, "%s: %s", aside, strerror(errno));
            else log_warn("%s: damaged, kept as %s", dir, aside);
        }
        free(aside);
    }
    if (st == ST_OK && parent) st = dir_sync(parent);
    free(parent);
    return st;
}

bool clip_folder_is_task(const char *dir, const char *task_id)
{
    struct finished_clip there;
    bool const whole = finished_clip_read(&there, dir, FINISHED_SIZES) == ST_OK;

    error_clear();
    return whole && !strcmp(there.task_id, task_id);
}

status clip_folder_choose(struct clip_spec *c, const struct job *job, bool *there)
{
    struct clip_folder_rules const rules = { .on_exists = job->output.on_exists, .numerics = "" };
    char *const base = path_join(job->output.dir, c->name);
    enum clip_folder_state what = FOLDER_FREE;
    status st = base ? ST_OK : fail(ST_NOMEM, "%s: no memory for its name", c->name);

    if (st == ST_OK) st = clip_folder_find(base, c->task_id, &rules, &c->dir, &what);
    if (st == ST_OK && what == FOLDER_DAMAGED) st = clip_folder_set_aside(c->dir);
    *there = what == FOLDER_DONE;
    free(base);
    return st;
}

/* A person is told of those that nobody can judge. */
static status sweep_attempts(const char *dir)
{
    struct attempts_found found;
    status const st = attempts_sweep(dir, false, &found);

    if (found.removed) log_info("%s: %d attempts of killed renders removed", dir, found.removed);
    if (found.finished)
        log_warn("%s: .attempts has %d finished clips that could not be published", dir,
                 found.finished);
    if (st == ST_NOMEM) return st;
    if (st != ST_OK) log_warn("not removed: %s", error_last()->msg);
    error_clear();
    return ST_OK;
}

status clip_folder_open(struct job *job)
{
    TRY(dir_make(job->output.dir));
    file_watch_begin(job->output.dir);
    char *const real = realpath(job->output.dir, NULL);
    int const why = !real || access(real, W_OK | X_OK) ? errno : 0;
    file_watch_end();
    if (why) {
        status const st = fail(ST_IO, "%s: %s", job->output.dir, strerror(why));
        free(real);
        return st;
    }
    free(job->output.dir);
    job->output.dir = real;
    return sweep_attempts(real);
}

/* Folders by where they are, then by name whatever its case: a disk may not tell case apart. */
static int compare_dirs(const void *a, const void *b)
{
    const char *const x = *(const char *const *)a, *const y = *(const char *const *)b;
    const char *const name_x = strrchr(x, '/'), *const name_y = strrchr(y, '/');
    int const at_x = name_x ? (int)(name_x - x) : 0, at_y = name_y ? (int)(name_y - y) : 0;
    int const order = strncmp(x, y, (size_t)(at_x < at_y ? at_x : at_y));

    if (order || at_x != at_y) return order ? order : at_x - at_y;
    return strcasecmp(x + at_x, y + at_y);
}

status clip_folder_check_all(const char **dirs, int64_t count)
{
    qsort(dirs, (size_t)count, sizeof *dirs, compare_dirs);
    for (int64_t i = 1; i < count; i++)
        if (!compare_dirs(&dirs[i - 1], &dirs[i]))
            return fail(ST_FORMAT, "%s: two clips of these jobs would have this folder%s", dirs[i],
                        strcmp(dirs[i - 1], dirs[i]) ? ", but for the name's case" : "");
    return ST_OK;
}
