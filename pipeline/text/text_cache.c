/* text_cache.c - one embedding a file, checked by its hash and written whole. */
#include "base/digest.h"
#include "base/file.h"
#include "base/file_watch.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "pipeline/text/text_internal.h"

#include <stdlib.h>
#include <string.h>

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

bool text_cache_read(const char *dir, struct text_entry *e)
{
    struct file_map file = { 0 };
    char *const path = entry_path(dir, e->key);
    bool found = false;

    if (path && path_exists(path)) {
        bool const mapped = file_map(&file, path) == ST_OK;
        if (mapped) file_watch_map(path, file.data, file.size);
        const char *const wrong = mapped ? find_damage(e, &file) : error_last()->msg;
        found = !wrong;
        if (found)
            e->tokens = (int)((file.size - sizeof(struct header)) / sizeof(float) / (size_t)e->dim);
        else log_warn("%s: %s; the prompt is encoded again", path, wrong);
        error_clear();
    }
    file_unmap(&file);
    free(path);
    return found;
}

status text_cache_write(const char *dir, const struct text_entry *e)
{
    size_t const bytes = (size_t)e->tokens * (size_t)e->dim * sizeof(float);
    char *const path = entry_path(dir, e->key);
    unsigned char *const data = malloc(sizeof(struct header) + bytes);
    struct header h = { .dim = (uint64_t)e->dim, .tokens = (uint64_t)e->tokens };
    char sum[DIGEST + 1];
    status st = ST_OK;

    if (!path || !data) FAIL_OUT(ST_NOMEM, "%s: no memory for an entry of %zu bytes", dir, bytes);
    TRY_OUT(dir_make(dir));
    TRY_OUT(digest_bytes(e->embeds, bytes, sum));
    memcpy(h.magic, MAGIC, sizeof h.magic);
    memcpy(h.key, e->key, DIGEST);
    memcpy(h.sum, sum, DIGEST);
    memcpy(data, &h, sizeof h);
    memcpy(data + sizeof h, e->embeds, bytes);
    TRY_OUT(file_write(path, data, sizeof h + bytes));
out:
    free(path);
    free(data);
    return st;
}
