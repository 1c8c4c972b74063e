/* byte_reader.c - what is read is checked against what is left. */
#include "base/byte_reader.h"

#include <string.h>

bool byte_reader_take(struct byte_reader *r, void *to, size_t bytes)
{
    if ((size_t)(r->end - r->at) < bytes) return false;
    memcpy(to, r->at, bytes);
    r->at += bytes;
    return true;
}
