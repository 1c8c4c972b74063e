/*
 * weights.h - a checkpoint file as a list of named tensors.
 *
 * Two forms: safetensors (mapped, never copied) and torch zip files (.pt, .pth;
 * the pickle is read by a closed list of opcodes, never executed). A file is
 * untrusted: every size and offset is checked before it is used.
 */
#ifndef WEIGHTS_H
#define WEIGHTS_H

#include "base/digest.h"
#include "kernels/tensor.h"

struct weights;

enum {
    WEIGHT_DIMS = 16,
    WEIGHT_DTYPE = 16,                        /* bytes of a dtype's name, its NUL among them */
    WEIGHT_SHAPE = 8 + WEIGHT_DIMS * (20 + 2) /* of a shape as text */
};

/* A tensor as its file states it. Names stand without the prefixes of wrappers (`model.`,
 * `module.`, `_fsdp_wrapped_module.`, `_orig_mod.` ...); unique within a file. */
struct weight_info {
    const char *name;
    char dtype[WEIGHT_DTYPE]; /* as safetensors writes it: "F32", "F8_E4M3" */
    int ndim;
    int64_t dim[WEIGHT_DIMS];
    int64_t count;  /* elements */
    size_t element; /* bytes of one; 0: a type whose size is not known */
    size_t bytes;

    /* Whether it can be computed with: t is then its dtype and shape, with data NULL. Of another,
     * whose type or rank is only listed, t has no elements: U8 [0]. */
    bool usable;
    struct tensor t;
};

/* "[2, 3]", as tensor_shape. */
const char *weight_shape(const struct weight_info *w, char buf[WEIGHT_SHAPE]);

/* Open a checkpoint by its content, not by its name. `outer_key` picks one dict
 * of a torch file ("generator_ema"); NULL takes generator_ema, else generator,
 * else the file's own dict, and is the only choice for safetensors.
 * ST_FORMAT says what in the file is wrong. Whoever opens, closes. */
status weights_open(struct weights **out, const char *path, const char *outer_key) MUST_USE;
void weights_close(struct weights **w); /* NULL is fine; sets NULL */

const char *weights_path(const struct weights *w);
const char *weights_outer_key(const struct weights *w); /* "" if the file has none */
int weights_count(const struct weights *w);
const struct weight_info *weights_at(const struct weights *w, int i); /* in file order */
int weights_find(const struct weights *w, const char *name);          /* -1: not there */

/* The bytes of tensor i, row-major and contiguous, weights_at(i)->bytes of them. They lie in the
 * mapped file (safetensors; valid until close) or in a buffer of w's (torch; valid until the next
 * fetch). ST_FORMAT if a checksum is wrong. */
status weights_fetch(struct weights *w, int i, const void **data) MUST_USE;

/* What a checkpoint holds, as a number. The hash of a tensor is the SHA-256 of its bytes,
 * row-major and little-endian. The hash of a file is the SHA-256 of one line per tensor, ordered
 * by name as strcmp does, each "NAME DTYPE SHAPE HASH\n" with the shape as "[2, 3]" and the
 * tensor's hash in full. The same weights have the same hash in either file form.
 *
 * Reads the whole file. Entry i of `each` gets the hash of tensor i; NULL if only the file's is
 * wanted. Not in the bare build. */
status weights_hash(struct weights *w, char all[DIGEST_HEX], char (*each)[DIGEST_HEX]) MUST_USE;

#endif /* WEIGHTS_H */
