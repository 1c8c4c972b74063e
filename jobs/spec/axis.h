/*
 * axis.h - one axis of a sweep: a name and the values it takes.
 *
 *   {range: "0-7"}, {range: "0-70:10,100"}    whole numbers, both ends included; the
 *                                             parts rise and do not overlap
 *   {list: [Lisbon, "Hong Kong"]}
 *   {file: prompts.jsonl, field: text}        one JSON object a line, or a .csv with a head
 *   {file: prompts.csv, field: text, limit: 1000}
 */
#ifndef AXIS_H
#define AXIS_H

#include "jobs/yaml/yaml_schema.h"

enum {
    AXIS_COUNT = 16,             /* of a sweep */
    AXIS_VALUES = 200000,        /* of all axes of a sweep */
    AXIS_VALUE_BYTES = 16384,    /* of one value */
    AXIS_FILE_BYTES = 256 << 20, /* of a file of values */
};

struct axis {
    const char *name; /* the tree's */
    const struct tree_node *node;
    char **value; /* count texts, each the axis's own */
    int count, room;
    int limit;                     /* it has, or a file gives, at most so many values */
    const struct tree_node *range; /* of a range, else NULL */
    char *path;                    /* of a file, else NULL */
    const char *field;
    bool limited;               /* the job says how many values of the file it takes */
    int64_t beyond;             /* values of the file behind the limit, where it does not */
    int cleaned, first_cleaned; /* values with control characters, and the first one's line */
};

/* Read the axis from its node; `dir` is what a file's path is relative to. Only a list
 * has its values yet; no file is opened. axis_free when done, also after a failure. */
status axis_read(struct axis *out, const struct tree_node *n, const char *dir) MUST_USE;

/* Fill in the values of a range or file; done once. ST_FORMAT "file:line: what". */
status axis_load(struct axis *a) MUST_USE;

/* Read the file; or, as the file's content, bytes in memory. */
status axis_read_file(struct axis *a) MUST_USE;
status axis_parse(struct axis *a, const char *text, size_t len) MUST_USE;

/* Add a value; it is malloc'ed and handed over, also on failure. NULL is ST_NOMEM. */
status axis_add(struct axis *a, char *value) MUST_USE;

/* Walk the parts of a range; `a` takes the values, NULL: they are only counted. */
status axis_walk_range(const struct tree_node *n, struct axis *a, int *count) MUST_USE;

void axis_free(struct axis *a); /* safe on a zeroed one; zeroes it */

extern const struct field_table axis_table; /* the keys of an axis */

#endif /* AXIS_H */
