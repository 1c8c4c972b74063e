#include "tools/zip_writer.h"
#include "base/crc32.h"
#include "base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ALIGN = 64, LOCAL_HEADER = 30, FLAG_DESCRIPTOR = 0x0808 /* and UTF-8 names */ };
#define MAX32 0xffffffffu

struct zip_writer {
    char *path, *tmp;
    FILE *f;
    uint64_t at;             /* bytes written */
    struct strbuf directory; /* central headers of the members so far */
    uint64_t members;

    /* The open member */
    char *name;
    uint64_t start, size, left;
    uint32_t crc;
    bool committed;
};

static void add_le(struct strbuf *t, uint64_t n, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        char const c = (char)(n >> (8 * i) & 0xff);
        strbuf_add(t, &c, 1);
    }
}

static void add_zeros(struct strbuf *t, int bytes)
{
    for (int i = 0; i < bytes; i++) strbuf_add(t, "", 1);
}

static status put(struct zip_writer *z, const void *bytes, size_t len)
{
    if (len && fwrite(bytes, 1, len, z->f) != len)
        return fail(ST_IO, "%s: %s", z->tmp, strerror(errno));
    z->at += len;
    return ST_OK;
}

static status put_text(struct zip_writer *z, struct strbuf *t)
{
    status const st = t->failed ? fail(ST_NOMEM, "%s: a record", z->path) : put(z, t->s, t->len);
    strbuf_free(t);
    return st;
}

status zip_writer_open(struct zip_writer **out, const char *path)
{
    struct zip_writer *z = calloc(1, sizeof *z);
    status st = ST_OK;

    *out = NULL;
    if (!z) return fail(ST_NOMEM, "%s: a zip file", path);
    z->path = str_format("%s", path);
    z->tmp = str_format("%s.tmp.%ld", path, (long)getpid());
    if (!z->path || !z->tmp) {
        st = fail(ST_NOMEM, "%s: a zip file", path);
        goto out;
    }
    z->f = fopen(z->tmp, "wb");
    if (!z->f) {
        st = fail(ST_IO, "%s: %s", z->tmp, strerror(errno));
        goto out;
    }
    *out = z;
    z = NULL; /* handed over */
out:
    zip_writer_close(&z);
    return st;
}

status zip_writer_begin(struct zip_writer *z, const char *name, uint64_t size)
{
    struct strbuf t = { 0 };
    bool const large = size >= MAX32;
    size_t const fixed = LOCAL_HEADER + strlen(name) + (large ? 20 : 0) + 4;
    size_t const pad = (ALIGN - (z->at + fixed) % ALIGN) % ALIGN;

    z->name = str_format("%s", name);
    if (!z->name) return fail(ST_NOMEM, "%s: a name", z->path);
    z->start = z->at;
    z->size = z->left = size;
    z->crc = 0;

    add_le(&t, 0x04034b50, 4);
    add_le(&t, large ? 45 : 0, 2);
    add_le(&t, FLAG_DESCRIPTOR, 2);
    add_zeros(&t, 2 + 2 + 2 + 4); /* stored; no time; checksum follows the data */
    add_le(&t, large ? MAX32 : 0, 4);
    add_le(&t, large ? MAX32 : 0, 4);
    add_le(&t, strlen(name), 2);
    add_le(&t, (large ? 20 : 0) + 4 + pad, 2);
    strbuf_add(&t, name, strlen(name));
    if (large) {
        add_le(&t, 1, 2);
        add_le(&t, 16, 2);
        add_le(&t, size, 8);
        add_le(&t, size, 8);
    }
    strbuf_add(&t, "FB", 2);
    add_le(&t, pad, 2);
    for (size_t i = 0; i < pad; i++) strbuf_add(&t, "Z", 1);
    return put_text(z, &t);
}

status zip_writer_bytes(struct zip_writer *z, const void *bytes, size_t len)
{
    if (len > z->left) return fail(ST_ARG, "%s: %s: too many bytes", z->path, z->name);
    TRY(put(z, bytes, len));
    z->crc = crc32_add(z->crc, bytes, len);
    z->left -= len;
    return ST_OK;
}

static void add_directory(struct zip_writer *z)
{
    struct strbuf *const t = &z->directory;
    struct strbuf wide = { 0 };

    if (z->size >= MAX32) {
        add_le(&wide, z->size, 8);
        add_le(&wide, z->size, 8);
    }
    if (z->start >= MAX32) add_le(&wide, z->start, 8);

    add_le(t, 0x02014b50, 4);
    add_le(t, 0, 2);
    add_le(t, wide.len ? 45 : 0, 2);
    add_le(t, FLAG_DESCRIPTOR, 2);
    add_zeros(t, 2 + 2 + 2);
    add_le(t, z->crc, 4);
    add_le(t, z->size < MAX32 ? z->size : MAX32, 4);
    add_le(t, z->size < MAX32 ? z->size : MAX32, 4);
    add_le(t, strlen(z->name), 2);
    add_le(t, wide.len ? wide.len + 4 : 0, 2);
    add_zeros(t, 2 + 2 + 2 + 4); /* comment, disk, attributes */
    add_le(t, z->start < MAX32 ? z->start : MAX32, 4);
    strbuf_add(t, z->name, strlen(z->name));
    if (wide.len) {
        add_le(t, 1, 2);
        add_le(t, wide.len, 2);
        strbuf_add(t, wide.s, wide.len);
    }
    t->failed |= wide.failed;
    strbuf_free(&wide);
}

status zip_writer_end(struct zip_writer *z)
{
    struct strbuf t = { 0 };
    int const wide = z->size >= MAX32 ? 8 : 4;

    if (z->left) return fail(ST_ARG, "%s: %s: bytes are missing", z->path, z->name);
    add_le(&t, 0x08074b50, 4);
    add_le(&t, z->crc, 4);
    add_le(&t, z->size, wide);
    add_le(&t, z->size, wide);
    add_directory(z);
    z->members++;
    free(z->name);
    z->name = NULL;
    return put_text(z, &t);
}

status zip_writer_member(struct zip_writer *z, const char *name, const void *bytes, size_t len)
{
    TRY(zip_writer_begin(z, name, len));
    TRY(zip_writer_bytes(z, bytes, len));
    return zip_writer_end(z);
}

/* Always with the zip64 end, as torch writes it. */
static status put_end(struct zip_writer *z)
{
    uint64_t const start = z->at, bytes = z->directory.len, n = z->members;
    struct strbuf t = { 0 };

    TRY(put_text(z, &z->directory));
    uint64_t const end = z->at;
    add_le(&t, 0x06064b50, 4);
    add_le(&t, 44, 8);
    add_le(&t, 0, 2);
    add_le(&t, 45, 2);
    add_zeros(&t, 4 + 4);
    add_le(&t, n, 8);
    add_le(&t, n, 8);
    add_le(&t, bytes, 8);
    add_le(&t, start, 8);
    add_le(&t, 0x07064b50, 4);
    add_le(&t, 0, 4);
    add_le(&t, end, 8);
    add_le(&t, 1, 4);
    add_le(&t, 0x06054b50, 4);
    add_zeros(&t, 2 + 2);
    add_le(&t, n < 0xffff ? n : 0xffff, 2);
    add_le(&t, n < 0xffff ? n : 0xffff, 2);
    add_le(&t, bytes < MAX32 ? bytes : MAX32, 4);
    add_le(&t, start < MAX32 ? start : MAX32, 4);
    add_le(&t, 0, 2);
    return put_text(z, &t);
}

status zip_writer_commit(struct zip_writer *z)
{
    TRY(put_end(z));
    int const rc = fclose(z->f);
    z->f = NULL;
    if (rc || rename(z->tmp, z->path)) return fail(ST_IO, "%s: %s", z->path, strerror(errno));
    z->committed = true;
    return ST_OK;
}

void zip_writer_close(struct zip_writer **pz)
{
    struct zip_writer *const z = *pz;

    if (!z) return;
    if (z->f) fclose(z->f);
    if (z->tmp && !z->committed) unlink(z->tmp);
    strbuf_free(&z->directory);
    free(z->name);
    free(z->path);
    free(z->tmp);
    free(z);
    *pz = NULL;
}
