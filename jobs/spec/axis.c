/* axis.c - the keys of an axis: where its values come from. */
#include "jobs/spec/axis.h"
#include "base/strbuf.h"
#include "jobs/yaml/yaml_schema.h"
#include "jobs/yaml/yaml_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct draft {
    const struct tree_node *range, *list;
    const char *file, *field;
    int limit;
};

static const struct field axis_fields[] = {
    { .name = "range",
      .type = FIELD_READ,
      .to = offsetof(struct draft, range),
      .read = field_node },
    { .name = "list", .type = FIELD_READ, .to = offsetof(struct draft, list), .read = field_node },
    { .name = "file", .type = FIELD_PATH, .to = offsetof(struct draft, file), .max = 4096 },
    { .name = "field", .type = FIELD_TEXT, .to = offsetof(struct draft, field), .max = 256 },
    { .name = "limit",
      .type = FIELD_INT,
      .to = offsetof(struct draft, limit),
      .min = 1,
      .max = AXIS_VALUES },
};
const struct field_table axis_table = { "sweep.axes.NAME", axis_fields, COUNT_OF(axis_fields) };

static status read_range(struct axis *a, const struct tree_node *n)
{
    TRY(axis_walk_range(n, NULL, &a->limit));
    a->range = n;
    return ST_OK;
}

static status read_list(struct axis *a, const struct tree_node *n)
{
    if (n->kind != TREE_LIST || !n->count) return tree_refuse(n, "a list of at least one value");
    for (const struct tree_node *m = n->first; m; m = m->next) {
        const char *text;
        TRY(field_text(m, AXIS_VALUE_BYTES, &text));
        TRY(axis_add(a, str_format("%s", text)));
    }
    a->limit = a->count;
    return ST_OK;
}

static bool has_ending(const char *s, const char *end)
{
    size_t const n = strlen(s), m = strlen(end);
    return n > m && !strcmp(s + n - m, end);
}

status axis_read(struct axis *out, const struct tree_node *n, const char *dir)
{
    struct draft d = { 0 };

    *out = (struct axis){ .name = n->key, .node = n };
    TRY(field_read(n, &axis_table, &d));
    if ((d.range != NULL) + (d.list != NULL) + (d.file != NULL) != 1)
        return tree_fail(n, "found %d sources of values; allowed: exactly one of range, list, file",
                         (d.range != NULL) + (d.list != NULL) + (d.file != NULL));
    if (!d.file != !d.field)
        return tree_fail(n, "file and field belong together; allowed: {file: NAME, field: NAME}");
    if (d.limit && !d.file) return tree_fail(n, "limit belongs to file; allowed: remove it");
    if (d.range) return read_range(out, d.range);
    if (d.list) return read_list(out, d.list);
    if (!has_ending(d.file, ".jsonl") && !has_ending(d.file, ".csv"))
        return tree_refuse(tree_find(n, "file"), "a file whose name ends in .jsonl or .csv");
    out->field = d.field;
    out->limited = d.limit > 0;
    out->limit = d.limit ? d.limit : AXIS_VALUES;
    out->path = path_join(dir, d.file);
    return out->path ? ST_OK : fail(ST_NOMEM, "axis %s: no memory", out->name);
}

status axis_load(struct axis *a)
{
    if (a->count) return ST_OK;
    return a->range ? axis_walk_range(a->range, a, &a->limit) : axis_read_file(a);
}
