/* codepoints.h - a growing array of Unicode code points. */
#ifndef CODEPOINTS_H
#define CODEPOINTS_H

#include "base/base.h"
#include "base/strbuf.h"

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
bool rune_is_space(uint32_t c);

#endif /* CODEPOINTS_H */
