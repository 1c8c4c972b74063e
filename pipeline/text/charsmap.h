/*
 * charsmap.h - the normalisation rules inside a SentencePiece model, checked.
 *
 * The rules are a double-array trie (darts-clone) over the bytes of what is
 * replaced, and the replacements as NUL-terminated strings. The library follows
 * its indices without looking, so every one that can be reached is looked at here.
 */
#ifndef CHARSMAP_H
#define CHARSMAP_H

#include "base/base.h"

enum {
    CHARSMAP_BYTES = 4 << 20, /* of all rules; the usual ones take a quarter of a MiB */
    CHARSMAP_KEY = 128,       /* bytes one rule replaces */
    CHARSMAP_VALUE = 256,     /* bytes it puts there */
    CHARSMAP_NESTED = 32,     /* rules that begin one another, as the library allows */
};

/* blob: uint32 bytes of the trie, its units of uint32, the strings; little-endian.
 * ST_FORMAT, beginning with `name`, says what is wrong. */
status charsmap_check(const unsigned char *blob, size_t len, const char *name) MUST_USE;

#endif /* CHARSMAP_H */
