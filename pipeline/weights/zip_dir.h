/*
 * zip_dir.h - the members of a zip file, as its directory lists them. zip64 is fine.
 *
 * A file may come from anyone: every place and size is checked against the file before
 * it is used. Names are bytes, compared as they are.
 */
#ifndef ZIP_DIR_H
#define ZIP_DIR_H

#include "base/base.h"

/* Bytes of a directory. A released checkpoint of thousands of tensors has below 1 MiB. */
enum { ZIP_DIR_MAX = 64 << 20 };

struct zip_member {
    const char *name; /* not ended by a NUL */
    size_t name_len;
    uint64_t bytes, stored; /* of its content; in the file */
    uint64_t header;        /* where in the file it begins */
    uint32_t crc;
    bool plain; /* neither compressed nor encrypted */
};

struct zip_dir {
    const char *path; /* borrowed */
    int fd;
    uint64_t file_bytes;
    unsigned char *raw;
    struct zip_member *member; /* by name */
    size_t count;
};

/* ST_FORMAT if it is no zip file, is cut, or has two members of one name. Whoever opens,
 * closes; after a failure there is nothing to close. */
status zip_dir_open(struct zip_dir *out, const char *path) MUST_USE;
void zip_dir_close(struct zip_dir *d); /* safe after a failed open; zeroes it */

/* NULL: there is none of that name. */
const struct zip_member *zip_dir_find(const struct zip_dir *d, const char *name);

/* The content of a plain member, m->bytes of it. ST_FORMAT if it is cut or its checksum
 * is wrong. Any thread may call. */
status zip_dir_read(const struct zip_dir *d, const struct zip_member *m, void *buf) MUST_USE;

#endif /* ZIP_DIR_H */
