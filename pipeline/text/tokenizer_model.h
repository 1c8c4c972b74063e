/*
 * tokenizer_model.h - a SentencePiece model file, checked before the library sees it.
 *
 * The file is a protobuf message (sentencepiece_model.proto). The library trusts much of what
 * stands in it; what could lead it astray is refused here. Private to pipeline/text; apart from
 * text_internal.h because tokenizer.cc reads it as C++.
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

/* ---- charsmap.c ---- */

/* The normalisation rules inside a SentencePiece model, checked.
 *
 * The rules are a double-array trie (darts-clone) over the bytes of what is
 * replaced, and the replacements as NUL-terminated strings. The library follows
 * its indices without looking, so every one that can be reached is looked at here. */

enum {
    CHARSMAP_BYTES = 4 << 20, /* of all rules; the usual ones take a quarter of a MiB */
    CHARSMAP_KEY = 128,       /* bytes one rule replaces */
    CHARSMAP_VALUE = 256,     /* bytes it puts there */
    CHARSMAP_NESTED = 32,     /* rules that begin one another, as the library allows */
};

/* blob: uint32 bytes of the trie, its units of uint32, the strings; little-endian.
 * ST_FORMAT, beginning with `name`, says what is wrong. */
status charsmap_check(const unsigned char *blob, size_t len, const char *name) MUST_USE;

#endif /* TOKENIZER_MODEL_H */
