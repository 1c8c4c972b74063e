/* digest.c - SHA-256 by libcrypto. */
#include "base/digest.h"
#include "base/file.h"

#include <openssl/evp.h>
#include <stdio.h>

static status fail_library(void) { return fail(ST_NOMEM, "sha256: the library refused"); }

static void write_hex(const unsigned char sum[32], char hex[DIGEST_HEX])
{
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", sum[i]);
}

status digest_bytes(const void *data, size_t len, char hex[DIGEST_HEX])
{
    unsigned char sum[32];

    if (!EVP_Digest(data, len, sum, NULL, EVP_sha256(), NULL)) return fail_library();
    write_hex(sum, hex);
    return ST_OK;
}

status digest_file(const char *path, char hex[DIGEST_HEX])
{
    struct file_map m;

    TRY(file_map(&m, path));
    status const st = digest_bytes(m.data, m.size, hex);
    file_unmap(&m);
    return st;
}

static status begin_digest(struct digest *d)
{
    return EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) ? ST_OK : fail_library();
}

status digest_open(struct digest *d)
{
    d->ctx = EVP_MD_CTX_new();
    if (!d->ctx) return fail(ST_NOMEM, "sha256: no memory");
    return begin_digest(d);
}

status digest_add(struct digest *d, const void *bytes, size_t len)
{
    return EVP_DigestUpdate(d->ctx, bytes, len) ? ST_OK : fail_library();
}

status digest_end(struct digest *d, char hex[DIGEST_HEX])
{
    unsigned char sum[32];

    if (!EVP_DigestFinal_ex(d->ctx, sum, NULL)) return fail_library();
    write_hex(sum, hex);
    return begin_digest(d);
}

void digest_close(struct digest *d)
{
    EVP_MD_CTX_free(d->ctx);
    d->ctx = NULL;
}
