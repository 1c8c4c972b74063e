/*
 * model_files.c - the model's files stay what they were when the model's id was made.
 *
 * A clip's ids and its record say which bytes made it, and those bytes are read at several times:
 * for the id when the jobs are read, for the hash and by the loaders when a group opens, the text
 * encoder's whenever prompts are embedded. A file that is written to, cut or replaced in between
 * would make pictures under the name of another model. So every rank looks before it reads and
 * again when it has read, and every file that was opened in between must have been the one that it
 * looks at: a name that was another file's for a while is seen, too. It ends the group with the
 * file's name.
 */
#include "base/file_pledge.h"
#include "base/file_sample.h"
#include "base/file_set.h"
#include "pipeline/engine/engine_internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)MODEL_FILE_IDENTITY == (int)FILE_IDENTITY, "an identity has one length");

/* Prompts and starts are embedded and encoded on threads of their own, and each looks. */
static pthread_mutex_t looking = PTHREAD_MUTEX_INITIALIZER;

const char *group_hash_cache(const struct group *t)
{
    return t->model.whole ? t->rank->o->hash_cache : NULL;
}

static status check_files(struct group *t)
{
    struct file_hash_rule const rule = { .whole = t->model.whole, .cache = group_hash_cache(t) };

    for (int i = 0; i < t->model.files; i++) {
        struct model_file *const f = &t->model.file[i];
        struct file_sample before;
        struct file_stamp here;
        memcpy(before.identity, f->identity, sizeof before.identity);
        memcpy(before.sum, f->sum, sizeof before.sum);
        TRY(file_sample_check(f->path, &before, &rule, f->identity, &here));
        if (!file_pledge_kept(&t->pledge[i], &here))
            return fail(ST_IO, "%s: changes: its name was another file's when it was opened",
                        f->path);
    }
    return ST_OK;
}

status group_check_files(struct group *t)
{
    pthread_mutex_lock(&looking);
    status const st = check_files(t);
    pthread_mutex_unlock(&looking);
    return st;
}

status group_pledge_files(struct group *t)
{
    t->pledge = calloc((size_t)t->model.files + 1, sizeof *t->pledge);
    if (!t->pledge) return fail(ST_NOMEM, "%s: no memory for its files", t->model.card);
    for (int i = 0; i < t->model.files; i++)
        file_pledge_begin(&t->pledge[i], t->model.file[i].path);
    return ST_OK;
}

void group_release_files(struct group *t)
{
    for (int i = 0; t->pledge && i < t->model.files; i++) file_pledge_end(&t->pledge[i]);
    free(t->pledge);
    t->pledge = NULL;
}

status model_files_key(const struct model_spec *m, char key[DIGEST_HEX])
{
    struct strbuf t = { 0 };
    status st = ST_OK;

    for (int i = 0; i < m->files; i++)
        strbuf_addf(&t, "%s\n%s\n%s\n", m->file[i].path, m->file[i].identity, m->file[i].sum);
    for (int i = 0; i < m->loras; i++) {
        const struct model_lora *const l = &m->lora[i];
        strbuf_addf(&t, "%s\n%s\n%d %a %a\n", l->file, l->outer_key ? l->outer_key : "", l->rank,
                    l->alpha, l->scale);
    }
    if (t.failed) st = fail(ST_NOMEM, "%s: no memory for its files", m->card);
    else st = digest_bytes(t.s ? t.s : "", t.len, key);
    strbuf_free(&t);
    return st;
}

status model_file_hash(const char *path, const char *const *inside, const char *cache,
                       char hex[DIGEST_HEX])
{
    struct strbuf all = { 0 };
    struct file_stamp stamp;
    struct file_set s;
    status st = ST_OK;

    TRY(file_set_open(&s, path, inside));
    for (int i = 0; i < s.count && st == ST_OK; i++) {
        const char *const slash = strrchr(s.path[i], '/');
        st = file_hash(s.path[i], cache, &stamp, hex);
        if (st == ST_OK) strbuf_addf(&all, "%s  %s\n", hex, slash ? slash + 1 : s.path[i]);
    }
    if (st == ST_OK && all.failed) st = fail(ST_NOMEM, "%s: no memory for its hash", path);
    if (st == ST_OK && s.count > 1) st = digest_bytes(all.s, all.len, hex);
    strbuf_free(&all);
    file_set_close(&s);
    return st;
}
