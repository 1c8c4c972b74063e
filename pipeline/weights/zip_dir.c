/*
 * zip_dir.c - a zip file's directory, from its end backwards.
 *
 * The end record is found by its signature and a comment length that reaches exactly to the end of
 * the file; a zip64 locator in front of it overrides its numbers. The directory is read in one
 * piece and each record checked against what is left of it. A member's own header is read only for
 * the lengths that move its data; what it says otherwise is ignored, the directory counts.
 */
#include "base/crc32.h"
#include "base/fd.h"
#include "base/file.h"
#include "pipeline/weights/weights_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Fixed parts of the records, bytes; and where in them what is. */
enum { LOCAL = 30, CENTRAL = 46, END = 22, LOCATOR = 20, WIDE_END = 56, COMMENT_MAX = 65535 };
enum { WIDE_FIELD = 1, STORED = 0, ENCRYPTED = 1 };
#define MAX32 0xffffffffu

static uint64_t load_le(const unsigned char *p, int bytes)
{
    uint64_t n = 0;

    while (bytes--) n = n << 8 | p[bytes];
    return n;
}

static status fail_truncated(const struct zip_dir *d, const char *what)
{
    return fail(ST_FORMAT, "%s: %s: the file is truncated or not a zip file", d->path, what);
}

static status read_at(const struct zip_dir *d, uint64_t at, void *buf, size_t len)
{
    size_t got;

    TRY(fd_read(d->fd, d->path, (int64_t)at, buf, len, &got));
    return got == len ? ST_OK : fail_truncated(d, "it ends too early");
}

/* ---- the end of the file ----------------------------------------------------------- */

struct end {
    uint64_t count, bytes, start; /* of the directory */
};

/* The 64-bit record, if its locator stands right before the end record at `at`. */
static status read_wide_end(const struct zip_dir *d, uint64_t at, struct end *e)
{
    unsigned char locator[LOCATOR], wide[WIDE_END];

    if (at < LOCATOR) return ST_OK;
    TRY(read_at(d, at - LOCATOR, locator, LOCATOR));
    if (load_le(locator, 4) != 0x07064b50) return ST_OK;
    uint64_t const place = load_le(locator + 8, 8);
    if (place > d->file_bytes || d->file_bytes - place < WIDE_END)
        return fail_truncated(d, "no end of its directory");
    TRY(read_at(d, place, wide, WIDE_END));
    if (load_le(wide, 4) != 0x06064b50) return fail_truncated(d, "no end of its directory");
    *e = (struct end){ load_le(wide + 32, 8), load_le(wide + 40, 8), load_le(wide + 48, 8) };
    return ST_OK;
}

/* The end record is the last one whose comment reaches to the end of the file. */
static status read_end(const struct zip_dir *d, struct end *e)
{
    uint64_t const most = END + COMMENT_MAX;
    size_t const len = (size_t)(d->file_bytes < most ? d->file_bytes : most);
    unsigned char *const tail = malloc(len + 1);
    status st = ST_OK;
    size_t at = len;

    if (!tail) FAIL_OUT(ST_NOMEM, "%s: no memory for its end", d->path);
    TRY_OUT(read_at(d, d->file_bytes - len, tail, len));
    for (size_t i = len >= END ? len - END + 1 : 0; i-- > 0 && at == len;)
        if (load_le(tail + i, 4) == 0x06054b50 && i + END + load_le(tail + i + 20, 2) == len)
            at = i;
    if (at == len) TRY_OUT(fail_truncated(d, "no end of its directory"));
    *e = (struct end){ load_le(tail + at + 10, 2), load_le(tail + at + 12, 4),
                       load_le(tail + at + 16, 4) };
    TRY_OUT(read_wide_end(d, d->file_bytes - len + at, e));
    if (e->start > d->file_bytes || e->bytes > d->file_bytes - e->start || e->bytes > ZIP_DIR_MAX ||
        e->count > e->bytes / CENTRAL)
        st = fail_truncated(d, "its directory does not fit into it");
out:
    free(tail);
    return st;
}

/* ---- the directory ----------------------------------------------------------------- */

/* Sizes that need 64 bits stand in a field of their own, in this order. */
static status read_wide_field(const struct zip_dir *d, struct zip_member *m,
                              const unsigned char *extra, size_t len)
{
    uint64_t *const number[] = { &m->bytes, &m->stored, &m->header };

    for (size_t at = 0; len - at >= 4;) {
        size_t const field = (size_t)load_le(extra + at + 2, 2);
        size_t used = 0;
        at += 4;
        if (field > len - at) break;
        for (int i = 0; load_le(extra + at - 4, 2) == WIDE_FIELD && i < COUNT_OF(number); i++) {
            if (*number[i] != MAX32) continue;
            if (field - used < 8) return fail_truncated(d, "a member without its size");
            *number[i] = load_le(extra + at + used, 8);
            used += 8;
        }
        at += field;
    }
    return ST_OK;
}

static status read_member(struct zip_dir *d, struct zip_member *m, const unsigned char *p,
                          size_t left, size_t *used)
{
    if (left < CENTRAL || load_le(p, 4) != 0x02014b50)
        return fail_truncated(d, "its directory is damaged");
    size_t const name = (size_t)load_le(p + 28, 2), extra = (size_t)load_le(p + 30, 2);
    *used = CENTRAL + name + extra + (size_t)load_le(p + 32, 2);
    if (*used > left) return fail_truncated(d, "its directory is damaged");
    *m = (struct zip_member){
        .name = (const char *)p + CENTRAL,
        .name_len = name,
        .bytes = load_le(p + 24, 4),
        .stored = load_le(p + 20, 4),
        .header = load_le(p + 42, 4),
        .crc = (uint32_t)load_le(p + 16, 4),
        .plain = load_le(p + 10, 2) == STORED && !(load_le(p + 8, 2) & ENCRYPTED),
    };
    return read_wide_field(d, m, p + CENTRAL + name, extra);
}

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int const order = memcmp(a, b, a_len < b_len ? a_len : b_len);

    if (order) return order;
    return a_len < b_len ? -1 : a_len > b_len;
}

static int compare_members(const void *a, const void *b)
{
    const struct zip_member *const x = a, *const y = b;
    return compare_bytes(x->name, x->name_len, y->name, y->name_len);
}

static status read_directory(struct zip_dir *d)
{
    struct end e = { 0 };
    size_t at = 0, used = 0;

    TRY(read_end(d, &e));
    d->raw = malloc((size_t)e.bytes + 1);
    d->member = calloc((size_t)e.count + 1, sizeof *d->member);
    if (!d->raw || !d->member)
        return fail(ST_NOMEM, "%s: no memory for a directory of %" PRIu64 " bytes", d->path,
                    e.bytes);
    TRY(read_at(d, e.start, d->raw, (size_t)e.bytes));
    for (; d->count < e.count; d->count++, at += used)
        TRY(read_member(d, &d->member[d->count], d->raw + at, (size_t)e.bytes - at, &used));
    qsort(d->member, d->count, sizeof *d->member, compare_members);
    for (size_t i = 1; i < d->count; i++)
        if (!compare_members(&d->member[i - 1], &d->member[i]))
            return fail(ST_FORMAT, "%s: two members are named %.*s", d->path,
                        (int)d->member[i].name_len, d->member[i].name);
    return ST_OK;
}

status zip_dir_open(struct zip_dir *out, const char *path)
{
    struct file_stamp stamp;
    status st = ST_OK;

    *out = (struct zip_dir){ .path = path, .fd = -1 };
    TRY_OUT(file_open(path, &out->fd, &stamp));
    out->file_bytes = (uint64_t)stamp.size;
    TRY_OUT(read_directory(out));
    return ST_OK;
out:
    zip_dir_close(out);
    return st;
}

void zip_dir_close(struct zip_dir *d)
{
    if (d->path && d->fd >= 0) close(d->fd);
    free(d->raw);
    free(d->member);
    *d = (struct zip_dir){ .fd = -1 };
}

const struct zip_member *zip_dir_find(const struct zip_dir *d, const char *name)
{
    struct zip_member const key = { .name = name, .name_len = strlen(name) };
    return bsearch(&key, d->member, d->count, sizeof key, compare_members);
}

/* ---- a member ---------------------------------------------------------------------- */

status zip_dir_read(const struct zip_dir *d, const struct zip_member *m, void *buf)
{
    unsigned char head[LOCAL];

    if (!m->plain || m->bytes != m->stored || m->header > d->file_bytes ||
        d->file_bytes - m->header < LOCAL)
        return fail_truncated(d, "a member that cannot be read");
    TRY(read_at(d, m->header, head, LOCAL));
    uint64_t const skip = LOCAL + load_le(head + 26, 2) + load_le(head + 28, 2);
    if (load_le(head, 4) != 0x04034b50 || d->file_bytes - m->header < skip ||
        d->file_bytes - m->header - skip < m->bytes)
        return fail(ST_FORMAT, "%s: %.*s: does not begin where the directory says", d->path,
                    (int)m->name_len, m->name);
    TRY(read_at(d, m->header + skip, buf, (size_t)m->bytes));
    if (crc32_add(0, buf, (size_t)m->bytes) != m->crc)
        return fail(ST_FORMAT, "%s: %.*s: CRC error", d->path, (int)m->name_len, m->name);
    return ST_OK;
}
