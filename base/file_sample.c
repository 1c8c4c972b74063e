/*
 * file_sample.c - a file's identity and its sample, both of one open file.
 *
 * The dates are the system's own: a file that is written to, cut or put in another's place has
 * others. What they say holds on one machine, so the identity begins with the boot.
 */
#include "base/file_sample.h"
#include "base/file.h"
#include "base/file_watch.h"

#include <stdio.h>
#include <string.h>

enum { WHOLE = 64 << 20, PIECE = 1 << 20, PIECES = 64 };

static void read_boot(char boot[64])
{
    FILE *const f = fopen("/proc/sys/kernel/random/boot_id", "re");

    if (!f || !fgets(boot, 64, f)) strcpy(boot, "-");
    boot[strcspn(boot, "\n")] = '\0';
    if (f) fclose(f);
}

static void write_identity(char identity[FILE_IDENTITY], const struct file_stamp *s)
{
    char boot[64];

    read_boot(boot);
    snprintf(identity, FILE_IDENTITY, "%s %lld %lld %lld %lld.%09lld %lld.%09lld", boot,
             (long long)s->device, (long long)s->inode, (long long)s->size,
             (long long)s->modified[0], (long long)s->modified[1], (long long)s->changed[0],
             (long long)s->changed[1]);
}

static bool same_machine(const char *a, const char *b)
{
    size_t const n = strcspn(a, " ");
    return n > 1 && !strncmp(a, b, n + 1);
}

static status add_digest(struct strbuf *t, const char *path, const void *data, size_t len)
{
    char hex[DIGEST_HEX];

    file_watch_map(path, data, len);
    TRY(digest_bytes(data, len, hex));
    strbuf_add(t, hex, 64);
    return ST_OK;
}

static status add_digests(struct strbuf *t, const char *path, const struct file_map *m)
{
    strbuf_addf(t, "%zu ", m->size);
    if (m->size <= WHOLE) return add_digest(t, path, m->data, m->size);
    size_t const step = (m->size - PIECE) / (PIECES - 1);
    for (size_t i = 0; i < PIECES - 1; i++) TRY(add_digest(t, path, m->data + step * i, PIECE));
    return add_digest(t, path, m->data + m->size - PIECE, PIECE);
}

static status fail_changed(const char *path, const char *since)
{
    return fail(ST_IO, "%s: changed since it was %s: written to, cut, or another file's name now",
                path, since);
}

static status read_samples(struct strbuf *text, const char *path, struct file_stamp *stamp)
{
    struct file_stamp after;
    struct file_map m;
    status st = ST_OK;

    TRY(file_map(&m, path));
    *stamp = m.stamp;
    TRY_OUT(add_digests(text, path, &m));
    TRY_OUT(file_stamp_of(&after, path));
    if (memcmp(&after, stamp, sizeof after) != 0)
        st = fail(ST_IO, "%s: changes while it is read", path);
out:
    file_unmap(&m);
    return st;
}

static status read_whole(struct strbuf *text, const char *path, const char *cache,
                         struct file_stamp *stamp)
{
    char hex[DIGEST_HEX];

    TRY(file_hash(path, cache, stamp, hex));
    strbuf_addf(text, "%lld %s", (long long)stamp->size, hex);
    return ST_OK;
}

static status sample_file(struct file_sample *out, struct strbuf *text, const char *path,
                          const struct file_hash_rule *rule, struct file_stamp *stamp)
{
    struct strbuf own = { 0 };
    status st = ST_OK;

    if (rule->whole) TRY_OUT(read_whole(&own, path, rule->cache, stamp));
    else TRY_OUT(read_samples(&own, path, stamp));
    if (own.failed) FAIL_OUT(ST_NOMEM, "%s: no memory for its hash", path);
    write_identity(out->identity, stamp);
    TRY_OUT(digest_bytes(own.s, own.len, out->sum));
    strbuf_add(text, own.s, own.len);
out:
    strbuf_free(&own);
    return st;
}

status file_sample_read(struct file_sample *out, struct strbuf *text, const char *path,
                        const struct file_hash_rule *rule)
{
    struct file_stamp stamp;
    return sample_file(out, text, path, rule, &stamp);
}

status file_sample_check(const char *path, const struct file_sample *before,
                         const struct file_hash_rule *rule, char identity[FILE_IDENTITY],
                         struct file_stamp *stamp)
{
    struct strbuf text = { 0 };
    struct file_sample here;
    char current[FILE_IDENTITY];

    if (file_stamp_of(stamp, path) != ST_OK) return fail_changed(path, "read for its hash");
    write_identity(current, stamp);
    bool const same = !strcmp(current, before->identity);
    if (!same && same_machine(before->identity, current))
        return fail_changed(path, "read for its hash");
    memcpy(identity, current, sizeof current);
    if (same) return ST_OK;
    status const st = sample_file(&here, &text, path, rule, stamp);
    strbuf_free(&text);
    TRY(st);
    memcpy(identity, here.identity, sizeof here.identity);
    if (!strcmp(here.sum, before->sum)) return ST_OK;
    return fail(ST_IO, "%s: another file on this machine than on the one that read the job", path);
}
