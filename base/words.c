#include "base/words.h"

#include <string.h>

int words_find(const char *list, const char *word)
{
    size_t const len = strlen(word);

    for (int i = 0; list && len; i++) {
        size_t const n = strcspn(list, "|");
        if (n == len && !memcmp(list, word, len)) return i;
        list = list[n] ? list + n + 1 : NULL;
    }
    return -1;
}
