/* shipped.c - where the program's own files are: beside it, or where it is installed. */
#define _GNU_SOURCE /* readlink */
#include "cmd/shipped.h"
#include "base/file.h"
#include "base/strbuf.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* %s is the program's folder. */
static const char *const places[] = { "", "%s/", "%s/../../", "%s/../share/rollmill/" };

/* The folder of the running program; NULL if that cannot be told. */
static char *program_folder(void)
{
    char path[4096];
    ssize_t const n = readlink("/proc/self/exe", path, sizeof path - 1);

    if (n <= 0) return NULL;
    path[n] = '\0';
    return path_dir(path);
}

/* NULL without memory, or without a folder where one is needed. */
static char *fill_place(const char *place, const char *folder, const char *name)
{
    if (strncmp(place, "%s", 2) != 0) return str_format("%s%s", place, name);
    return folder ? str_format("%s%s%s", folder, place + 2, name) : NULL;
}

status shipped_find(char **out, const char *name, char **looked)
{
    char *const folder = program_folder();
    struct strbuf all = { 0 };

    *out = NULL;
    for (int i = 0; i < COUNT_OF(places) && !*out; i++) {
        char *const path = fill_place(places[i], folder, name);
        if (!path) continue;
        strbuf_addf(&all, "%s%s", all.len ? ", " : "", path);
        if (path_exists(path)) *out = path;
        else free(path);
    }
    *looked = all.s;
    free(folder);
    return all.failed || !all.s ? fail(ST_NOMEM, "%s: no memory to look for it", name) : ST_OK;
}
