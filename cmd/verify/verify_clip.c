/* verify_clip.c - finished clips: every file is read and compared with clip.json. */
#include "base/file.h"
#include "base/strbuf.h"
#include "cmd/verify/verify_internal.h"
#include "pipeline/output/finished_clip.h"

#include <stdio.h>
#include <stdlib.h>

bool verify_is_clip(const char *dir)
{
    char *const path = path_join(dir, "clip.json");
    bool const there = path && path_exists(path);

    free(path);
    return there;
}

status verify_clip(const char *dir, int *bad)
{
    struct finished_clip clip;
    status const st = finished_clip_read(&clip, dir, FINISHED_HASHES);

    if (st == ST_NOMEM) return st;
    if (st == ST_OK)
        printf("%s: %d files, %lld bytes, as they were made\n", dir, clip.files,
               (long long)clip.bytes);
    else printf("%s: DAMAGED\n%s\n", dir, error_last()->msg);
    *bad += st != ST_OK;
    error_clear();
    return ST_OK;
}
