/* roles_print.c - the role map as text. */
#include "cluster/roles.h"
#include "cluster/split.h"

#include <stdio.h>
#include <string.h>

static void print_ranks(struct strbuf *out, int first, int count, const char *role)
{
    char ranks[32];

    if (count == 1) snprintf(ranks, sizeof ranks, "rank  %d", first);
    else snprintf(ranks, sizeof ranks, "ranks %d-%d", first, first + count - 1);
    strbuf_addf(out, "%-13s %-9s ", ranks, role);
}

static void print_line(struct strbuf *out, const struct roles *r, int line)
{
    const struct role_line *const l = &r->line[line];
    char name[32];
    int owner = 0;
    struct split split;

    snprintf(name, sizeof name, "line %d", line);
    print_ranks(out, l->first, l->ranks, name);
    strbuf_addf(out, "stages");
    if (split_make(&split, r->stages, l->ranks) != ST_OK) return;
    for (int s = 0; s < r->stages; s++) {
        if (split_owner(&split, s) != owner) strbuf_addf(out, " |");
        owner = split_owner(&split, s);
        if (s == r->stages - 1) strbuf_addf(out, " clean");
        else strbuf_addf(out, " %d", s);
    }
    if (l->decode_ranks == 0)
        strbuf_addf(out, "; decodes beside it on rank %d", roles_tail(r, line));
}

static void print_chain(struct strbuf *out, const struct role_at *at, int first, int ranks)
{
    print_ranks(out, first, ranks, "decode");
    if (at->lines > 1) strbuf_addf(out, "lines %d-%d", at->line, at->line + at->lines - 1);
    else strbuf_addf(out, "line %d", at->line);
    if (ranks > 1) strbuf_addf(out, ", in a chain of %d", ranks);
}

static bool is_same_group(const struct role_at *a, const struct role_at *b)
{
    return a->role == b->role && a->line == b->line && strcmp(a->why, b->why) == 0;
}

void roles_print(struct strbuf *out, const struct roles *r)
{
    for (int first = 0, end; first < r->ranks; first = end) {
        const struct role_at *const at = &r->rank[first];
        for (end = first + 1; end < r->ranks && is_same_group(at, &r->rank[end]); end++) {
        }
        if (at->role == ROLE_LINE) print_line(out, r, at->line);
        if (at->role == ROLE_DECODE) print_chain(out, at, first, end - first);
        if (at->role == ROLE_IDLE) {
            print_ranks(out, first, end - first, "idle");
            strbuf_addf(out, "%s", at->why);
        }
        if (first <= r->text && r->text < end) strbuf_addf(out, "; prompts on rank %d", r->text);
        strbuf_addf(out, "\n");
    }
}
