/* finished_clip.c - what clip.json lists against what is in the folder. */
#include "pipeline/output/finished_clip.h"
#include "base/clip_media.h"
#include "base/file.h"
#include "base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void copy_id(char to[FINISHED_ID], const struct json_node *root, const char *group,
                    const char *key)
{
    const char *const id = json_tree_text(json_tree_member(json_tree_member(root, group), key));
    snprintf(to, FINISHED_ID, "%s", id ? id : "");
}

static void add_line(struct strbuf *t, const char *dir, const char *name, const char *what)
{
    strbuf_addf(t, "%s%s/%s: %s", t->len ? "\n" : "", dir, name, what);
}

static status check_hash(struct strbuf *wrong, const char *dir, const char *name, const char *path,
                         const char *want)
{
    char hex[DIGEST_HEX];

    if (!want) add_line(wrong, dir, name, "clip.json has no hash of it");
    else if (digest_file(path, hex) != ST_OK) {
        add_line(wrong, dir, name, error_last()->msg);
        error_clear();
    } else if (strcmp(hex, want) != 0) add_line(wrong, dir, name, "its bytes have changed");
    return ST_OK;
}

static status check_size(struct strbuf *wrong, const char *dir, const char *name, const char *path,
                         int64_t want, bool *right)
{
    char what[96];
    struct stat s;

    *right = false;
    if (lstat(path, &s)) add_line(wrong, dir, name, strerror(errno));
    else if (!S_ISREG(s.st_mode)) add_line(wrong, dir, name, "not a regular file");
    else if (s.st_size != want) {
        snprintf(what, sizeof what, "%lld bytes; %lld were made", (long long)s.st_size,
                 (long long)want);
        add_line(wrong, dir, name, what);
    } else *right = true;
    return ST_OK;
}

/* Of the clip's folder, or of the one in it that it is extended by. */
static bool is_name(const char *name)
{
    static const char folder[] = FINISHED_EXTENSION "/";

    if (!strncmp(name, folder, sizeof folder - 1)) name += sizeof folder - 1;
    return *name && !strchr(name, '/') && strcmp(name, "..") != 0;
}

/* One entry of `files`. */
static status check_entry(struct strbuf *wrong, const char *dir, const struct json_node *entry,
                          enum finished_depth depth, int64_t *bytes)
{
    const char *const name = json_tree_text(json_tree_member(entry, "name"));
    const struct json_node *const size = json_tree_member(entry, "bytes");
    status st = ST_OK;
    bool right;

    if (!name || !is_name(name) || !json_tree_is(size, NODE_WHOLE)) {
        add_line(wrong, dir, "clip.json", "an entry of `files` cannot be understood");
        return ST_OK;
    }
    *bytes += size->whole;
    if (depth < FINISHED_SIZES) return ST_OK;
    char *const path = path_join(dir, name);
    if (!path) return fail(ST_NOMEM, "%s: no memory for a name", dir);
    TRY_OUT(check_size(wrong, dir, name, path, size->whole, &right));
    if (right && depth == FINISHED_HASHES)
        TRY_OUT(
            check_hash(wrong, dir, name, path, json_tree_text(json_tree_member(entry, "sha256"))));
out:
    free(path);
    return st;
}

static status check_files(struct finished_clip *out, const char *dir, const struct json_node *root,
                          enum finished_depth depth)
{
    const struct json_node *const list = json_tree_member(root, "files");
    struct strbuf wrong = { 0 };
    status st = ST_OK;

    if (!json_tree_is(list, NODE_LIST) || !list->count)
        add_line(&wrong, dir, "clip.json", "lists no files");
    for (const struct json_node *e = wrong.len ? NULL : list->first; e; e = e->next) {
        out->files++;
        TRY_OUT(check_entry(&wrong, dir, e, depth, &out->bytes));
    }
    if (wrong.failed) st = fail(ST_NOMEM, "%s: no memory to list what is wrong", dir);
    else if (wrong.len) st = fail(ST_MISMATCH, "%s", wrong.s);
out:
    strbuf_free(&wrong);
    return st;
}

status finished_clip_read(struct finished_clip *out, const char *dir, enum finished_depth depth)
{
    struct json_node *root;
    status st = ST_OK;

    *out = (struct finished_clip){ 0 };
    TRY(clip_record_read(&root, dir));
    copy_id(out->task_id, root, "identity", "task_id");
    copy_id(out->numerics_id, root, "identity", "numerics_id");
    TRY_OUT(check_files(out, dir, root, depth));
out:
    json_tree_free(&root);
    return st;
}
