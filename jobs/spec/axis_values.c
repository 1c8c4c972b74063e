/* axis_values.c - the values of an axis: kept one by one, and counted off from a range. */
#include "base/array.h"
#include "base/strbuf.h"
#include "jobs/spec/axis.h"
#include "jobs/yaml/yaml_value.h"

#include <stdlib.h>
#include <string.h>

#define RANGE_FORM "whole numbers such as \"0-7\", \"0-70:10\", \"1-3,8\", rising, no overlap"

static status fail_no_memory(const struct axis *a)
{
    return fail(ST_NOMEM, "axis %s: no memory", a->name);
}

status axis_add(struct axis *a, char *value)
{
    if (!value) return fail_no_memory(a);
    char **const more = array_grow(a->value, a->count, &a->room, sizeof *more);
    if (!more) {
        free(value);
        return fail_no_memory(a);
    }
    a->value = more;
    a->value[a->count++] = value;
    return ST_OK;
}

/* One part of a range, "a", "a-b" or "a-b:step". False: not of that form. */
static bool parse_range_part(const char *s, size_t len, uint64_t part[3])
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

status axis_walk_range(const struct tree_node *n, struct axis *a, int *count)
{
    uint64_t part[3], last = 0;

    *count = 0;
    if (n->kind != TREE_SCALAR) return tree_refuse(n, RANGE_FORM);
    for (const char *at = n->text; at;) {
        size_t const len = strcspn(at, ",");
        if (!parse_range_part(at, len, part) || (*count && part[0] <= last))
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

void axis_free(struct axis *a)
{
    for (int i = 0; i < a->count; i++) free(a->value[i]);
    free(a->value);
    free(a->path);
    *a = (struct axis){ 0 };
}
