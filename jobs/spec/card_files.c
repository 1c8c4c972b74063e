/* card_files.c - the files a card names: whether they are there, and a number that stands for their
 * bytes without reading all of a large one. */
#include "base/file.h"
#include "base/strbuf.h"
#include "jobs/spec/card.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILES = 5, WHOLE = 64 << 20, PIECE = 1 << 20, PIECES = 64 };

struct role {
    const char *name, *path;
};

static void list_roles(const struct card *c, struct role role[FILES])
{
    role[0] = (struct role){ "weights", c->weights };
    role[1] = (struct role){ "config", c->config };
    role[2] = (struct role){ "text.encoder", c->encoder };
    role[3] = (struct role){ "text.tokenizer", c->tokenizer };
    role[4] = (struct role){ "vae", c->vae };
}

status card_check_files(const struct card *c, const char *spared)
{
    struct strbuf missing = { 0 };
    struct role role[FILES];
    status st = ST_OK;

    list_roles(c, role);
    for (int i = 0; i < FILES; i++) {
        struct file_map m;
        if (spared && !strcmp(role[i].name, spared)) continue;
        if (file_map(&m, role[i].path) != ST_OK)
            strbuf_addf(&missing, "%s%s: %s: %s", missing.len ? "\n" : "", c->path, role[i].name,
                        error_last()->msg);
        file_unmap(&m);
    }
    if (missing.failed) st = fail(ST_NOMEM, "%s: no memory to list its files", c->path);
    else if (missing.len) st = fail(ST_FORMAT, "%s", missing.s);
    strbuf_free(&missing);
    return st;
}

static status add_digest(struct strbuf *t, const void *data, size_t len)
{
    char hex[DIGEST_HEX];

    TRY(digest_bytes(data, len, hex));
    strbuf_add(t, hex, 64);
    return ST_OK;
}

static status add_file_digests(struct strbuf *t, const struct role *role)
{
    struct file_map m;
    status st = ST_OK;

    TRY(file_map(&m, role->path));
    strbuf_addf(t, "%s %zu ", role->name, m.size);
    if (m.size <= WHOLE) {
        TRY_OUT(add_digest(t, m.data, m.size));
    } else {
        size_t const step = (m.size - PIECE) / (PIECES - 1);
        for (size_t i = 0; i < PIECES - 1; i++) TRY_OUT(add_digest(t, m.data + step * i, PIECE));
        TRY_OUT(add_digest(t, m.data + m.size - PIECE, PIECE));
    }
out:
    file_unmap(&m);
    return st;
}

status card_fingerprint(const struct card *c, char hex[DIGEST_HEX])
{
    struct strbuf t = { 0 };
    struct role role[FILES];
    status st = ST_OK;

    list_roles(c, role);
    for (int i = 0; i < FILES; i++) TRY_OUT(add_file_digests(&t, &role[i]));
    if (t.failed) st = fail(ST_NOMEM, "%s: no memory for its fingerprint", c->path);
    else st = digest_bytes(t.s, t.len, hex);
out:
    strbuf_free(&t);
    return st;
}
