/* byte_reader.h - bytes in memory that are read from front to back. */
#ifndef BYTE_READER_H
#define BYTE_READER_H

#include "base/base.h"

/* The next byte, and the end; borrowed. */
struct byte_reader {
    const char *at, *end;
};

/* The next ones to `to`. False: fewer are left, and none is read. */
bool byte_reader_take(struct byte_reader *r, void *to, size_t bytes);

#endif /* BYTE_READER_H */
