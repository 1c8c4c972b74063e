/* utf8.h - one character at a time. */
#ifndef UTF8_H
#define UTF8_H

#include "base/base.h"

/* Bytes of the character at s: 1 to 4; 0 if what stands there is no valid UTF-8
 * (overlong forms, surrogates and values beyond U+10FFFF are not) or len is 0. */
int utf8_length(const char *s, size_t len);

/* Is this character, `bytes` long and valid, text or a line end? What YAML calls
 * printable, but for the tab and the byte order mark. */
bool utf8_printable(const char *s, int bytes);

#endif /* UTF8_H */
