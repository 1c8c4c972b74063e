/* clip_folder.c - folders of clips: made early, chosen once, told apart by the task they hold. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "cmd/clip_folder.h"
#include "base/file.h"
#include "base/strbuf.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { SIDECAR_BYTES = 64 << 20 };

bool clip_folder_is_task(const char *dir, const char *task_id)
{
    char *const path = path_join(dir, "clip.json");
    char *text = NULL;
    size_t len = 0;
    bool same = false;

    if (path && file_read(path, SIDECAR_BYTES, &text, &len) == ST_OK) {
        json_t *const root = json_loadb(text, len, 0, NULL);
        const char *const id =
            json_string_value(json_object_get(json_object_get(root, "identity"), "task_id"));
        same = id && !strcmp(id, task_id);
        json_decref(root);
    }
    free(text);
    free(path);
    return same;
}

/* malloc'ed; under on_exists: version a name that is free. */
static char *find_name(const struct clip_spec *c, const struct job *job)
{
    char *at = path_join(job->output.dir, c->name);
    enum { VERSIONS = 10000 };

    for (int version = 2; at && job->output.on_exists == JOB_VERSION && path_exists(at);
         version++) {
        free(at);
        at = version < VERSIONS ? str_format("%s/%s-v%d", job->output.dir, c->name, version) : NULL;
    }
    return at;
}

status clip_folder_choose(struct clip_spec *c, const struct job *job, bool *there)
{
    c->dir = find_name(c, job);
    if (!c->dir) return fail(ST_NOMEM, "%s/%s: no free name", job->output.dir, c->name);
    *there = path_exists(c->dir);
    if (!*there) return ST_OK;
    if (job->output.on_exists == JOB_ERROR)
        return fail(ST_FORMAT, "%s: already exists, and output.on_exists is error", c->dir);
    if (clip_folder_is_task(c->dir, c->task_id)) return ST_OK;
    return fail(ST_FORMAT,
                "%s: exists and is not this clip (task %s); remove it, give the clip another name, "
                "or set output.on_exists: version",
                c->dir, c->task_id);
}

status clip_folder_open(struct job *job)
{
    TRY(dir_make(job->output.dir));
    char *const real = realpath(job->output.dir, NULL);

    if (!real || access(real, W_OK | X_OK)) {
        status const st = fail(ST_IO, "%s: %s", job->output.dir, strerror(errno));
        free(real);
        return st;
    }
    free(job->output.dir);
    job->output.dir = real;
    return ST_OK;
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
