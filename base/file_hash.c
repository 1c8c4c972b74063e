/*
 * file_hash.c - a line of text a file: what it is, and its hash; at the end the hash of the lines.
 *
 * What counts is the system's word that a file has not been written to since. Its dates go by
 * ticks of some milliseconds: a file that is hashed and then written to within one tick would look
 * as it did. So a file that was changed just now is hashed, and not kept.
 */
#include "base/file_hash.h"
#include "base/file_pledge.h"
#include "base/log.h"
#include "base/strbuf.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { JUST_NOW_S = 2, LINE_MOST = 256, CACHE_MOST = (FILE_HASHES + 2) * LINE_MOST };

static const char head[] = "rollmill-hashes 1\n", tail[] = "sum ";

struct entry {
    struct file_stamp stamp;
    char hex[DIGEST_HEX];
};

struct entries {
    struct entry *at; /* [FILE_HASHES + 1] */
    int count;
};

/* ---- the cache's text ----------------------------------------------------------------------- */

static void write_entry(struct strbuf *t, const struct entry *e)
{
    const struct file_stamp *const s = &e->stamp;

    strbuf_addf(t, "%lld %lld %lld %lld.%09lld %lld.%09lld %s\n", (long long)s->device,
                (long long)s->inode, (long long)s->size, (long long)s->modified[0],
                (long long)s->modified[1], (long long)s->changed[0], (long long)s->changed[1],
                e->hex);
}

/* What the lines before it must hash to. */
static status write_tail(struct strbuf *t)
{
    char sum[DIGEST_HEX];

    if (t->failed) return fail(ST_NOMEM, "hashes of files: no memory");
    TRY(digest_bytes(t->s, t->len, sum));
    strbuf_addf(t, "%s%s\n", tail, sum);
    return t->failed ? fail(ST_NOMEM, "hashes of files: no memory") : ST_OK;
}

static bool read_entry(struct entry *e, const char *line)
{
    long long n[7];

    if (sscanf(line, "%lld %lld %lld %lld.%lld %lld.%lld %64[0-9a-f]", &n[0], &n[1], &n[2], &n[3],
               &n[4], &n[5], &n[6], e->hex) != 8)
        return false;
    e->stamp = (struct file_stamp){ .device = n[0],
                                    .inode = n[1],
                                    .size = n[2],
                                    .modified = { n[3], n[4] },
                                    .changed = { n[5], n[6] } };
    return strlen(e->hex) == DIGEST_HEX - 1;
}

/* Does the text end in the hash of all before it? *end: where its lines end. */
static bool is_whole(const char *text, size_t len, const char **end)
{
    size_t const last = sizeof tail - 1 + DIGEST_HEX;
    char sum[DIGEST_HEX];

    if (len < sizeof head - 1 + last || text[len - 1] != '\n' ||
        memcmp(text, head, sizeof head - 1) != 0)
        return false;
    *end = text + len - last;
    return !memcmp(*end, tail, sizeof tail - 1) && digest_bytes(text, len - last, sum) == ST_OK &&
           !memcmp(*end + sizeof tail - 1, sum, DIGEST_HEX - 1);
}

static bool parse_entries(struct entries *all, const char *text, size_t len)
{
    const char *end;

    if (!is_whole(text, len, &end)) return false;
    for (const char *at = text + sizeof head - 1; at < end; at = strchr(at, '\n') + 1) {
        if (all->count == FILE_HASHES || !read_entry(&all->at[all->count], at)) return false;
        all->count++;
    }
    return true;
}

/* ---- the cache ------------------------------------------------------------------------------- */

static status open_entries(struct entries *all, const char *cache)
{
    char *text = NULL;
    size_t len;

    *all = (struct entries){ .at = calloc(FILE_HASHES + 1, sizeof *all->at) };
    if (!all->at) return fail(ST_NOMEM, "hashes of files: no memory");
    if (!path_exists(cache)) return ST_OK;
    bool const read = file_read(cache, CACHE_MOST, &text, &len) == ST_OK;
    if (!read || !parse_entries(all, text, len)) {
        log_warn("%s: %s; files are hashed again", cache, read ? "damaged" : error_last()->msg);
        all->count = 0;
    }
    error_clear();
    free(text);
    return ST_OK;
}

static bool find_hash(const char *cache, const struct file_stamp *stamp, char hex[DIGEST_HEX])
{
    struct entries all;
    bool found = false;

    if (open_entries(&all, cache) != ST_OK) return false;
    for (int i = 0; i < all.count && !found; i++)
        if (!memcmp(&all.at[i].stamp, stamp, sizeof *stamp)) {
            memcpy(hex, all.at[i].hex, DIGEST_HEX);
            found = true;
        }
    free(all.at);
    return found;
}

/* What was known of the file's place before is known no more. */
static void add_entry(struct entries *all, const struct entry *e)
{
    int kept = 0;

    for (int i = 0; i < all->count; i++)
        if (all->at[i].stamp.device != e->stamp.device || all->at[i].stamp.inode != e->stamp.inode)
            all->at[kept++] = all->at[i];
    all->at[kept++] = *e;
    int const over = kept > FILE_HASHES ? kept - FILE_HASHES : 0;
    memmove(all->at, all->at + over, (size_t)(kept - over) * sizeof *all->at);
    all->count = kept - over;
}

static status make_folder_of(const char *path)
{
    const char *const slash = strrchr(path, '/');
    char *const dir = slash ? str_format("%.*s", (int)(slash - path), path) : NULL;
    status const st = dir && dir[0] ? dir_make(dir) : ST_OK;

    free(dir);
    return st;
}

static status keep_hash(const char *cache, const struct entry *e)
{
    struct strbuf t = { 0 };
    struct entries all;
    status st = ST_OK;

    TRY(open_entries(&all, cache));
    add_entry(&all, e);
    strbuf_addf(&t, "%s", head);
    for (int i = 0; i < all.count; i++) write_entry(&t, &all.at[i]);
    TRY_OUT(write_tail(&t));
    TRY_OUT(make_folder_of(cache));
    TRY_OUT(file_write(cache, t.s, t.len));
out:
    strbuf_free(&t);
    free(all.at);
    return st;
}

static bool changed_just_now(const struct file_stamp *s)
{
    return (int64_t)time(NULL) - s->changed[0] < JUST_NOW_S;
}

/* ---- hashing --------------------------------------------------------------------------------- */

static status read_hash(const char *path, struct file_stamp *stamp, char hex[DIGEST_HEX])
{
    struct file_pledge opened = { 0 };
    struct file_stamp after;
    status st = ST_OK;

    file_pledge_begin(&opened, path);
    TRY_OUT(file_stamp_of(stamp, path));
    log_debug("%s: %lld bytes are hashed", path, (long long)stamp->size);
    TRY_OUT(digest_file(path, hex));
    TRY_OUT(file_stamp_of(&after, path));
    if (memcmp(&after, stamp, sizeof after) != 0 || !file_pledge_kept(&opened, stamp))
        st = fail(ST_IO, "%s: changes while it is read", path);
out:
    file_pledge_end(&opened);
    return st;
}

status file_hash(const char *path, const char *cache, struct file_stamp *stamp,
                 char hex[DIGEST_HEX])
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct entry e;

    if (!cache) return read_hash(path, stamp, hex);
    TRY(file_stamp_of(stamp, path));
    pthread_mutex_lock(&lock);
    bool const found = find_hash(cache, stamp, hex);
    status const st = found ? ST_OK : read_hash(path, stamp, hex);
    if (st == ST_OK && !found && !changed_just_now(stamp)) {
        e.stamp = *stamp;
        memcpy(e.hex, hex, DIGEST_HEX);
        if (keep_hash(cache, &e) != ST_OK)
            log_warn("%s; the hash of %s is not kept", error_last()->msg, path);
        error_clear();
    }
    pthread_mutex_unlock(&lock);
    return st;
}
