/*
 * torch_writer.h - write a torch checkpoint as torch.save does, streaming.
 *
 * The pickle (protocol 2, memo and all) is written first, from the list of
 * tensors; their bytes follow in order, in pieces of any size.
 */
#ifndef TORCH_WRITER_H
#define TORCH_WRITER_H

#include "kernels/tensor.h"

struct torch_writer;

/* One dict of tensors. Without a key it is the file's own dict and the only one. */
struct torch_writer_dict {
    const char *key;
    const char *const *name;    /* borrowed */
    const struct tensor *shape; /* dtype and shape of each; data unused */
    int count;
    bool ordered; /* an OrderedDict with `_metadata`, as state_dict() returns it */
};

/* Begin a file. ST_ARG for a dtype without a storage class. Whoever opens, closes. */
status torch_writer_open(struct torch_writer **out, const char *path,
                         const struct torch_writer_dict *dicts, int count) MUST_USE;

/* Storage i (counted over all dicts) of `size` bytes: begin, its bytes, end. */
status torch_writer_begin(struct torch_writer *w, int i, size_t size) MUST_USE;
status torch_writer_bytes(struct torch_writer *w, const void *bytes, size_t len) MUST_USE;
status torch_writer_end(struct torch_writer *w) MUST_USE;

status torch_writer_commit(struct torch_writer *w) MUST_USE; /* only close may follow */
void torch_writer_close(struct torch_writer **w);            /* NULL is fine; sets NULL */

#endif /* TORCH_WRITER_H */
