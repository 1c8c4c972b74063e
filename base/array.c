/* array.c - twice the room whenever it is used up, so that n elements cost about 2 n copies. */
#include "base/array.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

enum { FIRST_ROOM = 16 };

void *array_grow(void *array, int count, int *room, size_t each)
{
    if (count < *room) return array;
    if (*room > INT_MAX / 2) return NULL;

    int const more = *room ? 2 * *room : FIRST_ROOM;
    void *const grown = (size_t)more > SIZE_MAX / each ? NULL : realloc(array, (size_t)more * each);
    if (grown) *room = more;
    return grown;
}
