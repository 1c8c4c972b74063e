/* codepoints.h - a growing array of Unicode code points. */
#ifndef CODEPOINTS_H
#define CODEPOINTS_H

#include "base/base.h"
#include "base/strbuf.h"

/* Zero-initialise; runes_free when done. `at` is NULL while cap is 0. A code
 * point is 0..0x10FFFF; lone surrogates are possible. Running out of memory is
 * remembered in `failed` and makes further additions do nothing. */
struct runes {
    uint32_t *at;
    int64_t count, cap;
    bool failed;
};

void runes_add(struct runes *r, uint32_t c);
void runes_append(struct runes *r, const uint32_t *at, int64_t count);
void runes_copy(struct runes *r, const struct runes *from); /* replaces what r held */
void runes_clear(struct runes *r);                          /* keeps the memory */
void runes_swap(struct runes *a, struct runes *b);
void runes_free(struct runes *r); /* frees and zeroes */
bool runes_equal(const struct runes *a, const struct runes *b);

/* Append UTF-8 text, where a surrogate written as three bytes is let through.
 * Returns the bytes read; less than len: there the text is no UTF-8. */
size_t runes_add_utf8(struct runes *r, const char *bytes, size_t len);

/* Append as UTF-8. */
void runes_write(const struct runes *r, struct text *out);

/* White space as Unicode has it, with the separators U+001C..U+001F. */
bool rune_is_space(uint32_t c);

#endif /* CODEPOINTS_H */
