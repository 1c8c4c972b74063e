/* clip_place.c - a clip's folder: free, done, damaged, or something else's. */
#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "cmd/render/render_internal.h"
#include "jobs/spec/job.h"
#include "pipeline/output/finished_clip.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* What the skip rule finds. */
static status look_at_clip(const char *at, const char *task, const struct clip_place_rules *r,
                           enum clip_place *what, bool *other_numerics)
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
    *what = st == ST_OK ? PLACE_DONE : PLACE_DAMAGED;
    if (st != ST_OK && !r->told)
        log_warn("%s: damaged, and is made again:\n%s", at, error_last()->msg);
    error_clear();
    *other_numerics = *r->numerics && strcmp(there.numerics_id, r->numerics) != 0;
    if (*what == PLACE_DONE && *other_numerics && !r->told)
        log_warn("%s: made with other numerics (%s, here %s); %s", at,
                 there.numerics_id[0] ? there.numerics_id : "not known", r->numerics,
                 r->same_numerics ? "a second version is made" : "kept; see --same-numerics");
    return ST_OK;
}

status clip_place_find(const char *base, const char *task, const struct clip_place_rules *r,
                       char **dir, enum clip_place *what)
{
    bool other_numerics = false;

    *dir = NULL;
    *what = PLACE_FREE;
    if (path_exists(base)) {
        if (r->on_exists == JOB_VERSION) return find_version(base, dir);
        if (r->on_exists == JOB_ERROR)
            return fail(ST_FORMAT, "%s: already exists, and output.on_exists is error", base);
        TRY(look_at_clip(base, task, r, what, &other_numerics));
        if (*what == PLACE_DONE && other_numerics && r->same_numerics) {
            *what = PLACE_FREE;
            return find_version(base, dir);
        }
    }
    *dir = str_format("%s", base);
    return *dir ? ST_OK : fail(ST_NOMEM, "%s: no memory for its name", base);
}

status clip_place_set_aside(const char *dir)
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
