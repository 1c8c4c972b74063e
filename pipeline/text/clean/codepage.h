/* codepage.h - the single-byte encodings that text is wrongly read as. */
#ifndef CODEPAGE_H
#define CODEPAGE_H

#include "pipeline/text/clean/codepoints.h"

/* In the order they are tried. */
enum charmap {
    CHARMAP_LATIN_1,
    CHARMAP_WINDOWS_1252,
    CHARMAP_WINDOWS_1251,
    CHARMAP_WINDOWS_1250,
    CHARMAP_WINDOWS_1253,
    CHARMAP_WINDOWS_1254,
    CHARMAP_WINDOWS_1257,
    CHARMAP_ISO_8859_2,
    CHARMAP_MACROMAN,
    CHARMAP_CP437,
    CHARMAP_COUNT,
};

enum { CHARMAP_LOST = 0x1a }; /* the byte that stands for U+FFFD */

/* The Windows code pages are taken loosely: a byte they leave open is the C1
 * control of that number, and CHARMAP_LOST is U+FFFD. */
bool codepage_is_loose(enum charmap m);

/* The code point of a byte; 0..0x7F are themselves but for CHARMAP_LOST. */
uint32_t codepage_decode(enum charmap m, unsigned char byte);

/* Encode all of `text` into bytes[text->count]. False if a code point has no byte. */
bool codepage_encode(enum charmap m, const struct codepoints *text, unsigned char *bytes);

#endif /* CODEPAGE_H */
