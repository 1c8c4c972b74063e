/*
 * torchfile.h - the tensors of one dict of a torch checkpoint.
 *
 * The zip file's data.pkl says which tensors there are and which storage each
 * lies in; a storage is a member of the zip file and is read when it is wanted.
 */
#ifndef TORCHFILE_H
#define TORCHFILE_H

#include "kernels/tensor.h"

struct torchfile_entry {
    char *name;
    struct tensor t; /* data is NULL */
    char *member;    /* of the storage */
    size_t offset;   /* bytes into the storage */
};

struct torchfile {
    struct torchzip *zip;
    struct torchfile_entry *entry; /* in the order of the dict */
    int count;
    char *outer_key; /* the dict's key; NULL for the file's own */
    void *buf;       /* the storage read last */
    size_t buf_bytes;
    const char *held; /* its member; NULL: none */
};

/* `outer_key` as weights_open has it. Every tensor listed is row-major, lies inside
 * its storage, and the storage is in the file; else ST_FORMAT with its name.
 * Whoever opens, closes; after a failure there is nothing to close. */
status torchfile_open(struct torchfile *out, const char *path, const char *outer_key) MUST_USE;
void torchfile_close(struct torchfile *f); /* safe on a zeroed one; zeroes it */

/* The bytes of entry i, valid until the next fetch. */
status torchfile_fetch(struct torchfile *f, int i, const void **data) MUST_USE;

#endif /* TORCHFILE_H */
