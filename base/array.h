/* array.h - arrays that grow by one element at a time. */
#ifndef ARRAY_H
#define ARRAY_H

#include <stddef.h>

/* The array with room for one more element behind the first `count`, moved if it had to grow; in
 * all *room elements of `each` bytes fit. NULL: no memory, and the array is as it was. */
void *array_grow(void *array, int count, int *room, size_t each);

#endif /* ARRAY_H */
