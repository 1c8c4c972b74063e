/* utf8_repair.h - UTF-8 with bytes changed on its way, made decodable again. */
#ifndef UTF8_REPAIR_H
#define UTF8_REPAIR_H

#include "pipeline/text/clean/codepoints.h"

/* Bytes 0xA0 that became blanks inside what would be UTF-8 go back; the blank of
 * "à la" is kept beside its own. Appends to out. */
void utf8_repair_restore_a0(const struct strbuf *in, struct strbuf *out);

/* A sequence with bytes lost (CHARMAP_LOST, or one '?') becomes U+FFFD. Appends to out. */
void utf8_repair_replace(const struct strbuf *in, struct strbuf *out);

/* Decode all: UTF-8, and what stands in for it elsewhere, the surrogate pair of
 * three bytes each and the two-byte zero. False, with out incomplete, if it is neither. */
bool utf8_repair_decode(const struct strbuf *in, struct codepoints *out);

#endif /* UTF8_REPAIR_H */
