/*
 * yaml_internal.h - what the files of jobs/yaml share.
 */
#ifndef YAML_INTERNAL_H
#define YAML_INTERNAL_H

#include "base/base.h"

/* ---- yaml_text.c ---- */

/* What other programs write that libyaml does not read, made readable in place.
 *
 * Each keeps the line and, but within the string it changes, the column of every character. */

/* Remove the byte order mark that a line begins with: that of the text, and of each of several
 * files written one behind the other. Returns the length that is left. */
size_t yaml_text_drop_marks(char *text, size_t len);

/* If the whole text is JSON, write each pair of surrogates in its strings, \ud83d\ude00, as YAML
 * spells that character, \U0001f600, and blanks behind the string for what it got shorter. A text
 * that is not JSON stays as it is: there a backslash may be just that. */
void yaml_text_join_surrogates(char *text, size_t len);

#endif /* YAML_INTERNAL_H */
