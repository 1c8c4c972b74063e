/*
 * json_tree.c - a JSON reader in one pass and one allocation.
 *
 * The text is untrusted, so the size of everything is known before it is read: each value but the
 * root stands behind a `{`, a `[` or a `,`, and counting those outside of strings bounds the nodes.
 * Nodes and a copy of the text share one block; strings are unescaped in place, which never makes
 * them longer. Depth is bounded, so recursion is too.
 */
#include "base/json_tree.h"
#include "base/utf8.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Everything lies in one piece: the nodes, the root first, and behind them the text, in
 * which strings are undone in place: undone they are never longer. */
struct reader {
    const char *what, *source;
    char *text, *at, *end; /* a copy of the source that ends in a NUL */
    struct json_node *node;
    size_t nodes;
};

static status fail_json(const struct reader *r, const char *at, const char *why)
{
    const char *const here = r->source + (at - r->text);
    int line = 1, column = 1;

    for (const char *p = r->source; p < here; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    return fail(ST_FORMAT, "%s:%d:%d: %s", r->what, line, column, why);
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

static bool take_char(struct reader *r, char c)
{
    if (r->at == r->end || *r->at != c) return false;
    r->at++;
    return true;
}

/* ---- texts ------------------------------------------------------------------------- */

static status read_hex(struct reader *r, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        char const c = *r->at;
        int const digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return fail_json(r, r->at, "four hex digits are expected behind \\u");
        *out = *out << 4 | (uint32_t)digit;
    }
    return ST_OK;
}

/* Behind "\u": one character, of two of these if it is beyond 16 bits. */
static status read_character(struct reader *r, uint32_t *out)
{
    const char *const begin = r->at - 2;
    uint32_t low;

    TRY(read_hex(r, out));
    if (*out == 0) return fail_json(r, begin, "a NUL is not allowed within a text");
    if (*out < 0xd800 || *out > 0xdfff) return ST_OK;
    if (*out > 0xdbff || !take_char(r, '\\') || !take_char(r, 'u'))
        return fail_json(r, begin, "half a character beyond 16 bits");
    TRY(read_hex(r, &low));
    if (low < 0xdc00 || low > 0xdfff) return fail_json(r, begin, "half a character beyond 16 bits");
    *out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
    return ST_OK;
}

/* Behind a backslash; what it stands for goes to *to. */
static status read_escape(struct reader *r, char **to)
{
    static const char names[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    char const c = r->at < r->end ? *r->at : '\0';
    const char *const known = c ? strchr(names, c) : NULL;
    uint32_t character;

    if (known) {
        *(*to)++ = means[known - names];
        r->at++;
        return ST_OK;
    }
    if (c != 'u') return fail_json(r, r->at, "no escape of JSON");
    r->at++;
    TRY(read_character(r, &character));
    *to += utf8_encode(*to, character);
    return ST_OK;
}

static status read_text(struct reader *r, const char **out, size_t *len)
{
    char *to;

    if (!take_char(r, '"')) return fail_json(r, r->at, "a text in quotes is expected");
    *out = to = r->at;
    while (r->at < r->end && *r->at != '"') {
        uint32_t character;
        if ((unsigned char)*r->at < ' ')
            return fail_json(r, r->at, "a control character is not allowed within a text");
        if (take_char(r, '\\')) {
            TRY(read_escape(r, &to));
            continue;
        }
        int const bytes = utf8_decode(&character, r->at, (size_t)(r->end - r->at));
        if (!bytes) return fail_json(r, r->at, "not UTF-8");
        memmove(to, r->at, (size_t)bytes);
        to += bytes;
        r->at += bytes;
    }
    if (r->at == r->end) return fail_json(r, r->at, "the text does not end");
    r->at++;
    *to = '\0';
    *len = (size_t)(to - *out);
    return ST_OK;
}

/* ---- numbers ----------------------------------------------------------------------- */

static int skip_digits(struct reader *r)
{
    int n = 0;

    for (; *r->at >= '0' && *r->at <= '9'; n++) r->at++;
    return n;
}

static status read_json_number(struct reader *r, struct json_node *n)
{
    char *const begin = r->at, *behind;
    bool whole = true;

    take_char(r, '-');
    bool const zero = *r->at == '0';
    int const before = skip_digits(r);
    if (!before || (zero && before > 1)) return fail_json(r, begin, "no number of JSON");
    if (take_char(r, '.')) {
        whole = false;
        if (!skip_digits(r)) return fail_json(r, begin, "no number of JSON");
    }
    if (*r->at == 'e' || *r->at == 'E') {
        whole = false;
        r->at++;
        if (!take_char(r, '-')) take_char(r, '+');
        if (!skip_digits(r)) return fail_json(r, begin, "no number of JSON");
    }
    errno = 0;
    n->kind = whole ? NODE_WHOLE : NODE_REAL;
    if (whole) n->whole = strtoll(begin, &behind, 10);
    if (whole && errno) return fail_json(r, begin, "a whole number beyond 64 bits");
    n->number = whole ? (double)n->whole : strtod(begin, &behind);
    if (!isfinite(n->number)) return fail_json(r, begin, "a number beyond what a double holds");
    return ST_OK;
}

/* ---- values ------------------------------------------------------------------------ */

static int compare_member_names(const void *a, const void *b)
{
    return strcmp((*(const struct json_node *const *)a)->name,
                  (*(const struct json_node *const *)b)->name);
}

static status check_member_names(const struct reader *r, const struct json_node *object)
{
    const struct json_node **const member = calloc(object->count + 1, sizeof *member);
    size_t n = 0;
    status st = ST_OK;

    if (!member) return fail(ST_NOMEM, "%s: no memory for %zu names", r->what, object->count);
    for (const struct json_node *m = object->first; m; m = m->next) member[n++] = m;
    qsort(member, n, sizeof *member, compare_member_names);
    for (size_t i = 1; st == ST_OK && i < n; i++)
        if (!compare_member_names(&member[i - 1], &member[i]))
            st = fail_json(r, r->at, "an object that ends here has two members of one name");
    free(member);
    return st;
}

static status read_value(struct reader *r, struct json_node *n, int depth);

/* What stands between brackets: items, or members with their names. */
static status read_inner(struct reader *r, struct json_node *n, int depth)
{
    bool const object = n->kind == NODE_OBJECT;
    char const close = object ? '}' : ']';
    const struct json_node **link = &n->first;

    skip_blanks(r);
    if (take_char(r, close)) return ST_OK;
    do {
        struct json_node *const child = &r->node[r->nodes++];
        size_t len;
        skip_blanks(r);
        if (object) {
            TRY(read_text(r, &child->name, &len));
            skip_blanks(r);
            if (!take_char(r, ':')) return fail_json(r, r->at, "`:` is expected behind a name");
        }
        TRY(read_value(r, child, depth));
        *link = child;
        link = &child->next;
        n->count++;
        skip_blanks(r);
    } while (take_char(r, ','));
    if (!take_char(r, close))
        return fail_json(r, r->at, object ? "`,` or `}` is expected" : "`,` or `]` is expected");
    return object ? check_member_names(r, n) : ST_OK;
}

static bool take_literal(struct reader *r, const char *word)
{
    size_t const len = strlen(word);

    if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0) return false;
    r->at += len;
    return true;
}

static status read_value(struct reader *r, struct json_node *n, int depth)
{
    if (depth == JSON_DEPTH) return fail_json(r, r->at, "too many levels");
    skip_blanks(r);
    char const c = r->at < r->end ? *r->at : '\0';
    if (c == '{' || c == '[') {
        n->kind = c == '{' ? NODE_OBJECT : NODE_LIST;
        r->at++;
        return read_inner(r, n, depth + 1);
    }
    if (c == '"') {
        n->kind = NODE_TEXT;
        return read_text(r, &n->text, &n->text_len);
    }
    if (c == '-' || (c >= '0' && c <= '9')) return read_json_number(r, n);
    if (take_literal(r, "null")) return ST_OK;
    n->kind = NODE_BOOL;
    n->truth = take_literal(r, "true");
    if (n->truth || take_literal(r, "false")) return ST_OK;
    return fail_json(r, r->at,
                     r->at < r->end ? "a value is expected" : "the text ends within a value");
}

/* Every value but the root stands behind one of these, outside of a string. The reader goes from
 * quote to quote as this does, up to where it fails; what stands behind that is never read. */
static size_t most_nodes(const char *text, size_t len)
{
    size_t n = 1;
    bool string = false;

    for (size_t i = 0; i < len; i++)
        if (text[i] == '"') string = !string;
        else if (string) i += text[i] == '\\'; /* what it escapes is skipped */
        else n += text[i] == '{' || text[i] == '[' || text[i] == ',';
    return n;
}

status json_tree_read(struct json_node **out, const char *text, size_t len, const char *what)
{
    size_t const room = most_nodes(text, len) * sizeof **out;
    struct reader r = { .what = what, .source = text };
    status st = ST_OK;

    *out = NULL;
    r.node = calloc(1, room + len + 1);
    if (!r.node) return fail(ST_NOMEM, "%s: no memory for %zu bytes of JSON", what, len);
    r.text = r.at = (char *)r.node + room;
    r.end = r.text + len;
    if (len) memcpy(r.text, text, len);
    r.nodes = 1;
    TRY_OUT(read_value(&r, r.node, 0));
    skip_blanks(&r);
    if (r.at < r.end) {
        st = fail_json(&r, r.at, "unexpected text after the value");
        goto out;
    }
    *out = r.node;
    r.node = NULL; /* handed over */
out:
    free(r.node);
    return st;
}

void json_tree_free(struct json_node **root)
{
    free(*root);
    *root = NULL;
}

/* ---- looking ----------------------------------------------------------------------- */

bool json_tree_is(const struct json_node *n, enum json_node_kind kind)
{
    return n && n->kind == kind;
}

bool json_tree_is_number(const struct json_node *n)
{
    return json_tree_is(n, NODE_WHOLE) || json_tree_is(n, NODE_REAL);
}

const struct json_node *json_tree_member(const struct json_node *object, const char *name)
{
    if (!json_tree_is(object, NODE_OBJECT)) return NULL;
    for (const struct json_node *m = object->first; m; m = m->next)
        if (!strcmp(m->name, name)) return m;
    return NULL;
}

const struct json_node *json_tree_item(const struct json_node *list, size_t i)
{
    if (!json_tree_is(list, NODE_LIST)) return NULL;
    for (const struct json_node *m = list->first; m; m = m->next)
        if (!i--) return m;
    return NULL;
}

const char *json_tree_text(const struct json_node *n)
{
    return json_tree_is(n, NODE_TEXT) ? n->text : NULL;
}
