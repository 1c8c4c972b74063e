/*
 * digest.c - SHA-256 by libcrypto.
 *
 * By the library's older calls: their state is plain data, which can be kept and taken up again in
 * another process, and they ask for no memory. Those that replace them (EVP) do, and crash where
 * there is none.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/digest.h"
#include "base/file.h"
#include "base/file_watch.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static status fail_library(void) { return fail(ST_NOMEM, "sha256: the library refused"); }

static void write_hex(const unsigned char sum[32], char hex[DIGEST_HEX])
{
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", sum[i]);
}

status digest_bytes(const void *data, size_t len, char hex[DIGEST_HEX])
{
    unsigned char sum[32];
    SHA256_CTX c;

    if (!SHA256_Init(&c) || !SHA256_Update(&c, data, len) || !SHA256_Final(sum, &c))
        return fail_library();
    write_hex(sum, hex);
    return ST_OK;
}

static status digest_map(const struct file_map *m, const char *path, bool (*stop)(void *arg),
                         void *arg, char hex[DIGEST_HEX])
{
    struct digest d = { NULL };
    status st = ST_OK;

    TRY_OUT(digest_open(&d));
    for (size_t at = 0; at < m->size; at += FILE_WATCH_PIECE) {
        size_t const n = file_watch_piece(m->size - at);
        if (stop && stop(arg)) FAIL_OUT(ST_CANCELED, "%s: stopped", path);
        file_watch_map(path, m->data + at, n);
        TRY_OUT(digest_add(&d, m->data + at, n));
    }
    TRY_OUT(digest_end(&d, hex));
out:
    digest_close(&d);
    return st;
}

status digest_file_unless(const char *path, bool (*stop)(void *arg), void *arg,
                          char hex[DIGEST_HEX])
{
    struct file_map m;

    TRY(file_map(&m, path));
    status const st = digest_map(&m, path, stop, arg, hex);
    file_unmap(&m);
    return st;
}

status digest_file(const char *path, char hex[DIGEST_HEX])
{
    return digest_file_unless(path, NULL, NULL, hex);
}

status digest_open(struct digest *d)
{
    d->ctx = calloc(1, sizeof(SHA256_CTX));
    if (!d->ctx) return fail(ST_NOMEM, "sha256: no memory");
    return SHA256_Init(d->ctx) ? ST_OK : fail_library();
}

status digest_add(struct digest *d, const void *bytes, size_t len)
{
    return SHA256_Update(d->ctx, bytes, len) ? ST_OK : fail_library();
}

status digest_end(struct digest *d, char hex[DIGEST_HEX])
{
    unsigned char sum[32];

    if (!SHA256_Final(sum, d->ctx)) return fail_library();
    write_hex(sum, hex);
    return SHA256_Init(d->ctx) ? ST_OK : fail_library();
}

_Static_assert(sizeof(SHA256_CTX) == DIGEST_STATE, "the library's state");

void digest_save(const struct digest *d, unsigned char state[DIGEST_STATE])
{
    memcpy(state, d->ctx, DIGEST_STATE);
}

status digest_load(struct digest *d, const unsigned char state[DIGEST_STATE])
{
    SHA256_CTX s;

    memcpy(&s, state, sizeof s);
    if (s.num >= SHA256_CBLOCK || s.md_len != SHA256_DIGEST_LENGTH)
        return fail(ST_FORMAT, "sha256: %u bytes in a block of %d", s.num, SHA256_CBLOCK);
    memcpy(d->ctx, &s, sizeof s);
    return ST_OK;
}

void digest_close(struct digest *d)
{
    free(d->ctx);
    d->ctx = NULL;
}
