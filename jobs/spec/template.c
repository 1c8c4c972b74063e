/*
 * template.c - {variables} in texts and file names.
 *
 * One pass, and what a variable brings in is not looked at again, so a value read from a file can
 * contain braces. The length is checked while it grows.
 */
#include "jobs/spec/spec_internal.h"

#include <stdlib.h>
#include <string.h>

enum { DIGITS = 20 };

/* One {variable} of a text. */
struct hole {
    const char *name;
    size_t name_len, len; /* len: braces included */
    int width;            /* 0: none given */
};

/* False if what begins at the brace is not {word} or {word:0Nd}. */
static bool parse_hole(const char *s, struct hole *out)
{
    size_t const name =
        strspn(s + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    const char *at = s + 1 + name;
    int width = 0;

    if (!name) return false;
    if (at[0] == ':') {
        if (at[1] != '0') return false;
        for (at += 2; *at >= '0' && *at <= '9' && width <= DIGITS; at++)
            width = width * 10 + (*at - '0');
        if (width < 1 || width > DIGITS || *at++ != 'd') return false;
    }
    if (*at != '}') return false;
    *out = (struct hole){ s + 1, name, (size_t)(at + 1 - s), width };
    return true;
}

static bool is_hole_of(const struct hole *h, const char *name)
{
    return strlen(name) == h->name_len && !memcmp(name, h->name, h->name_len);
}

bool template_uses(const char *text, const char *name)
{
    struct hole h;

    for (const char *at = text; (at = strchr(at, '{')); at++) {
        if (at[1] == '{') at++;
        else if (parse_hole(at, &h) && is_hole_of(&h, name)) return true;
    }
    return false;
}

static status fail_unknown(const struct template_text *t, const struct hole *h)
{
    struct strbuf list = { 0 }, found = { 0 };

    for (int i = 0; i < t->vars; i++) strbuf_addf(&list, "%s{%s}", i ? ", " : "", t->var[i].name);
    strbuf_add(&found, h->name - 1, h->len);
    tree_fail(t->node, "found %s; allowed: %s", found.s ? tree_quote(found.s).s : "?",
              list.s ? list.s : "no variables");
    strbuf_free(&list);
    strbuf_free(&found);
    return ST_FORMAT;
}

static void add_file_name(struct strbuf *out, const char *s)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

    while (*s) {
        size_t const good = strspn(s, set);
        strbuf_add(out, s, good);
        s += good;
        if (*s) strbuf_add(out, "-", 1);
        s += strcspn(s, set);
    }
}

static status fill_hole(const struct template_text *t, const struct hole *h, struct strbuf *out)
{
    const struct template_var *v = NULL;

    for (int i = 0; i < t->vars && !v; i++)
        if (is_hole_of(h, t->var[i].name)) v = &t->var[i];
    if (!v) return fail_unknown(t, h);
    if (h->width) {
        size_t const digits = strspn(v->text, "0123456789");
        if (!digits || v->text[digits])
            return tree_fail(t->node, "found {%s:0%dd} for the value %s; allowed: {%s}", v->name,
                             h->width, tree_quote(v->text).s, v->name);
        for (size_t i = digits; i < (size_t)h->width; i++) strbuf_add(out, "0", 1);
    }
    if (t->file_name) add_file_name(out, v->text);
    else strbuf_add(out, v->text, strlen(v->text));
    return ST_OK;
}

status template_expand(const struct template_text *t, struct strbuf *out)
{
    size_t const begin = out->len;

    for (const char *at = t->text; *at && out->len - begin <= t->most;) {
        struct hole h;
        size_t const plain = strcspn(at, "{}");
        strbuf_add(out, at, plain);
        at += plain;
        if (!*at) break;
        if (at[0] == at[1]) {
            strbuf_add(out, at, 1);
            at += 2;
        } else if (*at == '{' && parse_hole(at, &h)) {
            TRY(fill_hole(t, &h, out));
            at += h.len;
        } else {
            return tree_fail(
                t->node, "found %s; allowed: {variable}, {number:05d}, and {{ or }} for a brace",
                tree_quote(at).s);
        }
    }
    if (out->failed) return fail(ST_NOMEM, "no memory for a text");
    if (out->len - begin > t->most)
        return tree_fail(t->node,
                         "the text grows beyond %zu bytes with its variables; allowed: %zu",
                         t->most, t->most);
    return ST_OK;
}
