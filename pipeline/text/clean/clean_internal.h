/* clean_internal.h - what the steps of cleaning a prompt share; text_clean.c puts them in order. */
#ifndef CLEAN_INTERNAL_H
#define CLEAN_INTERNAL_H

#include "base/base.h"
#include "base/strbuf.h"

/* ---- codepoints.c ---- */

/* A growing array of Unicode code points. */

/* Zero-initialise; codepoints_free when done. `at` is NULL while cap is 0. A code
 * point is 0..0x10FFFF; lone surrogates are possible. Running out of memory is
 * remembered in `failed` and makes further additions do nothing. */
struct codepoints {
    uint32_t *at;
    int64_t count, cap;
    bool failed;
};

void codepoints_add(struct codepoints *r, uint32_t c);
void codepoints_append(struct codepoints *r, const uint32_t *at, int64_t count);
void codepoints_copy(struct codepoints *r,
                     const struct codepoints *from); /* replaces what r held */
void codepoints_clear(struct codepoints *r);         /* keeps the memory */
void codepoints_swap(struct codepoints *a, struct codepoints *b);
void codepoints_free(struct codepoints *r); /* frees and zeroes */
bool codepoints_equal(const struct codepoints *a, const struct codepoints *b);

/* Append UTF-8 text, where a surrogate written as three bytes is let through.
 * Returns the bytes read; less than len: there the text is no UTF-8. */
size_t codepoints_add_utf8(struct codepoints *r, const char *bytes, size_t len);

/* Append as UTF-8. */
void codepoints_write(const struct codepoints *r, struct strbuf *out);

/* White space as Unicode has it, with the separators U+001C..U+001F. */
bool codepoint_is_space(uint32_t c);

/* ---- codepage.c ---- */

/* The single-byte encodings that text is wrongly read as. */

/* In the order they are tried. */
enum codepage {
    CODEPAGE_LATIN_1,
    CODEPAGE_WINDOWS_1252,
    CODEPAGE_WINDOWS_1251,
    CODEPAGE_WINDOWS_1250,
    CODEPAGE_WINDOWS_1253,
    CODEPAGE_WINDOWS_1254,
    CODEPAGE_WINDOWS_1257,
    CODEPAGE_ISO_8859_2,
    CODEPAGE_MACROMAN,
    CODEPAGE_CP437,
    CODEPAGE_COUNT,
};

enum { CODEPAGE_LOST = 0x1a }; /* the byte that stands for U+FFFD */

/* The Windows code pages are taken loosely: a byte they leave open is the C1
 * control of that number, and CODEPAGE_LOST is U+FFFD. */
bool codepage_is_loose(enum codepage m);

/* The code point of a byte; 0..0x7F are themselves but for CODEPAGE_LOST. */
uint32_t codepage_decode(enum codepage m, unsigned char byte);

/* Encode all of `text` into bytes[text->count]. False if a code point has no byte. */
bool codepage_encode(enum codepage m, const struct codepoints *text, unsigned char *bytes);

/* ---- char_class.c ---- */

/* What kind of character turns up where UTF-8 was read as
 * something else. */

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
    CH_SPACE = 1 << 21,       /* codepoint_is_space */
    CH_WORD = 1 << 22,        /* letters, numbers, '_' */
    CH_NEWLINE = 1 << 23,
    CH_ANY = 1 << 24, /* every character */
};

uint32_t char_classes(uint32_t c); /* enum char_class bits */

/* ---- mojibake_score.c ---- */

/* Does a text look like UTF-8 that was read in another encoding?
 *
 * The judgement of ftfy 6.3, stated as a table: neighbouring characters that
 * honest text hardly ever has. */

/* True if some neighbours are unlikely. Text of ASCII alone never is. Without memory to tell,
 * false and text->failed. */
bool badness_found(struct codepoints *text);

/* ---- utf8_repair.c ---- */

/* UTF-8 with bytes changed on its way, made decodable again. */

/* Bytes 0xA0 that became blanks inside what would be UTF-8 go back; the blank of
 * "à la" is kept beside its own. Appends to out. */
void utf8_repair_restore_a0(const struct strbuf *in, struct strbuf *out);

/* A sequence with bytes lost (CODEPAGE_LOST, or one '?') becomes U+FFFD. Appends to out. */
void utf8_repair_replace(const struct strbuf *in, struct strbuf *out);

/* Decode all: UTF-8, and what stands in for it elsewhere, the surrogate pair of
 * three bytes each and the two-byte zero. False, with out incomplete, if it is neither. */
bool utf8_repair_decode(const struct strbuf *in, struct codepoints *out);

/* ---- mojibake.c ---- */

/* Undo UTF-8 that was read in a single-byte encoding.
 *
 * Gives what ftfy 6.3 gives for its fix_encoding: as long as the text looks bad
 * (mojibake_score.c), write it back to bytes in each encoding of codepage.c in turn and
 * take the first whose bytes are UTF-8; else mend the parts that look like
 * UTF-8; else take C1 controls for Windows-1252. */

/* In place. */
void mojibake_fix(struct codepoints *text);

/* Every C1 control becomes the character of that Windows-1252 byte. In place. */
void mojibake_fix_c1(struct codepoints *text);

/* ---- html_entities.c ---- */

/* The named character references of HTML 5. */

enum { HTML_NAME = 32 }; /* longest name and a NUL */

struct html_entity {
    const char *name;       /* without '&' and ';' */
    uint32_t first, second; /* the code points; second 0: one only */
};

/* NULL if there is no `&name;`. */
const struct html_entity *html_entity_find(const char *name);

/* Does the standard know `&name` without the semicolon too? */
bool html_entity_is_bare(const char *name);

/* ---- html.c ---- */

/* HTML character references undone. */

/* Every reference the HTML standard knows, also without its semicolon where the
 * standard lets it go; the longest name counts. Appends to out. */
void html_unescape(const struct codepoints *in, struct codepoints *out);

/* Only what cannot be meant otherwise: `&name;` and `&#number;` with their
 * semicolon; and a name that is all small letters also in capitals, for the
 * capital. Appends to out. */
void html_unescape_sure(const struct codepoints *in, struct codepoints *out);

#endif /* CLEAN_INTERNAL_H */
