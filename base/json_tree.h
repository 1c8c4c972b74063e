/*
 * json_tree.h - a JSON text as a tree of values, read once and then only looked at.
 *
 * RFC 8259, UTF-8 alone. A text may come from anyone: a name that stands twice in one
 * object, a NUL within a text, more than JSON_DEPTH levels, a number no double or
 * int64_t can hold: all refused, with line and column.
 */
#ifndef JSON_TREE_H
#define JSON_TREE_H

#include "base/base.h"

enum { JSON_DEPTH = 64 };

enum json_node_kind {
    NODE_NULL,
    NODE_BOOL,
    NODE_WHOLE, /* written without point and exponent */
    NODE_REAL,
    NODE_TEXT,
    NODE_LIST,
    NODE_OBJECT,
};

struct json_node {
    enum json_node_kind kind;
    bool truth;                    /* NODE_BOOL */
    int64_t whole;                 /* NODE_WHOLE */
    double number;                 /* NODE_WHOLE and NODE_REAL */
    const char *text;              /* NODE_TEXT: ends in a NUL that text_len does not count */
    size_t text_len;               /* bytes */
    const char *name;              /* of an object's member, likewise; else NULL */
    size_t count;                  /* of what an object or a list holds */
    const struct json_node *first; /* of them, in the order of the text */
    const struct json_node *next;  /* in the same object or list; NULL behind the last */
};

/* `what` begins the message of a failure: a file's path. ST_FORMAT tells "what:line:column:
 * reason". Whoever reads, frees; after a failure there is nothing to free. */
status json_tree_read(struct json_node **out, const char *text, size_t len,
                      const char *what) MUST_USE;
void json_tree_free(struct json_node **root); /* NULL is fine; sets NULL */

/* Looking. Each is fine with NULL and with a node of another kind: then there is no such
 * member or item, and the node is not a text. */
const struct json_node *json_tree_member(const struct json_node *object, const char *name);
const struct json_node *json_tree_item(const struct json_node *list, size_t i);
const char *json_tree_text(const struct json_node *n); /* NULL: it is no text */
bool json_tree_is(const struct json_node *n, enum json_node_kind kind);

/* Both kinds of number. */
bool json_tree_is_number(const struct json_node *n);

#endif /* JSON_TREE_H */
