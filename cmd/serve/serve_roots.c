/*
 * serve_roots.c - files of clips, and only those in the folders that were given.
 *
 * Where a file lies is asked of the file once it is open, not of its path before: a link that is
 * put there in between changes nothing.
 */
#define _XOPEN_SOURCE 700 /* realpath */
#include "base/fd.h"
#include "base/file.h"
#include "base/json_tree.h"
#include "cmd/serve/serve_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIDECAR_MOST = 16 << 20 };

status serve_roots_open(struct serve_roots *r, char *const *paths, int count)
{
    *r = (struct serve_roots){ .path = calloc((size_t)count + 1, sizeof *r->path) };
    if (!r->path) return fail(ST_NOMEM, "%d folders", count);
    for (int i = 0; i < count; i++) {
        struct stat there;
        char *const real = realpath(paths[i], NULL);
        if (!real) return fail(ST_FORMAT, "%s: %s", paths[i], strerror(errno));
        r->path[r->count++] = real;
        if (stat(real, &there) || !S_ISDIR(there.st_mode))
            return fail(ST_FORMAT, "%s: an output folder is allowed", paths[i]);
    }
    return ST_OK;
}

void serve_roots_close(struct serve_roots *r)
{
    for (int i = 0; i < r->count; i++) free(r->path[i]);
    free(r->path);
    *r = (struct serve_roots){ 0 };
}

static bool lies_within(const struct serve_roots *r, const char *path)
{
    for (int i = 0; i < r->count; i++) {
        size_t const n = strlen(r->path[i]);
        bool const top = n == 1; /* "/" itself */
        if (!strncmp(path, r->path[i], n) && (top || path[n] == '/')) return true;
    }
    return false;
}

/* Where an open file lies, all links followed. */
static bool find_place(int fd, char *path, size_t size)
{
    char link[40];

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t const n = readlink(link, path, size - 1);
    if (n <= 0 || n == (ssize_t)size - 1) return false;
    path[n] = '\0';
    return true;
}

int serve_roots_file(const struct serve_roots *r, const char *folder, const char *name,
                     int64_t most, int64_t *size)
{
    char place[4096];
    struct stat there;
    char *const path = r->count ? path_join(folder, name) : NULL;
    int const fd = path ? fd_open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;

    free(path);
    if (fd < 0) return -1;
    bool const ours = !fstat(fd, &there) && S_ISREG(there.st_mode) && there.st_size > 0 &&
                      there.st_size <= most && find_place(fd, place, sizeof place) &&
                      lies_within(r, place);
    *size = ours ? there.st_size : 0;
    if (ours) return fd;
    close(fd);
    return -1;
}

/* malloc'ed, *len bytes; NULL: it cannot be read. */
static char *read_all(int fd, const char *path, int64_t size)
{
    char *const text = malloc((size_t)size + 1);
    size_t got = 0;

    if (text && fd_read(fd, path, 0, text, (size_t)size, &got) != ST_OK) error_clear();
    if (text && got == (size_t)size) return text;
    free(text);
    return NULL;
}

static bool is_plain_png(const char *name)
{
    size_t const n = strlen(name);
    return n > 4 && !strcmp(name + n - 4, ".png") && !strchr(name, '/') && name[0] != '.';
}

char *serve_sheet_name(const struct serve_roots *r, const char *folder)
{
    struct json_node *root = NULL;
    char *name = NULL;
    int64_t size;
    int const fd = serve_roots_file(r, folder, "clip.json", SIDECAR_MOST, &size);
    char *const text = fd >= 0 ? read_all(fd, "clip.json", size) : NULL;

    if (fd >= 0) close(fd);
    if (text && json_tree_read(&root, text, (size_t)size, "clip.json") == ST_OK) {
        const char *const sheet =
            json_tree_text(json_tree_member(json_tree_member(root, "video"), "preview"));
        if (sheet && is_plain_png(sheet)) name = strdup(sheet);
    }
    error_clear();
    json_tree_free(&root);
    free(text);
    return name;
}
