/*
 * yaml_tree.c - libyaml's events become a tree of maps, lists and texts.
 *
 * Every scalar stays a text; types are the schema's. What makes YAML surprising or dangerous is
 * refused at the event: aliases (a small file can expand to gigabytes), anchors, tags, duplicate
 * keys, keys that are not words, control characters. Counts and depth are bounded.
 */
#include "jobs/yaml/yaml_tree.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "jobs/yaml/yaml_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* The parse so far: the open maps and lists, and each one's waiting key. */
struct builder {
    struct tree *tree;
    struct tree_node *open[TREE_DEPTH];
    struct tree_node *key[TREE_DEPTH]; /* a key whose value has not come yet */
    int depth;
};

static void free_nodes(struct tree_node *n)
{
    while (n) {
        struct tree_node *const next = n->next;
        free_nodes(n->first);
        free((void *)(uintptr_t)n->key);
        free((void *)(uintptr_t)n->text);
        free(n);
        n = next;
    }
}

void tree_close(struct tree **t)
{
    if (!*t) return;
    for (int i = 0; i < (*t)->docs; i++) free_nodes((*t)->doc[i]);
    free((*t)->name);
    free(*t);
    *t = NULL;
}

const struct tree_node *tree_find(const struct tree_node *map, const char *key)
{
    if (map->kind != TREE_MAP) return NULL;
    for (const struct tree_node *n = map->first; n; n = n->next)
        if (!strcmp(n->key, key)) return n;
    return NULL;
}

/* ---- messages ---- */

struct tree_quote tree_quote(const char *text)
{
    enum { SHOWN = 40 };
    struct tree_quote q = { "\"" };
    size_t at = 1;

    for (int shown = 0; *text; shown++) {
        if (shown == SHOWN) {
            memcpy(q.s + at, "...", 3);
            at += 3;
            break;
        }
        uint32_t c;
        int const bytes = utf8_decode(&c, text, strlen(text));
        if (bytes == 0 || c < 0x20 || c == 0x7f) q.s[at++] = ' ';
        else
            for (int i = 0; i < bytes; i++) q.s[at++] = text[i];
        text += bytes ? bytes : 1;
    }
    q.s[at] = '"';
    return q;
}

static void add_path(struct strbuf *t, const struct tree_node *n)
{
    if (!n->parent) return;
    add_path(t, n->parent);
    if (n->key) strbuf_addf(t, "%s%.64s", t->len ? "." : "", n->key);
    else strbuf_addf(t, "[%d]", n->index);
}

static status fail_at(const struct tree_node *n, int line, int column, const char *fmt, va_list ap)
{
    struct strbuf path = { 0 };
    char msg[ERROR_MESSAGE];

    vsnprintf(msg, sizeof msg, fmt, ap);
    add_path(&path, n);
    fail(ST_FORMAT, "%s:%d:%d: %s%s%s", n->tree->name, line, column, path.len ? path.s : "",
         path.len ? ": " : "", msg);
    strbuf_free(&path);
    return ST_FORMAT;
}

void tree_warn(const struct tree_node *n, const char *fmt, ...)
{
    struct strbuf path = { 0 };
    char msg[ERROR_MESSAGE];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    add_path(&path, n);
    log_warn("%s:%d:%d: %s%s%s", n->tree->name, n->line, n->column, path.len ? path.s : "",
             path.len ? ": " : "", msg);
    strbuf_free(&path);
}

status tree_fail(const struct tree_node *n, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fail_at(n, n->line, n->column, fmt, ap);
    va_end(ap);
    return ST_FORMAT;
}

status tree_fail_key(const struct tree_node *n, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fail_at(n, n->key ? n->key_line : n->line, n->key ? n->key_column : n->column, fmt, ap);
    va_end(ap);
    return ST_FORMAT;
}

status tree_refuse(const struct tree_node *n, const char *allowed)
{
    const struct tree_quote q = tree_quote(n->kind == TREE_SCALAR ? n->text : "");
    const char *const found = n->kind == TREE_LIST  ? "a list"
                              : n->kind == TREE_MAP ? "a map"
                              : n->text[0]          ? q.s
                                                    : "nothing";

    return tree_fail(n, "found %s; allowed: %s", found, allowed);
}

const char *tree_library(char buf[TREE_LIBRARY])
{
    snprintf(buf, TREE_LIBRARY, "libyaml %s", yaml_get_version_string());
    return buf;
}

/* ---- the text's characters ---- */

static status check_text(const char *name, const char *text, size_t len)
{
    int line = 1, column = 1;

    for (size_t i = 0; i < len;) {
        uint32_t c;
        int const bytes = utf8_decode(&c, text + i, len - i);
        if (bytes == 0)
            return fail(ST_FORMAT, "%s:%d:%d: found the byte 0x%02x; allowed: UTF-8 text", name,
                        line, column, (unsigned)(unsigned char)text[i]);
        if (c == '\t')
            return fail(ST_FORMAT,
                        "%s:%d:%d: found a tab; allowed: blanks (and \\t between double quotes)",
                        name, line, column);
        if (!utf8_printable(c))
            return fail(ST_FORMAT, "%s:%d:%d: found a control character; allowed: printable text",
                        name, line, column);
        column++;
        if (c == '\n' || (c == '\r' && !(i + 1 < len && text[i + 1] == '\n'))) {
            line++;
            column = 1;
        }
        i += (size_t)bytes;
    }
    return ST_OK;
}

/* ---- building ---- */

static status fail_event(const struct builder *b, const yaml_event_t *e, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static status fail_event(const struct builder *b, const yaml_event_t *e, const char *fmt, ...)
{
    char msg[320];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return fail(ST_FORMAT, "%s:%zu:%zu: %s", b->tree->name, e->start_mark.line + 1,
                e->start_mark.column + 1, msg);
}

/* NULL: fail() was called. */
static struct tree_node *new_node(struct builder *b, const yaml_event_t *e, enum tree_kind kind)
{
    struct tree_node *n;

    if (++b->tree->nodes > TREE_NODES) {
        fail_event(b, e, "found more than %d values; allowed: %d", TREE_NODES, TREE_NODES);
        return NULL;
    }
    n = calloc(1, sizeof *n);
    if (!n) goto no_memory;
    n->kind = kind;
    n->line = (int)e->start_mark.line + 1;
    n->column = (int)e->start_mark.column + 1;
    n->tree = b->tree;
    if (kind != TREE_SCALAR) return n;
    n->text = str_format("%s", (const char *)e->data.scalar.value);
    if (n->text) return n;
no_memory:
    free(n);
    fail(ST_NOMEM, "%s: no memory for a value", b->tree->name);
    return NULL;
}

/* Does a map wait for a key? */
static bool wants_key(const struct builder *b)
{
    const struct tree_node *const in = b->depth ? b->open[b->depth - 1] : NULL;

    return in && in->kind == TREE_MAP && !b->key[b->depth - 1];
}

/* Keep a key until its value comes. It is freed on failure. */
static status take_key(struct builder *b, const yaml_event_t *e, struct tree_node *key)
{
    const struct tree_node *const map = b->open[b->depth - 1];
    const struct tree_node *const twin = tree_find(map, key->text);
    status st = ST_OK;

    if (!key->text[0])
        st = fail_event(b, e, "found a key that is not text; allowed: a word before the colon");
    else if (twin)
        st = fail_event(b, e, "key %s is given twice; first in line %d", tree_quote(key->text).s,
                        twin->key_line);
    else if (map->count == TREE_KEYS)
        st =
            fail_event(b, e, "found more than %d keys in a map; allowed: %d", TREE_KEYS, TREE_KEYS);
    if (st == ST_OK) b->key[b->depth - 1] = key;
    else free_nodes(key);
    return st;
}

static void name_value(struct builder *b, struct tree_node *n)
{
    struct tree_node *const key = b->key[b->depth - 1];

    n->key = key->text;
    n->key_line = key->line;
    n->key_column = key->column;
    key->text = NULL;
    free_nodes(key);
    b->key[b->depth - 1] = NULL;
}

/* Give a value its place. It is freed on failure. */
static status place_node(struct builder *b, const yaml_event_t *e, struct tree_node *n)
{
    struct tree_node *const parent = b->depth ? b->open[b->depth - 1] : NULL;

    if (!parent) {
        if (b->tree->docs == TREE_DOCS) {
            free_nodes(n);
            return fail_event(b, e, "found more than %d documents; allowed: %d", TREE_DOCS,
                              TREE_DOCS);
        }
        b->tree->doc[b->tree->docs++] = n;
        return ST_OK;
    }
    if (parent->kind == TREE_MAP) name_value(b, n);
    n->parent = parent;
    n->index = parent->count++;
    if (parent->last) parent->last->next = n;
    else parent->first = n;
    parent->last = n;
    return ST_OK;
}

/* A document of comments alone, as a last `---` begins one, comes as an empty plain value. */
static bool is_empty_document(const struct builder *b, const yaml_event_t *e)
{
    return !b->depth && !e->data.scalar.length && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static status add_scalar(struct builder *b, const yaml_event_t *e)
{
    const char *const text = (const char *)e->data.scalar.value;
    size_t const len = e->data.scalar.length;

    if (is_empty_document(b, e)) return ST_OK;
    for (size_t i = 0; i < len;) {
        uint32_t c;
        int const bytes = utf8_decode(&c, text + i, len - i);
        if (bytes == 0 || (c != '\t' && !utf8_printable(c)))
            return fail_event(b, e,
                              "found an escape for a control character; allowed: \\n and \\t");
        i += (size_t)bytes;
    }
    struct tree_node *const n = new_node(b, e, TREE_SCALAR);
    if (!n) return error_last()->st;
    return wants_key(b) ? take_key(b, e, n) : place_node(b, e, n);
}

static status add_collection(struct builder *b, const yaml_event_t *e, enum tree_kind kind)
{
    if (b->depth == TREE_DEPTH)
        return fail_event(b, e, "found more than %d levels of nesting; allowed: %d", TREE_DEPTH,
                          TREE_DEPTH);
    if (wants_key(b)) return fail_event(b, e, "found a list or map as a key; allowed: a word");
    struct tree_node *const n = new_node(b, e, kind);
    if (!n) return error_last()->st;
    TRY(place_node(b, e, n));
    b->open[b->depth] = n;
    b->key[b->depth++] = NULL;
    return ST_OK;
}

static status check_plain(const struct builder *b, const yaml_event_t *e, const void *anchor,
                          const void *tag)
{
    if (!anchor && !tag) return ST_OK;
    return fail_event(b, e, "found %s; allowed: the value itself", anchor ? "an anchor" : "a tag");
}

static status take_event(struct builder *b, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_ALIAS_EVENT: return fail_event(b, e, "found an alias; allowed: the value itself");
    case YAML_SCALAR_EVENT:
        TRY(check_plain(b, e, e->data.scalar.anchor, e->data.scalar.tag));
        return add_scalar(b, e);
    case YAML_SEQUENCE_START_EVENT:
        TRY(check_plain(b, e, e->data.sequence_start.anchor, e->data.sequence_start.tag));
        return add_collection(b, e, TREE_LIST);
    case YAML_MAPPING_START_EVENT:
        TRY(check_plain(b, e, e->data.mapping_start.anchor, e->data.mapping_start.tag));
        return add_collection(b, e, TREE_MAP);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: b->depth--; return ST_OK;
    default: return ST_OK;
    }
}

static status fail_syntax(const char *name, const yaml_parser_t *p)
{
    if (p->error == YAML_MEMORY_ERROR) return fail(ST_NOMEM, "%s: no memory to parse it", name);
    return fail(ST_FORMAT, "%s:%zu:%zu: not YAML: %s", name, p->problem_mark.line + 1,
                p->problem_mark.column + 1, p->problem ? p->problem : "unknown reason");
}

static status build_tree(struct builder *b, yaml_parser_t *p)
{
    const char *const name = b->tree->name;

    for (bool more = true; more;) {
        yaml_event_t e;
        if (!yaml_parser_parse(p, &e)) return fail_syntax(name, p);
        more = e.type != YAML_STREAM_END_EVENT;
        status const st = take_event(b, &e);
        yaml_event_delete(&e);
        if (st != ST_OK) return st;
    }
    return b->tree->docs ? ST_OK : fail(ST_FORMAT, "%s:1:1: found nothing", name);
}

/* Parse what yaml_text.c has prepared. */
static status parse_prepared(struct tree **out, const char *text, size_t len, const char *name)
{
    struct builder b = { 0 };
    yaml_parser_t p;
    status st = ST_OK;
    bool open = false;

    b.tree = calloc(1, sizeof *b.tree);
    if (b.tree) b.tree->name = str_format("%s", name);
    open = b.tree && b.tree->name && yaml_parser_initialize(&p);
    if (!open) FAIL_OUT(ST_NOMEM, "%s: no memory to parse it", name);
    yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
    TRY_OUT(build_tree(&b, &p));
    *out = b.tree;
    b.tree = NULL; /* handed over */
out:
    for (int i = 0; i < b.depth; i++) free_nodes(b.key[i]);
    if (open) yaml_parser_delete(&p);
    tree_close(&b.tree);
    return st;
}

status tree_parse(struct tree **out, const char *text, size_t len, const char *name)
{
    *out = NULL;
    if (len > TREE_BYTES)
        return fail(ST_FORMAT, "%s: found %zu bytes; allowed: %d", name, len, TREE_BYTES);
    char *const copy = malloc(len + 1);
    if (!copy) return fail(ST_NOMEM, "%s: no memory to parse it", name);
    memcpy(copy, text, len);
    len = yaml_text_drop_marks(copy, len);
    yaml_text_join_surrogates(copy, len);
    status st = check_text(name, copy, len);
    if (st == ST_OK) st = parse_prepared(out, copy, len, name);
    free(copy);
    return st;
}
