/*
 * zip_writer.h - write a zip file as torch.save does.
 *
 * Members are stored, begin at multiples of 64 bytes (an extra field "FB" pads),
 * and are followed by their checksum, so nothing is kept and nothing rewritten.
 * Fields of more than 32 bits go to the zip64 records. Form: PKWARE's APPNOTE.
 */
#ifndef ZIP_WRITER_H
#define ZIP_WRITER_H

#include "base/base.h"

struct zip_writer;

/* Written beside `path`; there after commit. Whoever opens, closes. */
status zip_writer_open(struct zip_writer **out, const char *path) MUST_USE;

/* A member of `size` bytes: begin, its bytes in pieces, end. */
status zip_writer_begin(struct zip_writer *z, const char *name, uint64_t size) MUST_USE;
status zip_writer_bytes(struct zip_writer *z, const void *bytes, size_t len) MUST_USE;
status zip_writer_end(struct zip_writer *z) MUST_USE; /* ST_ARG if bytes are missing */

/* The three in one. */
status zip_writer_member(struct zip_writer *z, const char *name, const void *bytes,
                         size_t len) MUST_USE;

/* Write the directory, rename into place. Only close may follow. */
status zip_writer_commit(struct zip_writer *z) MUST_USE;
void zip_writer_close(struct zip_writer **z); /* NULL is fine; sets NULL */

#endif /* ZIP_WRITER_H */
