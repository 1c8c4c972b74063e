/* opts.c - a command line read by a table of options. */
#include "cmd/opts.h"
#include "base/choice.h"
#include "base/log.h"
#include "base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(const struct opts *o)
{
    printf("usage: rollmill %s\n\n", o->usage);
    if (o->about) printf("%s\n", o->about);
    for (int i = 0; i < o->count; i++) {
        const struct opt *const p = &o->table[i];
        int const n = printf("  --%s%s%s", p->name, p->value ? " " : "", p->value ? p->value : "");
        printf("%*s%s", n < 26 ? 26 - n : 1, "", p->help);
        if (p->type == OPT_INT) printf(" (%d to %d, default %d)", p->min, p->max, *(int *)p->to);
        if (p->type == OPT_CHOICE && !*(const char **)p->to) printf(" (%s)", p->choices);
        else if (p->type == OPT_CHOICE)
            printf(" (%s, default %s)", p->choices, *(const char **)p->to);
        if (p->type == OPT_TEXT && *(const char **)p->to)
            printf(" (default %s)", *(const char **)p->to);
        putchar('\n');
    }
    printf("  %-24s%s\n", "--help", "print this");
}

static const struct opt *find_option(const struct opts *o, const char *name, size_t len)
{
    for (int i = 0; i < o->count; i++)
        if (strlen(o->table[i].name) == len && !memcmp(o->table[i].name, name, len))
            return &o->table[i];
    return NULL;
}

static status set_value(const struct opt *p, const char *value)
{
    char *end;
    long n;

    switch (p->type) {
    case OPT_FLAG: *(bool *)p->to = true; return ST_OK;
    case OPT_TEXT: *(const char **)p->to = value; return ST_OK;
    case OPT_CHOICE:
        if (choice_find(p->choices, value) < 0)
            return fail(ST_ARG, "--%s %s: one of %s is allowed", p->name, value, p->choices);
        *(const char **)p->to = value;
        return ST_OK;
    case OPT_INT:
        errno = 0;
        n = strtol(value, &end, 10);
        if (errno || end == value || *end || n < p->min || n > p->max)
            return fail(ST_ARG, "--%s %s: a whole number from %d to %d is allowed", p->name, value,
                        p->min, p->max);
        *(int *)p->to = (int)n;
        return ST_OK;
    }
    return ST_OK;
}

status opts_parse(const struct opts *o, int *argc, char **argv, bool *help)
{
    int kept = 1;
    bool options = true;

    *help = false;
    for (int i = 1; i < *argc; i++) {
        char *const arg = argv[i];
        if (!options || strncmp(arg, "--", 2)) {
            if (options && arg[0] == '-' && arg[1])
                return fail(ST_ARG, "%s: options begin with two dashes; see --help", arg);
            argv[kept++] = arg;
            continue;
        }
        if (!arg[2]) {
            options = false;
            continue;
        }
        if (!strcmp(arg, "--help")) {
            print_help(o);
            *help = true;
            return ST_OK;
        }
        size_t const len = strcspn(arg + 2, "=");
        const struct opt *const p = find_option(o, arg + 2, len);
        const char *value = arg[2 + len] ? arg + 3 + len : NULL;
        if (!p) return fail(ST_ARG, "%.*s: no such option; see --help", (int)len + 2, arg);
        if (p->type == OPT_FLAG && value) return fail(ST_ARG, "--%s takes no value", p->name);
        if (p->type != OPT_FLAG && !value) {
            if (i + 1 == *argc) return fail(ST_ARG, "--%s needs %s", p->name, p->value);
            value = argv[++i];
        }
        TRY(set_value(p, value));
    }
    *argc = kept;
    return ST_OK;
}

void opts_print(const struct opts *o)
{
    struct strbuf t = { 0 };

    strbuf_addf(&t, "%.*s", (int)strcspn(o->usage, " "), o->usage);
    for (int i = 0; i < o->count; i++) {
        const struct opt *const p = &o->table[i];
        switch (p->type) {
        case OPT_FLAG: strbuf_addf(&t, " %s=%s", p->name, *(bool *)p->to ? "yes" : "no"); break;
        case OPT_INT: strbuf_addf(&t, " %s=%d", p->name, *(int *)p->to); break;
        default:
            strbuf_addf(&t, " %s=%s", p->name, *(const char **)p->to ? *(const char **)p->to : "-");
        }
    }
    if (!t.failed) log_info("%s", t.s);
    strbuf_free(&t);
}
