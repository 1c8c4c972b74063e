/*
 * sweep.c - the expression that combines axes: a parser to a small tree, and combination i of it.
 *
 * A product walks like an odometer, its last factor fastest; a zip gives all its members the same
 * index. Nothing is expanded: sweep_pick finds combination i by division.
 */
#include "jobs/spec/spec_internal.h"

#include <string.h>

enum { DEPTH = 8 };

struct parser {
    struct sweep *s;
    const struct tree_node *node;
    const char *at;
    const struct axis *axis;
    int axes, depth;
    bool used[AXIS_COUNT];
};

static status parse_product(struct parser *p, int *part);

static void skip_spaces(struct parser *p) { p->at += strspn(p->at, " "); }

static status fail_expected(const struct parser *p, const char *what)
{
    return tree_fail(p->node, "found %s; allowed: %s", p->at[0] ? tree_quote(p->at).s : "the end",
                     what);
}

static status new_part(struct parser *p, struct sweep_part like, int *part)
{
    if (p->s->parts == SWEEP_PARTS)
        return tree_fail(p->node, "found more than %d parts; allowed: %d", SWEEP_PARTS,
                         SWEEP_PARTS);
    *part = p->s->parts++;
    p->s->part[*part] = like;
    return ST_OK;
}

static status parse_axis(struct parser *p, int *part)
{
    size_t const len = strcspn(p->at, " *(),");

    for (int i = 0; i < p->axes; i++) {
        if (strlen(p->axis[i].name) != len || memcmp(p->axis[i].name, p->at, len)) continue;
        if (p->used[i])
            return tree_fail(p->node, "the axis %s is used twice; allowed: once", p->axis[i].name);
        p->used[i] = true;
        p->at += len;
        skip_spaces(p);
        return new_part(
            p, (struct sweep_part){ .axis = i, .first = -1, .next = -1, .count = p->axis[i].count },
            part);
    }
    return fail_expected(p, "the name of an axis, or ( , )");
}

static status add_member(struct parser *p, int into, int *last, int member)
{
    struct sweep_part *const group = &p->s->part[into];
    int64_t const n = p->s->part[member].count;

    if (*last < 0) group->first = member;
    else p->s->part[*last].next = member;
    if (group->zip && *last >= 0 && n != group->count)
        return tree_fail(
            p->node, "( , ) walks side by side over %lld and %lld values; allowed: equal numbers",
            (long long)group->count, (long long)n);
    group->count = group->zip ? n : group->count * n;
    if (group->count > SWEEP_CLIPS)
        return tree_fail(p->node, "found more than %d clips; allowed: %d", SWEEP_CLIPS,
                         SWEEP_CLIPS);
    *last = member;
    return ST_OK;
}

static status parse_zip(struct parser *p, int *part)
{
    int last = -1, member = -1;

    if (++p->depth > DEPTH)
        return tree_fail(p->node, "found more than %d brackets inside one another; allowed: %d",
                         DEPTH, DEPTH);
    TRY(new_part(p, (struct sweep_part){ .axis = -1, .zip = true, .first = -1, .next = -1 }, part));
    do {
        p->at++;
        TRY(parse_product(p, &member));
        TRY(add_member(p, *part, &last, member));
    } while (*p->at == ',');
    if (*p->at != ')') return fail_expected(p, "* , or )");
    p->at++;
    skip_spaces(p);
    p->depth--;
    return ST_OK;
}

static status parse_product(struct parser *p, int *part)
{
    int last = -1, member = -1;

    TRY(new_part(p, (struct sweep_part){ .axis = -1, .first = -1, .next = -1, .count = 1 }, part));
    for (;;) {
        skip_spaces(p);
        TRY(*p->at == '(' ? parse_zip(p, &member) : parse_axis(p, &member));
        TRY(add_member(p, *part, &last, member));
        if (*p->at != '*') return ST_OK;
        p->at++;
    }
}

static status product_of_all(struct parser *p)
{
    int last = -1, member = -1;

    TRY(new_part(p, (struct sweep_part){ .axis = -1, .first = -1, .next = -1, .count = 1 },
                 &p->s->root));
    for (int i = 0; i < p->axes; i++) {
        TRY(new_part(
            p, (struct sweep_part){ .axis = i, .first = -1, .next = -1, .count = p->axis[i].count },
            &member));
        TRY(add_member(p, p->s->root, &last, member));
    }
    return ST_OK;
}

status sweep_make(struct sweep *out, const struct tree_node *node, const char *combine,
                  const struct axis *axis, int axes)
{
    struct parser p = { .s = out, .node = node, .at = combine, .axis = axis, .axes = axes };

    *out = (struct sweep){ .root = -1 };
    if (!axes) return ST_OK;
    if (!combine) return product_of_all(&p);
    TRY(parse_product(&p, &out->root));
    if (*p.at) return fail_expected(&p, "* or the end");
    for (int i = 0; i < axes; i++)
        if (!p.used[i])
            return tree_fail(node, "the axis %s is missing; allowed: every axis once",
                             axis[i].name);
    return ST_OK;
}

int64_t sweep_count(const struct sweep *s) { return s->root < 0 ? 1 : s->part[s->root].count; }

static void pick_values(const struct sweep *s, int at, int64_t i, int *value)
{
    const struct sweep_part *const part = &s->part[at];
    int64_t left = part->count;

    if (part->axis >= 0) value[part->axis] = (int)i;
    for (int m = part->first; m >= 0; m = s->part[m].next) {
        int64_t const n = s->part[m].count;
        if (part->zip) {
            pick_values(s, m, i, value);
            continue;
        }
        left /= n;
        pick_values(s, m, i / left % n, value);
    }
}

void sweep_pick(const struct sweep *s, int64_t i, int value[AXIS_COUNT])
{
    for (int a = 0; a < AXIS_COUNT; a++) value[a] = 0;
    if (s->root >= 0) pick_values(s, s->root, i, value);
}
