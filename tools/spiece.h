/*
 * spiece.h - write a small working SentencePiece model.
 *
 * Unigram with byte fallback, ids as umt5 has them: <pad> 0, </s> 1, <unk> 2, then
 * 256 bytes, the printable ASCII characters, and some English words and word parts.
 * Form: sentencepiece_model.proto.
 */
#ifndef SPIECE_H
#define SPIECE_H

#include "base/base.h"

int spiece_count(void); /* pieces; ids are below */

status spiece_write(const char *path) MUST_USE;

#endif /* SPIECE_H */
