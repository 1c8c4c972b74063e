#include "jobs/spec/axis.h"
#include "base/strbuf.h"
#include "jobs/yaml/yaml_schema.h"
#include "jobs/yaml/yaml_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANGE_FORM "whole numbers such as \"0-7\", \"0-70:10\", \"1-3,8\", rising, no overlap"

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
    { .name = "file", .type = FIELD_TEXT, .to = offsetof(struct draft, file), .max = 4096 },
    { .name = "field", .type = FIELD_TEXT, .to = offsetof(struct draft, field), .max = 256 },
    { .name = "limit",
      .type = FIELD_INT,
      .to = offsetof(struct draft, limit),
      .min = 1,
      .max = AXIS_VALUES },
};
const struct field_table axis_table = { "sweep.axes.NAME", axis_fields, COUNT_OF(axis_fields) };

static status no_memory(const struct axis *a)
{
    return fail(ST_NOMEM, "axis %s: no memory", a->name);
}

status axis_add(struct axis *a, char *value)
{
    if (!value) return no_memory(a);
    if (a->count == a->cap) {
        int const cap = a->cap ? a->cap * 2 : 16;
        char **const grown = realloc(a->value, (size_t)cap * sizeof *grown);
        if (!grown) {
            free(value);
            return no_memory(a);
        }
        a->value = grown;
        a->cap = cap;
    }
    a->value[a->count++] = value;
    return ST_OK;
}

/* One part of a range, "a", "a-b" or "a-b:step". False: not of that form. */
static bool range_part(const char *s, size_t len, uint64_t part[3])
{
    char copy[64];

    if (len >= sizeof copy) return false;
    memcpy(copy, s, len);
    copy[len] = '\0';
    char *const step = strchr(copy, ':');
    part[2] = 1;
    if (step) {
        *step = '\0';
        if (!value_u64(step + 1, &part[2]) || !part[2]) return false;
    }
    char *const dash = strchr(copy, '-');
    if (dash) *dash = '\0';
    if (!value_u64(copy, &part[0])) return false;
    part[1] = part[0];
    if (dash && !value_u64(dash + 1, &part[1])) return false;
    return part[1] >= part[0] && (dash || !step);
}

/* Walk the parts of a range; `a` takes the values, or NULL just counts them. */
static status walk_range(const struct tree_node *n, struct axis *a, int *count)
{
    uint64_t part[3], last = 0;

    *count = 0;
    for (const char *at = n->text; at;) {
        size_t const len = strcspn(at, ",");
        if (!range_part(at, len, part) || (*count && part[0] <= last))
            return tree_refuse(n, RANGE_FORM);
        uint64_t const more = (part[1] - part[0]) / part[2];
        if (more >= (uint64_t)(AXIS_VALUES - *count))
            return tree_fail(n, "found more than %d values; allowed: %d", AXIS_VALUES, AXIS_VALUES);
        for (uint64_t i = 0; a && i <= more; i++)
            TRY(axis_add(a, str_format("%llu", (unsigned long long)(part[0] + i * part[2]))));
        *count += (int)more + 1;
        last = part[1];
        at = at[len] ? at + len + 1 : NULL;
    }
    return ST_OK;
}

static status read_range(struct axis *a, const struct tree_node *n)
{
    if (n->kind != TREE_SCALAR) return tree_refuse(n, RANGE_FORM);
    TRY(walk_range(n, NULL, &a->limit));
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

static bool ends(const char *s, const char *end)
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
    if (!ends(d.file, ".jsonl") && !ends(d.file, ".csv"))
        return tree_refuse(tree_find(n, "file"), "a file whose name ends in .jsonl or .csv");
    out->field = d.field;
    out->limit = d.limit ? d.limit : AXIS_VALUES;
    out->path = path_join(dir, d.file);
    return out->path ? ST_OK : no_memory(out);
}

status axis_load(struct axis *a)
{
    if (a->count) return ST_OK;
    return a->range ? walk_range(a->range, a, &a->limit) : axis_read_file(a);
}

void axis_free(struct axis *a)
{
    for (int i = 0; i < a->count; i++) free(a->value[i]);
    free(a->value);
    free(a->path);
    *a = (struct axis){ 0 };
}
