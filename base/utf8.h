/* utf8.h - UTF-8, one character at a time. */
#ifndef UTF8_H
#define UTF8_H

#include "base/base.h"

/* Read the character at s. Returns its bytes, 1 to 4; 0, and *out is not set, if len
 * is 0 or what stands there is no valid UTF-8: overlong forms, surrogates and values
 * beyond U+10FFFF are not. */
int utf8_decode(uint32_t *out, const char *s, size_t len);

/* Is all of it valid UTF-8? */
bool utf8_valid(const char *s, size_t len);

/* The same as utf8_decode, but a surrogate as three bytes is let through. */
int utf8_decode_lax(uint32_t *out, const char *s, size_t len);

/* Returns the bytes, 1 to 4. A lone surrogate is written as three bytes. */
int utf8_encode(char out[4], uint32_t c);

/* Is this character text or a line end? What YAML calls printable, but for the tab
 * and the byte order mark. */
bool utf8_printable(uint32_t c);

#endif /* UTF8_H */
