#include "pipeline/digest.h"

#include <openssl/evp.h>
#include <stdio.h>

static status begin(struct digest *d)
{
    if (EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL)) return ST_OK;
    return fail(ST_NOMEM, "sha256: the library refused");
}

status digest_open(struct digest *d)
{
    d->ctx = EVP_MD_CTX_new();
    if (!d->ctx) return fail(ST_NOMEM, "sha256: no memory");
    return begin(d);
}

status digest_add(struct digest *d, const void *bytes, size_t len)
{
    if (EVP_DigestUpdate(d->ctx, bytes, len)) return ST_OK;
    return fail(ST_NOMEM, "sha256: the library refused");
}

status digest_end(struct digest *d, char hex[DIGEST_HEX])
{
    unsigned char sum[32];

    if (!EVP_DigestFinal_ex(d->ctx, sum, NULL))
        return fail(ST_NOMEM, "sha256: the library refused");
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    return begin(d);
}

void digest_close(struct digest *d)
{
    EVP_MD_CTX_free(d->ctx);
    d->ctx = NULL;
}
