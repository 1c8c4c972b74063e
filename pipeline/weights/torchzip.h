/*
 * torchzip.h - the members of a torch checkpoint's zip file.
 *
 * Every member stands under one folder, whose name is free: NAME/data.pkl, the
 * pickle, and NAME/data/KEY, one storage each. Only stored members are read: a
 * compressed one could be far larger than the file. zip64 is fine.
 */
#ifndef TORCHZIP_H
#define TORCHZIP_H

#include "base/base.h"

struct torchzip;

/* True if a file that begins like this is a zip file. */
bool torchzip_looks(const unsigned char *data, size_t size);

/* ST_FORMAT if it is no zip file, has no data.pkl or more than one, or was
 * written on a big-endian machine. Whoever opens, closes. */
status torchzip_open(struct torchzip **out, const char *path) MUST_USE;
void torchzip_close(struct torchzip **z); /* NULL is fine; sets NULL */

/* Bytes of member "data.pkl" or "data/KEY", given without the folder. ST_FORMAT if
 * it is missing, compressed, encrypted, or claims to be larger than the file. */
status torchzip_size(struct torchzip *z, const char *member, size_t *bytes) MUST_USE;

/* Read a whole member of torchzip_size bytes into buf. ST_FORMAT if it is cut or
 * its checksum is wrong. */
status torchzip_read(struct torchzip *z, const char *member, void *buf, size_t bytes) MUST_USE;

#endif /* TORCHZIP_H */
