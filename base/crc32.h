/* crc32.h - the checksum of zip files: polynomial 0xedb88320, bits reflected. */
#ifndef CRC32_H
#define CRC32_H

#include "base/base.h"

/* Of bytes that come in pieces: begin with 0, hand in what came back. */
uint32_t crc32_add(uint32_t crc, const void *bytes, size_t len);

#endif /* CRC32_H */
