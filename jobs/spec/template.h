/*
 * template.h - text with places for variables: {name}, {index:05d}.
 *
 * `:0Nd` pads a number with zeros to N digits, 1 to 20. {{ and }} stand for the braces
 * themselves. What a variable brings in is text and is not looked at again.
 */
#ifndef TEMPLATE_H
#define TEMPLATE_H

#include "base/strbuf.h"
#include "jobs/yaml/yaml_tree.h"

struct template_var {
    const char *name, *text;
};

struct template_text {
    const char *text;
    const struct tree_node *node; /* where errors are reported */
    const struct template_var *var;
    int vars;
    bool file_name; /* make what variables bring in fit for a file name: every run of
                       characters other than A-Z a-z 0-9 . _ - becomes one - */
    size_t most;    /* bytes of the result */
};

/* Append the expanded text to `out`. ST_FORMAT at the node: an unknown variable, a
 * lone brace, a width on what is no number, a result that is too long. */
status template_expand(const struct template_text *t, struct strbuf *out) MUST_USE;

/* Does it use this variable? */
bool template_uses(const char *text, const char *name);

#endif /* TEMPLATE_H */
