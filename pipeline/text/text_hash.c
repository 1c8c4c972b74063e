/* text_hash.c - samples of a checkpoint and all of the tokenizer, hashed. */
#include "base/fd.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "pipeline/text/text_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EDGE = 1 << 20, SAMPLES = 512, SAMPLE = 4096 };

/* Bytes at..at+len of the file, less what lies behind its end. */
static status add_file_bytes(struct strbuf *t, int fd, const char *path, int64_t at, size_t len)
{
    char buffer[SAMPLE];

    while (len) {
        size_t got;
        TRY(fd_read(fd, path, at, buffer, len < sizeof buffer ? len : sizeof buffer, &got));
        if (!got) break;
        strbuf_add(t, buffer, got);
        at += (int64_t)got;
        len -= got;
    }
    return ST_OK;
}

static status add_samples(struct strbuf *t, const char *path)
{
    struct file_stamp stamp;
    status st = ST_OK;
    int fd;

    TRY(file_open(path, &fd, &stamp));
    int64_t const size = stamp.size, last = size > EDGE ? size - EDGE : 0;
    strbuf_addf(t, "bytes %lld\n", (long long)size);
    TRY_OUT(add_file_bytes(t, fd, path, 0, EDGE));
    TRY_OUT(add_file_bytes(t, fd, path, last, EDGE));
    for (int i = 0; i < SAMPLES; i++)
        TRY_OUT(add_file_bytes(t, fd, path, last / SAMPLES * i, SAMPLE));
out:
    close(fd);
    return st;
}

status text_hash(const struct weights *encoder, const char *tokenizer_path, char hex[DIGEST_HEX])
{
    struct strbuf t = { 0 };
    char shape[WEIGHT_SHAPE], tokenizer[DIGEST_HEX];
    status st = ST_OK;

    strbuf_addf(&t, "rollmill text hash 1\n");
    for (int i = 0; i < weights_count(encoder); i++) {
        const struct weight_info *const w = weights_at(encoder, i);
        strbuf_addf(&t, "%s %s %s\n", w->name, w->dtype, weight_shape(w, shape));
    }
    TRY_OUT(add_samples(&t, weights_path(encoder)));
    TRY_OUT(digest_file(tokenizer_path, tokenizer));
    strbuf_addf(&t, "tokenizer %s\n", tokenizer);
    if (t.failed) st = fail(ST_NOMEM, "%s: no memory for its hash", weights_path(encoder));
    else TRY_OUT(digest_bytes(t.s, t.len, hex));
out:
    strbuf_free(&t);
    return st;
}
