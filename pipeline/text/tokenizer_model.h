/*
 * tokenizer_model.h - a SentencePiece model file, checked before the library
 * sees it.
 *
 * The file is a protobuf message (sentencepiece_model.proto). The library trusts
 * much of what stands in it; what could lead it astray is refused here.
 */
#ifndef TOKENIZER_MODEL_H
#define TOKENIZER_MODEL_H

#include "base/base.h"
#include "base/strbuf.h"

enum {
    TOKENIZER_BYTES = 64 << 20, /* of a model file */
    TOKENIZER_PIECE = 512,      /* bytes of a piece */
    TOKENIZER_SYMBOL = 64,      /* bytes of a user-defined piece */
};

/* Append to `kept` the parts that tokenizing needs: pieces, training and
 * normalisation settings. ST_FORMAT, beginning with `name`, with the byte and what is wrong. */
status tokenizer_model_check(const unsigned char *data, size_t len, const char *name,
                             struct strbuf *kept) MUST_USE;

#endif /* TOKENIZER_MODEL_H */
