/*
 * weights_hash.h - what a checkpoint holds, as a number.
 *
 * The hash of a tensor is the SHA-256 of its bytes, row-major and little-endian.
 * The hash of a file is the SHA-256 of one line per tensor, ordered by name as
 * strcmp does, each "NAME DTYPE SHAPE HASH\n" with the shape as "[2, 3]" and the
 * tensor's hash in full. The same weights have the same hash in either file form.
 */
#ifndef WEIGHTS_HASH_H
#define WEIGHTS_HASH_H

#include "base/digest.h"
#include "pipeline/weights/weights.h"

/* Reads the whole file. Entry i of `each` gets the hash of tensor i; NULL if only
 * the file's is wanted. */
status weights_hash(struct weights *w, char all[DIGEST_HEX], char (*each)[DIGEST_HEX]) MUST_USE;

#endif /* WEIGHTS_HASH_H */
