/* choice.h - lists of words in one text, "a|b|c": what a choice allows. */
#ifndef CHOICE_H
#define CHOICE_H

#include <stdbool.h>
#include <stddef.h>

/* The place of a word in a list, from 0. -1: it is not there, or the list is NULL,
 * or the word is empty. */
int choice_find(const char *list, const char *word);

/* The i-th word of a list into buf, cut off there if it is longer. False and "" if there is
 * none: behind the last, of a list that is NULL. */
bool choice_at(char *buf, size_t len, const char *list, int i);

#endif /* CHOICE_H */
