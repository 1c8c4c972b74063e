/* char_class.h - what kind of character turns up where UTF-8 was read as
 * something else. */
#ifndef CHAR_CLASS_H
#define CHAR_CLASS_H

#include "base/base.h"

/* A character may be of several classes. The first group says how a character
 * is used in honest text, the second which byte of UTF-8 it may stand for. */
enum char_class {
    CH_COMMON = 1 << 0,        /* spaces, dashes, dots: at home anywhere */
    CH_C1 = 1 << 1,            /* controls U+0080..U+009F */
    CH_BAD = 1 << 2,           /* hardly seen but in mojibake */
    CH_LAW = 1 << 3,           /* pilcrow, section */
    CH_CURRENCY = 1 << 4,      /* */
    CH_OPEN = 1 << 5,          /* punctuation that begins something */
    CH_CLOSE = 1 << 6,         /* punctuation that ends something */
    CH_NUMERIC = 1 << 7,       /* fractions, superscripts, operators */
    CH_FACE = 1 << 8,          /* letters and signs that emoticons are made of */
    CH_UPPER = 1 << 9,         /* capital, with an accent */
    CH_LOWER = 1 << 10,        /* small, with an accent */
    CH_UPPER_COMMON = 1 << 11, /* capital Greek and Cyrillic */
    CH_LOWER_COMMON = 1 << 12, /* small Greek and Cyrillic */
    CH_BOX = 1 << 13,          /* box drawing */

    CH_LEAD2 = 1 << 14,     /* 0xC2..0xDF */
    CH_LEAD3 = 1 << 15,     /* 0xE0..0xEF */
    CH_LEAD4 = 1 << 16,     /* 0xF0, 0xF3 */
    CH_TAIL = 1 << 17,      /* 0x80..0xBF, or a blank that was U+00A0 */
    CH_TAIL_SURE = 1 << 18, /* the same, less what honest text puts beside it */

    CH_ASCII_UPPER = 1 << 19, /* A-Z */
    CH_ASCII_LOWER = 1 << 20, /* a-z */
    CH_SPACE = 1 << 21,       /* rune_is_space */
    CH_WORD = 1 << 22,        /* letters, numbers, '_' */
    CH_NEWLINE = 1 << 23,
    CH_ANY = 1 << 24, /* every character */
};

uint32_t char_classes(uint32_t c); /* enum char_class bits */

#endif /* CHAR_CLASS_H */
