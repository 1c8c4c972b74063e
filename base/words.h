/* words.h - lists of words in one text, "a|b|c": what a choice allows. */
#ifndef WORDS_H
#define WORDS_H

/* The place of a word in a list, from 0. -1: it is not there, or the list is NULL,
 * or the word is empty. */
int words_find(const char *list, const char *word);

#endif /* WORDS_H */
