/* card_files.c - the files a card names: whether they are there and seem to be what they should,
 * and a number that stands for their bytes without reading all of a large one. */
#include "base/file.h"
#include "base/file_kind.h"
#include "base/strbuf.h"
#include "base/utf8.h"
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

/* What the files of each role may seem to be. A tokenizer's model has no mark of its own. */
static bool kind_fits(const char *role, const char *kind)
{
    if (!kind) return true;
    if (!strcmp(role, "text.tokenizer")) return false;
    if (!strcmp(role, "config")) return !strcmp(kind, FILE_KIND_JSON);
    return !strcmp(kind, FILE_KIND_ZIP) || !strcmp(kind, FILE_KIND_SAFETENSORS);
}

/* Lines for what is wrong with one file: it is not there, or plainly is something else. */
static void check_role(struct strbuf *wrong, const struct card *c, const struct role *role)
{
    struct file_map m;
    const char *const gap = wrong->len ? "\n" : "";

    if (file_map(&m, role->path) != ST_OK) {
        strbuf_addf(wrong, "%s%s: %s: %s", gap, c->path, role->name, error_last()->msg);
        return;
    }
    const char *const kind = file_kind(m.data, m.size);
    if (!utf8_valid(role->path, strlen(role->path)))
        strbuf_addf(wrong, "%s%s: %s: %s: its path is not UTF-8", gap, c->path, role->name,
                    role->path);
    else if (!kind_fits(role->name, kind))
        strbuf_addf(wrong, "%s%s: %s: %s: %s", gap, c->path, role->name, role->path, kind);
    file_unmap(&m);
}

status card_check_files(const struct card *c, const char *spared)
{
    struct strbuf wrong = { 0 };
    struct role role[FILES];
    status st = ST_OK;

    if (!utf8_valid(c->path, strlen(c->path)))
        return fail(ST_FORMAT, "%s: the card's path is not UTF-8", c->path);
    list_roles(c, role);
    for (int i = 0; i < FILES; i++)
        if (!spared || strcmp(role[i].name, spared) != 0) check_role(&wrong, c, &role[i]);
    if (wrong.failed) st = fail(ST_NOMEM, "%s: no memory to list its files", c->path);
    else if (wrong.len) st = fail(ST_FORMAT, "%s", wrong.s);
    strbuf_free(&wrong);
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
