/*
 * yaml_tree.h - a YAML text as a tree of nodes that know where they stand.
 *
 * Every scalar is text: what a key means, and so what its value may be, is for
 * the schema to say (yaml_schema.h), never for YAML to guess. `no` is the text "no".
 *
 * Read as other programs write it: a byte order mark at the front of a line, a document of
 * comments alone (it is none), JSON with characters beyond U+FFFF as pairs of escapes.
 *
 * A text is untrusted. Refused, with line and column: anything but UTF-8 of
 * printable characters, tabs, keys given twice, keys that are not text, anchors,
 * aliases, tags, and whatever exceeds the limits below.
 */
#ifndef YAML_TREE_H
#define YAML_TREE_H

#include "base/base.h"

enum {
    TREE_BYTES = 1 << 20, /* of a text */
    TREE_NODES = 200000,  /* of a text */
    TREE_DEPTH = 16,      /* maps and lists inside one another */
    TREE_KEYS = 256,      /* of one map */
    TREE_DOCS = 16,       /* of a text, between `---` lines */
};

enum tree_kind { TREE_SCALAR, TREE_LIST, TREE_MAP };

struct tree_node {
    enum tree_kind kind;
    int line, column; /* from 1; a column is a character */
    const struct tree *tree;
    const struct tree_node *parent; /* NULL for the root of a document */
    int index;                      /* place in the parent, from 0 */

    const char *key; /* of a map's member, else NULL */
    int key_line, key_column;

    const char *text; /* of a scalar: NUL-terminated, no NUL inside; "" if nothing stands there */
    struct tree_node *first, *last, *next; /* members of a list or map, in the text's order */
    int count;
};

struct tree {
    char *name; /* of the file, for messages */
    struct tree_node *doc[TREE_DOCS];
    int docs; /* at least 1 after a successful parse */
    int nodes;
};

/* Parse `len` bytes; `name` is copied. ST_FORMAT: "name:line:column: what". After
 * success tree_close frees what all nodes hold; after a failure there is nothing to free. */
status tree_parse(struct tree **out, const char *text, size_t len, const char *name) MUST_USE;
void tree_close(struct tree **t); /* NULL is fine; sets NULL */

/* A map's member, or NULL. */
const struct tree_node *tree_find(const struct tree_node *map, const char *key);

/* ST_FORMAT "name:line:column: key.path: ..." at the node. */
status tree_fail(const struct tree_node *n, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The same words as a warning; nothing fails. */
void tree_warn(const struct tree_node *n, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The same at the node's key, for errors about the key itself. */
status tree_fail_key(const struct tree_node *n, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* tree_fail with "found X; allowed: ALLOWED". */
status tree_refuse(const struct tree_node *n, const char *allowed);

/* A text in double quotes for a message: cut after 40 characters, line ends and
 * control characters shown as blanks. */
struct tree_quote {
    char s[176];
};
struct tree_quote tree_quote(const char *text);

enum { TREE_LIBRARY = 64 };
const char *tree_library(char buf[TREE_LIBRARY]); /* "libyaml 0.2.5" */

#endif /* YAML_TREE_H */
