/*
 * file_set.c - an index of shards, or a folder, turned into the files to open.
 *
 * Hubs keep large models as shards with an index, and a model as a folder with a sub-folder for
 * each of its parts. An index may come from anyone: it names files beside itself and no others.
 */
#define _GNU_SOURCE /* scandir, alphasort */
#include "base/file_set.h"
#include "base/file.h"
#include "base/file_watch.h"
#include "base/json_tree.h"
#include "base/strbuf.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { INDEX_BYTES = 64 << 20 };

const char *const file_set_transformer[] = { "transformer", NULL };
const char *const file_set_text[] = { "text_encoder", NULL };
const char *const file_set_vae[] = { "vae", NULL };

static bool ends_in(const char *name, const char *end)
{
    size_t const n = strlen(name), e = strlen(end);
    return n > e && !strcmp(name + n - e, end);
}

/* dir/name as the next of the set. */
static status add_path(struct file_set *s, const char *dir, const char *name)
{
    char **const more = realloc(s->path, (size_t)(s->count + 1) * sizeof *more);

    if (more) s->path = more;
    char *const path = more ? dir ? path_join(dir, name) : str_format("%s", name) : NULL;
    if (!path) return fail(ST_NOMEM, "%s: no memory for its path", name);
    s->path[s->count++] = path;
    return ST_OK;
}

/* ---- an index ---- */

static bool is_listed(const struct file_set *s, const char *dir, const char *name)
{
    size_t const n = strlen(dir);

    for (int i = 0; i < s->count; i++)
        if (!strncmp(s->path[i], dir, n) && !strcmp(s->path[i] + n + 1, name)) return true;
    return false;
}

static status add_shard(struct file_set *s, const struct json_node *v, const char *dir,
                        const char *index)
{
    const char *const name = json_tree_text(v);

    if (!name || !*name || strchr(name, '/') || name[0] == '.')
        return fail(ST_FORMAT, "%s: weight_map: `%.80s`: the name of a file beside it is allowed",
                    index, name ? name : "not a text");
    /* Tensors of one shard stand together or alternate between a few: look at the last first. */
    if (s->count && is_listed(&(struct file_set){ &s->path[s->count - 1], 1 }, dir, name))
        return ST_OK;
    if (is_listed(s, dir, name)) return ST_OK;
    if (s->count == FILE_SET_MAX)
        return fail(ST_FORMAT, "%s: more than %d shards", index, FILE_SET_MAX);
    return add_path(s, dir, name);
}

static status list_missing(const struct file_set *s, const char *index)
{
    struct strbuf names = { 0 };
    int missing = 0;

    for (int i = 0; i < s->count; i++)
        if (path_is_missing(s->path[i]) && missing++ < 20)
            strbuf_addf(&names, "\n  %s", s->path[i]);
    status const st = missing ? fail(ST_FORMAT, "%s: %d of %d shards are not there:%s", index,
                                     missing, s->count, names.s ? names.s : "")
                              : ST_OK;
    strbuf_free(&names);
    return st;
}

static status read_index(struct file_set *s, const char *index)
{
    struct json_node *root = NULL;
    char *text = NULL, *const dir = path_dir(index);
    size_t len;
    status st = ST_OK;

    if (!dir) FAIL_OUT(ST_NOMEM, "%s: no memory for its folder", index);
    TRY_OUT(file_read(index, INDEX_BYTES, &text, &len));
    TRY_OUT(json_tree_read(&root, text, len, index));
    const struct json_node *const map = json_tree_member(root, "weight_map");
    if (!json_tree_is(map, NODE_OBJECT) || !map->count)
        FAIL_OUT(ST_FORMAT, "%s: a JSON text without a weight_map: no index of shards", index);
    for (const struct json_node *v = map->first; v; v = v->next)
        TRY_OUT(add_shard(s, v, dir, index));
    TRY_OUT(list_missing(s, index));
out:
    json_tree_free(&root);
    free(text);
    free(dir);
    return st;
}

/* ---- a folder ---- */

/* The one file of a folder that ends so, as names has them; NULL: none. */
static status choose_file(const char **out, struct dirent **entry, int count, const char *end,
                          const char *dir)
{
    struct strbuf all = { 0 };
    int found = 0;

    *out = NULL;
    for (int i = 0; i < count; i++)
        if (ends_in(entry[i]->d_name, end)) {
            strbuf_addf(&all, "%s%s", found++ ? ", " : "", entry[i]->d_name);
            *out = entry[i]->d_name;
        }
    status const st = found > 1
                          ? fail(ST_FORMAT, "%s: a folder of several %s files; name one of %s", dir,
                                 end, all.s ? all.s : "them")
                          : ST_OK;
    strbuf_free(&all);
    return st;
}

static int is_shown(const struct dirent *e) { return e->d_name[0] != '.'; }

static status read_folder(struct file_set *s, const char *dir)
{
    static const char *const ends[] = {
        ".safetensors.index.json", ".index.json", ".safetensors", ".gguf", ".pt", ".pth", ".bin"
    };
    struct dirent **entry = NULL;
    file_watch_begin(dir);
    int const count = scandir(dir, &entry, is_shown, alphasort), why = errno;
    file_watch_end();
    const char *name = NULL;
    char *path = NULL;
    status st = ST_OK;

    if (count < 0) return fail(file_open_status(why), "%s: %s", dir, strerror(why));
    for (int i = 0; i < COUNT_OF(ends) && !name; i++)
        TRY_OUT(choose_file(&name, entry, count, ends[i], dir));
    if (!name)
        FAIL_OUT(ST_FORMAT,
                 "%s: a folder without weights: no .index.json, .safetensors, .gguf, .pt, .pth or "
                 ".bin file is there",
                 dir);
    path = path_join(dir, name);
    if (!path) FAIL_OUT(ST_NOMEM, "%s: no memory for its path", dir);
    if (ends_in(name, ".json")) TRY_OUT(read_index(s, path));
    else TRY_OUT(add_path(s, dir, name));
out:
    for (int i = 0; i < count; i++) free(entry[i]);
    free(entry);
    free(path);
    return st;
}

static status read_folders(struct file_set *s, const char *path, const char *const *inside)
{
    for (; inside && *inside; inside++) {
        char *const sub = path_join(path, *inside);
        if (!sub) return fail(ST_NOMEM, "%s: no memory for its path", path);
        bool const there = path_is_folder(sub);
        status const st = there ? read_folder(s, sub) : ST_OK;
        free(sub);
        if (there) return st;
    }
    return read_folder(s, path);
}

status file_set_open(struct file_set *out, const char *path, const char *const *inside)
{
    status st;

    *out = (struct file_set){ 0 };
    if (path_is_folder(path)) st = read_folders(out, path, inside);
    else if (ends_in(path, ".json")) st = read_index(out, path);
    else st = add_path(out, NULL, path);
    if (st != ST_OK) file_set_close(out);
    return st;
}

void file_set_close(struct file_set *s)
{
    for (int i = 0; i < s->count; i++) free(s->path[i]);
    free(s->path);
    *s = (struct file_set){ 0 };
}
