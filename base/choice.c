/* choice.c - words in a list "a|b|c", as tables of allowed values write them. */
#include "base/choice.h"

#include <stdio.h>
#include <string.h>

int choice_find(const char *list, const char *word)
{
    size_t const len = strlen(word);

    for (int i = 0; list && len; i++) {
        size_t const n = strcspn(list, "|");
        if (n == len && !memcmp(list, word, len)) return i;
        list = list[n] ? list + n + 1 : NULL;
    }
    return -1;
}

bool choice_at(char *buf, size_t len, const char *list, int i)
{
    while (list && i--) {
        list = strchr(list, '|');
        if (list) list++;
    }
    snprintf(buf, len, "%.*s", list ? (int)strcspn(list, "|") : 0, list ? list : "");
    return list != NULL;
}
