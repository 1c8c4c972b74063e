/*
 * tensor_file.h - write a safetensors file.
 *
 * The list of tensors is given first, their bytes follow in order, in pieces of
 * any size, and nothing is kept in memory. The file is written beside its place
 * and appears there with commit, complete and on disk. Reading: weights.h.
 */
#ifndef TENSOR_FILE_H
#define TENSOR_FILE_H

#include "kernels/tensor.h"

struct tensor_file;

/* A tensor to write. `t` is host memory, or NULL data where the bytes come later. */
struct tensor_file_item {
    const char *name; /* borrowed */
    struct tensor t;
};

/* Whoever wants to know what the file is meant to hold: told of all its bytes, in order, before
 * they are written. */
struct tensor_file_witness {
    void *arg;
    status (*add)(void *arg, const void *bytes, size_t len);
};

/* Begin a file. witness: may be NULL; borrowed until close. ST_ARG if a name comes twice; ST_IO if
 * it cannot be written. Whoever opens, closes. */
status tensor_file_open(struct tensor_file **out, const char *path,
                        const struct tensor_file_item *items, int count,
                        const struct tensor_file_witness *witness) MUST_USE;

/* The next bytes, wherever the pieces end: all of item 0, then item 1 ...
 * ST_ARG if there are more than the items have. */
status tensor_file_append(struct tensor_file *f, const void *bytes, size_t len) MUST_USE;

/* fsync, rename into place. ST_ARG if bytes are missing. Only close may follow. */
status tensor_file_commit(struct tensor_file *f) MUST_USE;

/* Without a commit before, nothing is left behind. NULL is fine; sets NULL. */
void tensor_file_close(struct tensor_file **f);

/* All of it at once. */
status tensor_file_write(const char *path, const struct tensor_file_item *items,
                         int count) MUST_USE;

#endif /* TENSOR_FILE_H */
