/*
 * model_folder.c - a model's folder as hubs and programs leave it, walked to the leaves.
 *
 * Which file is what part its tensors say (inspect_model.c), so names do not matter. Of a set of
 * shards the index stands for all. A hub's cache links many names to one file: it counts once.
 */
#include "base/file.h"
#include "base/strbuf.h"
#include "cmd/cmd_internal.h"
#include "pipeline/dit/dit.h"
#include "pipeline/weights/weights.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEPTH = 5, FILES = 4096 };

static bool ends_with(const char *s, const char *end)
{
    size_t const n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static bool may_be_weights(const char *name)
{
    static const char *const ends[] = { ".safetensors", ".safetensors.index.json",
                                        ".pt",          ".pth",
                                        ".gguf",        ".bin" };

    if (strstr(name, "-of-") && !ends_with(name, ".json")) return false;
    for (int i = 0; i < COUNT_OF(ends); i++)
        if (ends_with(name, ends[i])) return true;
    return false;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static status keep_part(struct model_folder *f, const char *what, const char *path,
                        const char *outer_key, int dim)
{
    for (int i = 0; i < f->parts; i++)
        if (!strcmp(f->part[i].what, what) && is_same_file(f->part[i].path, path)) return ST_OK;
    if (f->parts == MODEL_PARTS)
        return fail(ST_FORMAT, "%s: more than %d parts of models; name a folder of one", f->dir,
                    MODEL_PARTS);
    struct model_part *const p = &f->part[f->parts++];
    *p = (struct model_part){ .what = what,
                              .path = str_format("%s", path),
                              .outer_key = str_format("%s", outer_key),
                              .dim = dim };
    return p->path && p->outer_key ? ST_OK : fail(ST_NOMEM, "%s: no memory", path);
}

/* ComfyUI's text encoders carry their tokenizer. */
static status look_for_tokenizer(struct model_folder *f, const char *path)
{
    struct weights *w;

    if (weights_open(&w, path, NULL) != ST_OK) {
        error_clear();
        return ST_OK;
    }
    bool const there = !strcmp(weights_form(w), "safetensors") && weights_files(w) == 1 &&
                       weights_find(w, "spiece_model") >= 0;
    weights_close(&w);
    return there ? keep_part(f, "tokenizer", path, "", 0) : ST_OK;
}

static status look_at_weights(struct model_folder *f, const char *path)
{
    struct inspect_model m;

    if (inspect_model(&m, path, NULL) != ST_OK || !m.what) {
        error_clear();
        return ST_OK;
    }
    TRY(keep_part(f, m.what, path, m.outer_key, m.dim));
    return strcmp(m.what, "text encoder") ? ST_OK : look_for_tokenizer(f, path);
}

static status look_at_file(struct model_folder *f, const char *path, const char *name)
{
    struct dit_shape shape;

    if (++f->files > FILES)
        return fail(ST_FORMAT, "%s: more than %d files; name a folder of one model", f->dir, FILES);
    if (!strcmp(name, "spiece.model")) return keep_part(f, "tokenizer", path, "", 0);
    if (!strcmp(name, "config.json") && dit_shape_read(&shape, path) == ST_OK)
        return keep_part(f, "config.json", path, "", shape.dim);
    error_clear();
    return may_be_weights(name) ? look_at_weights(f, path) : ST_OK;
}

/* In the order of names, a folder's own files before those of the folders in it. */
static status look_at_folder(struct model_folder *f, const char *dir, int depth)
{
    struct dirent **entry = NULL;
    int const n = scandir(dir, &entry, NULL, alphasort);
    status st = n < 0 ? fail(ST_IO, "%s: cannot be read", dir) : ST_OK;

    for (int i = 0; i < 2 * n; i++) {
        struct dirent *const e = entry[i % n];
        bool const folders = i >= n;
        char *const path = str_format("%s/%s", dir, e->d_name);
        struct stat s;
        bool const seen = path && e->d_name[0] != '.' && stat(path, &s) == 0;
        if (!path) st = fail(ST_NOMEM, "%s: no memory", dir);
        if (st == ST_OK && seen && !folders && S_ISREG(s.st_mode))
            st = look_at_file(f, path, e->d_name);
        if (st == ST_OK && seen && folders && S_ISDIR(s.st_mode) && depth < DEPTH)
            st = look_at_folder(f, path, depth + 1);
        free(path);
    }
    for (int i = 0; i < n; i++) free(entry[i]);
    free(entry);
    return st;
}

/* The folder around one that is named for a kind of file. */
static void widen_folder(struct model_folder *f)
{
    static const char *const kinds[] = { "/transformer", "/diffusion_models", "/unet" };

    for (int i = 0; i < COUNT_OF(kinds); i++)
        if (ends_with(f->dir, kinds[i])) {
            f->dir[strlen(f->dir) - strlen(kinds[i])] = '\0';
            return;
        }
}

status model_folder_read(struct model_folder *out, const char *path)
{
    struct stat s;

    *out = (struct model_folder){ .dir = NULL };
    if (stat(path, &s)) return fail(ST_FORMAT, "%s: no such file or folder", path);
    bool const folder = S_ISDIR(s.st_mode);
    out->dir = folder ? str_format("%.*s", (int)(strlen(path) - ends_with(path, "/")), path)
                      : path_dir(path);
    if (!out->dir) return fail(ST_NOMEM, "%s: no memory", path);
    if (!folder) widen_folder(out);
    return look_at_folder(out, out->dir, 0);
}

void model_folder_free(struct model_folder *f)
{
    for (int i = 0; i < f->parts; i++) {
        free(f->part[i].path);
        free(f->part[i].outer_key);
    }
    free(f->dir);
    *f = (struct model_folder){ .dir = NULL };
}

const struct model_part *model_folder_find(const struct model_folder *f, const char *what, int from)
{
    for (int i = from; i < f->parts; i++)
        if (!strcmp(f->part[i].what, what)) return &f->part[i];
    return NULL;
}

const char *model_folder_inside(const struct model_folder *f, const char *path)
{
    size_t const n = strlen(f->dir);
    return strncmp(path, f->dir, n) || path[n] != '/' ? path : path + n + 1;
}
