/* card_files.c - the files a card names: whether they are there and seem to be what they should,
 * and a number that stands for their bytes without reading all of a large one. */
#include "base/array.h"
#include "base/file.h"
#include "base/file_kind.h"
#include "base/file_sample.h"
#include "base/file_set.h"
#include "base/file_watch.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "jobs/spec/card.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILES = 5 + MODEL_LORAS };
_Static_assert((int)MODEL_FILE_IDENTITY == (int)FILE_IDENTITY, "an identity has one length");

struct role {
    const char *name, *path;
    bool weights;              /* may be of several files, or a folder */
    const char *const *inside; /* of that folder */
};

static int list_roles(const struct card *c, struct role role[FILES])
{
    int n = 0;

    role[n++] = (struct role){ "weights", c->weights, true, file_set_transformer };
    role[n++] = (struct role){ "config", c->config, false, NULL };
    role[n++] = (struct role){ "text.encoder", c->encoder, true, file_set_text };
    role[n++] = (struct role){ "text.tokenizer", c->tokenizer, false, NULL };
    role[n++] = (struct role){ "vae", c->vae, true, file_set_vae };
    for (int i = 0; i < c->loras; i++)
        role[n++] = (struct role){ "lora", c->lora[i].file, true, NULL };
    return n;
}

/* What the files of each role may seem to be. A tokenizer's model has no mark of its own, or lies
 * in a file of weights; those stand for a config.json, too. */
static bool kind_fits(const struct role *role, const char *kind)
{
    static const char *const weights[] = { FILE_KIND_ZIP, FILE_KIND_SAFETENSORS, FILE_KIND_GGUF };

    if (!kind) return true;
    bool const config = !strcmp(role->name, "config");
    for (int i = 0; (role->weights || config) && i < COUNT_OF(weights); i++)
        if (!strcmp(kind, weights[i])) return true;
    if (config) return !strcmp(kind, FILE_KIND_JSON) || !strcmp(kind, FILE_KIND_INDEX);
    return !strcmp(kind, FILE_KIND_SAFETENSORS);
}

static status open_role(struct file_set *s, const struct role *role)
{
    static const char *const none[] = { NULL };

    if (role->weights) return file_set_open(s, role->path, role->inside ? role->inside : none);
    *s = (struct file_set){ .path = calloc(1, sizeof *s->path) };
    if (s->path && (s->path[0] = strdup(role->path))) s->count = 1;
    if (s->count) return ST_OK;
    file_set_close(s);
    return fail(ST_NOMEM, "%s: no memory for its path", role->path);
}

/* Lines for what is wrong with one file: it is not there, or plainly is something else. ST_IO
 * outweighs ST_FORMAT: it may be over soon. */
static void check_model_file(struct strbuf *wrong, status *st, const struct card *c,
                             const struct role *role, const char *path)
{
    struct file_map m;
    const char *const gap = wrong->len ? "\n" : "";

    status const mapped = file_map(&m, path);
    if (mapped != ST_OK) {
        *st = mapped == ST_FORMAT ? *st : mapped;
        strbuf_addf(wrong, "%s%s: %s: %s", gap, c->path, role->name, error_last()->msg);
        return;
    }
    file_watch_map(path, m.data, m.size < FILE_KIND_BYTES ? m.size : FILE_KIND_BYTES);
    const char *const kind = file_kind(m.data, m.size);
    if (!utf8_valid(path, strlen(path)))
        strbuf_addf(wrong, "%s%s: %s: %s: its path is not UTF-8", gap, c->path, role->name, path);
    else if (!kind_fits(role, kind))
        strbuf_addf(wrong, "%s%s: %s: %s: %s", gap, c->path, role->name, path, kind);
    file_unmap(&m);
}

static void check_role(struct strbuf *wrong, status *st, const struct card *c,
                       const struct role *role)
{
    struct file_set s;

    status const opened = open_role(&s, role);
    if (opened != ST_OK) {
        *st = opened == ST_FORMAT ? *st : opened;
        strbuf_addf(wrong, "%s%s: %s: %s", wrong->len ? "\n" : "", c->path, role->name,
                    error_last()->msg);
        return;
    }
    for (int i = 0; i < s.count; i++) check_model_file(wrong, st, c, role, s.path[i]);
    file_set_close(&s);
}

status card_check_files(const struct card *c, const char *spared)
{
    struct strbuf wrong = { 0 };
    struct role role[FILES];
    status st = ST_OK, kind = ST_FORMAT;

    if (!utf8_valid(c->path, strlen(c->path)))
        return fail(ST_FORMAT, "%s: the card's path is not UTF-8", c->path);
    int const roles = list_roles(c, role);
    for (int i = 0; i < roles; i++)
        if (!spared || strcmp(role[i].name, spared) != 0) check_role(&wrong, &kind, c, &role[i]);
    if (wrong.failed) st = fail(ST_NOMEM, "%s: no memory to list its files", c->path);
    else if (wrong.len) st = fail(kind, "%s", wrong.s);
    strbuf_free(&wrong);
    return st;
}

/* The model's own note of the file. */
static status note_file(struct model_spec *m, int *room, const char *path,
                        const struct file_sample *sample)
{
    struct model_file *const more = array_grow(m->file, m->files, room, sizeof *more);

    if (!more) return fail(ST_NOMEM, "%s: no memory for its hash", path);
    m->file = more;
    struct model_file *const f = &m->file[m->files];
    *f = (struct model_file){ .path = strdup(path) };
    if (!f->path) return fail(ST_NOMEM, "%s: no memory for its hash", path);
    memcpy(f->identity, sample->identity, sizeof f->identity);
    memcpy(f->sum, sample->sum, sizeof f->sum);
    m->files++;
    return ST_OK;
}

static status add_role(struct strbuf *t, const struct role *role, const struct file_hash_rule *rule,
                       struct model_spec *m, int *room)
{
    struct file_sample sample;
    struct file_set s;
    status st = ST_OK;

    TRY(open_role(&s, role));
    for (int i = 0; i < s.count && st == ST_OK; i++) {
        strbuf_addf(t, "%s ", role->name);
        st = file_sample_read(&sample, t, s.path[i], rule);
        if (st == ST_OK && m) st = note_file(m, room, s.path[i], &sample);
    }
    file_set_close(&s);
    return st;
}

static status identify_files(const struct card *c, const struct file_hash_rule *rule,
                             char hex[DIGEST_HEX], struct model_spec *m)
{
    struct strbuf t = { 0 };
    struct role role[FILES];
    int const roles = list_roles(c, role);
    int room = 0;
    status st = ST_OK;

    for (int i = 0; i < roles; i++) TRY_OUT(add_role(&t, &role[i], rule, m, &room));
    if (t.failed) st = fail(ST_NOMEM, "%s: no memory for its fingerprint", c->path);
    else st = digest_bytes(t.s, t.len, hex);
out:
    strbuf_free(&t);
    return st;
}

status card_fingerprint(const struct card *c, const struct file_hash_rule *rule,
                        char hex[DIGEST_HEX])
{
    return identify_files(c, rule, hex, NULL);
}

status card_identify(struct model_spec *m, const struct card *c, const struct file_hash_rule *rule)
{
    m->whole = rule->whole;
    return identify_files(c, rule, m->id, m);
}
