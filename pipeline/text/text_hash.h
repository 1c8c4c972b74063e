/*
 * text_hash.h - what a text encoder is, as a number that is cheap to take.
 *
 * SHA-256 over the form of this hash, the checkpoint's tensors (one line each:
 * name, dtype, shape), its size, and samples of its bytes: the first and last MiB
 * whole, and 4 KiB at each of 512 places spread evenly. In a torch file the last
 * MiB holds the zip directory with a checksum of every tensor. Then the
 * tokenizer file, whole. A change of a few bytes in the midst of a safetensors
 * file may go unseen: take `rollmill inspect` for a hash of all bytes.
 */
#ifndef TEXT_HASH_H
#define TEXT_HASH_H

#include "base/digest.h"
#include "pipeline/weights/weights.h"

status text_hash(const struct weights *encoder, const char *tokenizer_path,
                 char hex[DIGEST_HEX]) MUST_USE;

#endif /* TEXT_HASH_H */
