/*
 * text_cache.c - one embedding a file, checked by its hash and written whole.
 *
 * An entry's date is when it was used last: a reader sets it. Nobody keeps a list; a writer counts
 * the folder when it begins, and again whenever by its count the limit is passed or it has written
 * a tenth of it, for others write there too.
 */
#include "base/digest.h"
#include "base/file.h"
#include "base/file_watch.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "pipeline/text/text_internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC "rollmill-embeds\n"

enum { DIGEST = 64 };

struct header {
    char magic[sizeof MAGIC - 1];
    char key[DIGEST];
    uint64_t dim, tokens;
    char sum[DIGEST];
};

static char *entry_path(const char *dir, const char *key)
{
    char *const name = str_format("%s.embeds", key);
    char *const path = name ? path_join(dir, name) : NULL;

    free(name);
    return path;
}

static const char *find_damage(const struct text_entry *e, const struct file_map *file)
{
    struct header h;
    char sum[DIGEST + 1];

    if (file->size < sizeof h) return "truncated";
    memcpy(&h, file->data, sizeof h);
    if (memcmp(h.magic, MAGIC, sizeof h.magic) != 0) return "not an embeddings file";
    if (memcmp(h.key, e->key, DIGEST) != 0) return "belongs to another prompt";
    if (h.dim != (uint64_t)e->dim || !h.tokens || h.tokens > (uint64_t)e->text_len)
        return "has another shape";
    size_t const bytes = (size_t)h.tokens * (size_t)h.dim * sizeof(float);
    if (file->size - sizeof h != bytes) return "has another length";
    if (digest_bytes(file->data + sizeof h, bytes, sum) != ST_OK) return "cannot be checked";
    if (memcmp(sum, h.sum, DIGEST) != 0) return "damaged";
    memcpy(e->embeds, file->data + sizeof h, bytes);
    return NULL;
}

bool text_cache_read(const struct text_cache *c, struct text_entry *e)
{
    struct file_map file = { 0 };
    char *const path = entry_path(c->dir, e->key);
    bool found = false;

    if (path && path_exists(path)) {
        bool const mapped = file_map(&file, path) == ST_OK;
        if (mapped) file_watch_map(path, file.data, file.size);
        const char *const wrong = mapped ? find_damage(e, &file) : error_last()->msg;
        found = !wrong;
        if (found)
            e->tokens = (int)((file.size - sizeof(struct header)) / sizeof(float) / (size_t)e->dim);
        else log_warn("%s: %s; the prompt is encoded again", path, wrong);
        /* A cache that may only be read has no say in what goes first. */
        if (found && utimensat(AT_FDCWD, path, NULL, 0)) log_debug("%s: its date stays", path);
        error_clear();
    }
    file_unmap(&file);
    free(path);
    return found;
}

/* One file: the header, then the rows. */
static status write_entry(const char *path, const struct text_entry *e, size_t bytes)
{
    unsigned char *const data = malloc(sizeof(struct header) + bytes);
    struct header h = { .dim = (uint64_t)e->dim, .tokens = (uint64_t)e->tokens };
    char sum[DIGEST + 1];
    status st = ST_OK;

    if (!data) FAIL_OUT(ST_NOMEM, "%s: no memory for an entry of %zu bytes", path, bytes);
    TRY_OUT(digest_bytes(e->embeds, bytes, sum));
    memcpy(h.magic, MAGIC, sizeof h.magic);
    memcpy(h.key, e->key, DIGEST);
    memcpy(h.sum, sum, DIGEST);
    memcpy(data, &h, sizeof h);
    memcpy(data + sizeof h, e->embeds, bytes);
    TRY_OUT(file_write(path, data, sizeof h + bytes));
out:
    free(data);
    return st;
}

/* Room for so many bytes more. */
static status make_room(struct text_cache *c, int64_t bytes)
{
    if (c->held && c->unseen + bytes <= c->limit / 10 && c->held + bytes <= c->limit) return ST_OK;
    TRY(text_cache_trim(c->dir, c->limit - bytes, &c->held));
    c->unseen = 0;
    return ST_OK;
}

status text_cache_write(struct text_cache *c, const struct text_entry *e)
{
    size_t const bytes = (size_t)e->tokens * (size_t)e->dim * sizeof(float);
    int64_t const all = (int64_t)(sizeof(struct header) + bytes);
    char *const path = entry_path(c->dir, e->key);
    status st = ST_OK;

    if (!path) return fail(ST_NOMEM, "%s: no memory for an entry's name", c->dir);
    if (all > c->limit) goto out;
    TRY_OUT(dir_make(c->dir));
    TRY_OUT(make_room(c, all));
    TRY_OUT(write_entry(path, e, bytes));
    c->held += all;
    c->unseen += all;
out:
    free(path);
    return st;
}
