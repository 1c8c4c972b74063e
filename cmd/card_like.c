/*
 * card_like.c - no file of weights says in how many steps it was trained, or what a block looks
 * back on: only its release does, and releases of one network share their shapes. A file that still
 * has the name of its release is taken for it; of any other the plainest card of its width is.
 */
#include "base/file.h"
#include "base/strbuf.h"
#include "cmd/cmd_internal.h"
#include "cmd/shipped.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* By the transformer's width, the last for any other. */
static const struct {
    int dim;
    const char *name;
} plainest[] = { { 5120, "krea-realtime-14b" }, { 0, "self-forcing-1.3b" } };

static const char *name_plainest(int dim)
{
    int i = 0;

    while (plainest[i].dim && plainest[i].dim != dim) i++;
    return plainest[i].name;
}

/* The last name of a path of n bytes begins there. */
static size_t last_name_at(const char *path, size_t n)
{
    while (n && path[n - 1] != '/') n--;
    return n;
}

/* How many names at the ends of two paths are the same. */
static int count_same_ends(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);

    for (int same = 0;; same++) {
        size_t const i = last_name_at(a, n), k = last_name_at(b, m);
        if (n == i || n - i != m - k || memcmp(a + i, b + k, n - i) != 0) return same;
        n = i ? i - 1 : 0;
        m = k ? k - 1 : 0;
    }
}

/* The names of the cards in a folder, and the one whose weights are named most alike, if any is and
 * no other as much. */
struct search {
    const char *dir, *weights;
    struct strbuf names;
    char *best;
    int same;
    bool twice;
};

static status look_at_card(struct search *s, const char *file)
{
    size_t const len = strlen(file);
    struct card c;
    char *path;

    if (len < 6 || strcmp(file + len - 5, ".yaml") != 0) return ST_OK;
    path = path_join(s->dir, file);
    if (!path) return fail(ST_NOMEM, "%s: no memory", file);
    strbuf_addf(&s->names, "%s%.*s", s->names.len ? ", " : "", (int)len - 5, file);
    status const st = card_load(&c, path);
    int const same = st == ST_OK ? count_same_ends(c.weights, s->weights) : 0;
    card_close(&c);
    if (same > s->same) {
        free(s->best);
        s->best = path;
        path = NULL;
    }
    s->twice = same > s->same ? false : s->twice || (same && same == s->same);
    s->same = same > s->same ? same : s->same;
    free(path);
    return st;
}

static status look_at_cards(struct search *s)
{
    struct dirent **entry = NULL;
    int const n = scandir(s->dir, &entry, NULL, alphasort);
    status st = ST_OK;

    for (int i = 0; i < n; i++) {
        if (st == ST_OK) st = look_at_card(s, entry[i]->d_name);
        free(entry[i]);
    }
    free(entry);
    return st;
}

/* The folder of cards that come with the program. */
static status find_cards(char **dir, const char *asked)
{
    char *card = NULL, *looked = NULL;
    status st = ST_OK;

    TRY_OUT(shipped_find(&card, "models/self-forcing-1.3b.yaml", &looked));
    if (!card)
        FAIL_OUT(ST_FORMAT, "%s: found no cards at %s; allowed: --like with the path of a card",
                 asked ? asked : "card", looked);
    *dir = path_dir(card);
    if (!*dir) st = fail(ST_NOMEM, "%s: no memory", card);
out:
    free(card);
    free(looked);
    return st;
}

static status load_named(struct card *out, const char *dir, const char *name, const char *names)
{
    char *const path = str_format("%s/%s.yaml", dir, name);
    status st = ST_OK;

    if (!path) return fail(ST_NOMEM, "%s: no memory", name);
    if (strchr(name, '/') || !path_exists(path))
        st = fail(ST_FORMAT, "--like: found %s; allowed: the path of a card, or one of %s", name,
                  names);
    else st = card_load(out, path);
    free(path);
    return st;
}

status card_like_choose(struct card_like *out, const struct model_part *weights, const char *asked)
{
    struct search s = { .weights = weights->path };
    char *dir = NULL;
    status st = ST_OK;

    *out = (struct card_like){ .sure = asked };
    if (asked && path_exists(asked)) return card_load(&out->card, asked);
    TRY_OUT(find_cards(&dir, asked));
    s.dir = dir;
    TRY_OUT(look_at_cards(&s));
    if (s.names.failed) FAIL_OUT(ST_NOMEM, "%s: no memory", dir);
    out->names = s.names.s;
    s.names = (struct strbuf){ 0 };
    if (!asked && s.best && !s.twice) {
        out->sure = true;
        st = card_load(&out->card, s.best);
    } else {
        st = load_named(&out->card, dir, asked ? asked : name_plainest(weights->dim), out->names);
    }
out:
    strbuf_free(&s.names);
    free(s.best);
    free(dir);
    return st;
}

void card_like_close(struct card_like *l)
{
    card_close(&l->card);
    free(l->names);
    *l = (struct card_like){ .sure = false };
}
