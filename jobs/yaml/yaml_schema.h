/*
 * yaml_schema.h - a map's keys as a table: one row per key says its type, where its
 * value goes and what is allowed. The table reads the map, refuses every other
 * key, and is what the documentation is checked against.
 */
#ifndef YAML_SCHEMA_H
#define YAML_SCHEMA_H

#include "jobs/yaml/yaml_tree.h"

enum field_type {
    FIELD_TEXT,    /* const char *: the node's text, not empty, at most `max` bytes; borrowed */
    FIELD_PATH,    /* const char *: the same, and nothing in it that only a shell expands        */
    FIELD_INT,     /* int: min..max                                                          */
    FIELD_BOOL,    /* bool: true or false                                                    */
    FIELD_CHOICE,  /* int, an enum from 0: the place of the word in `allowed`, "a|b|c"       */
    FIELD_MAP,     /* a struct: read by the table `map`                                      */
    FIELD_READ,    /* whatever `read` makes of the node                                      */
    FIELD_REFUSED, /* known, but not done by this version; `allowed` says what to do instead */
};

struct field_table;

struct field {
    const char *name;
    enum field_type type;
    size_t to; /* offset of the value in the struct that the table fills */
    bool required;
    int min, max;
    const char *allowed; /* FIELD_CHOICE: the words; otherwise words for messages */
    const struct field_table *map;
    status (*read)(const struct tree_node *n, void *to);
};

struct field_table {
    const char *path; /* of the map in a document, for the documentation: "clip", "" */
    const struct field *field;
    int count;
};

/* Read every key of the map `n` into the struct at `to`, which holds the defaults.
 * ST_FORMAT names each key that is wrong and what is allowed, one a line; an unknown key comes
 * with the nearest known one. Unknown keys come first, then those of the table in its order, so
 * the same text fails the same way. */
status field_read(const struct tree_node *n, const struct field_table *table, void *to) MUST_USE;

/* The readers behind the types, for use in a FIELD_READ. */
status field_text(const struct tree_node *n, int max, const char **to) MUST_USE;
status field_path(const struct tree_node *n, int max, const char **to) MUST_USE;
status field_int(const struct tree_node *n, int min, int max, int *to) MUST_USE;
status field_choice(const struct tree_node *n, const char *words, int *to) MUST_USE;
status field_size(const struct tree_node *n, int *width, int *height) MUST_USE;

/* FIELD_READs. The node itself: const struct tree_node **, for what is read later. */
status field_node(const struct tree_node *n, void *to) MUST_USE;

/* A text of [A-Za-z0-9._-], not beginning with a dot: a file or folder of its own. */
enum { FIELD_FILE_NAME = 128 };
bool field_is_file_name(const char *s);
status field_file_name(const struct tree_node *n, void *to) MUST_USE; /* const char ** */

#endif /* YAML_SCHEMA_H */
